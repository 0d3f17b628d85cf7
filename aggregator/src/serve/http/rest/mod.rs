//! REST: what people and scripts ask for, in JSON. The document that describes it is made of the handlers.
//!
//! ```text
//!   request ─ extract ─→ handler ─→ snapshot │ live and history, off the runtime │ agents ─→ envelope
//! ```
//!
//! Alerts are not here: their list is that of the Prometheus API, and nothing here pretends to change one.

mod ask;
mod cluster;
mod collect;
mod dashboard;
mod extract;
mod figure;
mod health;
mod history;
mod hostname;
mod metric;
mod node;
pub mod openapi;
mod process;
mod refused;
mod routes;
mod status;
mod system;
#[cfg(test)]
mod tests;

pub use routes::close;

use crate::agents::Agents;
use crate::limit::{Slot, Slots};
use crate::serve::http::envelope::{Failure, FailureKind};
use crate::store::live::Live;
use crate::store::{Commits, Select};
use axum::Router;
use quorate_common::clock::Clock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::time::BootTime;
use routes::Routes;
use std::sync::Arc;
use tokio::sync::watch;

/// Requests at once that read history or ask agents.
const READS_MAX: u32 = 16;

/// What the API is made of.
#[derive(Clone)]
pub struct Rest {
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The newest values.
    pub live: Arc<Live>,
    /// History.
    pub store: Arc<dyn Select>,
    /// How writing it goes.
    pub commits: watch::Receiver<Commits>,
    /// Current sessions.
    pub agents: Agents,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the aggregator started.
    pub started: BootTime,
    /// Requests that read history or ask agents.
    pub slots: Slots,
}

impl Rest {
    /// The paths. What is merged with them is [`close`]d at the end.
    pub fn router(self) -> Router {
        routes().router(self)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }

    fn slot(&self) -> Result<Slot, Failure> {
        let refuse = || {
            let text = format!("too many requests read at once, the limit is {READS_MAX}: try again");
            Failure::new(FailureKind::TooMuch, text)
        };
        self.slots.take(READS_MAX).ok_or_else(refuse)
    }

    /// Reads what may block, off the runtime.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rest) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (slot, rest) = (self.slot()?, self.clone());
        let work = move || {
            let _slot = slot;
            work(&rest)
        };
        let failed = |error| Failure::new(FailureKind::Internal, format!("a request failed: {error}"));
        tokio::task::spawn_blocking(work).await.map_err(failed)
    }
}

fn routes() -> Routes {
    Routes::default()
        .get("/", status::about)
        .get("/health", health::get)
        .get("/status", status::get)
        .get("/api/openapi.json", openapi::get)
        .get("/api/v1/system/overview", system::overview)
        .get("/api/v1/system/health", system::health)
        .get("/api/v1/metrics/system", metric::history)
        .get("/api/v1/metrics/processes", process::list)
        .get("/api/v1/metrics/latest/{hostname}", metric::latest)
        .post("/api/v1/metrics/collect", collect::collect)
        .get("/api/v1/dashboard/overview", dashboard::overview)
        .get("/api/v1/dashboard/metrics/summary", dashboard::summary)
        .get("/api/v1/nodes", node::list)
        .get("/api/v1/nodes/{node}", node::get)
        .get("/api/v1/clusters", cluster::list)
}
