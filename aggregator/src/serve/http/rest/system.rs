//! The whole at a glance: counts, averages, and the health of everything that has one.

use super::Rest;
use super::cluster::{ClusterHealth, Nothing};
use super::extract::Query;
use super::figure::Figures;
use super::health::Health;
use super::node::Node;
use super::refused::Refused;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;

/// How many nodes are how.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// All that are declared.
    pub total: u32,
    /// Those that are as they should be.
    pub healthy: u32,
    /// Those with something wrong that is named.
    pub degraded: u32,
    /// Those that do not respond.
    pub unhealthy: u32,
    /// Those of which nothing is known.
    pub unknown: u32,
}

impl Counts {
    /// Counts the newest snapshot.
    pub fn of(rest: &Rest) -> Counts {
        let mut counts = Counts::default();
        for node in &rest.snapshot().nodes {
            counts.total += 1;
            match node.health.as_str() {
                "healthy" => counts.healthy += 1,
                "degraded" => counts.degraded += 1,
                "unhealthy" => counts.unhealthy += 1,
                _ => counts.unknown += 1,
            }
        }
        counts
    }
}

/// Everything at a glance.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Overview {
    /// How many nodes are how.
    pub nodes: Counts,
    /// Every cluster.
    pub clusters: Vec<ClusterHealth>,
    /// The newest figures of every node.
    pub systems: Vec<Figures>,
    /// When this was said.
    pub timestamp: String,
}

impl Overview {
    /// Reads it. May block.
    pub fn read(rest: &Rest) -> Overview {
        Overview {
            nodes: Counts::of(rest),
            clusters: ClusterHealth::all(rest),
            systems: rest.snapshot().nodes.iter().map(|node| Figures::read(rest, node)).collect(),
            timestamp: rest.clock.now().wall.to_string(),
        }
    }
}

/// The current overview.
#[utoipa::path(get, path = "/api/v1/system/overview", tag = "system",
    responses((status = 200, body = Success<Overview>), Refused))]
pub async fn overview(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Success<Overview>, Failure> {
    Ok(Success::of(rest.read(Overview::read).await?))
}

/// The health of everything.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SystemHealth {
    /// The aggregator.
    pub aggregator: Health,
    /// Services that are checked, by name.
    pub services: BTreeMap<String, String>,
    /// Every cluster.
    pub clusters: Vec<ClusterHealth>,
    /// Every node.
    pub nodes: Vec<Node>,
}

/// The health of all services, clusters and nodes.
#[utoipa::path(get, path = "/api/v1/system/health", tag = "system",
    responses((status = 200, body = Success<SystemHealth>), Refused))]
pub async fn health(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Success<SystemHealth>, Failure> {
    let aggregator = Health::of(&rest);
    let mut answer = Success::of(SystemHealth {
        services: aggregator.services.clone(),
        aggregator,
        clusters: ClusterHealth::all(&rest),
        nodes: rest.snapshot().nodes.iter().map(Node::from).collect(),
    });
    answer.infos.push("no service is checked".to_owned());
    Ok(answer)
}
