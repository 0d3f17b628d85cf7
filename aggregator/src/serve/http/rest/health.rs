//! How the aggregator itself does, and short what it sees. The status of HTTP is by the first alone.

use super::Rest;
use super::cluster::{ClusterHealth, Nothing};
use super::extract::Query;
use super::refused::Refused;
use crate::serve::http::envelope::Failure;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Verdicts older than this tell that nobody judges any more.
const JUDGED_MAX: Duration = Duration::from_secs(5);

/// Clusters, in short.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct ClusterShort {
    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub status: &'static str,
    /// As each cluster has it.
    pub quorum_status: &'static str,
    /// Members that respond.
    pub healthy_nodes: u32,
    /// Declared members.
    pub total_nodes: u32,
}

/// The answer, which is no envelope: `status` is the aggregator's own.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub status: &'static str,
    /// Why it is not healthy.
    pub reasons: Vec<String>,
    /// The version of the aggregator.
    pub version: &'static str,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Services that are checked, by name: `UP`, `DEGRADED`, `DOWN`, `PARTIAL` or `UNKNOWN`.
    pub services: BTreeMap<String, String>,
    /// Clusters, by name.
    pub cluster: BTreeMap<String, ClusterShort>,
    /// When this was said.
    pub timestamp: String,
}

impl Health {
    /// How we do now.
    pub fn of(rest: &Rest) -> Health {
        let now = rest.clock.now();
        let reasons = reasons(rest);
        let short = |it: ClusterHealth| ClusterShort {
            status: it.status,
            quorum_status: it.quorum_status,
            healthy_nodes: it.healthy_nodes,
            total_nodes: it.total_nodes,
        };
        Health {
            status: if reasons.is_empty() { "healthy" } else { "unhealthy" },
            reasons,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: now.boot.since(rest.started).as_secs_f64(),
            services: BTreeMap::new(),
            cluster: ClusterHealth::all(rest).into_iter().map(|it| (it.name.clone(), short(it))).collect(),
            timestamp: now.wall.to_string(),
        }
    }

    /// The status of HTTP that goes with it.
    pub fn code(&self) -> StatusCode {
        if self.reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }
}

fn reasons(rest: &Rest) -> Vec<String> {
    let snapshot = rest.snapshot();
    let age = rest.clock.now().wall.0.saturating_sub(snapshot.at.0);
    let judged = match (snapshot.revision, u128::try_from(age).unwrap_or(0)) {
        (0, _) => Some("nothing was judged yet".to_owned()),
        (_, age) if age > JUDGED_MAX.as_nanos() => Some(format!("nothing was judged since {}", snapshot.at)),
        _ => None,
    };
    let failing = rest.commits.borrow().is_failing;
    judged
        .into_iter()
        .chain(failing.then(|| "what is received cannot be written to disk".to_owned()))
        .collect()
}

/// The aggregator's own health.
#[utoipa::path(get, path = "/health", tag = "health", responses(
    (status = 200, body = Health, description = "It does what it is for"),
    (status = 503, body = Health, description = "It does not, and says why"), Refused))]
pub async fn get(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<(StatusCode, Json<Health>), Failure> {
    let health = Health::of(&rest);
    Ok((health.code(), Json(health)))
}
