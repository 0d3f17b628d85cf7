//! Sums and differences of histograms, whose buckets are first made the same.

use super::{Bucket, Hint, NativeHistogram};

/// One has exponential bounds, the other bounds of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incompatible;

/// What was odd about two histograms that were joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joined {
    /// They had bounds of their own, and not the same: only common ones are left.
    pub is_reconciled: bool,
    /// One counter had started anew, the other had not.
    pub is_collided: bool,
}

impl NativeHistogram {
    /// Adds another one.
    pub fn add(&mut self, other: &NativeHistogram) -> Result<Joined, Incompatible> {
        let is_reconciled = self.combine(other, 1.0)?;
        let (hint, is_collided) = match (self.hint, other.hint) {
            (own, other) if own == other => (own, false),
            (Hint::Gauge, _) | (_, Hint::Gauge) => (Hint::Gauge, false),
            (Hint::Unknown, _) | (_, Hint::Unknown) => (Hint::Unknown, false),
            _ => (Hint::Unknown, true),
        };
        self.hint = hint;
        Ok(Joined { is_reconciled, is_collided })
    }

    /// Subtracts another one, after which it is no counter.
    pub fn subtract(&mut self, other: &NativeHistogram) -> Result<Joined, Incompatible> {
        let is_reconciled = self.combine(other, -1.0)?;
        self.hint = Hint::Gauge;
        Ok(Joined { is_reconciled, is_collided: false })
    }

    /// Multiplies all counts.
    pub fn scale(&mut self, factor: f64) {
        self.map(|count| count * factor);
        self.hint = if factor < 0.0 { Hint::Gauge } else { self.hint };
    }

    /// Divides all counts. Of a division by zero no bucket is left.
    pub fn divide(&mut self, divisor: f64) {
        self.map(|count| count / divisor);
        self.hint = if divisor < 0.0 { Hint::Gauge } else { self.hint };
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
    }

    fn map(&mut self, function: impl Fn(f64) -> f64) {
        for number in [&mut self.count, &mut self.sum, &mut self.zero_count] {
            *number = function(*number);
        }
        for bucket in self.positive.iter_mut().chain(&mut self.negative) {
            bucket.count = function(bucket.count);
        }
    }

    /// Adds a multiple of another one. True if bounds of their own were reconciled.
    fn combine(&mut self, other: &NativeHistogram, factor: f64) -> Result<bool, Incompatible> {
        if self.has_own_bounds() != other.has_own_bounds() {
            return Err(Incompatible);
        }
        let mut other = other.clone();
        let is_reconciled = self.has_own_bounds() && reconcile_bounds(self, &mut other);
        if !self.has_own_bounds() {
            reconcile_zero(self, &mut other);
            let schema = self.schema.min(other.schema);
            self.coarsen(schema);
            other.coarsen(schema);
        }
        self.count += factor * other.count;
        self.sum += factor * other.sum;
        self.zero_count += factor * other.zero_count;
        self.positive = merge(&self.positive, &other.positive, factor);
        self.negative = merge(&self.negative, &other.negative, factor);
        Ok(is_reconciled)
    }

    /// Joins buckets until their bounds are those of a lower schema.
    pub(super) fn coarsen(&mut self, schema: i32) {
        let shift = self.schema.saturating_sub(schema).clamp(0, 31) as u32;
        if shift > 0 {
            let coarser = |index: i32| (index.saturating_sub(1) >> shift) + 1;
            self.positive = moved(&self.positive, coarser);
            self.negative = moved(&self.negative, coarser);
            self.schema = schema;
        }
    }

    /// Counts more as zero. A bucket that is cut by the threshold goes in as a whole, and moves the threshold.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        let spans = self.below_zero().map(|span| (-span.upper, -span.lower));
        let spans = spans.chain(self.above_zero().map(|span| (span.lower, span.upper)));
        let cut = spans.filter(|(near, far)| *near < threshold && *far > threshold).map(|(_, far)| far);
        let threshold = cut.fold(threshold, f64::max);
        for buckets in [&mut self.positive, &mut self.negative] {
            let schema = NativeHistogram { schema: self.schema, ..NativeHistogram::default() };
            buckets.retain(|bucket| {
                let is_inside = schema.bound(bucket.index) <= threshold;
                self.zero_count += if is_inside { bucket.count } else { 0.0 };
                !is_inside
            });
        }
        self.zero_threshold = threshold;
    }

    /// Keeps only some of its own bounds.
    fn rebound(&mut self, bounds: &[f64]) {
        let place = |index: i32| {
            let upper = self.bound(index);
            i32::try_from(bounds.partition_point(|bound| *bound < upper)).unwrap_or(i32::MAX)
        };
        self.positive = moved(&self.positive, place);
        self.bounds = bounds.to_vec();
    }
}

