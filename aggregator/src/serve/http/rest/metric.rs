//! Metrics of hosts: how they were, and how they are.

use super::Rest;
use super::extract::{Path, Query, limit};
use super::figure::Figures;
use super::history::{Asked, MetricType, Point, read};
use super::hostname::{resolve, resolve_or_all};
use super::refused::{Refused, Unfound};
use crate::query::selector::Selector;
use crate::query::series::{Source, latest as newest};
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use quorate_common::model::cluster::NodeVerdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds before now where history begins that is asked for without a beginning.
const SPAN_DEFAULT_SECONDS: f64 = 3600.0;
/// The last moment that can be named, in seconds.
const SECONDS_MAX: f64 = 9_000_000_000.0;

/// Which history.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryAsked {
    /// Of this node only: its name, or a hostname that it alone has.
    pub hostname: Option<String>,
    /// This figure only.
    #[param(inline)]
    pub metric_type: Option<MetricType>,
    /// From when, in seconds since the Unix epoch; an hour before `to` if it is not said. Not after `to`.
    #[param(minimum = 0, maximum = 9000000000i64)]
    pub from: Option<f64>,
    /// Until when, in seconds since the Unix epoch; now if it is not said.
    #[param(minimum = 0, maximum = 9000000000i64)]
    pub to: Option<f64>,
    /// Most values of each figure of each node, at equal distances.
    #[param(minimum = 1, maximum = 1000, default = 60)]
    pub limit: Option<u32>,
}

fn moment(field: &str, value: Option<f64>, default: f64) -> Result<f64, Failure> {
    let value = value.unwrap_or(default);
    if (0.0..=SECONDS_MAX).contains(&value) {
        return Ok(value);
    }
    Err(Failure::bad(format!("parameter {field}: {value} is not in 0 to {SECONDS_MAX}")))
}

/// Figures of hosts over time.
#[utoipa::path(get, path = "/api/v1/metrics/system", tag = "metrics", params(HistoryAsked),
    responses((status = 200, body = Success<Vec<Point>>), Refused, Unfound))]
pub async fn history(
    State(rest): State<Rest>,
    Query(asked): Query<HistoryAsked>,
) -> Result<Success<Vec<Point>>, Failure> {
    let most = limit(asked.limit, 60, 1000)?;
    let to = moment("to", asked.to, rest.clock.now().wall.as_secs_f64())?;
    let from = moment("from", asked.from, (to - SPAN_DEFAULT_SECONDS).max(0.0))?;
    if from > to {
        return Err(Failure::bad(format!("parameter from: {from} is after `to` {to}")));
    }
    let nodes = resolve_or_all(&rest.snapshot(), asked.hostname.as_deref())?;
    let asked = Asked { from, to, most, metric_type: asked.metric_type };
    Ok(Success::of(rest.read(move |rest| read(rest, &nodes, &asked)).await??))
}

/// How much.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LatestAsked {
    /// Most series.
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    pub limit: Option<u32>,
}

/// The newest value of one series.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Newest {
    /// Its labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its value; `null` for one that is no number.
    pub value: Option<f64>,
    /// When it was sampled.
    pub timestamp: String,
}

/// The newest of one host.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Latest {
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Its series.
    pub metrics: Vec<Newest>,
}

fn read_latest(rest: &Rest, node: &NodeVerdict, most: usize) -> Success<Latest> {
    let members = std::slice::from_ref(&node.member);
    let source = Source { members, live: &rest.live, store: &*rest.store, now: rest.clock.now().wall };
    let found =
        Selector::parse(r#"{__name__=~".+"}"#).map(|all| newest(source, &all, most)).unwrap_or_default();
    let one = |found: crate::query::series::Found| {
        let sample = *found.samples.last()?;
        let value = Some(sample.value).filter(|value| value.is_finite());
        Some(Newest { labels: found.labels.into_iter().collect(), value, timestamp: sample.at.to_string() })
    };
    let metrics = found.series.into_iter().filter_map(one).collect();
    let mut answer = Success::of(Latest { figures: Figures::read(rest, node), metrics });
    if found.left_out > 0 {
        answer.warnings.push(format!("{} more series: raise the limit", found.left_out));
    }
    answer
}

/// The newest figures and values of one host.
#[utoipa::path(get, path = "/api/v1/metrics/latest/{hostname}", tag = "metrics",
    params(("hostname" = String, Path, description = "A node name or hostname"), LatestAsked),
    responses((status = 200, body = Success<Latest>), Refused, Unfound))]
pub async fn latest(
    State(rest): State<Rest>,
    Path(hostname): Path,
    Query(asked): Query<LatestAsked>,
) -> Result<Success<Latest>, Failure> {
    let most = limit(asked.limit, 1000, 10_000)?;
    let node = resolve(&rest.snapshot(), &hostname)?.clone();
    rest.read(move |rest| read_latest(rest, &node, most)).await
}
