//! The newest values of series that are asked for, with their times, for a Prometheus above us.

use super::Metrics;
use super::family::{Family, Point};
use crate::query::selector::Selector;
use crate::query::series::{Found, Source, latest};
use crate::serve::http::envelope::{Failure, FailureKind};
use quorate_common::model::node::Member;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Selectors of one request.
const SELECTORS_MAX: usize = 64;
/// Series of one answer: more is an error, since a part would look like the whole.
const SERIES_MAX: usize = 500_000;

/// Those of `match[]`, of which there must be one.
pub fn selectors(query: &str) -> Result<Vec<Selector>, Failure> {
    let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(&uri(query)?)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|error| Failure::bad(format!("query: {error}")))?;
    let texts: Vec<&String> =
        pairs.iter().filter(|(name, _)| name == "match[]").map(|(_, text)| text).collect();
    match texts.len() {
        0 => return Err(Failure::bad("parameter `match[]` is missing")),
        count if count > SELECTORS_MAX => {
            return Err(Failure::bad(format!("parameter `match[]`: {count} of them, limit {SELECTORS_MAX}")));
        }
        _ => {}
    }
    let parse = |text: &String| {
        Selector::parse(text).map_err(|error| Failure::bad(format!("parameter `match[]`: {error}")))
    };
    texts.into_iter().map(parse).collect()
}

fn uri(query: &str) -> Result<axum::http::Uri, Failure> {
    format!("/?{query}").parse().map_err(|error| Failure::bad(format!("query: {error}")))
}

/// One family for each name, sorted, each series once.
pub fn families(metrics: &Metrics, selectors: &[Selector]) -> Result<Vec<Family>, Failure> {
    let members: Vec<Member> =
        metrics.snapshots.borrow().nodes.iter().map(|node| node.member.clone()).collect();
    let now = metrics.clock.now().wall;
    let source = Source { members: &members, live: &metrics.live, store: &*metrics.store, now };
    let mut found = BTreeMap::new();
    for selector in selectors {
        let answer = latest(source, selector, SERIES_MAX.saturating_sub(found.len()));
        if answer.left_out > 0 {
            let text = format!("more than {SERIES_MAX} series match");
            return Err(Failure::new(FailureKind::Execution, text));
        }
        found.extend(answer.series.into_iter().map(|Found { labels, samples }| (labels, samples)));
    }
    let mut families: Vec<Family> = Vec::new();
    for (labels, samples) in found {
        let mut labels = labels.into_iter();
        let (Some((_, name)), Some(sample)) = (labels.next(), samples.last()) else { continue };
        let labels = labels.map(|(name, value)| (Cow::Owned(name), value)).collect();
        let point = Point { labels, value: sample.value, at: Some(sample.at) };
        match families.last_mut().filter(|family| *family.name == *name) {
            Some(family) => family.points.push(point),
            // What kind it is, the node knows: Prometheus says no more of what it federates either.
            None => families.push(Family { name: name.into(), help: "", kind: None, points: vec![point] }),
        }
    }
    Ok(families)
}
