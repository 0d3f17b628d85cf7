//! What the API is made of, and where its parts hang.

use super::desk::{Desk, Weight};
use super::parameter::Parameters;
use super::{exemplar, failure, format, label, metadata, query, rule, series, status, target};
use crate::limit::{Current, Reason, Refusals};
use crate::query::promql::{Budget, Error, Limits, Overrun};
use crate::query::store::Stored;
use crate::serve::http::envelope::{Failure, FailureKind, Success};
use crate::store::Select;
use crate::store::live::Live;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use quorate_common::clock::Clock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::node::Member;
use quorate_common::model::time::WallTime;
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::watch;

/// The API and what it asks.
#[derive(Clone)]
pub struct Prometheus {
    /// The newest verdicts.
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The newest values.
    pub(super) live: Arc<Live>,
    /// History.
    pub(super) store: Arc<dyn Select>,
    /// The time.
    pub(super) clock: Arc<dyn Clock>,
    /// What queries may take.
    pub(super) limits: Current,
    /// Where queries wait for their turn.
    pub(super) desk: Desk,
    /// When this began to serve.
    pub(super) started: WallTime,
}

/// What a request is answered from, off the runtime.
pub struct Work<'a> {
    /// The declared nodes, and their series.
    pub stored: Stored<'a>,
    /// What is left to use.
    pub budget: Budget<'a>,
    /// Whether it wanted more than that.
    has_overrun: bool,
}

impl Work<'_> {
    /// Why there is no answer, found while a parameter was looked at.
    pub fn fail(&mut self, error: &Error, name: &str) -> Failure {
        self.has_overrun |=
            matches!(error, Error::Overrun(Overrun::Samples(_) | Overrun::Series(..) | Overrun::Bytes(_)));
        failure::of(error, name)
    }
}

/// An answer that is written already.
pub struct Written(Vec<u8>);

impl Prometheus {
    /// The API over a store.
    pub fn new(
        (snapshots, live): (watch::Receiver<Arc<Snapshot>>, Arc<Live>),
        store: Arc<dyn Select>,
        clock: Arc<dyn Clock>,
        (limits, refusals): (Current, Refusals),
    ) -> Prometheus {
        let (desk, started) = (Desk::new(limits.clone(), refusals), clock.now().wall);
        Prometheus { snapshots, live, store, clock, limits, desk, started }
    }

    /// All of it, to be put behind a door.
    pub fn router(self) -> Router {
        let routes = Router::new().merge(queries()).merge(facts());
        Router::new().merge(routes.clone()).nest("/prometheus", routes).with_state(self)
    }

    /// The declared nodes.
    pub(super) fn members(&self) -> Vec<Member> {
        self.snapshots.borrow().nodes.iter().map(|node| node.member.clone()).collect()
    }

    /// Does work that may block, when its turn has come, and writes its answer.
    pub(super) async fn answer<T: Serialize>(
        &self,
        weight: Weight,
        parameters: &Parameters,
        work: impl FnOnce(&mut Work<'_>) -> Result<Success<T>, Failure> + Send + 'static,
    ) -> Result<Written, Failure> {
        let timeout = parameters.duration("timeout")?;
        let (members, store, limits) = (self.members(), self.store.clone(), self.limits.borrow().query);
        let refusals = self.desk.refusals();
        let limits = Limits {
            samples_max: limits.samples_max as usize,
            series_max: limits.series_max as usize,
            bytes_max: limits.bytes_max as usize,
        };
        let job = move |stop: &dyn Fn() -> Option<_>| {
            let stored = Stored { members: &members, store: &*store };
            let budget = Budget::new(limits, stop);
            let mut own = Work { stored, budget, has_overrun: false };
            let outcome = work(&mut own);
            refusals.count(Reason::QuerySize, own.has_overrun.into());
            written(&outcome?)
        };
        self.desk.run(weight, timeout, job).await
    }
}

/// What Grafana may ask by POST, or by GET.
fn queries() -> Router<Prometheus> {
    Router::new()
        .route("/api/v1/query", get(query::instant).post(query::instant))
        .route("/api/v1/query_range", get(query::range).post(query::range))
        .route("/api/v1/query_exemplars", get(exemplar::none).post(exemplar::none))
        .route("/api/v1/format_query", get(format::pretty).post(format::pretty))
        .route("/api/v1/parse_query", get(format::tree).post(format::tree))
        .route("/api/v1/labels", get(label::names).post(label::names))
        .route("/api/v1/series", get(series::list).post(series::list))
}

/// What can be asked by GET only.
fn facts() -> Router<Prometheus> {
    let only = |path: &'static str, answers: MethodRouter<Prometheus>| Router::new().route(path, answers);
    only("/api/v1/label/{name}/values", get(label::values))
        .route("/api/v1/metadata", get(metadata::list))
        .route("/api/v1/rules", get(rule::rules))
        .route("/api/v1/alerts", get(rule::alerts))
        .route("/api/v1/alertmanagers", get(rule::alertmanagers))
        .route("/api/v1/targets", get(target::list))
        .route("/api/v1/status/buildinfo", get(status::build))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/runtimeinfo", get(status::runtime))
        .route("/api/v1/status/tsdb", get(status::store))
}

fn written<T: Serialize>(success: &Success<T>) -> Result<Written, Failure> {
    let text = serde_json::to_vec(success);
    text.map(Written)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("failed to write an answer: {error}")))
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}
