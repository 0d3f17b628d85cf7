//! The task around the judge: every 250 ms it gathers what is measured and publishes the verdict.
//!
//! It owns the judge; sessions report to it by a bounded channel, everybody else reads the newest snapshot.

use crate::evaluate::{Config, Judge, NodeFacts};
use crate::identity::roster::Roster;
use crate::store::live::Live;
use quorate_common::clock::Clock;
use quorate_common::model::cluster::{Snapshot, Transition};
use quorate_common::model::node::NodeId;
use quorate_common::model::stream::Observation;
use quorate_common::shutdown::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Distance between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// Observations that may wait for the judge.
pub const OBSERVATIONS_MAX: usize = 4096;

/// What the task reads.
pub struct Inputs {
    /// What happens on streams.
    pub observations: mpsc::Receiver<Observation>,
    /// Who belongs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// What is measured of nodes.
    pub live: Arc<Live>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Judges until asked to stop.
pub async fn run(
    config: Config,
    mut inputs: Inputs,
    publish: watch::Sender<Arc<Snapshot>>,
    shutdown: Shutdown,
) {
    let mut judge = Judge::new(config, inputs.clock.now());
    judge.declare(inputs.roster.borrow_and_update().members());
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = shutdown.asked() => return,
            Some(seen) = inputs.observations.recv() => judge.observe(seen.node, seen.event, seen.at),
            Ok(()) = inputs.roster.changed() => judge.declare(inputs.roster.borrow_and_update().members()),
            _ = sweep.tick() => {
                let snapshot = judge.sweep(&|node| facts(&inputs.live, node), inputs.clock.now());
                report(&snapshot);
                publish.send_replace(Arc::new(snapshot));
            }
        }
    }
}

fn facts(live: &Live, node: NodeId) -> Option<NodeFacts> {
    let heard = live.get(node)?.facts();
    Some(NodeFacts {
        last_frame: heard.last_frame,
        next_due_ms: heard.next_due_ms,
        frames: heard.frames,
        skew_ms: heard.last_frame.map(|_| heard.skew_ms),
        failing_collectors: heard.failing,
        journal_lag_ms: 0,
        components: Vec::new(),
    })
}

fn report(snapshot: &Snapshot) {
    for transition in &snapshot.transitions {
        match transition {
            Transition::Node { node, from, to, reason } => {
                tracing::info!(class = "health", %node, %from, %to, reason, "node changed");
            }
            Transition::Quorum { cluster, from, to } => {
                tracing::warn!(class = "health", %cluster, %from, %to, "quorum changed");
            }
            Transition::Cluster { cluster, from, to } => {
                tracing::info!(class = "health", %cluster, %from, %to, "cluster changed");
            }
            Transition::Rebooted { node } => tracing::warn!(class = "health", %node, "node rebooted"),
        }
    }
}
