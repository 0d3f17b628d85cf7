//! The one shape of answers in JSON, which is that of Prometheus.
//!
//! ```text
//!   {"status":"success","data":…,"warnings":[…],"infos":[…]}
//!   {"status":"error","errorType":"bad_data","error":"…"}
//! ```

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "status", rename = "success")]
pub struct Success<T> {
    /// What was asked for.
    pub data: T,
    /// What the reader should know before he believes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the reader may want to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub infos: Vec<String>,
}

impl<T> Success<T> {
    /// An answer that needs no words.
    pub fn of(data: T) -> Success<T> {
        Success { data, warnings: Vec::new(), infos: Vec::new() }
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// What kind of failure it is, in the words of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request says nothing that could be done.
    BadData,
    /// It was understood, and has no result.
    Execution,
    /// It took too long.
    Timeout,
    /// The caller went away.
    Canceled,
    /// Our fault.
    Internal,
    /// Not now: limits, or a part that does not answer.
    Unavailable,
    /// There is no such thing.
    NotFound,
    /// Who calls is not known.
    Unauthorized,
    /// Who calls is known and may not.
    Forbidden,
    /// Several things are meant, or it changed meanwhile.
    Conflict,
    /// Too many requests, or too large a one.
    TooMuch,
}

impl FailureKind {
    /// The status that goes with it.
    pub const fn status(self) -> StatusCode {
        match self {
            FailureKind::BadData => StatusCode::BAD_REQUEST,
            FailureKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            FailureKind::Timeout | FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // Nobody reads it; Prometheus and nginx write the same.
            FailureKind::Canceled => match StatusCode::from_u16(499) {
                Ok(status) => status,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            FailureKind::NotFound => StatusCode::NOT_FOUND,
            FailureKind::Unauthorized => StatusCode::UNAUTHORIZED,
            FailureKind::Forbidden => StatusCode::FORBIDDEN,
            FailureKind::Conflict => StatusCode::CONFLICT,
            FailureKind::TooMuch => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error, utoipa::ToSchema)]
#[serde(tag = "status", rename = "error")]
#[error("{error}")]
pub struct Failure {
    /// What kind of failure it is.
    #[serde(rename = "errorType")]
    pub kind: FailureKind,
    /// What failed, with the name of the parameter or field.
    pub error: String,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: FailureKind, error: impl Into<String>) -> Failure {
        Failure { kind, error: error.into() }
    }

    /// A parameter or field that cannot be meant.
    pub fn bad(error: impl Into<String>) -> Failure {
        Failure::new(FailureKind::BadData, error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.kind.status(), Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_prometheus() {
        let success = serde_json::to_value(Success::of([1, 2])).unwrap();
        assert_eq!(success, serde_json::json!({"status": "success", "data": [1, 2]}));
        let failure = serde_json::to_value(Failure::bad("field `x`: no")).unwrap();
        let expect =
            serde_json::json!({"status": "error", "errorType": "bad_data", "error": "field `x`: no"});
        assert_eq!(failure, expect);
        assert_eq!(FailureKind::Canceled.status().as_u16(), 499);
    }
}
