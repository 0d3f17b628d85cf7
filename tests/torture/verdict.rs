//! The line that a test ends with, and how much it is to try.

use std::fmt::Display;

/// Whether the whole is to be tried.
#[allow(clippy::disallowed_methods, reason = "the one variable by which `make torture` asks for all of it")]
pub fn is_long() -> bool {
    std::env::var_os("QUORATE_TORTURE").is_some()
}

/// Prints `P1 ok kills=100 missing=0`.
#[allow(clippy::print_stdout, reason = "the verdict is what the program is run for")]
pub fn verdict(promise: &str, figures: &[(&str, &dyn Display)]) {
    let figures: Vec<String> = figures.iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("{promise} ok {}", figures.join(" "));
}
