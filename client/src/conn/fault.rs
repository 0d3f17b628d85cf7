//! Calls that failed, in one line: what was tried, what the aggregator said, which field it named.

use std::time::Duration;
use tonic::{Code, Status};

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The aggregator refused, or the connection broke.
    #[error("failed to {action}: {code}: {message}")]
    Refused {
        /// What was tried, as in `list nodes`.
        action: &'static str,
        /// The gRPC code in words.
        code: &'static str,
        /// What the aggregator said, with the fields that it named.
        message: String,
        /// Whether asking again can help.
        passing: bool,
    },
    /// No answer came in time.
    #[error("failed to {action}: no answer within {}", crate::quantity::span(*.limit))]
    Late {
        /// What was tried.
        action: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// The answer is not one that this client understands.
    #[error("failed to {action}: the answer {problem}")]
    Answer {
        /// What was tried.
        action: &'static str,
        /// What is wrong with the answer.
        problem: &'static str,
    },
}

impl CallError {
    /// From the status of a call that tried to `action`.
    pub fn refused(action: &'static str, status: &Status) -> CallError {
        let (code, passing) = words(status.code());
        CallError::Refused { action, code, message: message(status), passing }
    }

    /// Whether asking again later can help.
    pub fn is_passing(&self) -> bool {
        match self {
            CallError::Refused { passing, .. } => *passing,
            CallError::Late { .. } => true,
            CallError::Answer { .. } => false,
        }
    }
}

/// The message, then `field: problem` for each field that the details name.
fn message(status: &Status) -> String {
    let mut parts = Vec::new();
    match std::error::Error::source(status) {
        // What tonic made of a broken connection says only "transport error".
        Some(cause) => parts.push(super::open::innermost(cause)),
        None if status.message().is_empty() => parts.push("no reason given".to_owned()),
        None => parts.push(status.message().to_owned()),
    }
    for (field, problem) in quorate_proto::status::fields(status) {
        // Most servers put the only violation into the message as well.
        if !parts.iter().any(|part| part.contains(&problem) && part.contains(&field)) {
            parts.push(format!("`{field}`: {problem}"));
        }
    }
    parts.join("; ")
}

/// The words for a code, and whether the same call may succeed later.
const fn words(code: Code) -> (&'static str, bool) {
    match code {
        Code::Ok | Code::Unknown => ("unknown error", true),
        Code::Cancelled => ("cancelled", true),
        Code::InvalidArgument => ("invalid", false),
        Code::DeadlineExceeded => ("too late", true),
        Code::NotFound => ("not found", false),
        Code::AlreadyExists => ("already there", false),
        Code::PermissionDenied => ("permission denied", false),
        Code::ResourceExhausted => ("limit reached", true),
        Code::FailedPrecondition => ("not now", false),
        Code::Aborted => ("aborted", true),
        Code::OutOfRange => ("out of range", false),
        Code::Unimplemented => ("not implemented by this aggregator", false),
        Code::Internal => ("internal error", true),
        Code::Unavailable => ("unavailable", true),
        Code::DataLoss => ("data loss", false),
        Code::Unauthenticated => ("not authenticated", false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::{ErrorDetails, StatusExt};

    fn check(status: &Status, expect: &str, passing: bool) {
        let error = CallError::refused("list nodes", status);
        assert_eq!((error.to_string().as_str(), error.is_passing()), (expect, passing));
    }

    #[test]
    fn errors_say_what_and_which_field() {
        check(&Status::not_found("no cluster `x`"), "failed to list nodes: not found: no cluster `x`", false);
        check(&Status::unavailable(""), "failed to list nodes: unavailable: no reason given", true);
        let details = ErrorDetails::with_bad_request_violation("page_size", "must be at most 1000");
        let named = Status::with_error_details(Code::InvalidArgument, "bad request", details.clone());
        let expect = "failed to list nodes: invalid: bad request; `page_size`: must be at most 1000";
        check(&named, expect, false);
        let twice = "page_size: must be at most 1000";
        let once = Status::with_error_details(Code::InvalidArgument, twice, details);
        check(&once, "failed to list nodes: invalid: page_size: must be at most 1000", false);
    }

    #[test]
    fn a_broken_connection_names_its_cause() {
        let cause = std::io::Error::from_raw_os_error(104);
        check(
            &Status::from_error(Box::new(cause)),
            "failed to list nodes: unknown error: connection reset",
            true,
        );
    }
}
