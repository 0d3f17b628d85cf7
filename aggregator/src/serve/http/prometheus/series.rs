//! Series: which there are.

use super::api::{Prometheus, Written};
use super::desk::Weight;
use super::parameter::Parameters;
use super::query::TRUNCATED;
use super::result::Labels;
use crate::query::promql::{Budget, Error, LabelSet};
use crate::query::selector::seen;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use serde::Serialize;
use serde::ser::Serializer;
use std::collections::BTreeSet;

/// About what a label of a series takes in memory.
const LABEL_BYTES: usize = 64;

/// Labels of series, sorted.
struct Listed(Vec<LabelSet>);

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Labels))
    }
}

/// `GET` and `POST /api/v1/series`.
pub async fn list(State(api): State<Prometheus>, parameters: Parameters) -> Result<Written, Failure> {
    parameters.check_span()?;
    let (selectors, limit) = (parameters.selectors()?, parameters.limit("limit")?);
    if selectors.is_empty() {
        return Err(Failure::bad("no match[] parameter provided"));
    }
    api.answer(Weight::Light, &parameters, move |work| {
        let mut found: BTreeSet<LabelSet> = BTreeSet::new();
        let gather = |member: &_, spec: &_, budget: &mut Budget<'_>| {
            // One more than is shown tells that there are more.
            if found.len() <= limit {
                let labels = LabelSet::new(seen(member, spec));
                budget.take(labels.iter().count() * LABEL_BYTES)?;
                found.insert(labels);
            }
            Ok::<(), Error>(())
        };
        let outcome = work.stored.each(&selectors, &mut work.budget, gather);
        outcome.map_err(|error| work.fail(&error, "match[]"))?;
        let is_cut = found.len() > limit;
        let mut success = Success::of(Listed(found.into_iter().take(limit).collect()));
        success.warnings.extend(is_cut.then(|| TRUNCATED.to_owned()));
        Ok(success)
    })
    .await
}
