//! The task around the judge: every 250 ms it gathers what is measured and publishes the verdict.
//!
//! It owns the judge; sessions report to it by a bounded channel, everybody else reads the newest snapshot.

use crate::evaluate::{Config, Judge, NodeFacts};
use crate::identity::roster::Roster;
use crate::store::live::Live;
use quorate_common::clock::Clock;
use quorate_common::model::cluster::{Snapshot, Transition};
use quorate_common::model::node::{Member, MemberRole, NodeId};
use quorate_common::model::stream::Observation;
use quorate_common::notify::Pulse;
use quorate_common::shutdown::Shutdown;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Distance between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// Observations that may wait for the judge.
pub const OBSERVATIONS_MAX: usize = 4096;

/// What the task reads, and the one thing that it says.
pub struct Inputs {
    /// How to judge, now and later.
    pub config: watch::Receiver<Config>,
    /// What happens on streams.
    pub observations: mpsc::Receiver<Observation>,
    /// Who belongs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// What is measured of nodes.
    pub live: Arc<Live>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Beats for each sweep.
    pub pulse: Pulse,
}

/// Judges until asked to stop.
pub async fn run(mut inputs: Inputs, publish: watch::Sender<Arc<Snapshot>>, shutdown: Shutdown) {
    let mut needs = inputs.config.borrow().quorum_need.clone();
    let mut judge = Judge::new(inputs.config.borrow_and_update().clone(), inputs.clock.now());
    let mut doubts = BTreeSet::new();
    inputs.roster.mark_changed();
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            biased;
            () = shutdown.asked() => return,
            Some(seen) = inputs.observations.recv() => judge.observe(seen.node, seen.event, seen.at),
            Ok(()) = inputs.config.changed() => {
                let config = inputs.config.borrow_and_update().clone();
                needs.clone_from(&config.quorum_need);
                judge.configure(config);
                inputs.roster.mark_changed();
            }
            Ok(()) = inputs.roster.changed() => {
                let roster = inputs.roster.borrow_and_update().clone();
                judge.declare(roster.members());
                doubts = voice(vote_doubts(roster.members(), &needs), &doubts);
            }
            _ = sweep.tick() => {
                let snapshot = judge.sweep(&|node| facts(&inputs.live, node), inputs.clock.now());
                report(&snapshot);
                publish.send_replace(Arc::new(snapshot));
                inputs.pulse.beat();
            }
        }
    }
}

/// Tells what was not told of the votes before, and gives what stands told now.
fn voice(doubts: BTreeSet<String>, told: &BTreeSet<String>) -> BTreeSet<String> {
    for doubt in doubts.difference(told) {
        tracing::warn!(class = "health", "{doubt}");
    }
    doubts
}

/// What is doubtful about the votes that each cluster has and needs, one sentence for each.
fn vote_doubts(members: &[Member], needs: &BTreeMap<String, NonZeroU32>) -> BTreeSet<String> {
    let mut votes: BTreeMap<&str, u32> = needs.keys().map(|cluster| (cluster.as_str(), 0)).collect();
    for member in members.iter().filter(|member| member.role == MemberRole::Voter) {
        let total = votes.entry(&member.cluster).or_default();
        *total = total.saturating_add(member.weight);
    }
    let doubt = |(cluster, total): (&str, u32)| {
        let what = match needs.get(cluster).map(|need| need.get()) {
            Some(need) if need > total => format!("fewer than the configured need of {need}"),
            Some(need) if need <= total / 2 => {
                format!("and a configured need of {need}: two parts that do not meet can both have quorum")
            }
            _ if total > 0 && total.is_multiple_of(2) => {
                format!("an even number: of two parts with {} each neither has quorum", total / 2)
            }
            _ => return None,
        };
        Some(format!("cluster `{cluster}` has {total} votes, {what}"))
    };
    votes.into_iter().filter_map(doubt).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `votes` is `cluster weight` for each voter; `o` for a weight is an observer.
    fn check(votes: &str, needs: &str, expect: &[&str]) {
        let member = |(at, text): (usize, &str)| {
            let (cluster, weight) = text.trim().split_once(' ').unwrap();
            let role = if weight == "o" { MemberRole::Observer } else { MemberRole::Voter };
            Member {
                id: NodeId(at as i64),
                name: format!("n{at}").parse().unwrap(),
                cluster: cluster.into(),
                role,
                zone: None,
                weight: weight.parse().unwrap_or(1),
                maintenance: None,
                barred: None,
            }
        };
        let members: Vec<Member> =
            votes.split(',').filter(|text| !text.is_empty()).enumerate().map(member).collect();
        let need = |text: &str| {
            let (cluster, need) = text.trim().split_once(' ').unwrap();
            (cluster.to_owned(), need.parse().unwrap())
        };
        let needs = needs.split(',').filter(|text| !text.is_empty()).map(need).collect();
        let found = vote_doubts(&members, &needs);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expect, "{votes}; {needs:?}");
    }

    #[test]
    fn doubtful_votes_are_named() {
        check("", "", &[]);
        check("a 1, a 1, a 1, b o, b o", "", &[]);
        let even = "cluster `a` has 4 votes, an even number: of two parts with 2 each neither has quorum";
        check("a 1, a 3, a o, b 1", "", &[even]);
        check("a 1, a 1, a 2", "a 3", &[even]);
        check("a 1, a 1, a 1", "a 2", &[]);
        check("a 1, a 1, a 1", "a 4", &["cluster `a` has 3 votes, fewer than the configured need of 4"]);
        check("", "b 1", &["cluster `b` has 0 votes, fewer than the configured need of 1"]);
        let split = "cluster `a` has 4 votes, and a configured need of 2: two parts that do not meet can both have quorum";
        check("a 2, a 2", "a 2", &[split]);
    }
}
