//! What Quorate says of itself and of its fleet, in the text that Prometheus reads; and the newest values of nodes,
//! for a Prometheus above us. Nothing is counted here: whoever does a thing counts it.
//!
//! ```text
//!   GET /metrics  ─→ aggregator │ node │ cluster ─→ families ─→ Accept? ─→ text
//!   GET /federate ─→ match[] ─→ newest values ───────┘
//! ```

mod aggregator;
mod cluster;
mod family;
mod federate;
mod format;
mod node;

use super::envelope::{Failure, FailureKind};
use crate::agents::Agents;
use crate::limit::{Slot, Slots};
use crate::serve::diagnostic::Diagnostics;
use crate::store::live::Live;
use crate::store::{Append, Select};
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use family::Family;
use format::Format;
use quorate_common::clock::Clock;
use quorate_common::model::cluster::Snapshot;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Texts that are made at once; one more is refused.
const SCRAPES_MAX: u32 = 4;

/// What is told of.
#[derive(Clone)]
pub struct Metrics {
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The newest values.
    pub live: Arc<Live>,
    /// History, to read.
    pub store: Arc<dyn Select>,
    /// History, as it is written.
    pub append: Arc<dyn Append>,
    /// Current sessions.
    pub agents: Agents,
    /// The aggregator itself.
    pub own: Diagnostics,
    /// What waits for the judge.
    pub judged: Queue,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is answered.
    pub scrapes: Slots,
}

/// Tells how many wait in a queue, and how many can.
pub type Queue = Arc<dyn Fn() -> (usize, usize) + Send + Sync>;

/// That of a channel; it does not keep the channel open.
pub fn queue<T: Send + 'static>(sender: &mpsc::Sender<T>) -> Queue {
    let sender = sender.downgrade();
    Arc::new(move || {
        let Some(sender) = sender.upgrade() else { return (0, 0) };
        (sender.max_capacity().saturating_sub(sender.capacity()), sender.max_capacity())
    })
}

impl Metrics {
    /// `/metrics` and `/federate`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(Metrics::tell))
            .route("/federate", get(Metrics::federate))
            .with_state(Arc::new(self))
    }

    async fn tell(State(metrics): State<Arc<Metrics>>, headers: HeaderMap) -> Result<Response, Failure> {
        let slot = metrics.slot()?;
        let known = metrics.agents.roll().await;
        let families = move || {
            let snapshot = metrics.snapshots.borrow().clone();
            let mut families = aggregator::families(&metrics, &known);
            families.extend(cluster::families(&snapshot));
            families.extend(node::families(&metrics, &snapshot, &known));
            Ok(families)
        };
        answer(&headers, slot, families).await
    }

    async fn federate(
        State(metrics): State<Arc<Metrics>>,
        RawQuery(query): RawQuery,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let slot = metrics.slot()?;
        let selectors = federate::selectors(query.as_deref().unwrap_or_default())?;
        answer(&headers, slot, move || federate::families(&metrics, &selectors)).await
    }

    fn slot(&self) -> Result<Slot, Failure> {
        let text = || format!("too many scrapes at once, the limit is {SCRAPES_MAX}");
        self.scrapes.take(SCRAPES_MAX).ok_or_else(|| Failure::new(FailureKind::Unavailable, text()))
    }
}

/// Reads and writes aside of whoever waits for nothing; the slot is held until the text is made, even if nobody waits
/// for it any more.
async fn answer(
    headers: &HeaderMap,
    slot: Slot,
    families: impl FnOnce() -> Result<Vec<Family>, Failure> + Send + 'static,
) -> Result<Response, Failure> {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let format = Format::of(&accepted.collect::<Vec<_>>().join(","));
    let made = tokio::task::spawn_blocking(move || {
        let text = families().map(|families| format.text(&families));
        drop(slot);
        text
    });
    let text = made.await.map_err(|_| Failure::new(FailureKind::Internal, "the text was not made"))??;
    Ok(([(header::CONTENT_TYPE, format.media_type())], text).into_response())
}

#[cfg(test)]
mod tests;
