//! A component: a part of a node that reports its own health.

use super::node::{Health, NodeName};
use super::time::WallTime;
use std::collections::BTreeMap;

/// The health of one component of one node.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentHealth {
    /// Which part: `agent`, a collector, or a name that an application chose.
    pub component: String,
    /// The node that it runs on.
    pub node: NodeName,
    /// How it does.
    pub status: Health,
    /// What it says of itself, such as `store_id`, `memory_usage`, `response_time_ms`.
    pub details: BTreeMap<String, String>,
    /// When it was last checked.
    pub last_check: WallTime,
}
