//! Where buckets start and end.

use super::{Bucket, NativeHistogram, filled};

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Where it starts.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Observations in it.
    pub count: f64,
}

impl NativeHistogram {
    /// Where a bucket above zero ends; the one before it ends where it starts.
    pub fn bound(&self, index: i32) -> f64 {
        if !self.has_own_bounds() {
            return power(self.schema, index);
        }
        match usize::try_from(index) {
            Ok(index) => self.bounds.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }

    fn span(&self, bucket: &Bucket) -> Span {
        let lower = self.bound(bucket.index.saturating_sub(1));
        Span { lower, upper: self.bound(bucket.index), count: bucket.count }
    }

    /// Buckets above zero that have observations, upwards.
    pub fn above_zero(&self) -> impl Iterator<Item = Span> {
        filled(&self.positive).map(|bucket| self.span(bucket))
    }

    /// Buckets below zero that have observations, upwards.
    pub fn below_zero(&self) -> impl Iterator<Item = Span> {
        filled(&self.negative).rev().map(|bucket| {
            let Span { lower, upper, count } = self.span(bucket);
            Span { lower: -upper, upper: -lower, count }
        })
    }

    /// The bucket around zero, if it has observations.
    pub fn around_zero(&self) -> Option<Span> {
        let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
        (self.zero_count != 0.0).then_some(Span { lower, upper, count: self.zero_count })
    }

    /// All buckets that have observations, upwards.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.below_zero().chain(self.around_zero()).chain(self.above_zero())
    }
}

/// Where an exponential bucket ends; the last one that there can be ends at the largest number.
fn power(schema: i32, index: i32) -> f64 {
    let exponent = f64::from(index) * f64::from(schema.saturating_neg()).exp2();
    if exponent > 1024.0 { f64::INFINITY } else { exponent.exp2().min(f64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{exponential, own};
    use super::*;

    #[test]
    fn spans_go_upwards() {
        let mut histogram = exponential(0, &[1.0, 0.0, 2.0]);
        histogram.negative = vec![Bucket { index: 1, count: 3.0 }, Bucket { index: 2, count: 4.0 }];
        (histogram.zero_threshold, histogram.zero_count) = (0.1, 5.0);
        let seen: Vec<_> = histogram.spans().map(|span| (span.lower, span.upper, span.count)).collect();
        let expected =
            [(-4.0, -2.0, 4.0), (-2.0, -1.0, 3.0), (-0.1, 0.1, 5.0), (0.5, 1.0, 1.0), (2.0, 4.0, 2.0)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn own_bounds_are_open_at_both_ends() {
        let seen: Vec<_> = own(&[1.0], &[1.0, 1.0]).spans().map(|span| (span.lower, span.upper)).collect();
        assert_eq!(seen, [(f64::NEG_INFINITY, 1.0), (1.0, f64::INFINITY)]);
        assert_eq!(exponential(1, &[]).bound(1), 2_f64.sqrt());
        assert_eq!(exponential(-1, &[]).bound(1), 4.0);
        assert_eq!(exponential(0, &[]).bound(1024), f64::MAX);
    }
}
