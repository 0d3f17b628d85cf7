//! What kinds of failure a user can meet, and how a chain of causes is printed: once, on one line.

use std::error::Error;
use std::fmt::Write;

/// The kinds that every surface (gRPC, HTTP, exit codes) maps in its own table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong, and will be however often it is repeated.
    Invalid,
    /// Nobody proved who is asking.
    Unauthenticated,
    /// Whoever is asking may not.
    Forbidden,
    /// What was asked for is not there.
    NotFound,
    /// It is there already, or the state forbids it.
    Conflict,
    /// A limit or quota was reached.
    Exhausted,
    /// Not now; later perhaps.
    Unavailable,
    /// It took too long.
    Timeout,
    /// Our own fault.
    Internal,
}

/// The error and all its causes on one line, outermost first, joined by `: `.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String cannot fail.
        write!(text, ": {error}").ok();
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to read `{0}`")]
    struct Outer(String, #[source] std::io::Error);

    #[test]
    fn chains_are_one_line() {
        let error = Outer("x".into(), std::io::Error::other("disk on fire"));
        assert_eq!(chain(&error), "failed to read `x`: disk on fire");
    }
}
