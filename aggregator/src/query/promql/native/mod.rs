//! Native histograms: one value with the counts of all its buckets, whose bounds are powers of a base or its own.
//!
//! They are kept beside the numbers, in a pool, and a matrix has only their marks: a query without histograms
//! pays nothing for them. What they mean is what Prometheus means by them.
//!
//! ```text
//! Source ─ mark ─► cell ─► Pool ─ get ─► NativeHistogram ─ add, scale, quantile ─► Pool ─ put ─► cell
//! ```

mod arithmetic;
mod bound;
mod pool;
mod quantile;
mod reset;
mod text;

pub use arithmetic::{Incompatible, Joined};
pub use pool::{Histograms, Pool};

/// The schema of histograms with bounds of their own.
pub const OWN_BOUNDS: i32 = -53;

/// How many observations were in a bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Which bucket. With exponential bounds the one with index 0 ends at 1, or at -1; with own bounds it ends at
    /// the first of them.
    pub index: i32,
    /// Observations; a share of one if it was computed.
    pub count: f64,
}

/// What is known of how a histogram came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing.
    #[default]
    Unknown,
    /// The counter has started anew.
    Reset,
    /// The counter has gone on.
    NotReset,
    /// It is no counter.
    Gauge,
}

/// A histogram.
#[derive(Debug, Clone, Default)]
pub struct NativeHistogram {
    /// A bucket ends at 2 to the power of 2^-schema times what the one before ends at; or [`OWN_BOUNDS`].
    pub schema: i32,
    /// All observations.
    pub count: f64,
    /// What they sum up to.
    pub sum: f64,
    /// Up to how far from zero observations are counted as zero.
    pub zero_threshold: f64,
    /// Observations that are counted as zero.
    pub zero_count: f64,
    /// Buckets above zero, sorted by index, none twice; with own bounds all buckets.
    pub positive: Vec<Bucket>,
    /// Buckets below zero, from there downwards.
    pub negative: Vec<Bucket>,
    /// Own bounds, in order, without the infinite one.
    pub bounds: Vec<f64>,
    /// How it came to be.
    pub hint: Hint,
}

impl NativeHistogram {
    /// Whether its bounds are its own.
    pub fn has_own_bounds(&self) -> bool {
        self.schema == OWN_BOUNDS
    }

    /// How much memory it takes.
    pub fn bytes(&self) -> usize {
        let buckets = (self.positive.len() + self.negative.len()) * size_of::<Bucket>();
        size_of::<NativeHistogram>() + buckets + self.bounds.len() * size_of::<f64>()
    }

    /// Nothing observed yet, in the same buckets.
    pub fn emptied(&self) -> NativeHistogram {
        NativeHistogram { schema: self.schema, bounds: self.bounds.clone(), ..NativeHistogram::default() }
    }
}

/// Equal is what has counted the same, whatever its hint and its empty buckets; NaN is equal to itself.
impl PartialEq for NativeHistogram {
    fn eq(&self, other: &NativeHistogram) -> bool {
        let numbers = |own: &NativeHistogram| {
            [own.count, own.sum, own.zero_threshold, own.zero_count].map(f64::to_bits)
        };
        self.schema == other.schema
            && numbers(self) == numbers(other)
            && self.bounds == other.bounds
            && filled(&self.positive).eq(filled(&other.positive))
            && filled(&self.negative).eq(filled(&other.negative))
    }
}

/// Buckets that have observations.
fn filled(buckets: &[Bucket]) -> impl DoubleEndedIterator<Item = &Bucket> {
    buckets.iter().filter(|bucket| bucket.count != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A histogram with own bounds, whose sum is not told.
    pub fn own(bounds: &[f64], counts: &[f64]) -> NativeHistogram {
        NativeHistogram { schema: OWN_BOUNDS, bounds: bounds.to_vec(), ..exponential(0, counts) }
    }

    /// A histogram with positive buckets from index 0 on.
    pub fn exponential(schema: i32, counts: &[f64]) -> NativeHistogram {
        let positive = (0..).zip(counts).map(|(index, count)| Bucket { index, count: *count }).collect();
        NativeHistogram { schema, count: counts.iter().sum(), positive, ..NativeHistogram::default() }
    }

    #[test]
    fn hints_and_empty_buckets_make_no_difference() {
        let plain = exponential(0, &[1.0, 0.0, 2.0]);
        let mut other = plain.clone();
        other.hint = Hint::Gauge;
        other.positive.remove(1);
        assert_eq!(plain, other);
        other.sum = 1.0;
        assert_ne!(plain, other);
    }
}
