//! What can be asked of one histogram: quantiles, shares, and how far observations are from their mean.

use super::NativeHistogram;
use super::bound::Span;

impl NativeHistogram {
    /// A quantile, as if observations were spread in their bucket: evenly, or evenly by their logarithm if the
    /// bounds are exponential.
    pub fn quantile(&self, quantile: f64) -> f64 {
        match quantile {
            _ if quantile < 0.0 => return f64::NEG_INFINITY,
            _ if quantile > 1.0 => return f64::INFINITY,
            _ if quantile.is_nan() || self.count == 0.0 => return f64::NAN,
            _ => {}
        }
        // From the nearer end, since less is added up there. Observations of NaN are in no bucket: from below.
        let spans: Vec<Span> = self.spans().collect();
        let is_from_below = self.sum.is_nan() || quantile < 0.5;
        let rank = if is_from_below { quantile * self.count } else { (1.0 - quantile) * self.count };
        let found = match is_from_below {
            true => reach(spans.iter().copied(), rank),
            false => reach(spans.iter().rev().copied(), rank),
        };
        let Some((span, reached)) = found else { return f64::NAN };
        let reached = reached.min(self.count);
        if reached < rank {
            return if self.sum.is_nan() { f64::NAN } else { span.upper };
        }
        let inside = if is_from_below { rank - (reached - span.count) } else { reached - rank };
        self.within(span, inside / span.count)
    }

    /// The value so far into a bucket.
    fn within(&self, span: Span, share: f64) -> f64 {
        let Span { lower, upper, .. } = self.narrowed(span);
        if self.has_own_bounds() {
            return match () {
                () if lower == f64::NEG_INFINITY => upper,
                () if upper == f64::INFINITY => lower,
                () => lower + (upper - lower) * share,
            };
        }
        if lower <= 0.0 && upper >= 0.0 {
            return lower + (upper - lower) * share;
        }
        let (low, high) = (lower.abs().log2(), upper.abs().log2());
        if lower > 0.0 {
            (low + (high - low) * share).exp2()
        } else {
            -(high + (low - high) * (1.0 - share)).exp2()
        }
    }

    /// A bucket, less what cannot be in it: around zero nothing is below zero if nothing else is, and what starts
    /// nowhere starts at zero if it ends above.
    fn narrowed(&self, mut span: Span) -> Span {
        if self.has_own_bounds() {
            if span.lower == f64::NEG_INFINITY && span.upper > 0.0 {
                span.lower = 0.0;
            }
        } else if span.lower < 0.0 && span.upper > 0.0 {
            match (self.negative.is_empty(), self.positive.is_empty()) {
                (true, false) => span.lower = 0.0,
                (false, true) => span.upper = 0.0,
                _ => {}
            }
        }
        span
    }

    /// Which share of all observations is between two values.
    pub fn fraction(&self, lower: f64, upper: f64) -> f64 {
        match () {
            () if self.count == 0.0 || lower.is_nan() || upper.is_nan() => f64::NAN,
            () if lower >= upper => 0.0,
            () => (self.rank(upper) - self.rank(lower)) / self.count,
        }
    }

    /// How many observations are at most so large.
    fn rank(&self, value: f64) -> f64 {
        let mut rank = 0.0;
        for span in self.spans().map(|span| self.narrowed(span)) {
            if span.lower >= value {
                return rank;
            }
            if span.upper > value {
                return rank + span.count * self.share(span, value);
            }
            rank += span.count;
        }
        rank.min(self.count)
    }

    /// Which share of a bucket is below a value in it. An open bucket has all at its closed end.
    fn share(&self, span: Span, value: f64) -> f64 {
        let Span { lower, upper, .. } = span;
        if self.has_own_bounds() || lower <= 0.0 && upper >= 0.0 {
            return match (lower.is_infinite(), upper.is_infinite()) {
                (true, _) => 1.0,
                (_, true) => 0.0,
                _ => (value - lower) / (upper - lower),
            };
        }
        let (low, high, own) = (lower.abs().log2(), upper.abs().log2(), value.abs().log2());
        (own - low) / (high - low)
    }

    /// The mean square distance from the mean, all observations of a bucket in its middle.
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let squares = self.spans().map(|span| {
            let distance = self.middle(span) - mean;
            span.count * distance * distance
        });
        squares.sum::<f64>() / self.count
    }

    fn middle(&self, span: Span) -> f64 {
        let Span { lower, upper, .. } = span;
        match () {
            () if self.has_own_bounds() => (lower + upper) / 2.0,
            () if lower <= 0.0 && upper >= 0.0 => 0.0,
            () => (lower * upper).sqrt().copysign(upper),
        }
    }
}

/// The first bucket by which so many observations are reached, and how many those are; else the last bucket.
fn reach(spans: impl Iterator<Item = Span>, rank: f64) -> Option<(Span, f64)> {
    let (mut count, mut last) = (0.0, None);
    for span in spans {
        count += span.count;
        last = Some((span, count));
        if count >= rank {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::super::tests::{exponential, own};

    #[test]
    fn own_bounds_are_spread_evenly() {
        let even = own(&[1.0, 2.0], &[10.0, 10.0, 0.0]);
        assert_eq!(even.quantile(0.25), 0.5);
        assert_eq!(even.quantile(0.75), 1.5);
        assert_eq!(even.fraction(0.5, 1.5), 0.5);
        assert_eq!(own(&[1.0], &[1.0, 9.0]).quantile(0.9), 1.0);
        assert_eq!(own(&[-1.0], &[9.0, 1.0]).quantile(0.1), -1.0);
        assert!(own(&[1.0], &[]).quantile(0.5).is_nan());
    }

    #[test]
    fn exponential_bounds_are_spread_by_logarithm() {
        let histogram = exponential(0, &[0.0, 2.0, 2.0]);
        assert_eq!(histogram.quantile(0.25), 2_f64.sqrt());
        assert_eq!(histogram.quantile(0.5), 2.0);
        assert_eq!(histogram.fraction(2_f64.sqrt(), 4.0), 0.75);
        let mut mirrored = histogram.clone();
        std::mem::swap(&mut mirrored.positive, &mut mirrored.negative);
        assert_eq!(mirrored.quantile(0.25), -8_f64.sqrt());
        assert_eq!(mirrored.fraction(-4.0, -8_f64.sqrt()), 0.25);
    }

    #[test]
    fn observations_are_in_the_middle_of_their_bucket() {
        let mut histogram = own(&[0.0, 2.0, 4.0], &[0.0, 1.0, 1.0]);
        histogram.sum = 4.0;
        assert_eq!(histogram.variance(), 1.0);
    }
}
