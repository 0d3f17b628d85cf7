//! What an operator may set of the judgement. The timers of liveness are not settings: they are promises.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// Settings of the judge, the `[evaluate]` table of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long after our own start (or a long pause of ours) a node stays `unknown` before it is `down`.
    pub start_grace_ms: u32,
    /// Fewest nodes lost together that make a mass loss.
    pub mass_loss_nodes_min: u32,
    /// How long nodes that went silent in a mass loss stay `unknown` before they are `down`.
    pub mass_loss_silent_ms: u32,
    /// Votes needed for quorum, by cluster name; a cluster that is not named needs more than half.
    pub quorum_need: BTreeMap<String, NonZeroU32>,
    /// Names of components whose own report makes their node `degraded` when it is not `healthy`.
    pub required_components: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            start_grace_ms: 15_000,
            mass_loss_nodes_min: 5,
            mass_loss_silent_ms: 30_000,
            quorum_need: BTreeMap::new(),
            required_components: Vec::new(),
        }
    }
}

impl Config {
    /// The start grace as a duration.
    pub(super) fn start_grace(&self) -> Duration {
        Duration::from_millis(self.start_grace_ms.into())
    }

    /// The patience with silent nodes of a mass loss.
    pub(super) fn mass_loss_silent(&self) -> Duration {
        Duration::from_millis(self.mass_loss_silent_ms.into())
    }

    /// Whether a component's own report counts for its node.
    pub(super) fn requires(&self, component: &str) -> bool {
        self.required_components.iter().any(|name| name == component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default() {
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = serde_json::from_str::<Config>(r#"{"start_grace_s": 15}"#).unwrap_err();
        assert!(error.to_string().contains("start_grace_s"), "{error}");
    }
}
