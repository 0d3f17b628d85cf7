//! The aggregator's configuration: the configurations of its stages, where it listens, and where its state is.

use crate::limit::Limits;
use crate::serve::http::config as http;
use crate::store::embedded as history;
use crate::{evaluate, identity};
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
    /// The HTTP door.
    pub http: http::Config,
    /// How long certificates are good for.
    pub identity: identity::Config,
    /// How much anybody may.
    pub limits: Limits,
    /// How nodes and clusters are judged.
    pub evaluate: evaluate::Config,
    /// What is kept on disk, and for how long.
    pub history: history::Config,
    /// What the aggregator says about itself.
    pub log: telemetry::Config,
}

/// The section `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// gRPC with mutual TLS, for agents and clients.
    pub grpc: SocketAddr,
    /// Enrolment, for whoever has a token and no certificate yet.
    pub enrol: SocketAddr,
    /// HTTP, for the web, tools and scripts. On loopback without TLS, unless `[http]` names a certificate; elsewhere
    /// with TLS always.
    pub http: SocketAddr,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
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
            http: http::Config::default(),
            identity: identity::Config::default(),
            limits: Limits::default(),
            evaluate: evaluate::Config::default(),
            history: history::Config::default(),
            log: telemetry::Config::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Listen { grpc: at(7443), enrol: at(7442), http: SocketAddr::from((Ipv4Addr::LOCALHOST, 7444)) }
    }
}

/// Ten seconds to thirty days: a node that is away for longer than that may not come back by itself either.
const NODE_LEAF_S: RangeInclusive<u64> = 10..=30 * 86_400;
/// A minute to three years.
const PERSON_LEAF_S: RangeInclusive<u64> = 60..=1_095 * 86_400;

impl Config {
    /// Refuses what cannot work: limits that would let nobody in, or everything.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let identity = [
            ("identity.node_leaf_s", u64::from(self.identity.node_leaf_s), NODE_LEAF_S),
            ("identity.person_leaf_s", u64::from(self.identity.person_leaf_s), PERSON_LEAF_S),
        ];
        let limits = self.limits.bounds().into_iter().map(|bound| (bound.key, bound.value, bound.allowed));
        let all = identity.into_iter().chain(limits).chain(self.history.bounds());
        let wrong = all.into_iter().find(|(_, value, allowed)| !allowed.contains(value));
        wrong.map_or(Ok(()), |(field, value, allowed)| {
            Err(ConfigError { field, value, min: *allowed.start(), max: *allowed.end() })
        })
    }

    /// The keys and sections that differ and that are read at start only.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let log = |config: &Config| (config.log.format, config.log.colour);
        let parts = [
            ("state_dir", self.state_dir != new.state_dir),
            ("listen.grpc", self.listen.grpc != new.listen.grpc),
            ("listen.enrol", self.listen.enrol != new.listen.enrol),
            ("listen.http", self.listen.http != new.listen.http),
            ("http", self.http != new.http),
            ("identity", self.identity != new.identity),
            ("history", self.history != new.history),
            ("log.format, log.colour", log(self) != log(new)),
        ];
        parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }

    /// What is in force when `new` was loaded while the program runs: all of it but what is read at start only.
    #[must_use]
    pub fn merged(&self, new: Config) -> Config {
        let log = telemetry::Config { level: new.log.level, ..self.log };
        let (state_dir, listen, http) = (self.state_dir.clone(), self.listen.clone(), self.http.clone());
        let Config { identity, history, .. } = *self;
        Config { state_dir, listen, http, identity, history, log, ..new }
    }
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
            ("[limits.door]\nconnections_max = 5\nadmission_wait_ms = 0", "fine"),
            ("[evaluate.quorum_need]\na = 1", "fine"),
            (
                "[limits.door]\nhandshakes_max = 0",
                "`limits.door.handshakes_max` is 0, expected 1 to 10000000",
            ),
            (
                "[limits.agent]\nmessage_bytes_max = 1",
                "`limits.agent.message_bytes_max` is 1, expected 1024 to 67108864",
            ),
            ("[history]\nprocess = \"1s\"", "`history.process` is 1000, expected 3600000 to 630720000000"),
            ("[evaluate.quorum_need]\na = 0", "invalid value: integer `0`, expected a nonzero u32"),
        ] {
            assert_eq!(check(text), expect, "{text}");
        }
        let typing = check("[limits.door]\nhandshake_deadline = 5");
        assert!(typing.starts_with("unknown field `handshake_deadline`"), "{typing}");
    }

    #[test]
    fn what_needs_a_restart_is_named_and_not_taken() {
        let old = Config::default();
        let mut new = Config { state_dir: "/elsewhere".into(), ..Config::default() };
        new.listen.grpc.set_port(1);
        new.limits.door.connections_max = 7;
        new.log.level = telemetry::Level::Debug;
        assert_eq!(old.needs_restart(&new), ["state_dir", "listen.grpc"]);
        let merged = old.merged(new);
        assert!(old.needs_restart(&merged).is_empty());
        assert_eq!((merged.limits.door.connections_max, merged.log.level), (7, telemetry::Level::Debug));
        // A new key is compared in one place or taken over in the other: look at both.
        let keys = serde_json::to_value(&old).unwrap().as_object().unwrap().len();
        assert_eq!(keys, 9, "every section has been thought of");
    }
}
