//! How the aggregator itself does.

use super::{all, stamp};
use crate::view;
use quorate_proto::v1;

impl From<v1::GetStatusResponse> for view::Aggregator {
    fn from(message: v1::GetStatusResponse) -> Self {
        view::Aggregator {
            name: message.name,
            version: message.version,
            started: stamp(message.started),
            timestamp: stamp(message.timestamp),
            resident_bytes: message.resident_bytes,
            configuration: message.configuration.map(Into::into),
            certificates: all(message.certificates),
            doors: all(message.doors),
            limits: all(message.limits),
            refused: message.refused.into_iter().collect(),
            newer_agents: message.newer_agents,
            clock_ahead_ms: message.clock_ahead_ms,
            history: message.history.map(Into::into),
        }
    }
}

impl From<v1::StoredHistory> for view::StoredHistory {
    fn from(message: v1::StoredHistory) -> Self {
        let v1::StoredHistory { files, bytes, verified, damaged, quarantined } = message;
        let spoilt = |v1::SpoiltFile { name, bytes }| view::SpoiltFile { name, bytes };
        let damaged = damaged.into_iter().map(spoilt).collect();
        let quarantined = quarantined.into_iter().map(spoilt).collect();
        view::StoredHistory { files, bytes, verified, damaged, quarantined }
    }
}

impl From<v1::Configuration> for view::Configuration {
    fn from(message: v1::Configuration) -> Self {
        let reload = |last: v1::Reload| view::Reload { at: stamp(last.at), ok: last.ok, text: last.text };
        view::Configuration {
            revision: message.revision,
            since: stamp(message.since),
            files: message.files,
            last_reload: message.last_reload.map(reload),
            needs_restart: message.needs_restart,
        }
    }
}

impl From<v1::Certificate> for view::Certificate {
    fn from(message: v1::Certificate) -> Self {
        let (not_before, not_after) = (stamp(message.not_before), stamp(message.not_after));
        view::Certificate { subject: message.subject, not_before, not_after }
    }
}

impl From<v1::Door> for view::Door {
    fn from(message: v1::Door) -> Self {
        view::Door {
            name: message.name,
            address: message.address,
            open: message.open,
            accepted: message.accepted,
            handshakes: message.handshakes,
            accept_errors: message.accept_errors,
        }
    }
}

impl From<v1::Limit> for view::Limit {
    fn from(message: v1::Limit) -> Self {
        view::Limit { key: message.key, value: message.value, bitten: message.bitten, reason: message.reason }
    }
}
