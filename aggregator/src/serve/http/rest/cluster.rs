//! Clusters: health, quorum, margin and zones, as judged.

use super::Rest;
use super::extract::Query;
use super::refused::Refused;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use quorate_common::model::cluster::ClusterVerdict;
use quorate_common::model::node::NodeName;
use quorate_common::model::time::WallTime;
use serde::{Deserialize, Serialize};

/// No parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What would be left if one zone were lost.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Zone {
    /// Its name; empty for nodes that declare none.
    pub zone: String,
    /// Declared voters' weight in it.
    pub weight: u32,
    /// Alive voters' weight in it.
    pub alive: u32,
    /// Losing it loses a quorum that is there now.
    pub decides: bool,
}

/// One cluster.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ClusterHealth {
    /// Its name.
    pub name: String,
    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub status: &'static str,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
    /// Members that respond: healthy or degraded.
    pub healthy_nodes: u32,
    /// Declared members.
    pub total_nodes: u32,
    /// Members that are degraded.
    pub degraded_nodes: Vec<String>,
    /// Members that do not respond.
    pub unhealthy_nodes: Vec<String>,
    /// Members of which nothing is known.
    pub unknown_nodes: Vec<String>,
    /// `available`, `at_risk`, `lost`, `unknown` or `not_applicable`.
    pub quorum_status: &'static str,
    /// Votes that there are.
    pub votes_total: u32,
    /// Votes that are needed.
    pub votes_needed: u32,
    /// Votes that are surely there.
    pub votes_alive: u32,
    /// Votes of which nothing is known.
    pub votes_unknown: u32,
    /// Further failures surely survived; absent without quorum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<u32>,
    /// Zones that have voters.
    pub zones: Vec<Zone>,
    /// The loss of many nodes at once, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mass_loss: Option<String>,
    /// When its status became what it is.
    pub since: String,
    /// When it was judged.
    pub timestamp: String,
}

impl ClusterHealth {
    /// A verdict of a moment.
    pub fn of(verdict: &ClusterVerdict, at: WallTime) -> ClusterHealth {
        let names = |all: &[NodeName]| all.iter().map(NodeName::to_string).collect();
        let quorum = &verdict.quorum;
        let zones = quorum.zones.iter().map(|it| Zone {
            zone: it.zone.clone(),
            weight: it.weight,
            alive: it.alive,
            decides: it.decides,
        });
        ClusterHealth {
            name: verdict.name.to_string(),
            status: verdict.health.as_str(),
            reasons: verdict.reasons.clone(),
            healthy_nodes: verdict.healthy_nodes,
            total_nodes: verdict.total_nodes,
            degraded_nodes: names(&verdict.degraded_nodes),
            unhealthy_nodes: names(&verdict.unhealthy_nodes),
            unknown_nodes: names(&verdict.unknown_nodes),
            quorum_status: quorum.status.as_str(),
            votes_total: quorum.total,
            votes_needed: quorum.need,
            votes_alive: quorum.alive,
            votes_unknown: quorum.unknown,
            margin: quorum.margin,
            zones: zones.collect(),
            mass_loss: verdict.mass_loss.clone(),
            since: verdict.since.to_string(),
            timestamp: at.to_string(),
        }
    }

    /// All clusters of the newest snapshot.
    pub fn all(rest: &Rest) -> Vec<ClusterHealth> {
        let snapshot = rest.snapshot();
        snapshot.clusters.iter().map(|verdict| ClusterHealth::of(verdict, snapshot.at)).collect()
    }
}

/// All clusters.
#[utoipa::path(get, path = "/api/v1/clusters", tag = "clusters",
    responses((status = 200, body = Success<Vec<ClusterHealth>>), Refused))]
pub async fn list(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Success<Vec<ClusterHealth>>, Failure> {
    Ok(Success::of(ClusterHealth::all(&rest)))
}
