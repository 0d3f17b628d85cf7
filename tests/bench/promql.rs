//! What the evaluator of PromQL alone costs: queries over an hour of 1,000 series at 15 s, on 240 steps, from a
//! source in memory. No store, no HTTP, one thread.

use super::report::Figure;
use anyhow::Context;
use quorate_aggregator::query::promql::{
    Budget, Data, Error, Grid, LabelSet, Limits, Options, Query, Sample, Selection, Source, SourceSeries,
    evaluate,
};
use quorate_common::clock::{Clock, SystemClock};
use std::hint::black_box;

const NODES: usize = 100;
/// Series of each metric on a node: 1,000 in all.
const CORES: usize = 10;
const MODES: [&str; 5] = ["idle", "user", "system", "iowait", "irq"];
const INTERVAL_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
/// Enough for the longest range before the first step.
const BEFORE_MS: i64 = HOUR_MS;
/// Of so many runs the median counts.
const RUNS: usize = 9;

/// The queries, each with the name of its figure.
const QUERIES: [(&str, &str); 11] = [
    ("promql.selector_ms", "work_total"),
    ("promql.sum_by_rate_ms", "sum by (node) (rate(work_total[5m]))"),
    ("promql.quantile_over_time_5m_ms", "quantile_over_time(0.9, work_level[5m])"),
    ("promql.quantile_over_time_1h_ms", "quantile_over_time(0.9, work_level[1h])"),
    ("promql.max_over_time_5m_ms", "max_over_time(work_level[5m])"),
    ("promql.max_over_time_1h_ms", "max_over_time(work_level[1h])"),
    ("promql.avg_over_time_5m_ms", "avg_over_time(work_level[5m])"),
    ("promql.topk_rate_ms", "topk(5, rate(work_total[5m]))"),
    ("promql.regex_ms", r#"sum by (mode) (rate(work_total{node=~"node-0[0-4].*",mode!~"i.*"}[5m]))"#),
    ("promql.join_ms", "work_total / on (node) group_left () work_limit"),
    ("promql.quantile_by_ms", "quantile by (mode) (0.9, work_level)"),
];

/// Series in memory, all with the same times.
struct Memory(Vec<SourceSeries>);

impl Memory {
    fn new() -> Memory {
        let mut series = Vec::new();
        for node in 0..NODES {
            let own = ("node", format!("node-{node:03}"));
            series.push(drawn("work_limit", std::slice::from_ref(&own), node, |_, _| 64.0));
            for core in 0..CORES {
                let mode = MODES.get(core % MODES.len()).copied().unwrap_or_default();
                let labels = [own.clone(), ("core", core.to_string()), ("mode", mode.to_owned())];
                let seed = node * CORES + core;
                series.push(drawn("work_total", &labels, seed, |total, noise| total + noise));
                series.push(drawn("work_level", &labels, seed, |_, noise| noise));
            }
        }
        Memory(series)
    }
}

/// A series whose values come of the one before and of noise between 0 and 100.
fn drawn(name: &str, labels: &[(&str, String)], seed: usize, next: fn(f64, f64) -> f64) -> SourceSeries {
    let pairs = labels.iter().map(|(name, value)| (*name, value.as_str())).chain([("__name__", name)]);
    let (mut state, mut value) = (seed as u64 + 1, 0.0);
    let samples = (-BEFORE_MS / INTERVAL_MS..=HOUR_MS / INTERVAL_MS).map(|at| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value = next(value, (state >> 40) as f64 % 1_000.0 / 10.0);
        Sample { at_ms: at * INTERVAL_MS, value }
    });
    (LabelSet::new(pairs), samples.collect())
}

impl Source for Memory {
    fn select(
        &self,
        selection: &Selection,
        from_ms: i64,
        to_ms: i64,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SourceSeries>, Error> {
        let matching = self.0.iter().filter(|(labels, _)| selection.matches(labels));
        let cut = matching.map(|(labels, samples)| {
            let from = samples.partition_point(|sample| sample.at_ms < from_ms);
            let to = samples.partition_point(|sample| sample.at_ms <= to_ms);
            let samples = samples.get(from..to).unwrap_or_default().to_vec();
            budget.read(samples.len())?;
            Ok((labels.clone(), samples))
        });
        cut.collect()
    }
}

/// Milliseconds of each query, the median of some runs.
pub fn measure() -> anyhow::Result<Vec<Figure>> {
    let memory = Memory::new();
    let figure = |(name, text): &(&'static str, &str)| {
        let mut millis = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            millis.push(ask(text, &memory).with_context(|| format!("failed to ask `{text}`"))?);
        }
        millis.sort_by(f64::total_cmp);
        let value = millis.get(RUNS / 2).copied().context("nothing was measured")?;
        let command = "make bench BENCH='--part promql'".to_owned();
        Ok(Figure { name, value, unit: "ms", goal: None, peer: None, peer_value: None, command })
    };
    QUERIES.iter().map(figure).collect()
}

fn ask(text: &str, memory: &Memory) -> anyhow::Result<f64> {
    let grid = Grid::range(INTERVAL_MS, HOUR_MS, INTERVAL_MS).context("no steps")?;
    let begin = SystemClock.now().boot;
    let query = Query::parse(text)?;
    let mut budget = Budget::new(Limits::default(), &|| None);
    let answer = evaluate(&query, memory, Options::range(grid), &mut budget)?;
    let elapsed = SystemClock.now().boot.since(begin);
    anyhow::ensure!(matches!(&answer.data, Data::Vector(series) if !series.is_empty()), "an empty answer");
    black_box(answer);
    Ok(elapsed.as_secs_f64() * 1e3)
}
