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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::tests::member;
    use quorate_common::model::cluster::Transition;
    use quorate_common::model::node::{Health, Liveness};
    use quorate_common::model::time::WallTime;

    fn snapshot() -> Snapshot {
        let node = NodeVerdict {
            member: member(1, "a", 1),
            liveness: Liveness::Up,
            health: Health::Healthy,
            reasons: Vec::new(),
            since: WallTime(1),
            last_heard: None,
            flapping: false,
            facts: None,
        };
        Snapshot { revision: 1, nodes: vec![node], ..Snapshot::empty() }
    }

    #[test]
    fn all_but_the_times_of_hearing_is_seen() {
        let check = |change: &dyn Fn(&mut Snapshot), expect| {
            let mut new = snapshot();
            change(&mut new);
            assert_eq!(same(&new, &snapshot()), expect, "{new:?}");
        };
        check(&|_| (), true);
        check(&|s| s.at = WallTime(9), true);
        check(&|s| s.nodes[0].last_heard = Some(WallTime(9)), true);
        check(&|s| s.nodes[0].member.maintenance = Some(Default::default()), false);
        check(&|s| s.nodes[0].liveness = Liveness::Down, false);
        check(&|s| s.nodes[0].health = Health::Degraded, false);
        check(&|s| s.nodes[0].reasons.push("x".to_owned()), false);
        check(&|s| s.nodes[0].since = WallTime(2), false);
        check(&|s| s.nodes[0].flapping = true, false);
        check(&|s| s.nodes[0].facts = Some(Default::default()), false);
        check(&|s| s.nodes.clear(), false);
        check(&|s| s.transitions.push(Transition::Rebooted { node: "n1".parse().unwrap() }), false);
        assert!(!same(&Snapshot::empty(), &Snapshot::empty()), "the first snapshot is always one");
    }
}
