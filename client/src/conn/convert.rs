//! Messages into views. A word that this client does not know becomes `unknown`, never something good.

mod aggregator;

use crate::view::{self, Number, Stamp};
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::{Health, HostFacts, Liveness, MemberRole};
use quorate_common::model::time::WallTime;
use quorate_proto::v1;
use std::collections::BTreeMap;

pub(super) fn stamp(time: Option<prost_types::Timestamp>) -> Option<Stamp> {
    let time = time?;
    let nanoseconds = time.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(time.nanos))?;
    Some(Stamp(WallTime(nanoseconds)))
}

/// Protocol buffers have no absent strings: by our protocol these are empty when there is nothing to say.
pub(super) fn present(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn all<A, B: From<A>>(messages: Vec<A>) -> Vec<B> {
    messages.into_iter().map(B::from).collect()
}

fn health(health: v1::Health) -> Health {
    match health {
        v1::Health::Healthy => Health::Healthy,
        v1::Health::Degraded => Health::Degraded,
        v1::Health::Unhealthy => Health::Unhealthy,
        v1::Health::Unknown | v1::Health::Unspecified => Health::Unknown,
    }
}

fn liveness(liveness: v1::Liveness) -> Liveness {
    match liveness {
        v1::Liveness::Up => Liveness::Up,
        v1::Liveness::Suspect => Liveness::Suspect,
        v1::Liveness::Down => Liveness::Down,
        v1::Liveness::Left => Liveness::Left,
        v1::Liveness::Isolated => Liveness::Isolated,
        v1::Liveness::AgentDead => Liveness::AgentDead,
        v1::Liveness::Unknown | v1::Liveness::Unspecified => Liveness::Unknown,
    }
}

fn quorum_status(status: v1::QuorumStatus) -> QuorumStatus {
    match status {
        v1::QuorumStatus::Available => QuorumStatus::Available,
        v1::QuorumStatus::AtRisk => QuorumStatus::AtRisk,
        v1::QuorumStatus::Lost => QuorumStatus::Lost,
        v1::QuorumStatus::NotApplicable => QuorumStatus::NotApplicable,
        v1::QuorumStatus::Unknown | v1::QuorumStatus::Unspecified => QuorumStatus::Unknown,
    }
}

fn role(role: v1::MemberRole) -> Option<MemberRole> {
    match role {
        v1::MemberRole::Voter => Some(MemberRole::Voter),
        v1::MemberRole::Observer => Some(MemberRole::Observer),
        v1::MemberRole::Unspecified => None,
    }
}

fn resource(kind: v1::ResourceType) -> &'static str {
    match kind {
        v1::ResourceType::Cpu => "cpu",
        v1::ResourceType::Memory => "memory",
        v1::ResourceType::Disk => "disk",
        v1::ResourceType::Network => "network",
        v1::ResourceType::Unspecified => "unknown",
    }
}

fn recent(series: v1::RecentSeries) -> view::RecentSeries {
    view::RecentSeries {
        labels: labels(series.labels),
        samples: series.samples.into_iter().map(sample).collect(),
    }
}

pub(super) fn labels(labels: Vec<v1::Label>) -> BTreeMap<String, String> {
    labels.into_iter().map(|label| (label.name, label.value)).collect()
}

fn sample(sample: v1::Sample) -> view::Sample {
    view::Sample { timestamp: stamp(sample.timestamp), value: Number(sample.value) }
}

impl From<v1::GetHealthResponse> for view::HealthReport {
    fn from(message: v1::GetHealthResponse) -> Self {
        view::HealthReport { clusters: all(message.clusters), timestamp: stamp(message.timestamp) }
    }
}

impl From<v1::ClusterHealth> for view::ClusterHealth {
    fn from(message: v1::ClusterHealth) -> Self {
        view::ClusterHealth {
            status: health(message.status()),
            quorum_status: quorum_status(message.quorum_status()),
            cluster: message.cluster,
            reasons: message.reasons,
            healthy_nodes: message.healthy_nodes,
            total_nodes: message.total_nodes,
            degraded_nodes: message.degraded_nodes,
            unhealthy_nodes: message.unhealthy_nodes,
            unknown_nodes: message.unknown_nodes,
            quorum: message.quorum.map(Into::into),
            mass_loss: present(message.mass_loss),
            since: stamp(message.since),
            timestamp: stamp(message.timestamp),
        }
    }
}

impl From<v1::Quorum> for view::Quorum {
    fn from(message: v1::Quorum) -> Self {
        view::Quorum {
            total: message.total,
            need: message.need,
            alive: message.alive,
            unknown: message.unknown,
            margin: message.margin,
            zones: all(message.zones),
        }
    }
}

impl From<v1::ZoneRisk> for view::ZoneRisk {
    fn from(zone: v1::ZoneRisk) -> Self {
        view::ZoneRisk { zone: zone.zone, weight: zone.weight, alive: zone.alive, decides: zone.decides }
    }
}

impl From<v1::FullState> for view::FullState {
    fn from(message: v1::FullState) -> Self {
        view::FullState {
            revision: message.revision,
            clusters: all(message.clusters),
            nodes: all(message.nodes),
            missed: message.missed,
        }
    }
}

impl From<v1::Changes> for view::Changes {
    fn from(message: v1::Changes) -> Self {
        view::Changes {
            revision: message.revision,
            clusters: all(message.clusters),
            nodes: all(message.nodes),
            removed_nodes: message.removed_nodes,
            transitions: all(message.transitions),
        }
    }
}

