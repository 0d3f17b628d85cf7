//! Queries about queries: how one looks when it is laid out, and as a tree.

use super::parameter::Parameters;
use super::query::parse;
use super::tree::tree_of;
use crate::serve::http::envelope::{Failure, Success};
use serde_json::Value;

/// `GET` and `POST /api/v1/format_query`.
pub async fn pretty(parameters: Parameters) -> Result<Success<String>, Failure> {
    let query = parse(parameters.get("query").unwrap_or(""))?;
    Ok(Success::of(query.expr().prettify()))
}

/// `GET` and `POST /api/v1/parse_query`.
pub async fn tree(parameters: Parameters) -> Result<Success<Value>, Failure> {
    let query = parse(parameters.get("query").unwrap_or(""))?;
    Ok(Success::of(tree_of(query.expr())))
}
