//! A cluster: a named group of declared nodes, its health and its quorum.

use super::node::{Health, HostFacts, Liveness, Member, NodeName};
use super::time::WallTime;
use super::words;
use std::sync::Arc;

words! {
    /// Whether the alive voters of a cluster are enough.
    QuorumStatus {
        /// Enough, with at least one to spare (or a single voter that is up).
        Available = "available",
        /// Enough, and the next loss ends it, or a suspect decides.
        AtRisk = "at_risk",
        /// Not enough.
        Lost = "lost",
        /// Too many voters are unknown to say.
        Unknown = "unknown",
        /// The cluster declares no voters.
        NotApplicable = "not_applicable",
    }
}

/// What would be left of the quorum if one zone were lost.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ZoneRisk {
    /// The zone, or empty for nodes that declare none.
    pub zone: String,
    /// Declared voters' weight in it.
    pub weight: u32,
    /// Alive voters' weight in it.
    pub alive: u32,
    /// Losing what is alive in this zone loses a quorum that is there now.
    pub decides: bool,
}

/// The quorum of one cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Quorum {
    /// The verdict.
    pub status: QuorumStatus,
    /// Sum of the declared voters' weights.
    pub total: u32,
    /// Weight that is needed.
    pub need: u32,
    /// Weight that is surely alive (suspects counted while they are).
    pub alive: u32,
    /// Weight of voters that are unknown.
    pub unknown: u32,
    /// Further failures surely survived, heaviest voter first; `None` when the quorum is not there.
    pub margin: Option<u32>,
    /// One row for each zone that has voters, by name.
    pub zones: Vec<ZoneRisk>,
}

/// One node as judged: what it is and how it is.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct NodeVerdict {
    /// The declaration.
    #[serde(skip)]
    pub member: Member,
    /// Whether it is heard.
    pub liveness: Liveness,
    /// How well it does.
    pub health: Health,
    /// Why it is not healthy, one line each; empty when it is.
    pub reasons: Vec<String>,
    /// When the liveness became what it is.
    #[serde(skip)]
    pub since: WallTime,
    /// When its last frame was accepted; `None` if never since the aggregator started.
    #[serde(skip)]
    pub last_heard: Option<WallTime>,
    /// Four transitions or more in five minutes.
    pub flapping: bool,
    /// What it said of itself; `None` before its first session.
    pub facts: Option<Arc<HostFacts>>,
}

/// One cluster as judged.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ClusterVerdict {
    /// Its name.
    pub name: Arc<str>,
    /// The verdict.
    pub health: Health,
    /// Why it is not healthy, one line each; empty when it is.
    pub reasons: Vec<String>,
    /// Its quorum.
    pub quorum: Quorum,
    /// Declared members.
    pub total_nodes: u32,
    /// Members that respond: healthy or degraded.
    pub healthy_nodes: u32,
    /// Members that are degraded.
    pub degraded_nodes: Vec<NodeName>,
    /// Members that do not respond.
    pub unhealthy_nodes: Vec<NodeName>,
    /// Members of which nothing is known.
    pub unknown_nodes: Vec<NodeName>,
    /// An incident that folds the loss of many nodes into one; its text, or `None`.
    pub mass_loss: Option<String>,
    /// When the health became what it is.
    #[serde(skip)]
    pub since: WallTime,
}

/// Something that changed between two sweeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// A node's liveness.
    Node {
        /// Which.
        node: NodeName,
        /// What it was.
        from: Liveness,
        /// What it is.
        to: Liveness,
        /// Why, in one line.
        reason: String,
    },
    /// A cluster's quorum.
    Quorum {
        /// Which.
        cluster: Arc<str>,
        /// What it was.
        from: QuorumStatus,
        /// What it is.
        to: QuorumStatus,
    },
    /// A cluster's health.
    Cluster {
        /// Which.
        cluster: Arc<str>,
        /// What it was.
        from: Health,
        /// What it is.
        to: Health,
    },
    /// A node came back with another boot id.
    Rebooted {
        /// Which.
        node: NodeName,
    },
}

/// Everything the judge knows at one moment. Published whole; readers never see half of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Counts up by one for each published snapshot.
    pub revision: u64,
    /// When it was judged.
    pub at: WallTime,
    /// Every cluster with members, by name.
    pub clusters: Vec<ClusterVerdict>,
    /// Every declared node, by name.
    pub nodes: Vec<NodeVerdict>,
    /// What changed since the snapshot before.
    pub transitions: Vec<Transition>,
}

impl Snapshot {
    /// A snapshot of nothing, for before the first sweep.
    pub fn empty() -> Snapshot {
        Snapshot {
            revision: 0,
            at: WallTime(0),
            clusters: Vec::new(),
            nodes: Vec::new(),
            transitions: Vec::new(),
        }
    }

    /// One node by name.
    pub fn node(&self, name: &str) -> Option<&NodeVerdict> {
        let at = self.nodes.binary_search_by(|node| node.member.name.as_str().cmp(name)).ok()?;
        self.nodes.get(at)
    }

    /// One cluster by name.
    pub fn cluster(&self, name: &str) -> Option<&ClusterVerdict> {
        self.clusters.iter().find(|cluster| &*cluster.name == name)
    }
}