impl From<v1::Transition> for view::Transition {
    fn from(message: v1::Transition) -> Self {
        view::Transition {
            at: stamp(message.at),
            kind: message.kind,
            subject: message.subject,
            from: message.from,
            to: message.to,
            reason: message.reason,
        }
    }
}

impl From<v1::Node> for view::Node {
    fn from(message: v1::Node) -> Self {
        view::Node {
            role: role(message.role()),
            liveness: liveness(message.liveness()),
            health: health(message.health()),
            name: message.name,
            cluster: message.cluster,
            zone: present(message.zone),
            weight: message.weight,
            maintenance: message.maintenance,
            maintenance_until: stamp(message.maintenance_until),
            maintenance_reason: present(message.maintenance_reason),
            reasons: message.reasons,
            flapping: message.flapping,
            since: stamp(message.since),
            last_heard: stamp(message.last_heard),
            facts: message.facts.map(facts),
        }
    }
}

fn facts(message: v1::HostFacts) -> HostFacts {
    HostFacts {
        hostname: message.hostname,
        os: message.os,
        kernel: message.kernel,
        arch: message.arch,
        cpu_model: message.cpu_model,
        cpu_count: message.cpu_count,
        memory_bytes: message.memory_bytes,
        agent_version: message.agent_version,
        missing_rights: message.missing_rights,
    }
}

impl From<v1::ComponentHealth> for view::ComponentHealth {
    fn from(message: v1::ComponentHealth) -> Self {
        view::ComponentHealth {
            status: health(message.status()),
            component: message.component,
            node: message.node,
            details: message.details.into_iter().collect(),
            last_check: stamp(message.last_check),
            timestamp: stamp(message.timestamp),
        }
    }
}

impl From<v1::ResourceUsage> for view::ResourceUsage {
    fn from(message: v1::ResourceUsage) -> Self {
        view::ResourceUsage {
            resource_type: resource(message.resource_type()),
            node: message.node,
            usage_percent: message.usage_percent,
            total_available: message.total_available,
            current_used: message.current_used,
            timestamp: stamp(message.timestamp),
        }
    }
}

impl From<v1::Delivery> for view::Delivery {
    fn from(message: v1::Delivery) -> Self {
        view::Delivery {
            collected: message.collected,
            stored: message.stored,
            dropped_by_cause: message.dropped_by_cause.into_iter().collect(),
            series: message.series,
        }
    }
}

impl From<v1::NodeIdentity> for view::NodeIdentity {
    fn from(message: v1::NodeIdentity) -> Self {
        let v1::NodeIdentity { generation, enrolled, certified, revoked, frozen } = message;
        let [enrolled, certified, revoked, frozen] = [enrolled, certified, revoked, frozen].map(stamp);
        view::NodeIdentity { generation, enrolled, certified, revoked, frozen }
    }
}

impl From<v1::QueryLatestResponse> for view::LatestList {
    fn from(message: v1::QueryLatestResponse) -> Self {
        let series = message.series.into_iter().map(|series| view::LatestSeries {
            labels: labels(series.labels),
            sample: series.sample.map(sample),
        });
        view::LatestList { series: series.collect(), left_out: message.left_out, warnings: message.warnings }
    }
}

impl From<v1::QueryRecentResponse> for view::RecentList {
    fn from(message: v1::QueryRecentResponse) -> Self {
        let series = message.series.into_iter().map(recent).collect();
        view::RecentList { series, left_out: message.left_out, warnings: message.warnings }
    }
}

impl From<v1::ReadRecorderResponse> for view::RecentList {
    fn from(message: v1::ReadRecorderResponse) -> Self {
        let series = message.series.into_iter().map(recent).collect();
        view::RecentList { series, left_out: 0, warnings: Vec::new() }
    }
}

impl From<v1::AuditLine> for view::AuditLine {
    fn from(message: v1::AuditLine) -> Self {
        view::AuditLine {
            at: stamp(message.at),
            actor: message.actor,
            action: message.action,
            subject: message.subject,
            detail: message.detail,
        }
    }
}

impl From<v1::ListProcessesResponse> for view::ProcessList {
    fn from(message: v1::ListProcessesResponse) -> Self {
        view::ProcessList {
            node: message.node,
            timestamp: stamp(message.timestamp),
            processes: all(message.processes),
            left_out: message.left_out,
        }
    }
}

impl From<v1::Process> for view::Process {
    fn from(message: v1::Process) -> Self {
        view::Process {
            pid: message.pid,
            parent_pid: message.parent_pid,
            name: message.name,
            group: message.group,
            user: message.user,
            state: message.state,
            cpu_percent: message.cpu_percent,
            cpu_seconds: message.cpu_seconds,
            memory_bytes: message.memory_bytes,
            memory_percent: message.memory_percent,
            threads: message.threads,
            started_unix_seconds: message.started_unix_seconds,
            read_bytes: message.read_bytes,
            written_bytes: message.written_bytes,
        }
    }
}

impl From<v1::CreateTokenResponse> for view::CreatedToken {
    fn from(message: v1::CreateTokenResponse) -> Self {
        view::CreatedToken {
            token_id: message.token_id,
            token: message.token,
            command: message.command,
            expires: stamp(message.expires),
        }
    }
}

impl From<v1::Token> for view::Token {
    fn from(message: v1::Token) -> Self {
        view::Token {
            token_id: message.token_id,
            subject: message.subject,
            role: message.role,
            created: stamp(message.created),
            expires: stamp(message.expires),
            state: message.state,
            kind: message.kind,
        }
    }
}
