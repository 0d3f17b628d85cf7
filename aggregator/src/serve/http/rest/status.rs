//! What the aggregator is, how it does, and what it is on; and the first page of a caller who knows nothing.

use super::Rest;
use super::cluster::{ClusterHealth, Nothing};
use super::extract::Query;
use super::health::Health;
use super::refused::Refused;
use crate::serve::http::envelope::{Failure, Success};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

/// The health, and more.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// As `/health` has it.
    #[serde(flatten)]
    pub health: Health,
    /// Clusters in full.
    pub clusters: Vec<ClusterHealth>,
    /// The aggregator's host.
    pub system: System,
}

/// A host.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct System {
    /// Its hostname.
    pub hostname: String,
    /// Its operating system.
    pub os: &'static str,
    /// Its architecture.
    pub arch: &'static str,
    /// Release of its kernel.
    pub kernel: String,
    /// Processors that we may use; absent if the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<usize>,
}

impl System {
    fn own() -> System {
        let names = rustix::system::uname();
        System {
            hostname: names.nodename().to_string_lossy().into_owned(),
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            kernel: names.release().to_string_lossy().into_owned(),
            cpu_count: std::thread::available_parallelism().ok().map(Into::into),
        }
    }
}

/// The aggregator's health, its clusters and its host.
#[utoipa::path(get, path = "/status", tag = "health", responses(
    (status = 200, body = Status, description = "It does what it is for"),
    (status = 503, body = Status, description = "It does not, and says why"), Refused))]
pub async fn get(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<(StatusCode, Json<Status>), Failure> {
    let health = Health::of(&rest);
    let code = health.code();
    let (clusters, system) = (ClusterHealth::all(&rest), System::own());
    Ok((code, Json(Status { health, clusters, system })))
}

/// What this is.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct About {
    /// The program.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it can.
    pub features: Vec<&'static str>,
    /// Where its document is.
    pub openapi: &'static str,
}

/// What this is, and what it can.
#[utoipa::path(get, path = "/", tag = "health",
    responses((status = 200, body = Success<About>), Refused))]
pub async fn about(Query(Nothing {}): Query<Nothing>) -> Result<Success<About>, Failure> {
    let features =
        vec!["nodes", "clusters", "quorum", "metrics", "history", "processes", "dashboard", "openapi"];
    let about = About {
        service: "quorate-aggregator",
        version: env!("CARGO_PKG_VERSION"),
        features,
        openapi: "/api/openapi.json",
    };
    Ok(Success::of(about))
}
