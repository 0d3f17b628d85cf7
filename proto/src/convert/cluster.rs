//! Clusters, their quorum, and what changes.

use super::{pair, timestamp};
use crate::v1;
use quorate_common::model::cluster::{ClusterVerdict, Quorum, QuorumStatus, Transition, ZoneRisk};
use quorate_common::model::node::NodeName;
use quorate_common::model::time::WallTime;

pair!(QuorumStatus, QuorumStatus, "quorum_status", { Available, AtRisk, Lost, Unknown, NotApplicable });

impl v1::ClusterHealth {
    /// The verdict on a cluster, as of `at`.
    pub fn of(cluster: &ClusterVerdict, at: WallTime) -> Self {
        let names = |nodes: &[NodeName]| nodes.iter().map(NodeName::to_string).collect();
        v1::ClusterHealth {
            cluster: cluster.name.to_string(),
            status: v1::Health::from(cluster.health).into(),
            reasons: cluster.reasons.clone(),
            healthy_nodes: cluster.healthy_nodes,
            total_nodes: cluster.total_nodes,
            degraded_nodes: names(&cluster.degraded_nodes),
            unhealthy_nodes: names(&cluster.unhealthy_nodes),
            unknown_nodes: names(&cluster.unknown_nodes),
            quorum_status: v1::QuorumStatus::from(cluster.quorum.status).into(),
            quorum: Some((&cluster.quorum).into()),
            mass_loss: cluster.mass_loss.clone().unwrap_or_default(),
            since: Some(timestamp(cluster.since)),
            timestamp: Some(timestamp(at)),
        }
    }
}

impl From<&Quorum> for v1::Quorum {
    fn from(quorum: &Quorum) -> Self {
        v1::Quorum {
            total: quorum.total,
            need: quorum.need,
            alive: quorum.alive,
            unknown: quorum.unknown,
            margin: quorum.margin,
            zones: quorum.zones.iter().map(Into::into).collect(),
        }
    }
}

impl From<&ZoneRisk> for v1::ZoneRisk {
    fn from(zone: &ZoneRisk) -> Self {
        v1::ZoneRisk {
            zone: zone.zone.clone(),
            weight: zone.weight,
            alive: zone.alive,
            decides: zone.decides,
        }
    }
}

impl v1::Transition {
    /// Something that changed at `at`.
    pub fn of(transition: &Transition, at: WallTime) -> Self {
        let (kind, subject, from, to, reason) = match transition {
            Transition::Node { node, from, to, reason } => {
                ("node", node.to_string(), from.as_str(), to.as_str(), reason.clone())
            }
            Transition::Quorum { cluster, from, to } => {
                ("quorum", cluster.to_string(), from.as_str(), to.as_str(), String::new())
            }
            Transition::Cluster { cluster, from, to } => {
                ("cluster", cluster.to_string(), from.as_str(), to.as_str(), String::new())
            }
            Transition::Rebooted { node } => ("rebooted", node.to_string(), "", "", String::new()),
        };
        v1::Transition {
            at: Some(timestamp(at)),
            kind: kind.to_owned(),
            subject,
            from: from.to_owned(),
            to: to.to_owned(),
            reason,
        }
    }
}
