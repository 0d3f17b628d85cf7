//! Use of one of a host's resources, as people ask for it.

use super::node::NodeName;
use super::time::WallTime;
use super::words;

words! {
    /// A resource of a host.
    ResourceType {
        /// Processor time, in seconds a second.
        Cpu = "cpu",
        /// Memory, in bytes.
        Memory = "memory",
        /// File systems, in bytes.
        Disk = "disk",
        /// Network, in bytes a second.
        Network = "network",
    }
}

/// How much of a resource is used. What is not known is absent, never 0.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceUsage {
    /// Which resource.
    pub resource_type: ResourceType,
    /// On which node.
    pub node: NodeName,
    /// Share in use, in percent.
    pub usage_percent: Option<f64>,
    /// How much there is, in the unit of the resource.
    pub total_available: Option<f64>,
    /// How much is in use, in the unit of the resource.
    pub current_used: Option<f64>,
    /// When it was sampled.
    pub timestamp: WallTime,
}
