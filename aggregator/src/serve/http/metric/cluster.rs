//! How clusters do, as judged.

use super::family::{Family, yes};
use quorate_common::catalog;
use quorate_common::catalog::MetricDef;
use quorate_common::model::cluster::{ClusterVerdict, QuorumStatus, Snapshot};
use quorate_common::model::node::Health;

type Value = fn(&ClusterVerdict) -> Option<f64>;

/// A number of each cluster.
const NUMBERS: &[(&MetricDef, Value)] = &[
    (&catalog::HEALTHY_NODES, |cluster| Some(cluster.healthy_nodes.into())),
    (&catalog::TOTAL_NODES, |cluster| Some(cluster.total_nodes.into())),
    (&catalog::DEGRADED_NODES, |cluster| Some(cluster.degraded_nodes.len() as f64)),
    (&catalog::UNHEALTHY_NODES, |cluster| Some(cluster.unhealthy_nodes.len() as f64)),
    (&catalog::UNKNOWN_NODES, |cluster| Some(cluster.unknown_nodes.len() as f64)),
    (&catalog::QUORUM_DECLARED, |cluster| Some(cluster.quorum.total.into())),
    (&catalog::QUORUM_NEEDED, |cluster| Some(cluster.quorum.need.into())),
    (&catalog::QUORUM_ALIVE, |cluster| Some(cluster.quorum.alive.into())),
    (&catalog::QUORUM_MARGIN, |cluster| cluster.quorum.margin.map(f64::from)),
];

/// All of them.
pub fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut families: Vec<Family> =
        NUMBERS.iter().map(|(def, value)| number(snapshot, def, *value)).collect();
    let (mut health, mut quorum) =
        (Family::of(&catalog::CLUSTER_HEALTH), Family::of(&catalog::QUORUM_STATUS));
    for cluster in &snapshot.clusters {
        for word in Health::ALL {
            let labels = [("cluster", &*cluster.name), ("health", word.as_str())];
            health.push(&labels, yes(cluster.health == *word));
        }
        for word in QuorumStatus::ALL {
            let labels = [("cluster", &*cluster.name), ("status", word.as_str())];
            quorum.push(&labels, yes(cluster.quorum.status == *word));
        }
    }
    families.extend([health, quorum]);
    families
}

fn number(snapshot: &Snapshot, def: &'static MetricDef, value: Value) -> Family {
    snapshot.clusters.iter().fold(Family::of(def), |family, cluster| match value(cluster) {
        Some(value) => family.with(&[("cluster", &cluster.name)], value),
        None => family,
    })
}
