//! One value of a matrix: a number, nothing, or the mark of a native histogram, all in eight bytes.
//!
//! Nothing and the mark are NaNs that no arithmetic makes. Their bits have to be asked for before a value is
//! computed with: to the processor they are NaNs like others.

/// There is no value.
pub const ABSENT: f64 = f64::from_bits(0xfffc_0000_0000_0001);
/// The series has ended, as Prometheus writes it.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

const HISTOGRAM_BITS: u64 = 0x7ffd_0000_0000_0000;
const HISTOGRAM_MASK: u64 = 0xffff_0000_0000_0000;
const MADE_BIT: u64 = 1 << 47;

/// What stands for a native histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The source has it, under this id.
    Read(u64),
    /// The query has made it, as its histogram of this number.
    Made(u64),
}

/// Whether there is no value.
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// Whether this ends a series.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// The mark of a native histogram that a source has under an `id`, of which 47 bits count.
pub fn histogram(id: u64) -> f64 {
    f64::from_bits(HISTOGRAM_BITS | id & !(HISTOGRAM_MASK | MADE_BIT))
}

/// The mark of a native histogram that a query has made.
pub fn made_histogram(at: u64) -> f64 {
    f64::from_bits(histogram(at).to_bits() | MADE_BIT)
}

/// What a value marks, if it marks a native histogram.
pub fn mark_of(value: f64) -> Option<Mark> {
    let id = value.to_bits() & !(HISTOGRAM_MASK | MADE_BIT);
    let mark = if value.to_bits() & MADE_BIT == 0 { Mark::Read(id) } else { Mark::Made(id) };
    is_histogram(value).then_some(mark)
}

/// Whether this marks a native histogram.
pub fn is_histogram(value: f64) -> bool {
    value.to_bits() & HISTOGRAM_MASK == HISTOGRAM_BITS
}

/// Whether this is a number to compute with; NaN is one.
pub fn is_float(value: f64) -> bool {
    !value.is_nan() || !(is_absent(value) || is_histogram(value))
}

/// A computed number, which must not look like something else.
pub fn number(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// Applies a function to a number; there is no result for anything else.
pub fn map(value: f64, function: impl Fn(f64) -> f64) -> f64 {
    if is_float(value) { number(function(value)) } else { ABSENT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_not_numbers_and_nan_is_one() {
        for value in [ABSENT, histogram(0), histogram(u64::MAX), made_histogram(0)] {
            assert!(!is_float(value));
            assert!(is_absent(map(value, f64::abs)));
        }
        for value in [f64::NAN, -f64::NAN, f64::INFINITY, 1.0] {
            assert!(is_float(value));
            assert!(is_float(map(value, |value| -value)));
        }
        assert!(is_stale(STALE) && !is_stale(f64::NAN));
        assert_eq!(mark_of(histogram(7)), Some(Mark::Read(7)));
        assert_eq!(mark_of(made_histogram(7)), Some(Mark::Made(7)));
        assert_eq!(mark_of(f64::NAN), None);
    }
}
