//! Whether a counter has started anew: then some bucket has fewer observations than before.

use super::arithmetic::reconcile_bounds;
use super::{Bucket, Hint, NativeHistogram};

impl NativeHistogram {
    /// Whether this cannot have come of the one before by counting on.
    pub fn is_reset_after(&self, before: &NativeHistogram) -> bool {
        if self.hint == Hint::Reset || self.count < before.count {
            return true;
        }
        if self.has_own_bounds() != before.has_own_bounds() {
            return true;
        }
        let mut before = before.clone();
        if self.has_own_bounds() {
            let mut own = self.clone();
            reconcile_bounds(&mut own, &mut before);
            return falls(&before.positive, &own.positive);
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        before.widen_zero(self.zero_threshold);
        before.coarsen(self.schema);
        before.zero_threshold != self.zero_threshold
            || self.zero_count < before.zero_count
            || falls(&before.positive, &self.positive)
            || falls(&before.negative, &self.negative)
    }
}

/// Whether any bucket has less than before.
fn falls(before: &[Bucket], after: &[Bucket]) -> bool {
    before.iter().any(|bucket| {
        let place = after.binary_search_by_key(&bucket.index, |own| own.index).ok();
        bucket.count > place.and_then(|at| after.get(at)).map_or(0.0, |own| own.count)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{exponential, own};
    use super::*;

    #[test]
    fn less_in_any_bucket_is_a_reset() {
        let before = exponential(0, &[1.0, 2.0]);
        assert!(!exponential(0, &[1.0, 3.0]).is_reset_after(&before));
        assert!(exponential(0, &[0.0, 9.0]).is_reset_after(&before));
        assert!(exponential(1, &[9.0, 9.0]).is_reset_after(&before));
        assert!(own(&[], &[9.0]).is_reset_after(&before));
        let marked = NativeHistogram { hint: Hint::Reset, ..exponential(0, &[9.0, 9.0]) };
        assert!(marked.is_reset_after(&before));
    }

    #[test]
    fn other_bounds_alone_are_none() {
        assert!(!own(&[5.0, 10.0], &[3.0]).is_reset_after(&own(&[1.0], &[3.0])));
        assert!(own(&[1.0, 10.0], &[1.0]).is_reset_after(&own(&[1.0], &[2.0])));
    }
}
