//! Quantiles and fractions of buckets, sorted by their upper bounds, whose counts add up.

/// Two counts this close to each other differ by rounding only.
const TOLERANCE: f64 = 1e-12;

/// How many observations were at most so large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The upper bound.
    pub bound: f64,
    /// All observations up to there.
    pub count: f64,
}

/// Joins buckets with the same bound.
fn join(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, first| {
        let is_same = next.bound == first.bound;
        if is_same {
            first.count += next.count;
        }
        is_same
    });
}

/// Lets no count be less than the one before. True if one was, by more than rounding.
fn straighten(buckets: &mut [Bucket]) -> bool {
    let mut is_forced = false;
    let mut before = buckets.first().map_or(0.0, |bucket| bucket.count);
    for bucket in buckets.iter_mut().skip(1) {
        if is_close(before, bucket.count) {
            bucket.count = before;
        } else if bucket.count < before {
            bucket.count = before;
            is_forced = true;
        }
        before = bucket.count;
    }
    is_forced
}

fn is_close(left: f64, right: f64) -> bool {
    let distance = (left - right).abs();
    let sum = left.abs() + right.abs();
    left == right || distance / sum.min(f64::MAX) < TOLERANCE
}

/// A quantile, as if the observations were spread evenly over their bucket, and whether counts were put right.
pub fn quantile(quantile: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    match quantile {
        _ if quantile.is_nan() => return (f64::NAN, false),
        _ if quantile < 0.0 => return (f64::NEG_INFINITY, false),
        _ if quantile > 1.0 => return (f64::INFINITY, false),
        _ => {}
    }
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return (f64::NAN, false);
    }
    join(buckets);
    let is_forced = straighten(buckets);
    (of_straight(quantile, buckets), is_forced)
}

fn of_straight(quantile: f64, buckets: &[Bucket]) -> f64 {
    let [finite @ .., last] = buckets else { return f64::NAN };
    let (Some(first), Some(largest)) = (finite.first(), finite.last()) else { return f64::NAN };
    if last.count == 0.0 || last.count.is_nan() {
        return f64::NAN;
    }
    let rank = quantile * last.count;
    let at = finite.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = finite.get(at) else { return largest.bound };
    if at == 0 && first.bound <= 0.0 {
        return first.bound;
    }
    let before =
        at.checked_sub(1).and_then(|at| finite.get(at)).copied().unwrap_or(Bucket { bound: 0.0, count: 0.0 });
    before.bound + (bucket.bound - before.bound) * ((rank - before.count) / (bucket.count - before.count))
}

/// Which share of all observations is between two values.
pub fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    let Some(last) = buckets.last().copied() else { return f64::NAN };
    if last.bound != f64::INFINITY || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    join(buckets);
    let count = buckets.last().map_or(f64::NAN, |last| last.count);
    match () {
        () if count == 0.0 || count.is_nan() => f64::NAN,
        () if lower >= upper => 0.0,
        () => (rank(upper, buckets, count) - rank(lower, buckets, count)) / count,
    }
}

/// How many observations are at most so large.
fn rank(value: f64, buckets: &[Bucket], count: f64) -> f64 {
    let mut before = Bucket { bound: f64::NEG_INFINITY, count: 0.0 };
    for (at, bucket) in buckets.iter().enumerate() {
        if at == 0 && bucket.bound > 0.0 {
            before.bound = 0.0;
        }
        if before.bound >= value {
            return before.count;
        }
        if bucket.bound > value {
            let share = (value - before.bound) / (bucket.bound - before.bound);
            // An open bucket has no middle: what is in it is at its closed end.
            return match (before.bound.is_infinite(), bucket.bound.is_infinite()) {
                (true, _) => bucket.count,
                (_, true) => before.count,
                _ => before.count + (bucket.count - before.count) * share,
            };
        }
        before = *bucket;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles_are_spread_evenly() {
        let mut even = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 20.0)]);
        assert_eq!(quantile(0.5, &mut even), (1.0, false));
        assert_eq!(quantile(0.75, &mut even), (1.5, false));
        assert!(quantile(0.5, &mut buckets(&[(1.0, 10.0)])).0.is_nan());
    }

    #[test]
    fn counts_that_fall_are_put_right() {
        let mut falling = buckets(&[(1.0, 10.0), (2.0, 5.0), (f64::INFINITY, 20.0)]);
        assert!(quantile(0.5, &mut falling).1);
        assert_eq!(falling[1].count, 10.0);
    }

    #[test]
    fn fractions_add_up() {
        let mut even = buckets(&[(1.0, 10.0), (2.0, 20.0), (f64::INFINITY, 40.0)]);
        assert_eq!(fraction(0.5, 1.5, &mut even), 0.25);
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &mut even), 1.0);
        assert_eq!(fraction(2.0, 1.0, &mut even), 0.0);
    }
}
