//! The aggregator's configuration: the configurations of its stages, where it listens, and where its state is.

use crate::receive::admit::Limits;
use crate::{evaluate, identity, serve::listen};
use quorate_common::telemetry;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// `aggregator.toml`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where authority, certificates and registry are kept.
    pub state_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Where agents and people find it.
    pub advertise: Advertise,
    /// How long certificates are good for.
    pub identity: identity::Config,
    /// What one agent may do.
    pub limits: Limits,
    /// How nodes and clusters are judged.
    pub evaluate: evaluate::Config,
    /// What the aggregator says about itself.
    pub log: telemetry::Config,
}

/// The section `[listen]`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// gRPC with mutual TLS, for agents and clients.
    pub grpc: SocketAddr,
    /// Enrolment, for whoever has a token and no certificate yet.
    pub enrol: SocketAddr,
    /// What callers of each port may do.
    pub limits: listen::Limits,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, expected {min} to {max}")]
pub struct ConfigError {
    /// Which field.
    pub field: &'static str,
    /// What it says.
    pub value: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
}

/// The section `[advertise]`: `host:port`. Empty: the hosts that `init` was given, with the ports listened on.
#[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advertise {
    /// What enrolment tells agents to connect to, each `host:port`; empty: the hosts that `init` was given, with
    /// the port listened on.
    pub grpc: Vec<String>,
    /// What stands in tokens, for the enrolment port; as above.
    pub enrol: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            state_dir: PathBuf::from("/var/lib/quorate-aggregator"),
            listen: Listen::default(),
            advertise: Advertise::default(),
            identity: identity::Config::default(),
            limits: Limits::default(),
            evaluate: evaluate::Config::default(),
            log: telemetry::Config::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Listen { grpc: at(7443), enrol: at(7442), limits: listen::Limits::default() }
    }
}

/// The longest deadline: a day.
const DEADLINE_MS_MAX: u64 = 86_400_000;
/// The most of what is counted one by one in memory.
const COUNT_MAX: u64 = 10_000_000;
/// Ten seconds to thirty days: a node that is away for longer than that may not come back by itself either.
const NODE_LEAF_S: RangeInclusive<u64> = 10..=30 * 86_400;
/// A minute to three years.
const PERSON_LEAF_S: RangeInclusive<u64> = 60..=1_095 * 86_400;
const BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Config {
    /// Refuses what cannot work: limits that would let nobody in, or everything.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (door, agent) = (&self.listen.limits, &self.limits);
        range("listen.limits.connections_max", door.connections_max, 1..=COUNT_MAX)?;
        range("listen.limits.unproven_per_address_max", door.unproven_per_address_max, 1..=COUNT_MAX)?;
        range("listen.limits.admission_wait_ms", door.admission_wait_ms, 0..=DEADLINE_MS_MAX)?;
        range("listen.limits.handshakes_max", door.handshakes_max, 1..=COUNT_MAX)?;
        range("listen.limits.handshake_deadline_ms", door.handshake_deadline_ms, 1..=DEADLINE_MS_MAX)?;
        range("listen.limits.preface_deadline_ms", door.preface_deadline_ms, 1..=DEADLINE_MS_MAX)?;
        range("listen.limits.anonymous_life_ms", door.anonymous_life_ms, 1..=DEADLINE_MS_MAX)?;
        range("identity.node_leaf_s", self.identity.node_leaf_s, NODE_LEAF_S)?;
        range("identity.person_leaf_s", self.identity.person_leaf_s, PERSON_LEAF_S)?;
        range("limits.series_per_node_max", agent.series_per_node_max, 1..=COUNT_MAX)?;
        range("limits.message_bytes_max", agent.message_bytes_max as u64, 1024..=BYTES_MAX)?;
        range("limits.frame_bytes_max", agent.frame_bytes_max as u64, 1024..=BYTES_MAX)?;
        range("limits.messages_per_s_max", agent.messages_per_s_max, 1..=COUNT_MAX)?;
        range("limits.messages_burst_max", agent.messages_burst_max, 1..=COUNT_MAX)?;
        range("limits.groups_max", agent.groups_max, 1..=COUNT_MAX)?;
        range("limits.interval_ms_max", agent.interval_ms_max, 100..=DEADLINE_MS_MAX)
    }
}

fn range(
    field: &'static str,
    value: impl Into<u64>,
    allowed: RangeInclusive<u64>,
) -> Result<(), ConfigError> {
    let (value, min, max) = (value.into(), *allowed.start(), *allowed.end());
    if allowed.contains(&value) { Ok(()) } else { Err(ConfigError { field, value, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        match toml::from_str::<Config>(text) {
            Ok(config) => config.check().map_or_else(|error| error.to_string(), |()| "fine".to_owned()),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn refuses_by_name() {
        for (text, expect) in [
            ("", "fine"),
            ("[listen.limits]\nconnections_max = 5\nadmission_wait_ms = 0", "fine"),
            ("[evaluate.quorum_need]\na = 1", "fine"),
            (
                "[listen.limits]\nhandshakes_max = 0",
                "`listen.limits.handshakes_max` is 0, expected 1 to 10000000",
            ),
            ("[limits]\nmessage_bytes_max = 1", "`limits.message_bytes_max` is 1, expected 1024 to 67108864"),
            ("[evaluate.quorum_need]\na = 0", "invalid value: integer `0`, expected a nonzero u32"),
        ] {
            assert_eq!(check(text), expect, "{text}");
        }
        let typing = check("[listen.limits]\nhandshake_deadline = 5");
        assert!(typing.starts_with("unknown field `handshake_deadline`"), "{typing}");
    }
}
