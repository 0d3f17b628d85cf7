//! A cluster of two nodes whose samples are in a store in memory, and whoever asks the API over it.

use super::super::Prometheus;
use crate::limit::{Limits, Refusals};
use crate::store::embedded::Embedded;
use crate::store::live::Live;
use crate::store::{Append, Column, FrameRecord, Lane, NewColumns, Select};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use quorate_common::cell::{Decoder, Encoder, FrameHead};
use quorate_common::clock::Clock;
use quorate_common::model::cluster::{NodeVerdict, Snapshot};
use quorate_common::model::label::Labels;
use quorate_common::model::node::{Health, Liveness, Member, MemberRole, NodeId};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::time::{BootTime, Now, WallTime};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt;

/// When samples begin; there is one every [`EVERY_S`] for [`SPAN_S`].
pub const BEGIN_S: i64 = 1_000_000;
pub const EVERY_S: i64 = 15;
pub const SPAN_S: i64 = 600;
/// Just behind the last sample.
pub const NOW_S: i64 = BEGIN_S + SPAN_S;

/// A clock that stands.
struct Still;

impl Clock for Still {
    fn now(&self) -> Now {
        Now { boot: BootTime(7), wall: WallTime(NOW_S * 1_000_000_000) }
    }
}

fn member(id: i64, name: &str) -> Member {
    Member {
        id: NodeId(id),
        name: name.parse().unwrap(),
        cluster: "default".into(),
        role: MemberRole::Voter,
        zone: Some("rack-a".into()),
        weight: 1,
        maintenance: None,
        barred: None,
    }
}

fn verdict(member: Member, liveness: Liveness) -> NodeVerdict {
    let is_up = liveness == Liveness::Up;
    NodeVerdict {
        member,
        liveness,
        health: if is_up { Health::Healthy } else { Health::Unhealthy },
        reasons: if is_up { Vec::new() } else { vec!["not heard for 20 s".to_owned()] },
        since: WallTime(0),
        last_heard: is_up.then_some(WallTime((NOW_S - 1) * 1_000_000_000)),
        flapping: false,
        facts: None,
    }
}

pub fn snapshot() -> Snapshot {
    let nodes = vec![verdict(member(1, "n1"), Liveness::Up), verdict(member(2, "n2"), Liveness::Down)];
    Snapshot { nodes, ..Snapshot::empty() }
}

/// A metric, its labels, and its value so many seconds after the beginning.
type Row = (&'static str, MetricKind, &'static [(&'static str, &'static str)], fn(i64) -> f64);

/// What each node has.
const ROWS: &[Row] = &[
    ("node_load1", MetricKind::Gauge, &[], |second| second as f64 / 10.0),
    ("node_cpu_seconds_total", MetricKind::Counter, &[("cpu", "0"), ("mode", "idle")], |second| {
        second as f64
    }),
    ("node_cpu_seconds_total", MetricKind::Counter, &[("cpu", "0"), ("mode", "user")], |second| {
        second as f64 / 4.0
    }),
    ("node_uname_info", MetricKind::Gauge, &[("nodename", "host"), ("sysname", "Linux")], |_| 1.0),
    ("own_requests", MetricKind::Gauge, &[("job", "mine")], |_| 3.5),
    ("odd_value", MetricKind::Gauge, &[("of", "infinity")], |_| f64::INFINITY),
    ("odd_value", MetricKind::Gauge, &[("of", "nothing")], |_| f64::NAN),
];

/// The store with everything that the nodes have.
pub fn store() -> Embedded {
    let store = Embedded::default();
    for node in [NodeId(1), NodeId(2)] {
        feed(&store, node);
    }
    store
}

fn feed(store: &Embedded, node: NodeId) {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(1_000, 10));
    let (group, window, form) = (0, Window::Medium, CellForm::Float);
    let spec = |(name, kind, labels, _): &Row| SeriesSpec {
        metric: Metric { name: (*name).into(), kind: *kind, form },
        labels: Labels::new(labels.iter().copied()).unwrap(),
    };
    let column = |row: &Row| Column { id: Some(store.intern(node, &spec(row))), form, group };
    let columns: Vec<Column> = ROWS.iter().map(column).collect();
    let forms = vec![form.into(); columns.len()];
    encoder.register(group, window, &forms).unwrap();
    decoder.register(group, window, 0, &forms).unwrap();
    store.begin(node, Lane::Live);
    let class = SeriesClass::System;
    store.register(node, Lane::Live, &NewColumns { group, window, class, first: 0, columns });
    for (seq, second) in (1..).zip((0..SPAN_S).step_by(EVERY_S as usize)) {
        let row: Vec<i64> = ROWS.iter().map(|(.., value)| form.cell(value(second))).collect();
        let frame = encoder.encode(seq, window, &[group], &row, false).unwrap();
        let head = FrameHead { seq, predecessor: frame.predecessor, window };
        decoder.decode(head, &frame.groups, &frame.cells).unwrap();
        let at = WallTime((BEGIN_S + second) * 1_000_000_000);
        let record = FrameRecord { at, head, groups: &frame.groups, cells: &frame.cells, again: false };
        assert!(store.keep((node, Lane::Live), None, record, &decoder));
    }
}

/// The API over a store.
pub fn api(store: Arc<dyn Select>, limits: Limits) -> Prometheus {
    let clock: Arc<dyn Clock> = Arc::new(Still);
    let snapshots = watch::channel(Arc::new(snapshot())).1;
    let limits = (limits.fixed(), Refusals::new(clock.clone()));
    Prometheus::new((snapshots, Arc::new(Live::default())), store, clock, limits)
}

/// Whoever asks.
pub struct Client(pub Router);

impl Client {
    /// Of everything that the nodes have.
    pub fn new() -> Client {
        Client(api(Arc::new(store()), Limits::default()).router())
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.0.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, form: &str) -> (StatusCode, Value) {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        self.send(Request::post(path).header(kind.0, kind.1).body(Body::from(form.to_owned())).unwrap()).await
    }

    /// What a request that succeeds is answered.
    pub async fn data(&self, path: &str) -> Value {
        let (status, mut answer) = self.get(path).await;
        assert_eq!((status, &answer["status"]), (StatusCode::OK, &"success".into()), "{path}: {answer}");
        answer["data"].take()
    }

    /// How a request is refused: status, kind and words.
    pub async fn refusal(&self, path: &str) -> (u16, String, String) {
        let (status, answer) = self.get(path).await;
        assert_eq!(answer["status"], "error", "{path}: {answer}");
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        (status.as_u16(), text("errorType"), text("error"))
    }
}
