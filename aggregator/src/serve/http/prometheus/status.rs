//! What runs here: version, options and what the store holds.

use super::api::{Prometheus, Written};
use super::desk::Weight;
use super::parameter::Parameters;
use crate::query::promql::Error;
use crate::query::range::LOOK_BACK;
use crate::query::selector::seen;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The version of Prometheus whose API this is. Grafana goes by it: below 2.24 it would not ask for labels by
/// selector.
const SPOKEN_VERSION: &str = "2.53.0";
/// How many of the largest are listed.
const LARGEST: usize = 10;

/// `GET /api/v1/status/buildinfo`. It has no `features`: with them Grafana would take us for another product.
pub async fn build() -> Success<Value> {
    Success::of(json!({
        "application": "quorate",
        "version": SPOKEN_VERSION,
        "revision": concat!("quorate-", env!("CARGO_PKG_VERSION")),
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// `GET /api/v1/status/config`. What configures us is no YAML.
pub async fn config() -> Success<Value> {
    Success::of(json!({"yaml": "# Quorate is configured in TOML: see aggregator.toml.\n"}))
}

/// `GET /api/v1/status/flags`: those options of Prometheus that something here is like.
pub async fn flags(State(api): State<Prometheus>) -> Success<Value> {
    let limits = api.limits.borrow().query;
    Success::of(json!({
        "query.lookback-delta": format!("{}s", LOOK_BACK.as_secs()),
        "query.max-concurrency": (limits.light_at_once_max + limits.heavy_at_once_max).to_string(),
        "query.max-samples": limits.samples_max.to_string(),
        "query.timeout": format!("{}ms", limits.deadline_ms_max),
    }))
}

/// `GET /api/v1/status/runtimeinfo`.
pub async fn runtime(State(api): State<Prometheus>) -> Success<Value> {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Success::of(json!({
        "startTime": api.started.to_string(),
        "serverTime": api.clock.now().wall.to_string(),
        "reloadConfigSuccess": true,
        "lastConfigTime": api.started.to_string(),
        "goroutineCount": tasks,
        "GOMAXPROCS": threads,
    }))
}

/// What is counted of a store.
#[derive(Default)]
struct Counts {
    series: u64,
    by_metric: BTreeMap<String, u64>,
    by_pair: BTreeMap<String, u64>,
    values: BTreeMap<String, BTreeSet<String>>,
}

/// `GET /api/v1/status/tsdb`.
pub async fn store(State(api): State<Prometheus>, parameters: Parameters) -> Result<Written, Failure> {
    let limit = parameters.get("limit").map_or(Ok(LARGEST), |_| parameters.limit("limit"))?;
    api.answer(Weight::Light, &parameters, move |work| {
        let mut counts = Counts::default();
        let outcome = work.stored.each(&[], &mut work.budget, |member, spec, budget| {
            let made = counts.add(seen(member, spec).map(|(name, value)| (name.into_owned(), value)));
            Ok::<(), Error>(budget.take(made)?)
        });
        outcome.map_err(|error| work.fail(&error, "limit"))?;
        Ok(Success::of(counts.shown(limit)))
    })
    .await
}

impl Counts {
    /// Adds a series; about how many bytes that takes.
    fn add<'a>(&mut self, labels: impl Iterator<Item = (String, &'a str)>) -> usize {
        self.series += 1;
        let mut made = 0;
        for (name, value) in labels {
            let pair = format!("{name}={value}");
            if name == "__name__" {
                *self.by_metric.entry(value.to_owned()).or_default() += 1;
            }
            made += if self.by_pair.contains_key(&pair) { 0 } else { 2 * pair.len() + size_of::<[u64; 8]>() };
            *self.by_pair.entry(pair).or_default() += 1;
            self.values.entry(name).or_default().insert(value.to_owned());
        }
        made
    }

    fn shown(self, limit: usize) -> Value {
        let counted = |counts: BTreeMap<String, u64>| largest(counts.into_iter(), limit);
        let bytes = self
            .values
            .iter()
            .map(|(name, values)| (name.clone(), values.iter().map(|value| value.len() as u64).sum()));
        let bytes = largest(bytes, limit);
        let pairs = self.by_pair.len();
        let values = self.values.into_iter().map(|(name, values)| (name, values.len() as u64));
        json!({
            "headStats": {"numSeries": self.series, "numLabelPairs": pairs},
            "seriesCountByMetricName": counted(self.by_metric),
            "labelValueCountByLabelName": largest(values, limit),
            "memoryInBytesByLabelName": bytes,
            "seriesCountByLabelValuePair": counted(self.by_pair),
        })
    }
}

/// The largest first, those of a size by name.
fn largest(counts: impl Iterator<Item = (String, u64)>, limit: usize) -> Vec<Value> {
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts.into_iter().take(limit).map(|(name, value)| json!({"name": name, "value": value})).collect()
}
