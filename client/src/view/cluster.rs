//! Clusters, and the stream of their changes.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::{Node, Stamp};
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::Health;
use serde::Serialize;

/// The health of one or all clusters at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HealthReport {
    pub clusters: Vec<ClusterHealth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
}

/// One cluster as judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterHealth {
    pub cluster: String,
    pub status: Health,
    pub reasons: Vec<String>,
    pub healthy_nodes: u32,
    pub total_nodes: u32,
    pub degraded_nodes: Vec<String>,
    pub unhealthy_nodes: Vec<String>,
    pub unknown_nodes: Vec<String>,
    pub quorum_status: QuorumStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mass_loss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
}

/// Votes in weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quorum {
    pub total: u32,
    pub need: u32,
    pub alive: u32,
    pub unknown: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<u32>,
    pub zones: Vec<ZoneRisk>,
}

/// What one zone means for the quorum.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ZoneRisk {
    pub zone: String,
    pub weight: u32,
    pub alive: u32,
    pub decides: bool,
}

/// One message of a watch; in JSON the field `event` names it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum WatchEvent {
    /// Everything, at first and after a reader was too slow.
    Full(FullState),
    /// What is new.
    Changes(Changes),
}

/// Everything known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FullState {
    pub revision: u64,
    pub clusters: Vec<ClusterHealth>,
    pub nodes: Vec<Node>,
    pub missed: u64,
}

/// What is new since the message before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changes {
    pub revision: u64,
    pub clusters: Vec<ClusterHealth>,
    pub nodes: Vec<Node>,
    pub removed_nodes: Vec<String>,
    pub transitions: Vec<Transition>,
}

/// One change of a status word.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Stamp>,
    pub kind: String,
    pub subject: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}
