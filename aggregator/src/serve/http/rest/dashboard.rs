//! What a dashboard shows first, and what it draws.

use super::Rest;
use super::cluster::Nothing;
use super::extract::Query;
use super::figure::Figures;
use super::refused::Refused;
use super::system::Overview;
use crate::serve::http::envelope::{Failure, Success};
use axum::extract::State;
use serde::Serialize;

/// Key figures of all nodes.
#[utoipa::path(get, path = "/api/v1/dashboard/overview", tag = "dashboard",
    responses((status = 200, body = Success<Overview>), Refused))]
pub async fn overview(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Success<Overview>, Failure> {
    Ok(Success::of(rest.read(Overview::read).await?))
}

/// One figure over all nodes that tell it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Spread {
    /// Which figure.
    pub metric_type: &'static str,
    /// The least.
    pub min: f64,
    /// The average over nodes.
    pub avg: f64,
    /// The greatest.
    pub max: f64,
    /// The node that has the greatest.
    pub max_node: String,
    /// Nodes that tell it.
    pub nodes: usize,
}

impl Spread {
    fn of(metric_type: &'static str, all: &[(f64, &str)]) -> Option<Spread> {
        let (max, node) = all.iter().max_by(|left, right| left.0.total_cmp(&right.0))?;
        let min = all.iter().map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
        let avg = all.iter().map(|(value, _)| value).sum::<f64>() / all.len() as f64;
        Some(Spread { metric_type, min, avg, max: *max, max_node: (*node).to_owned(), nodes: all.len() })
    }
}

/// The spread of each figure; one that no node tells is left out.
fn spreads(all: &[Figures]) -> Vec<Spread> {
    type Read = fn(&Figures) -> Option<f64>;
    let figures: [(&'static str, Read); 4] = [
        ("cpu_usage_percent", |it| it.cpu_usage_percent),
        ("memory_percent", |it| it.memory_percent),
        ("disk_usage_percent", |it| it.disk_usage_percent),
        ("network_bytes_per_second", |it| it.network_bytes_per_second),
    ];
    let spread = |(name, read): (&'static str, Read)| {
        let told: Vec<_> = all.iter().filter_map(|it| Some((read(it)?, it.node.as_str()))).collect();
        Spread::of(name, &told)
    };
    figures.into_iter().filter_map(spread).collect()
}

/// Each figure over all nodes.
#[utoipa::path(get, path = "/api/v1/dashboard/metrics/summary", tag = "dashboard",
    responses((status = 200, body = Success<Vec<Spread>>), Refused))]
pub async fn summary(
    State(rest): State<Rest>,
    Query(Nothing {}): Query<Nothing>,
) -> Result<Success<Vec<Spread>>, Failure> {
    let read = |rest: &Rest| {
        let nodes = &rest.snapshot().nodes;
        spreads(&nodes.iter().map(|node| Figures::read(rest, node)).collect::<Vec<_>>())
    };
    Ok(Success::of(rest.read(read).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tells_nothing_is_not_a_zero() {
        let told =
            |node: &str, cpu| Figures { node: node.into(), cpu_usage_percent: cpu, ..Figures::default() };
        let all = spreads(&[told("a", Some(10.0)), told("b", None), told("c", Some(30.0))]);
        assert_eq!(all.len(), 1, "no node tells the others");
        assert_eq!((all[0].min, all[0].avg, all[0].max, all[0].nodes), (10.0, 20.0, 30.0, 2));
        assert_eq!(all[0].max_node, "c");
    }
}
