//! The refusals that any path can answer with, for the document.

use crate::serve::http::envelope::Failure;

/// Refusals of a path whose caller names nothing.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "it is read by the macros that write the document")]
pub enum Refused {
    /// A parameter that cannot be meant, named.
    #[response(status = 400)]
    Bad(Failure),
    /// Too many ask at once.
    #[response(status = 429)]
    TooMuch(Failure),
    /// Our fault.
    #[response(status = 500)]
    Internal(Failure),
}

/// Refusals of a path whose caller names something.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "it is read by the macros that write the document")]
pub enum Unfound {
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(Failure),
    /// Several nodes have this hostname; the answer names them.
    #[response(status = 409)]
    Ambiguous(Failure),
}

/// Refusals of what an agent has to answer.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "it is read by the macros that write the document")]
pub enum Unanswered {
    /// The node has no session, or did not answer in time.
    #[response(status = 503)]
    Unavailable(Failure),
}
