//! Judges nodes, quorum and clusters. Pure: time and measurements are arguments, verdicts are values; no I/O, no
//! clock, no task. So a whole outage is rehearsed in microseconds, and production runs the same code.
//!
//! ```text
//!   declare ──→ who there is ─┐
//!   observe ──→ streams ──────┤    each sweep, in this order:
//!   facts   ──→ last frames ──┴──→ lateness → liveness of each → mass loss → settle → health → quorum, cluster
//! ```
//!
//! Members are declared, never inferred from who is connected. Age of the last frame decides; evidence from peers
//! will refine a suspect between `liveness` and `settle`. Events only note what happened: verdicts change in a
//! sweep and nowhere else, after the sweep knows whether we ourselves were asleep.

mod cluster;
mod config;
mod hysteresis;
mod lateness;
mod liveness;
mod mass_loss;
mod node;
mod quorum;
mod reason;
mod stream;
mod visible;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use node::NodeFacts;
pub use quorum::{Vote, quorum};

use cluster::{Cluster, View};
use lateness::Lateness;
use liveness::{Finding, Grace};
use mass_loss::{Limits, MassLosses, NodeLoss};
use node::Node;
use quorate_common::model::cluster::{ClusterVerdict, NodeVerdict, Snapshot, Transition};
use quorate_common::model::node::{Liveness, Member, NodeId};
use quorate_common::model::stream::StreamEvent;
use quorate_common::model::time::Now;
use reason::Cause;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use stream::Streams;

/// Judges everybody. One owner; see the module for the order of things.
#[derive(Debug)]
pub struct Judge {
    config: Config,
    now: Now,
    lateness: Lateness,
    grace: Grace,
    streams: BTreeMap<NodeId, Streams>,
    /// By name.
    nodes: Vec<Node>,
    clusters: BTreeMap<Arc<str>, Cluster>,
    sizes: BTreeMap<Arc<str>, usize>,
    mass_losses: MassLosses,
    last: Snapshot,
}

/// One node as judged in this sweep.
#[derive(Debug)]
struct Judged {
    verdict: NodeVerdict,
    found: Liveness,
    folded: bool,
}

impl Judged {
    /// Its liveness without the wait for good news to last.
    fn heard(&self) -> Liveness {
        if self.found == Liveness::Up { Liveness::Up } else { self.verdict.liveness }
    }
}

impl Judge {
    /// A judge that begins at `started` and knows nobody.
    pub fn new(config: Config, started: Now) -> Judge {
        let grace = Grace { heard_from: started.boot, began: started.boot, allowed: config.start_grace() };
        Judge {
            config,
            now: started,
            lateness: Lateness::new(started.boot),
            grace,
            streams: BTreeMap::new(),
            nodes: Vec::new(),
            clusters: BTreeMap::new(),
            sizes: BTreeMap::new(),
            mass_losses: MassLosses::default(),
            last: Snapshot::empty(),
        }
    }

    /// Other settings, in force from the next sweep on. A start grace that is over stays over.
    pub fn configure(&mut self, config: Config) {
        self.grace.allowed = config.start_grace();
        self.config = config;
    }

    /// The declared members, whole; called at start and whenever the registry changes.
    pub fn declare(&mut self, members: &[Member]) {
        let mut known: BTreeMap<NodeId, Node> =
            self.nodes.drain(..).map(|node| (node.member.id, node)).collect();
        let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
        self.sizes.clear();
        for member in members {
            let node = match known.remove(&member.id) {
                Some(node) => node.declared(member.clone()),
                None => Node::new(member.clone(), self.now),
            };
            nodes.insert(member.id, node);
        }
        self.nodes = nodes.into_values().collect();
        self.nodes.sort_by(|a, b| a.member.name.cmp(&b.member.name));
        for node in &self.nodes {
            *self.sizes.entry(node.member.cluster.clone()).or_default() += 1;
        }
        self.clusters.retain(|name, _| self.sizes.contains_key(name));
        let declared: BTreeSet<NodeId> = self.nodes.iter().map(|node| node.member.id).collect();
        self.streams.retain(|id, streams| streams.is_open() || declared.contains(id));
    }

    /// Something happened on a stream. Noted here, judged in the next sweep. A node that is not declared is
    /// remembered while its stream is open, for it may be declared any moment.
    pub fn observe(&mut self, node: NodeId, event: StreamEvent, now: Now) {
        self.advance(now);
        let streams = self.streams.entry(node).or_default();
        streams.observe(event, now.boot);
        if !streams.is_open() && !self.nodes.iter().any(|known| known.member.id == node) {
            self.streams.remove(&node);
        }
    }

