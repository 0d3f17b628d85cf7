//! Why a query has no result, as Prometheus says it.

use crate::query::promql::{Error, Overrun, Stop};
use crate::serve::http::envelope::{Failure, FailureKind};

/// A parameter that cannot be meant.
pub fn invalid(name: &str, text: impl std::fmt::Display) -> Failure {
    Failure::bad(format!("invalid parameter \"{name}\": {text}"))
}

/// What went wrong, while a parameter was looked at.
pub fn of(error: &Error, name: &str) -> Failure {
    match error {
        Error::Parse(text) => invalid(name, position(text)),
        Error::Overrun(Overrun::Stop(Stop::Deadline)) => {
            Failure::new(FailureKind::Timeout, error.to_string())
        }
        Error::Overrun(Overrun::Stop(Stop::Cancelled)) => {
            Failure::new(FailureKind::Canceled, error.to_string())
        }
        Error::Unsupported(_) | Error::Evaluate(_) | Error::Overrun(_) => {
            Failure::new(FailureKind::Execution, error.to_string())
        }
        Error::Source(cause) => Failure::new(FailureKind::Internal, format!("{error}: {cause}")),
    }
}

/// Where the parser does not say where, neither do we.
fn position(text: &str) -> String {
    match text.strip_prefix("parse error: ") {
        Some(rest) => format!("unknown position: parse error: {rest}"),
        None if text.contains("parse error") => text.to_owned(),
        None => format!("unknown position: parse error: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_prometheus() {
        for (error, kind, text) in [
            (
                Error::Parse("odd".into()),
                FailureKind::BadData,
                "invalid parameter \"query\": unknown position: parse error: odd",
            ),
            (Error::Evaluate("many".into()), FailureKind::Execution, "many"),
            (
                Error::Overrun(Overrun::Stop(Stop::Deadline)),
                FailureKind::Timeout,
                "query timed out in expression evaluation",
            ),
            (
                Error::Overrun(Overrun::Stop(Stop::Cancelled)),
                FailureKind::Canceled,
                "query was canceled in expression evaluation",
            ),
        ] {
            assert_eq!(of(&error, "query"), Failure::new(kind, text));
        }
    }
}
