//! Figures: what a test measured, one line each, for whoever compares runs.

use std::fmt::Display;
use std::time::Duration;

/// Prints `figure <name>=<value>`.
#[allow(clippy::print_stdout, reason = "test runners keep it with the test")]
pub fn figure(name: &str, value: impl Display) {
    println!("figure {name}={value}");
}

/// The longest of some spans in milliseconds, printed as a figure and held to a limit.
pub fn at_most(name: &str, spans: &[Duration], limit: Duration) {
    let longest = spans.iter().max().expect("something was measured");
    figure(name, longest.as_millis());
    assert!(*longest <= limit, "{name}: {spans:?}, limit {limit:?}");
}
