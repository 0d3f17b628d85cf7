//! Nodes and what they say of themselves.

use super::{pair, timestamp};
use crate::v1;
use quorate_common::model::cluster::NodeVerdict;
use quorate_common::model::component::ComponentHealth;
use quorate_common::model::identity::Role;
use quorate_common::model::node::{Health, HostFacts, Liveness, MemberRole};
use quorate_common::model::resource::{ResourceType, ResourceUsage};

pair!(Health, Health, "health", { Healthy, Degraded, Unhealthy, Unknown });
pair!(Liveness, Liveness, "liveness", { Up, Suspect, Down, Left, Isolated, AgentDead, Unknown });
pair!(MemberRole, MemberRole, "role", { Voter, Observer });
pair!(Role, Role, "role", { Agent, Viewer, Operator, Admin, Aggregator });
pair!(ResourceType, ResourceType, "resource_type", { Cpu, Memory, Disk, Network });

impl From<&HostFacts> for v1::HostFacts {
    fn from(facts: &HostFacts) -> Self {
        v1::HostFacts {
            hostname: facts.hostname.clone(),
            os: facts.os.clone(),
            kernel: facts.kernel.clone(),
            arch: facts.arch.clone(),
            cpu_model: facts.cpu_model.clone(),
            cpu_count: facts.cpu_count,
            memory_bytes: facts.memory_bytes,
            agent_version: facts.agent_version.clone(),
            missing_rights: facts.missing_rights.clone(),
        }
    }
}

/// Texts of a host are for display; what is longer than this is cut, not refused.
const FACT_CHARS_MAX: usize = 256;
/// Lines about missing rights beyond this many are left out.
const FACT_LINES_MAX: usize = 64;

impl From<v1::HostFacts> for HostFacts {
    fn from(facts: v1::HostFacts) -> Self {
        let cut = |text: String| text.chars().take(FACT_CHARS_MAX).collect::<String>();
        HostFacts {
            hostname: cut(facts.hostname),
            os: cut(facts.os),
            kernel: cut(facts.kernel),
            arch: cut(facts.arch),
            cpu_model: cut(facts.cpu_model),
            cpu_count: facts.cpu_count,
            memory_bytes: facts.memory_bytes,
            agent_version: cut(facts.agent_version),
            missing_rights: facts.missing_rights.into_iter().take(FACT_LINES_MAX).map(cut).collect(),
        }
    }
}

impl From<&NodeVerdict> for v1::Node {
    fn from(node: &NodeVerdict) -> Self {
        let maintenance = node.member.maintenance.as_ref();
        v1::Node {
            name: node.member.name.to_string(),
            cluster: node.member.cluster.to_string(),
            role: v1::MemberRole::from(node.member.role).into(),
            zone: node.member.zone.as_deref().unwrap_or_default().to_owned(),
            weight: node.member.weight,
            maintenance: maintenance.is_some(),
            liveness: v1::Liveness::from(node.liveness).into(),
            health: v1::Health::from(node.health).into(),
            reasons: node.reasons.clone(),
            flapping: node.flapping,
            since: Some(timestamp(node.since)),
            last_heard: node.last_heard.map(timestamp),
            facts: node.facts.as_deref().map(Into::into),
            maintenance_until: maintenance.and_then(|known| known.until).map(timestamp),
            maintenance_reason: maintenance.map(|known| known.reason.to_string()).unwrap_or_default(),
        }
    }
}

impl From<&ComponentHealth> for v1::ComponentHealth {
    fn from(component: &ComponentHealth) -> Self {
        v1::ComponentHealth {
            component: component.component.clone(),
            node: component.node.to_string(),
            status: v1::Health::from(component.status).into(),
            details: component.details.clone().into_iter().collect(),
            last_check: Some(timestamp(component.last_check)),
            timestamp: Some(timestamp(component.last_check)),
        }
    }
}

impl From<&ResourceUsage> for v1::ResourceUsage {
    fn from(usage: &ResourceUsage) -> Self {
        v1::ResourceUsage {
            resource_type: v1::ResourceType::from(usage.resource_type).into(),
            node: usage.node.to_string(),
            usage_percent: usage.usage_percent,
            total_available: usage.total_available,
            current_used: usage.current_used,
            timestamp: Some(timestamp(usage.timestamp)),
        }
    }
}
