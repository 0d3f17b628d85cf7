//! How the aggregator itself does: what it runs with, how often its limits bit, and whom it sent away.

use super::listen::{Connections, Counters};
use crate::limit::{Bound, Current, Refusals};
use crate::store::embedded::{Condition, Embedded};
use quorate_common::clock::Clock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::node::HostFacts;
use quorate_common::model::time::WallTime;
use quorate_common::tls::Validity;
use quorate_proto::convert::timestamp;
use quorate_proto::v1;
use quorate_proto::v1::diagnostic_service_server::DiagnosticService;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// Of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The configuration in force, and how it came to be.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// 1 at start, and one more for each reload that was taken.
    pub revision: u64,
    /// Since when it is in force.
    pub since: WallTime,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// The last reload.
    pub last_reload: Option<Reloaded>,
    /// What the files say and what needs a restart.
    pub needs_restart: Vec<&'static str>,
}

/// How a reload went.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// When.
    pub at: WallTime,
    /// Whether it was taken.
    pub ok: bool,
    /// What was wrong, or what was done.
    pub text: String,
}

/// One port, as it is shown.
#[derive(Clone)]
pub struct Door {
    /// What it is called in the log.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// Who is there.
    pub connections: Arc<Connections>,
}

/// The service.
#[derive(Clone)]
pub struct Diagnostics {
    /// The name of this aggregator.
    pub name: Arc<str>,
    /// When it started.
    pub started: WallTime,
    /// The configuration.
    pub configuration: watch::Receiver<Configuration>,
    /// Own certificate and those that vouch for it.
    pub certificates: watch::Receiver<Vec<Validity>>,
    /// Every port.
    pub doors: Vec<Door>,
    /// The limits in force.
    pub limits: Current,
    /// Who was sent away.
    pub refusals: Refusals,
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// History.
    pub store: Arc<Embedded>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl DiagnosticService for Diagnostics {
    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let limits = self.limits.borrow().bounds();
        let refused = self.refusals.counts().filter(|(_, count)| *count > 0);
        Ok(Response::new(v1::GetStatusResponse {
            name: self.name.to_string(),
            version: VERSION.to_owned(),
            started: Some(timestamp(self.started)),
            timestamp: Some(timestamp(self.clock.now().wall)),
            resident_bytes: resident_bytes(),
            configuration: Some(configuration(&self.configuration.borrow())),
            certificates: self.certificates.borrow().iter().map(certificate).collect(),
            doors: self.doors.iter().map(door).collect(),
            limits: limits.into_iter().map(|bound| self.limit(&bound)).collect(),
            refused: refused.map(|(reason, count)| (reason.to_string(), count)).collect(),
            newer_agents: self.newer_agents(),
            clock_ahead_ms: self.clock.difference_ms(),
            history: self.store.condition().map(history),
        }))
    }
}

impl Diagnostics {
    /// By what they said of themselves when they were last heard.
    fn newer_agents(&self) -> u32 {
        let snapshot = self.snapshots.borrow();
        let agents = snapshot.nodes.iter().filter_map(|node| node.facts.as_deref());
        u32::try_from(newer(agents, VERSION)).unwrap_or(u32::MAX)
    }

    fn limit(&self, bound: &Bound) -> v1::Limit {
        v1::Limit {
            key: bound.key.to_owned(),
            value: bound.value,
            bitten: bound.bites.map(|reason| self.refusals.counted(reason)),
            reason: bound.bites.map(|reason| reason.to_string()).unwrap_or_default(),
        }
    }
}

fn configuration(now: &Configuration) -> v1::Configuration {
    v1::Configuration {
        revision: now.revision,
        since: Some(timestamp(now.since)),
        files: now.files.iter().map(|file| file.display().to_string()).collect(),
        last_reload: now.last_reload.as_ref().map(|last| v1::Reload {
            at: Some(timestamp(last.at)),
            ok: last.ok,
            text: last.text.clone(),
        }),
        needs_restart: now.needs_restart.iter().map(|key| (*key).to_owned()).collect(),
    }
}

fn certificate(validity: &Validity) -> v1::Certificate {
    v1::Certificate {
        subject: validity.subject.clone(),
        not_before: Some(timestamp(validity.not_before)),
        not_after: Some(timestamp(validity.not_after)),
    }
}

fn history(condition: Condition) -> v1::StoredHistory {
    let Condition { files, bytes, verified, damaged, quarantined } = condition;
    let spoilt = |(name, bytes)| v1::SpoiltFile { name, bytes };
    v1::StoredHistory {
        files,
        bytes,
        verified,
        damaged: damaged.into_iter().map(spoilt).collect(),
        quarantined: quarantined.into_iter().map(spoilt).collect(),
    }
}

fn door(door: &Door) -> v1::Door {
    v1::Door {
        name: door.name.to_owned(),
        address: door.address.to_string(),
        open: door.connections.count() as u64,
        accepted: door.counters.accepted(),
        handshakes: door.counters.opened(),
        accept_errors: door.counters.accept_errors(),
    }
}

/// How many of these agents are of a later version than `own`.
fn newer<'a>(agents: impl Iterator<Item = &'a HostFacts>, own: &str) -> usize {
    let own = numbers(own);
    agents.filter(|facts| numbers(&facts.agent_version) > own).count()
}

/// A version as its numbers, which compare as it does; what is no version is before all of them.
fn numbers(version: &str) -> Option<Vec<u64>> {
    // What follows a sign is a kind of the same version.
    let plain = version.split(['-', '+']).next()?;
    plain.split('.').map(|number| number.parse().ok()).collect()
}

/// Resident memory of this process: the second number of the file is pages.
pub fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_numbers() {
        let later = |one: &str, other: &str| numbers(one) > numbers(other);
        assert!(later("0.10.0", "0.9.9") && later("1.0.0", "0.99.0") && later("0.1.1+b7", "0.1.0"));
        assert!(!later("0.1.0", "0.1.0") && !later("0.1.0-rc1", "0.1.0") && !later("0.1.0", "0.2"));
        for none in ["", "x", "99999999999999999999", "1..2", "v2.0"] {
            assert!(!later(none, "0.0.1"), "{none}");
        }
        assert!(numbers(VERSION).is_some(), "our own is one");
        let agents = ["0.1.0", "0.2.0", "", "1.0.0-rc1"]
            .map(|version| HostFacts { agent_version: version.into(), ..HostFacts::default() });
        assert_eq!(newer(agents.iter(), "0.1.0"), 2);
    }
}
