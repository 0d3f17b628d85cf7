//! Kinds of failure as gRPC says them, and back: the only table of the two.
//!
//! Where a field is to blame, the status carries a `google.rpc.BadRequest` that names it.

use crate::convert::ConvertError;
use quorate_common::error::{Kind, chain};
use std::error::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The code for a kind.
pub fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Forbidden => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Conflict => Code::FailedPrecondition,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Timeout => Code::DeadlineExceeded,
        Kind::Internal => Code::Internal,
    }
}

/// An error as a caller is told it: the whole chain on one line.
pub fn of(kind: Kind, error: &dyn Error) -> Status {
    Status::new(code(kind), chain(error))
}

/// A message that could not be read.
pub fn invalid(error: &ConvertError) -> Status {
    let (ConvertError::Missing(name) | ConvertError::Invalid { field: name, .. }) = error;
    field(name, error.to_string())
}

/// A request with a field that is wrong; `message` says what is wrong with it and names it.
pub fn field(name: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let details = ErrorDetails::with_bad_request_violation(name, message.clone());
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Whether a session was ended for something that the agent did: coming back at once would not help.
pub fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::Aborted
    )
}

/// What a status says, with its causes: of a broken connection it says only that much itself.
pub fn reason(status: &Status) -> String {
    let mut text = status.message().to_owned();
    if let Some(cause) = status.source() {
        let cause = chain(cause);
        text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
    }
    text
}

/// The fields that a status blames, each with what is wrong with it.
pub fn fields(status: &Status) -> Vec<(String, String)> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field() {
        let status = invalid(&ConvertError::Missing("hello.epoch"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let expect = "field `hello.epoch` is missing".to_owned();
        assert_eq!(status.message(), expect);
        assert_eq!(fields(&status), [("hello.epoch".to_owned(), expect)]);
    }
}
