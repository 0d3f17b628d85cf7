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
    /// With one more number.
    pub fn plus(self, number: f64) -> Sum {
        let value = self.value + number;
        let rest = match () {
            () if value.is_infinite() => 0.0,
            () if self.value.abs() >= number.abs() => self.rest + ((self.value - value) + number),
            () => self.rest + ((number - value) + self.value),
        };
        Sum { value, rest }
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

/// A quantile of numbers, which are sorted for it.
pub fn quantile(quantile: f64, values: &mut [f64]) -> f64 {
    values.sort_by(compare);
    let Some(last) = values.len().checked_sub(1).filter(|_| !quantile.is_nan()) else { return f64::NAN };
    match quantile {
        _ if quantile < 0.0 => return f64::NEG_INFINITY,
        _ if quantile > 1.0 => return f64::INFINITY,
        _ => {}
    }
    let rank = quantile * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let weight = rank - rank.floor();
    let at = |place: usize| values.get(place.min(last)).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(lower + 1) * weight
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
