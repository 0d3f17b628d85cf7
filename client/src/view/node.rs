//! Nodes: what they are, how they are, what runs on them.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use quorate_common::model::node::{Health, HostFacts, Liveness, MemberRole};
use serde::Serialize;
use std::collections::BTreeMap;

/// All declared nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeList {
    pub nodes: Vec<Node>,
}

/// One node as judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    pub name: String,
    pub cluster: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<MemberRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    pub weight: u32,
    pub maintenance: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_until: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance_reason: Option<String>,
    pub liveness: Liveness,
    pub health: Health,
    pub reasons: Vec<String>,
    pub flapping: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<HostFacts>,
}

/// One node with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeDetail {
    pub node: Node,
    pub components: Vec<ComponentHealth>,
    pub resources: Vec<ResourceUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Absent of a node that was declared and has not enrolled yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<NodeIdentity>,
    /// Gaps of the last 24 hours.
    pub gaps_of_day: Option<u32>,
}

/// The keys and certificates of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeIdentity {
    pub generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrolled: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certified: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Stamp>,
}

/// How one part of a node does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComponentHealth {
    pub component: String,
    pub node: String,
    pub status: Health,
    pub details: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
}

/// How much of a resource is used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ResourceUsage {
    /// `cpu`, `memory`, `disk`, `network`, or `unknown` to this client.
    pub resource_type: &'static str,
    pub node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_available: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_used: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
}

/// What became of the samples of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    pub collected: u64,
    pub stored: u64,
    pub dropped_by_cause: BTreeMap<String, u64>,
    pub series: u32,
}

/// The process table of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessList {
    pub node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
    pub processes: Vec<Process>,
    pub left_out: u64,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Process {
    pub pid: u32,
    pub parent_pid: u32,
    pub name: String,
    pub group: String,
    pub user: String,
    pub state: String,
    pub cpu_percent: f64,
    pub cpu_seconds: f64,
    pub memory_bytes: u64,
    pub memory_percent: f64,
    pub threads: u32,
    pub started_unix_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
}
