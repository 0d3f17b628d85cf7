//! The aggregator's configuration: the configurations of its stages, where it listens, and where its state is.

use crate::evaluate;
use crate::receive::admit::Limits;
use quorate_common::telemetry;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// `aggregator.toml`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where authority, certificates and registry are kept.
    pub state_dir: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// Where agents and people find it.
    pub advertise: Advertise,
    /// What one agent may do.
    pub limits: Limits,
    /// How nodes and clusters are judged.
    pub evaluate: evaluate::Config,
    /// What the aggregator says about itself.
    pub log: telemetry::Config,
}

/// The section `[listen]`.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// gRPC with mutual TLS, for agents and clients.
    pub grpc: SocketAddr,
    /// Enrolment, for whoever has a token and no certificate yet.
    pub enrol: SocketAddr,
}

/// The section `[advertise]`: `host:port`. Empty: the hosts that `init` was given, with the ports listened on.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Advertise {
    /// What enrolment tells agents to connect to.
    pub grpc: Vec<String>,
    /// What stands in tokens.
    pub enrol: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            state_dir: PathBuf::from("/var/lib/quorate-aggregator"),
            listen: Listen::default(),
            advertise: Advertise::default(),
            limits: Limits::default(),
            evaluate: evaluate::Config::default(),
            log: telemetry::Config::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        Listen { grpc: at(7443), enrol: at(7442) }
    }
}
