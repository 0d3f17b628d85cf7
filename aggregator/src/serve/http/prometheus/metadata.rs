//! What is known of metrics: kind, help and unit.

use super::api::{Prometheus, Written};
use super::desk::Weight;
use super::parameter::Parameters;
use crate::query::promql::Error;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use quorate_common::catalog;
use quorate_common::model::series::{Metric, MetricKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a metric.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    #[serde(rename = "type")]
    kind: &'static str,
    help: &'static str,
    unit: &'static str,
}

impl Known {
    /// Of metrics that are not ours only their kind is known.
    fn of(metric: &Metric) -> Known {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        let (help, unit) = catalog::find(&metric.name).map_or(("", ""), |def| (def.help, def.unit));
        // A unit is only one if the name has it, too: else it is what is counted.
        let base = metric.name.strip_suffix("_total").unwrap_or(&metric.name);
        let is_unit = base.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_'));
        Known { kind, help, unit: if is_unit { unit } else { "" } }
    }
}

/// `GET /api/v1/metadata`.
pub async fn list(State(api): State<Prometheus>, parameters: Parameters) -> Result<Written, Failure> {
    let (limit, per_metric) = (parameters.limit("limit")?, parameters.limit("limit_per_metric")?);
    let wanted = parameters.get("metric").map(str::to_owned);
    api.answer(Weight::Light, &parameters, move |work| {
        let mut found: BTreeMap<String, BTreeSet<Known>> = BTreeMap::new();
        let outcome = work.stored.each(&[], &mut work.budget, |_, spec, _| {
            let name = &*spec.metric.name;
            if wanted.as_deref().is_none_or(|wanted| wanted == name) {
                match found.get_mut(name) {
                    Some(known) => drop(known.insert(Known::of(&spec.metric))),
                    None => drop(found.insert(name.to_owned(), BTreeSet::from([Known::of(&spec.metric)]))),
                }
            }
            Ok::<(), Error>(())
        });
        outcome.map_err(|error| work.fail(&error, "metric"))?;
        let shown = found.into_iter().take(limit);
        let shown = shown.map(|(name, known)| (name, known.into_iter().take(per_metric).collect()));
        Ok(Success::of(shown.collect::<BTreeMap<String, Vec<Known>>>()))
    })
    .await
}
