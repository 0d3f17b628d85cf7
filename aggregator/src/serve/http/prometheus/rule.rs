//! Rules, alerts and whom they are sent to, as Prometheus lists them. There are none of them yet.

use super::failure::invalid;
use super::parameter::Parameters;
use crate::serve::http::envelope::{Failure, Success};
use serde_json::{Value, json};

/// `GET /api/v1/rules`.
pub async fn rules(parameters: Parameters) -> Result<Success<Value>, Failure> {
    match parameters.get("type") {
        None | Some("alert" | "record") => Ok(Success::of(json!({"groups": []}))),
        Some(other) => Err(invalid("type", format_args!("not supported value {other:?}"))),
    }
}

/// `GET /api/v1/alerts`.
pub async fn alerts() -> Success<Value> {
    Success::of(json!({"alerts": []}))
}

/// `GET /api/v1/alertmanagers`.
pub async fn alertmanagers() -> Success<Value> {
    Success::of(json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}
