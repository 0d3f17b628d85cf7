//! How the cluster does, in one line, for `systemctl status`.

use quorate_common::model::cluster::{QuorumStatus, Snapshot};
use quorate_common::model::node::Liveness;

/// `3/3 nodes up, quorum available`; of several clusters, how many have each state of the quorum.
pub fn line(snapshot: &Snapshot) -> String {
    if snapshot.nodes.is_empty() {
        return "no nodes are declared".to_owned();
    }
    let up = snapshot.nodes.iter().filter(|node| node.liveness == Liveness::Up).count();
    let quorum = match &snapshot.clusters[..] {
        [one] => one.quorum.status.to_string(),
        several => {
            let count = |status| several.iter().filter(|one| one.quorum.status == status).count();
            let counted = WORST_FIRST.map(|status| (status, count(status)));
            let said = counted.iter().filter(|(_, count)| *count > 0);
            said.map(|(status, count)| format!("{status} in {count}")).collect::<Vec<_>>().join(", ")
        }
    };
    format!("{up}/{} nodes up, quorum {quorum}", snapshot.nodes.len())
}

const WORST_FIRST: [QuorumStatus; 5] = [
    QuorumStatus::Lost,
    QuorumStatus::Unknown,
    QuorumStatus::AtRisk,
    QuorumStatus::Available,
    QuorumStatus::NotApplicable,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::{Config, Judge};
    use quorate_common::model::node::{Member, MemberRole, NodeId};
    use quorate_common::model::time::{BootTime, Now, WallTime};

    /// Clusters of the voters' names, just after a start.
    fn check(clusters: &[&str], expect: &str) {
        let now = Now { boot: BootTime(1_000_000_000), wall: WallTime(1_000_000_000) };
        let mut judge = Judge::new(Config::default(), now);
        let member = |(at, cluster): (usize, &&str)| Member {
            id: NodeId(at as i64),
            name: format!("n{at}").parse().unwrap(),
            cluster: (*cluster).into(),
            role: if *cluster == "watched" { MemberRole::Observer } else { MemberRole::Voter },
            zone: None,
            weight: 1,
            maintenance: false,
            barred: None,
        };
        let members: Vec<Member> = clusters.iter().enumerate().map(member).collect();
        judge.declare(&members);
        assert_eq!(line(&judge.sweep(&|_| None, now)), expect);
    }

    #[test]
    fn says_what_is_known() {
        check(&[], "no nodes are declared");
        check(&["a", "a", "a"], "0/3 nodes up, quorum unknown");
        check(&["a", "b", "watched"], "0/3 nodes up, quorum unknown in 2, not_applicable in 1");
    }
}
