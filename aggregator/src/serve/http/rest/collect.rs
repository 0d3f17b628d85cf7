//! Collecting now, instead of when it is due.

use super::Rest;
use super::ask::ask;
use super::extract::Query;
use super::hostname::resolve_or_all;
use super::refused::{Refused, Unanswered, Unfound};
use crate::serve::http::envelope::{Failure, FailureKind, Success};
use axum::extract::State;
use quorate_common::model::session::RequestKind;
use serde::{Deserialize, Serialize};

/// Who is to collect.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CollectAsked {
    /// This node only: its name, or a hostname that it alone has.
    pub hostname: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Collected {
    /// Nodes that collected once more.
    pub collected: Vec<String>,
    /// Nodes that did not; the warnings say why.
    pub failed: Vec<String>,
}

/// Has agents collect now. One that does not is told of in the answer, or is a failure if it was named.
#[utoipa::path(post, path = "/api/v1/metrics/collect", tag = "metrics", params(CollectAsked),
    responses((status = 200, body = Success<Collected>), Refused, Unfound, Unanswered))]
pub async fn collect(
    State(rest): State<Rest>,
    Query(asked): Query<CollectAsked>,
) -> Result<Success<Collected>, Failure> {
    let nodes = resolve_or_all(&rest.snapshot(), asked.hostname.as_deref())?;
    let mut answer = Success::of(Collected::default());
    for (node, outcome) in ask(&rest, nodes, RequestKind::CollectNow).await? {
        let name = node.member.name.to_string();
        match outcome {
            Ok(_) => answer.data.collected.push(name),
            Err(error) if asked.hostname.is_some() => {
                return Err(Failure::new(FailureKind::Unavailable, error.to_string()));
            }
            Err(error) => {
                answer.data.failed.push(name);
                answer.warnings.push(error.to_string());
            }
        }
    }
    answer.data.collected.sort();
    answer.data.failed.sort();
    Ok(answer)
}
