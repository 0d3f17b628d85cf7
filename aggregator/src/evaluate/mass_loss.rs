//! Many nodes lost at once are one incident, and more likely ours than theirs.
//!
//! Losses without a Bye that lie within one window are put together. The window is the time after which a node is
//! down (3 I + 0.5 s, by each node's own interval), so a cut is recognised before the first node is down of it. If
//! they are more than half of all declared nodes, or of one cluster, and at least five, they are one incident for
//! each cluster they touch.
//!
//! ```text
//!   none ── enough losses in one window → open ── every member heard again, or said Bye ──────────→ none
//!                                           └──── 30 s over, and no longer more than half ────────→ none
//! ```
//!
//! While it is open, and for 30 s at most, members that went silent are `unknown`. A member whose stream was reset
//! is not: its own kernel has spoken, it is down after its timer, and only folded into the incident's text.

use super::lateness::Lateness;
use super::liveness::Loss;
use quorate_common::model::node::NodeId;
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The loss of one node.
#[derive(Clone, Debug)]
pub(super) struct NodeLoss {
    pub(super) node: NodeId,
    pub(super) cluster: Arc<str>,
    pub(super) loss: Loss,
    /// Losses this close to a later one belong together.
    pub(super) window: Duration,
}

/// What counts as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Fewest nodes.
    pub(super) nodes_min: usize,
    /// How long silent members are unknown.
    pub(super) silent: Duration,
}

/// The open incidents, by cluster.
#[derive(Debug, Default)]
pub(super) struct MassLosses {
    incidents: BTreeMap<Arc<str>, Incident>,
}

#[derive(Debug)]
struct Incident {
    began: BootTime,
    began_wall: WallTime,
    patient: bool,
    /// Members that went silent and are still lost.
    silent: usize,
    members: BTreeSet<NodeId>,
}

impl MassLosses {
    /// Takes in all present losses. `sizes` is how many nodes each cluster declares.
    pub(super) fn review(
        &mut self,
        losses: &[NodeLoss],
        sizes: &BTreeMap<Arc<str>, usize>,
        limits: Limits,
        lateness: &Lateness,
        now: Now,
    ) {
        let recent = together(losses);
        let everywhere = is_mass(recent.len(), sizes.values().sum(), limits);
        for (cluster, size) in sizes {
            let here: Vec<NodeId> = recent.iter().filter(|l| l.cluster == *cluster).map(|l| l.node).collect();
            if !here.is_empty() && (everywhere || is_mass(here.len(), *size, limits)) {
                self.incidents
                    .entry(cluster.clone())
                    .or_insert_with(|| Incident::new(now))
                    .members
                    .extend(here);
            }
        }
        let lost: BTreeMap<NodeId, Loss> = losses.iter().map(|loss| (loss.node, loss.loss)).collect();
        for incident in self.incidents.values_mut() {
            incident.members.retain(|member| lost.contains_key(member));
            incident.silent = incident.members.iter().filter(|member| lost[*member].silent).count();
            incident.patient = now.boot < lateness.deadline(incident.began, limits.silent);
        }
        let members: usize = self.incidents.values().map(|incident| incident.members.len()).sum();
        let everywhere = is_mass(members, sizes.values().sum(), limits);
        self.incidents.retain(|cluster, incident| {
            let size = sizes.get(cluster).copied().unwrap_or(0);
            let still = everywhere || is_mass(incident.members.len(), size, limits);
            !incident.members.is_empty() && (incident.patient || still)
        });
    }

    /// Whether a node that went silent is not judged yet.
    pub(super) fn doubts(&self, loss: &NodeLoss) -> bool {
        loss.loss.silent
            && self
                .incidents
                .get(&loss.cluster)
                .is_some_and(|incident| incident.patient && incident.members.contains(&loss.node))
    }

    /// The incident of a cluster in one line.
    pub(super) fn describe(&self, cluster: &str, size: usize) -> Option<String> {
        let incident = self.incidents.get(cluster)?;
        let Incident { began_wall, members, silent, patient, .. } = incident;
        let doubt = match silent {
            1.. if *patient => format!(", {silent} of them silently: unknown until it is clear"),
            _ => String::new(),
        };
        Some(format!("{} of {size} nodes lost together at {began_wall}{doubt}", members.len()))
    }

    /// Whether a node is part of an open incident.
    pub(super) fn folds(&self, cluster: &str, node: NodeId) -> bool {
        self.incidents.get(cluster).is_some_and(|incident| incident.members.contains(&node))
    }
}

impl Incident {
    fn new(now: Now) -> Incident {
        Incident { began: now.boot, began_wall: now.wall, patient: true, silent: 0, members: BTreeSet::new() }
    }
}