    /// Judges everybody. Called every 250 ms; `facts` gives what is measured of a node. The revision counts up only
    /// when something changed that a user sees; the time of the last frame alone is no such thing.
    pub fn sweep(&mut self, facts: &dyn Fn(NodeId) -> Option<NodeFacts>, now: Now) -> Snapshot {
        self.advance(now);
        if let Some(pause) = self.lateness.notice(now.boot).filter(|pause| pause.is_long()) {
            self.grace.heard_from = pause.from;
            self.grace.began = pause.until;
        }
        let facts: Vec<Option<NodeFacts>> = self.nodes.iter().map(|node| facts(node.member.id)).collect();
        let findings = self.measure(&facts, now);
        let findings = self.review_losses(findings, now);
        let mut transitions = Vec::new();
        let judged = self.settle(&facts, &findings, now, &mut transitions);
        let clusters = self.judge_clusters(&judged, now, &mut transitions);
        let nodes = judged.into_iter().map(|judged| judged.verdict).collect();
        self.publish(Snapshot { revision: self.last.revision, at: now.wall, clusters, nodes, transitions })
    }

    fn advance(&mut self, now: Now) {
        if now.boot > self.now.boot {
            self.now = now;
        }
    }
}

/// The steps of a sweep, in order.
impl Judge {
    fn measure(&mut self, facts: &[Option<NodeFacts>], now: Now) -> Vec<Finding> {
        let (streams, lateness, grace) = (&self.streams, &self.lateness, self.grace);
        let nodes = self.nodes.iter_mut().zip(facts);
        nodes
            .map(|(node, facts)| {
                facts.iter().for_each(|facts| node.hear(facts));
                let end = streams.get(&node.member.id).and_then(|streams| streams.end);
                liveness::measure(&node.signs(end), &node.grace(grace), lateness, now.boot)
            })
            .collect()
    }

    /// Puts losses together; whoever went silent in a mass loss is `unknown` for a while.
    fn review_losses(&mut self, mut findings: Vec<Finding>, now: Now) -> Vec<Finding> {
        let losses: Vec<Option<NodeLoss>> =
            self.nodes.iter().zip(&findings).map(|(node, finding)| node_loss(node, finding)).collect();
        let present: Vec<NodeLoss> = losses.iter().flatten().cloned().collect();
        let limits = Limits {
            nodes_min: self.config.mass_loss_nodes_min as usize,
            silent: self.config.mass_loss_silent(),
        };
        self.mass_losses.review(&present, &self.sizes, limits, &self.lateness, now);
        for (finding, loss) in findings.iter_mut().zip(&losses) {
            if loss.as_ref().is_some_and(|loss| self.mass_losses.doubts(loss)) {
                finding.liveness = Liveness::Unknown;
                finding.cause = Cause::MassLoss;
            }
        }
        findings
    }

    fn settle(
        &mut self,
        facts: &[Option<NodeFacts>],
        findings: &[Finding],
        now: Now,
        transitions: &mut Vec<Transition>,
    ) -> Vec<Judged> {
        let mut judged = Vec::with_capacity(self.nodes.len());
        for ((node, facts), finding) in self.nodes.iter_mut().zip(facts).zip(findings) {
            let (cause, transition) = node.settle(finding, now);
            transitions.extend(transition);
            let streams = self.streams.get_mut(&node.member.id);
            let host = streams.as_ref().and_then(|streams| streams.facts.clone());
            if streams.is_some_and(Streams::take_rebooted) {
                transitions.push(Transition::Rebooted { node: node.member.name.clone() });
            }
            let (health, mut reasons) = node::health(node.liveness, &cause, facts.as_ref(), &self.config);
            reasons.extend(node.member.barred.iter().map(|why| why.to_string()));
            let verdict = NodeVerdict {
                member: node.member.clone(),
                liveness: node.liveness,
                health,
                reasons,
                since: node.since,
                last_heard: node.heard.map(|heard| heard.wall),
                flapping: node.flapping.check(now.boot),
                facts: host,
            };
            let folded = self.mass_losses.folds(&node.member.cluster, node.member.id);
            judged.push(Judged { verdict, found: finding.liveness, folded });
        }
        judged
    }

    fn judge_clusters(
        &mut self,
        judged: &[Judged],
        now: Now,
        transitions: &mut Vec<Transition>,
    ) -> Vec<ClusterVerdict> {
        let mut members: BTreeMap<&Arc<str>, Vec<&Judged>> = BTreeMap::new();
        for judged in judged {
            members.entry(&judged.verdict.member.cluster).or_default().push(judged);
        }
        members
            .into_iter()
            .map(|(name, members)| {
                let need = self.config.quorum_need.get(&**name).map(|need| need.get());
                let mass_loss = self.mass_losses.describe(name, members.len());
                let cluster = self.clusters.entry(name.clone()).or_default();
                cluster.judge(View { name, members, need, mass_loss }, now, transitions)
            })
            .collect()
    }

    /// Counts the revision up if a user sees a difference to the snapshot before.
    fn publish(&mut self, mut snapshot: Snapshot) -> Snapshot {
        if !visible::same(&snapshot, &self.last) {
            snapshot.revision += 1;
            self.last = snapshot.clone();
        }
        snapshot
    }
}

fn node_loss(node: &Node, finding: &Finding) -> Option<NodeLoss> {
    finding.loss.map(|loss| NodeLoss {
        node: node.member.id,
        cluster: node.member.cluster.clone(),
        loss,
        window: node.loss_window(),
    })
}
