//! Nodes, as judged.

use super::Rest;
use super::cluster::Nothing;
use super::extract::{Path, Query, limit};
use super::figure::Figures;
use super::hostname::{hostname_of, resolve};
use super::refused::{Refused, Unfound};
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use quorate_common::model::cluster::NodeVerdict;
use serde::{Deserialize, Serialize};

/// Which nodes.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodesAsked {
    /// Of this cluster only.
    pub cluster: Option<String>,
    /// Most nodes.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    pub limit: Option<u32>,
    /// Only nodes whose names come after this one: the last of the page before.
    pub after: Option<String>,
}

/// One node.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Node {
    /// The name in its certificate.
    pub node: String,
    /// What it calls itself.
    pub hostname: String,
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `voter` or `observer`.
    pub role: &'static str,
    /// Votes.
    pub weight: u32,
    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub status: &'static str,
    /// `up`, `suspect`, `down`, `left`, `isolated`, `agent_dead` or `unknown`.
    pub liveness: &'static str,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
    /// It comes and goes.
    pub flapping: bool,
    /// Somebody works on it.
    pub maintenance: bool,
    /// When its liveness became what it is.
    pub since: String,
    /// When it was last heard; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<String>,
    /// Version of its agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_version: Option<String>,
    /// Its operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
}

impl From<&NodeVerdict> for Node {
    fn from(node: &NodeVerdict) -> Node {
        let facts = node.facts.as_ref();
        Node {
            node: node.member.name.to_string(),
            hostname: hostname_of(node),
            cluster: node.member.cluster.to_string(),
            zone: node.member.zone.as_ref().map(ToString::to_string),
            role: node.member.role.as_str(),
            weight: node.member.weight,
            status: node.health.as_str(),
            liveness: node.liveness.as_str(),
            reasons: node.reasons.clone(),
            flapping: node.flapping,
            maintenance: node.member.maintenance.is_some(),
            since: node.since.to_string(),
            last_heard: node.last_heard.map(|at| at.to_string()),
            agent_version: facts.map(|facts| facts.agent_version.clone()),
            os: facts.map(|facts| facts.os.clone()),
        }
    }
}

/// One node and its figures.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct NodeDetail {
    /// The node.
    #[serde(flatten)]
    pub node: Node,
    /// Its newest figures.
    pub metrics: Figures,
}

/// All nodes, by name.
#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", params(NodesAsked),
    responses((status = 200, body = Success<Vec<Node>>), Refused))]
pub async fn list(
    State(rest): State<Rest>,
    Query(asked): Query<NodesAsked>,
) -> Result<Success<Vec<Node>>, Failure> {
    let (most, snapshot) = (limit(asked.limit, 1000, 10_000)?, rest.snapshot());
    let of = |node: &&NodeVerdict| asked.cluster.as_deref().is_none_or(|it| it == &*node.member.cluster);
    let after = asked.after.as_deref().unwrap_or("");
    let all: Vec<&NodeVerdict> =
        snapshot.nodes.iter().filter(of).filter(|node| node.member.name.as_str() > after).collect();
    let mut answer = Success::of(all.iter().take(most).map(|node| Node::from(*node)).collect());
    if all.len() > most {
        answer.infos.push(format!("{} more nodes match: ask again with `after`", all.len() - most));
    }
    Ok(answer)
}

/// One node, by its name or a hostname that it alone has.
#[utoipa::path(get, path = "/api/v1/nodes/{node}", tag = "nodes",
    params(("node" = String, Path, description = "A node name or hostname")),
    responses((status = 200, body = Success<NodeDetail>), Refused, Unfound))]
pub async fn get(
    State(rest): State<Rest>,
    Path(name): Path,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Success<NodeDetail>, Failure> {
    let node = resolve(&rest.snapshot(), &name)?.clone();
    let detail =
        move |rest: &Rest| NodeDetail { node: Node::from(&node), metrics: Figures::read(rest, &node) };
    Ok(Success::of(rest.read(detail).await?))
}
