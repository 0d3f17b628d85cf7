//! Whether a user would see a difference between two snapshots. Only such a difference makes a new revision.

use quorate_common::model::cluster::{NodeVerdict, Snapshot};

/// Whether two snapshots look the same: all but their times, and the times of the last frames.
pub(super) fn same(new: &Snapshot, old: &Snapshot) -> bool {
    new.transitions.is_empty()
        && old.revision > 0
        && new.clusters == old.clusters
        && new.nodes.len() == old.nodes.len()
        && new.nodes.iter().zip(&old.nodes).all(|(new, old)| same_node(new, old))
}

/// Takes the verdict apart, so that a field that is added must be decided on here.
fn same_node(new: &NodeVerdict, old: &NodeVerdict) -> bool {
    let NodeVerdict { member, liveness, health, reasons, since, last_heard: _, flapping, facts } = new;
    (member, liveness, health, reasons) == (&old.member, &old.liveness, &old.health, &old.reasons)
        && (since, flapping, facts) == (&old.since, &old.flapping, &old.facts)
}
