//! The agent's configuration: the configurations of its stages, and where its state is.

use crate::{recorder, sample, spool};
use quorate_common::telemetry;
use std::path::PathBuf;

/// `agent.toml`.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where certificate, key and epoch are kept.
    pub state_dir: PathBuf,
    /// Where aggregators are, `host:port`; empty for those that enrolment named.
    pub aggregators: Vec<String>,
    /// What is sampled.
    pub sample: sample::Config,
    /// What the agent may use.
    pub budget: sample::BudgetConfig,
    /// What the flight recorder keeps.
    pub recorder: recorder::Config,
    /// What waits for an acknowledgement.
    pub spool: spool::Config,
    /// What the agent says about itself.
    pub log: telemetry::Config,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            state_dir: PathBuf::from("/var/lib/quorate-agent"),
            aggregators: Vec::new(),
            sample: sample::Config::default(),
            budget: sample::BudgetConfig::default(),
            recorder: recorder::Config::default(),
            spool: spool::Config::default(),
            log: telemetry::Config::default(),
        }
    }
}
