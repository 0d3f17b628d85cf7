//! How nodes do, and what became of what they collected.

use super::Metrics;
use super::family::{Family, yes};
use crate::agents::Known;
use crate::query::performance;
use crate::query::series::Source;
use quorate_common::catalog;
use quorate_common::model::cluster::{NodeVerdict, Snapshot};
use quorate_common::model::node::{Health, Liveness, NodeId};
use std::collections::HashMap;

/// All of them, node by node.
pub fn families(metrics: &Metrics, snapshot: &Snapshot, known: &[Known]) -> Vec<Family> {
    let known: HashMap<NodeId, &Known> = known.iter().map(|known| (known.node, known)).collect();
    let (mut law, mut state, mut performance) = (Law::new(), State::new(), Family::of(&catalog::PERFORMANCE));
    for node in &snapshot.nodes {
        if let Some(known) = known.get(&node.member.id) {
            law.add(node, known);
        }
        state.add(metrics, node);
        perform(metrics, node, &mut performance);
    }
    let Law { collected, stored, dropped, open } = law;
    let State { up, health, series, frames, skew } = state;
    vec![collected, stored, dropped, open, up, health, series, frames, skew, performance]
}

fn labels(node: &NodeVerdict) -> [(&'static str, &str); 2] {
    [("cluster", &node.member.cluster), ("node", node.member.name.as_str())]
}

/// What was collected is stored, dropped or open.
struct Law {
    collected: Family,
    stored: Family,
    dropped: Family,
    open: Family,
}

impl Law {
    fn new() -> Law {
        Law {
            collected: Family::of(&catalog::SAMPLES_COLLECTED),
            stored: Family::of(&catalog::SAMPLES_STORED),
            dropped: Family::of(&catalog::SAMPLES_DROPPED),
            open: Family::of(&catalog::SAMPLES_OPEN),
        }
    }

    fn add(&mut self, node: &NodeVerdict, known: &Known) {
        let ([cluster, name], counts) = (labels(node), known.delivery.counts());
        self.collected.push(&[cluster, name], counts.collected as f64);
        self.stored.push(&[cluster, name], counts.stored as f64);
        self.open.push(&[cluster, name], counts.open() as f64);
        for (cause, count) in &counts.dropped {
            self.dropped.push(&[cluster, name, ("cause", cause.as_str())], *count as f64);
        }
    }
}

/// Whether and how a node is heard.
struct State {
    up: Family,
    health: Family,
    series: Family,
    frames: Family,
    skew: Family,
}

impl State {
    fn new() -> State {
        State {
            up: Family::of(&catalog::NODE_UP),
            health: Family::of(&catalog::NODE_HEALTH),
            series: Family::of(&catalog::NODE_SERIES),
            frames: Family::of(&catalog::NODE_FRAMES),
            skew: Family::of(&catalog::NODE_SKEW),
        }
    }

    fn add(&mut self, metrics: &Metrics, node: &NodeVerdict) {
        let [cluster, name] = labels(node);
        self.up.push(&[cluster, name], yes(node.liveness == Liveness::Up));
        for word in Health::ALL {
            let labels = [cluster, name, ("health", word.as_str())];
            self.health.push(&labels, yes(node.health == *word));
        }
        let Some(row) = metrics.live.get(node.member.id) else { return };
        let heard = row.facts();
        self.series.push(&[cluster, name], row.series_count() as f64);
        self.frames.push(&[cluster, name], heard.frames as f64);
        if heard.last_frame.is_some() {
            self.skew.push(&[cluster, name], heard.skew_ms as f64 / 1000.0);
        }
    }
}

/// Of nodes that are heard; what others had left when they were is no news.
fn perform(metrics: &Metrics, node: &NodeVerdict, family: &mut Family) {
    if !matches!(node.liveness, Liveness::Up | Liveness::Suspect) {
        return;
    }
    let members = std::slice::from_ref(&node.member);
    let now = metrics.clock.now().wall;
    let source = Source { members, live: &metrics.live, store: &*metrics.store, now };
    let [cluster, name] = labels(node);
    for score in performance::scores(source, &node.member) {
        family.push(&[cluster, ("component", score.component.as_str()), name], score.score);
    }
}
