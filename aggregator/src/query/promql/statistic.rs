//! Sums, means and quantiles that stay exact where plain arithmetic does not.

/// A sum that keeps what it rounds off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// The rounded sum.
    pub value: f64,
    /// What was rounded off.
    pub rest: f64,
}

impl Sum {
    /// With one more number. What is rounded off is found without asking which of the two is larger.
    pub fn plus(self, number: f64) -> Sum {
        let value = self.value + number;
        if value.is_infinite() {
            return Sum { value, rest: 0.0 };
        }
        let added = value - self.value;
        Sum { value, rest: self.rest + ((self.value - (value - added)) + (number - added)) }
    }

    /// The sum.
    pub fn total(self) -> f64 {
        if self.value.is_infinite() { self.value } else { self.value + self.rest }
    }
}

/// A mean that is a sum until that would overflow.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mean {
    sum: Sum,
    count: f64,
    is_incremental: bool,
}

impl Mean {
    /// Takes one more number.
    pub fn push(&mut self, number: f64) {
        self.count += 1.0;
        if !self.is_incremental {
            let sum = self.sum.plus(number);
            if self.count == 1.0 || !sum.value.is_infinite() {
                self.sum = sum;
                return;
            }
            self.is_incremental = true;
            let before = self.count - 1.0;
            self.sum = Sum { value: self.sum.value / before, rest: self.sum.rest / before };
        }
        let weight = (self.count - 1.0) / self.count;
        let scaled = Sum { value: self.sum.value * weight, rest: self.sum.rest * weight };
        self.sum = scaled.plus(number / self.count);
    }

    /// The mean of all numbers taken.
    pub fn value(&self) -> f64 {
        if self.is_incremental {
            return self.sum.total();
        }
        self.sum.value / self.count + self.sum.rest / self.count
    }
}

/// A quantile of numbers, whose order is lost.
pub fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    let Some(rank) = Rank::of(quantile, values.len()) else { return outside(quantile, values.len()) };
    let (_, lower, above) = values.select_nth_unstable_by(rank.lower, compare);
    let upper = above.iter().copied().min_by(compare).unwrap_or(*lower);
    rank.between(*lower, upper)
}

/// A quantile of numbers that are sorted.
pub fn of_sorted(quantile: f64, values: &[f64]) -> f64 {
    let Some(rank) = Rank::of(quantile, values.len()) else { return outside(quantile, values.len()) };
    let at = |place: usize| values.get(place).copied();
    let lower = at(rank.lower).unwrap_or(f64::NAN);
    rank.between(lower, at(rank.lower + 1).unwrap_or(lower))
}

/// What a quantile is that lies between no numbers.
fn outside(quantile: f64, count: usize) -> f64 {
    match quantile {
        _ if count == 0 || quantile.is_nan() => f64::NAN,
        _ if quantile < 0.0 => f64::NEG_INFINITY,
        _ => f64::INFINITY,
    }
}

/// A place between two numbers in a row.
struct Rank {
    /// The one below.
    lower: usize,
    /// How far it is to the one above.
    weight: f64,
}

impl Rank {
    /// Where a quantile of so many numbers is; `None` if there is no such place.
    fn of(quantile: f64, count: usize) -> Option<Rank> {
        let last = count.checked_sub(1).filter(|_| (0.0..=1.0).contains(&quantile))?;
        let rank = quantile * last as f64;
        Some(Rank { lower: (rank.floor() as usize).min(last), weight: rank - rank.floor() })
    }

    fn between(&self, lower: f64, upper: f64) -> f64 {
        lower * (1.0 - self.weight) + upper * self.weight
    }
}

/// By value, NaN first.
pub fn compare(left: &f64, right: &f64) -> std::cmp::Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => left.total_cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_what_they_round_off() {
        let sum = [5e15, 0.5, 0.5, -5e15].into_iter().fold(Sum::default(), Sum::plus);
        assert_eq!(sum.total(), 1.0);
        let mut mean = Mean::default();
        [f64::MAX, f64::MAX].into_iter().for_each(|value| mean.push(value));
        assert_eq!(mean.value(), f64::MAX);
    }

    #[test]
    fn quantiles_lie_between_ranks() {
        assert_eq!(quantile(0.5, &mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(1.0, &mut [4.0, 1.0]), 4.0);
        assert!(quantile(0.5, &mut []).is_nan());
    }
}