/// Leaves two histograms the bounds that both have. True if they had others.
pub(super) fn reconcile_bounds(left: &mut NativeHistogram, right: &mut NativeHistogram) -> bool {
    if left.bounds == right.bounds {
        return false;
    }
    let common: Vec<f64> = left.bounds.iter().copied().filter(|bound| right.bounds.contains(bound)).collect();
    left.rebound(&common);
    right.rebound(&common);
    true
}

/// Widens what counts as zero until it is the same for both: each time it grows to a bound of one of them.
fn reconcile_zero(left: &mut NativeHistogram, right: &mut NativeHistogram) {
    loop {
        if left.zero_threshold < right.zero_threshold {
            left.widen_zero(right.zero_threshold);
        } else if right.zero_threshold < left.zero_threshold {
            right.widen_zero(left.zero_threshold);
        } else {
            return;
        }
    }
}

/// Buckets at other places, which keep their order. Those that meet are joined.
fn moved(buckets: &[Bucket], place: impl Fn(i32) -> i32) -> Vec<Bucket> {
    let mut result: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let index = place(bucket.index);
        match result.last_mut().filter(|last| last.index == index) {
            Some(last) => last.count += bucket.count,
            None => result.push(Bucket { index, count: bucket.count }),
        }
    }
    result
}

/// The buckets of both, without those that are empty.
fn merge(left: &[Bucket], right: &[Bucket], factor: f64) -> Vec<Bucket> {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut result = Vec::with_capacity(left.len().max(right.len()));
    while let Some(index) = left.peek().into_iter().chain(right.peek()).map(|bucket| bucket.index).min() {
        let own = left.next_if(|bucket| bucket.index == index).map_or(0.0, |bucket| bucket.count);
        let other = right.next_if(|bucket| bucket.index == index).map_or(0.0, |bucket| bucket.count);
        let count = own + factor * other;
        if count != 0.0 {
            result.push(Bucket { index, count });
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::tests::{exponential, own};
    use super::*;

    #[test]
    fn a_finer_schema_is_coarsened() {
        let mut sum = exponential(1, &[1.0, 2.0, 4.0]);
        sum.add(&exponential(0, &[10.0, 20.0])).unwrap();
        assert_eq!(sum, exponential(0, &[11.0, 26.0]));
        sum.subtract(&exponential(0, &[11.0])).unwrap();
        assert_eq!(sum.positive, [Bucket { index: 1, count: 26.0 }]);
        assert_eq!(sum.hint, Hint::Gauge);
    }

    #[test]
    fn a_bucket_that_is_cut_counts_as_zero() {
        let mut wide = NativeHistogram { zero_threshold: 0.7, zero_count: 1.0, ..exponential(0, &[]) };
        wide.add(&exponential(0, &[2.0, 3.0])).unwrap();
        assert_eq!((wide.zero_threshold, wide.zero_count), (1.0, 3.0));
        assert_eq!(wide.positive, [Bucket { index: 1, count: 3.0 }]);
    }

    #[test]
    fn only_common_bounds_are_left() {
        let mut sum = own(&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0, 8.0]);
        let joined = sum.add(&own(&[1.0, 3.0, 5.0], &[1.0, 1.0, 1.0, 1.0])).unwrap();
        assert!(joined.is_reconciled);
        assert_eq!(sum, own(&[1.0, 3.0], &[2.0, 7.0, 10.0]));
        assert_eq!(sum.add(&exponential(0, &[])), Err(Incompatible));
    }

    #[test]
    fn thresholds_that_are_no_numbers_end() {
        let mut odd = NativeHistogram { zero_threshold: f64::NAN, ..exponential(0, &[1.0]) };
        odd.add(&exponential(3, &[1.0])).unwrap();
        let mut endless = NativeHistogram { zero_threshold: f64::INFINITY, ..exponential(0, &[1.0]) };
        endless.add(&exponential(3, &[1.0])).unwrap();
        assert_eq!(endless.zero_count, 1.0);
    }
}
