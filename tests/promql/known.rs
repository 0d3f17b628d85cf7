//! Cases that are known to fail, with the reason. This list may only get shorter.

/// File, line, reason.
pub const FAILING: &[(&str, usize, &str)] = &[];
