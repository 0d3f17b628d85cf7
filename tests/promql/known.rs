//! Cases that are known to fail, with the reason. This list may only get shorter.

/// Of native histograms no text is known, which would be the value.
const TEXT: &str = "counts native histograms by their text";
/// A label name that is no UTF-8 is refused as text, not as a name.
const NAME: &str = "the message of a name that is no UTF-8";
/// The bounds of native histograms are not known.
const BOUNDS: &str = "warns that native histograms have other kinds of bounds";

/// File, line, reason.
pub const FAILING: &[(&str, usize, &str)] = &[
    ("aggregators", 447, TEXT),
    ("aggregators", 453, TEXT),
    ("aggregators", 459, TEXT),
    ("aggregators", 467, TEXT),
    ("aggregators", 474, TEXT),
    ("aggregators", 481, NAME),
    ("functions", 350, BOUNDS),
];