/// The losses that lie within one window of the newest.
fn together(losses: &[NodeLoss]) -> Vec<&NodeLoss> {
    let newest = losses.iter().map(|loss| loss.loss.at).max().unwrap_or_default();
    losses.iter().filter(|loss| newest.since(loss.loss.at) <= loss.window).collect()
}

fn is_mass(lost: usize, of: usize, limits: Limits) -> bool {
    lost * 2 > of && lost >= limits.nodes_min
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { nodes_min: 5, silent: Duration::from_secs(30) };

    fn now(ms: u64) -> Now {
        Now { boot: BootTime(ms * 1_000_000), wall: WallTime(0) }
    }

    fn loss(node: i64, cluster: &str, at_ms: u64) -> NodeLoss {
        let loss = Loss { at: now(at_ms).boot, silent: true };
        NodeLoss { node: NodeId(node), cluster: cluster.into(), loss, window: Duration::from_millis(3500) }
    }

    fn review(mass: &mut MassLosses, losses: &[NodeLoss], sizes: &[(&str, usize)], at_ms: u64) -> usize {
        let sizes = sizes.iter().map(|(name, size)| (Arc::from(*name), *size)).collect();
        mass.review(losses, &sizes, LIMITS, &Lateness::new(now(at_ms).boot), now(at_ms));
        losses.iter().filter(|loss| mass.doubts(loss)).count()
    }

    #[test]
    fn more_than_half_and_at_least_five_within_one_window() {
        let check = |at: &[u64], size, expect| {
            let losses: Vec<NodeLoss> =
                at.iter().enumerate().map(|(i, at_ms)| loss(i as i64, "a", *at_ms)).collect();
            assert_eq!(
                review(&mut MassLosses::default(), &losses, &[("a", size)], 20_000),
                expect,
                "{at:?} {size}"
            );
        };
        check(&[10_000; 4], 4, 0);
        check(&[10_000; 5], 9, 5);
        check(&[10_000; 5], 10, 0);
        check(&[10_000, 11_000, 12_000, 13_000, 13_500], 9, 5);
        check(&[10_000, 11_000, 12_000, 13_000, 13_501], 9, 0);
        check(&[1, 10_000, 10_000, 10_000, 10_000, 10_000], 9, 5);
    }

    #[test]
    fn one_cluster_or_all_together() {
        let lost = |a: i64, b: i64| -> Vec<NodeLoss> {
            (0..a).map(|n| loss(n, "a", 1000)).chain((a..a + b).map(|n| loss(n, "b", 1000))).collect()
        };
        let check = |a, b, expect| {
            let sizes = [("a", 8), ("b", 8)];
            assert_eq!(review(&mut MassLosses::default(), &lost(a, b), &sizes, 2000), expect, "{a} {b}");
        };
        check(5, 0, 5);
        check(5, 3, 5);
        check(4, 4, 0);
        check(5, 4, 9);
        check(4, 5, 9);
    }

    #[test]
    fn stays_open_while_members_return_and_ends_after_thirty_seconds() {
        let mut mass = MassLosses::default();
        let all: Vec<NodeLoss> = (0..8).map(|n| loss(n, "a", 1000)).collect();
        let sizes = [("a", 8)];
        assert_eq!(review(&mut mass, &all, &sizes, 3000), 8);
        assert_eq!(
            review(&mut mass, &all[..2], &sizes, 32_999),
            2,
            "the last ones are not paged while all return"
        );
        assert_eq!(review(&mut mass, &all[..2], &sizes, 33_000), 0);
        assert_eq!(mass.describe("a", 8), None);
        let mut mass = MassLosses::default();
        review(&mut mass, &all, &sizes, 3000);
        assert_eq!(review(&mut mass, &all, &sizes, 33_000), 0, "decided: down");
        assert_eq!(
            mass.describe("a", 8).unwrap(),
            "8 of 8 nodes lost together at 1970-01-01T00:00:00.000Z",
            "and still one incident"
        );
        review(&mut mass, &[], &sizes, 40_000);
        assert_eq!(mass.describe("a", 8), None);
    }

    #[test]
    fn a_reset_is_no_doubt() {
        let mut mass = MassLosses::default();
        let mut all: Vec<NodeLoss> = (0..6).map(|n| loss(n, "a", 1000)).collect();
        all[0].loss.silent = false;
        assert_eq!(review(&mut mass, &all, &[("a", 6)], 3000), 5);
        assert!(mass.folds("a", NodeId(0)));
        assert_eq!(
            mass.describe("a", 6).unwrap(),
            "6 of 6 nodes lost together at 1970-01-01T00:00:00.000Z, 5 of them silently: unknown until it is clear"
        );
    }
}
