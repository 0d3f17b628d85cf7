//! Exemplars, of which there are none: nothing that is collected has any.

use super::failure::invalid;
use super::parameter::Parameters;
use super::query::parse;
use crate::serve::http::envelope::{Failure, Success};

/// `GET` and `POST /api/v1/query_exemplars`.
pub async fn none(parameters: Parameters) -> Result<Success<[(); 0]>, Failure> {
    let (start_ms, end_ms) = (parameters.time("start")?, parameters.time("end")?);
    if start_ms.zip(end_ms).is_some_and(|(start_ms, end_ms)| end_ms < start_ms) {
        return Err(invalid("end", "end timestamp must not be before start timestamp"));
    }
    parse(parameters.get("query").unwrap_or(""))?;
    Ok(Success::of([]))
}
