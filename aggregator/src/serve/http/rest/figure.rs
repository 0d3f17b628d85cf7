//! Figures of a host, as people ask for them. What its series do not tell is absent, never 0.

use super::Rest;
use super::hostname::hostname_of;
use crate::query::resource::usage;
use crate::query::series::Source;
use quorate_common::model::cluster::NodeVerdict;
use quorate_common::model::resource::{ResourceType, ResourceUsage};
use serde::Serialize;

/// The newest figures of one host.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Figures {
    /// The node.
    pub node: String,
    /// Its hostname.
    pub hostname: String,
    /// Processor time in use, in percent of all processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_usage_percent: Option<f64>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<f64>,
    /// Memory in use, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_percent: Option<f64>,
    /// Memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<f64>,
    /// Memory that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<f64>,
    /// File systems in use, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_usage_percent: Option<f64>,
    /// Bytes in use on file systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_used_bytes: Option<f64>,
    /// Bytes that users can have on file systems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_total_bytes: Option<f64>,
    /// Bytes sent and received a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_bytes_per_second: Option<f64>,
    /// When the newest of them was sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

impl Figures {
    /// Reads them. May block.
    pub fn read(rest: &Rest, node: &NodeVerdict) -> Figures {
        let members = std::slice::from_ref(&node.member);
        let now = rest.clock.now().wall;
        let source = Source { members, live: &rest.live, store: &*rest.store, now };
        let all = usage(source, &node.member);
        let mut figures = Figures {
            node: node.member.name.to_string(),
            hostname: hostname_of(node),
            timestamp: all.iter().map(|one| one.timestamp).max().map(|at| at.to_string()),
            ..Figures::default()
        };
        all.iter().for_each(|one| figures.put(one));
        figures
    }

    fn put(&mut self, one: &ResourceUsage) {
        let (percent, used, total) = (one.usage_percent, one.current_used, one.total_available);
        match one.resource_type {
            ResourceType::Cpu => (self.cpu_usage_percent, self.cpu_count) = (percent, total),
            ResourceType::Memory => {
                (self.memory_percent, self.memory_used_bytes, self.memory_total_bytes) =
                    (percent, used, total);
            }
            ResourceType::Disk => {
                (self.disk_usage_percent, self.disk_used_bytes, self.disk_total_bytes) =
                    (percent, used, total);
            }
            ResourceType::Network => self.network_bytes_per_second = used,
        }
    }
}
