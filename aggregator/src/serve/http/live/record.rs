//! The shapes of what is said, as listeners of other systems know them: every record has a time, and a node if it is
//! about one.

use quorate_common::model::cluster::{ClusterVerdict, NodeVerdict, QuorumStatus};
use quorate_common::model::node::{Liveness, NodeName};
use quorate_common::model::resource::ResourceUsage;
use quorate_common::model::time::WallTime;
use serde_json::{Value, json};

/// A cluster. Its quorum is `available` or `lost` for whoever knows no more words; `quorum` has the exact one.
pub fn cluster_health(cluster: &ClusterVerdict, at: WallTime) -> Value {
    let quorum_status = match cluster.quorum.status {
        QuorumStatus::Available | QuorumStatus::AtRisk => Some("available"),
        QuorumStatus::Lost => Some("lost"),
        QuorumStatus::Unknown | QuorumStatus::NotApplicable => None,
    };
    json!({
        "cluster": &*cluster.name,
        "status": cluster.health.as_str(),
        "healthy_nodes": cluster.healthy_nodes,
        "total_nodes": cluster.total_nodes,
        "degraded_nodes": names(&cluster.degraded_nodes),
        "unhealthy_nodes": names(&cluster.unhealthy_nodes),
        "unknown_nodes": names(&cluster.unknown_nodes),
        "quorum_status": quorum_status,
        "quorum": cluster.quorum.status.as_str(),
        "reasons": cluster.reasons,
        "timestamp": at.to_string(),
    })
}

fn names(nodes: &[NodeName]) -> Vec<&str> {
    nodes.iter().map(NodeName::as_str).collect()
}

/// One resource of one node. What is not known is null.
pub fn resource_usage(usage: &ResourceUsage) -> Value {
    json!({
        "node": usage.node.as_str(),
        "resource_type": usage.resource_type.as_str(),
        "usage_percent": usage.usage_percent,
        "total_available": usage.total_available,
        "current_used": usage.current_used,
        "timestamp": usage.timestamp.to_string(),
    })
}

/// A node that failed, or that is heard again.
pub fn node_failure(node: &NodeVerdict, cluster: Option<&ClusterVerdict>, at: WallTime) -> Value {
    let is_up = node.liveness == Liveness::Up;
    let name = node.member.name.as_str();
    json!({
        "node": name,
        "alert_type": "node_failure",
        "severity": if is_up { "info" } else if node.liveness == Liveness::Suspect { "warning" } else { "critical" },
        "message": format!("node {name} is {}", node.liveness),
        "context": {
            "failed_node": name,
            "liveness": node.liveness.as_str(),
            "reasons": node.reasons,
            "cluster": &*node.member.cluster,
            "cluster_size": cluster.map(|cluster| cluster.total_nodes),
            "quorum_status": cluster.map(|cluster| cluster.quorum.status.as_str()),
        },
        "timestamp": at.to_string(),
    })
}

/// History does not become durable, or does again; `failed` batches since the start.
pub fn persistence_failure(is_failing: bool, failed: u64, at: WallTime) -> Value {
    json!({
        "node": null,
        "alert_type": "persistence_failure",
        "severity": if is_failing { "critical" } else { "info" },
        "message": if is_failing { "history does not become durable" } else { "history becomes durable again" },
        "context": { "failed_commits": failed },
        "timestamp": at.to_string(),
    })
}
