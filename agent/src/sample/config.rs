//! What of sampling can be configured, and what is refused.

use serde::{Deserialize, Serialize};

/// How this host is sampled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Distance between ticks, 100 to 60,000.
    pub interval_ms: u32,
    /// What takes longer counts as failed, 10 to 10,000.
    pub deadline_ms: u32,
    /// Collectors that do not run, by name.
    pub disabled: Vec<String>,
    /// How processes are grouped.
    pub process: ProcessConfig,
}

/// When a group of processes becomes series of its own. All others are summed up as `other`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// How many groups are at the top by processor time, and how many each by memory, storage traffic and open
    /// descriptors, 0 to 1000.
    pub top: usize,
    /// Programs that are series at once and for good, even without a process: `postgres` is a program's name,
    /// `java:.*kafka.*` groups all programs whose whole name matches the pattern under `java`. The name is the
    /// kernel's, of at most 15 bytes; command lines are not looked at. At most 100.
    pub watch: Vec<String>,
    /// A group that has lived this long becomes a series.
    pub enter_life_ms: u32,
    /// A group that was at the top this long becomes a series.
    pub enter_top_ms: u32,
    /// A group without processes for this long is a series no more.
    pub leave_ms: u32,
    /// Most groups that are series at once, `other` not counted, 0 to 2000.
    pub groups_max: usize,
    /// Most descriptors kept open; further processes are opened and closed each round.
    pub descriptors_max: usize,
    /// Counts what a process used before it was first seen. Only for a single round: a restart of the agent
    /// would otherwise count it twice.
    #[serde(skip)]
    pub whole_life: bool,
}

impl Default for Config {
    fn default() -> Config {
        let process = ProcessConfig::default();
        Config { interval_ms: 1000, deadline_ms: 500, disabled: Vec::new(), process }
    }
}

impl Default for ProcessConfig {
    fn default() -> ProcessConfig {
        ProcessConfig {
            top: 20,
            watch: Vec::new(),
            enter_life_ms: 30_000,
            enter_top_ms: 10_000,
            leave_ms: 300_000,
            groups_max: 200,
            descriptors_max: 4096,
            whole_life: false,
        }
    }
}

/// Names of all collectors, for `disabled`.
const NAMES: &[&str] = &[
    "cpu",
    "memory",
    "load",
    "time",
    "network",
    "diskstats",
    "vmstat",
    "netstat",
    "sockstat",
    "softnet",
    "pressure",
    "filefd",
    "process",
    "conntrack",
    "entropy",
    "hwmon",
    "filesystem",
    "netclass",
    "cpufreq",
    "uname",
    "os",
    "dmi",
];

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("`{field}` is {value}, expected {min} to {max}")]
    Range {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// A program that cannot be watched.
    #[error("`process.watch`: `{entry}` {why}")]
    Watch {
        /// What stands there.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// A collector that there is not.
    #[error("`disabled` names `{name}`, expected one of {}", NAMES.join(", "))]
    Collector {
        /// What was named.
        name: String,
    },
}

impl Config {
    /// Refuses what cannot work.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        range("interval_ms", u64::from(self.interval_ms), 100, 60_000)?;
        range("deadline_ms", u64::from(self.deadline_ms), 10, 10_000)?;
        range("process.top", self.process.top as u64, 0, 1000)?;
        range("process.groups_max", self.process.groups_max as u64, 0, 2000)?;
        range("process.descriptors_max", self.process.descriptors_max as u64, 0, 1 << 20)?;
        #[cfg(target_os = "linux")]
        super::process::Watch::parse(&self.process.watch)
            .map_err(|(entry, why)| ConfigError::Watch { entry, why })?;
        match self.disabled.iter().find(|name| !NAMES.contains(&name.as_str())) {
            Some(name) => Err(ConfigError::Collector { name: name.chars().take(80).collect() }),
            None => Ok(()),
        }
    }
}

fn range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Range { field, value, min, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> String {
        match serde_json::from_str::<Config>(json) {
            Ok(config) => config.check().map_or_else(|error| error.to_string(), |()| "fine".to_owned()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn refuses_by_name() {
        assert_eq!(check("{}"), "fine");
        assert_eq!(check(r#"{"interval_ms":1000,"process":{"top":5},"disabled":["network"]}"#), "fine");
        assert_eq!(check(r#"{"interval_ms":1}"#), "`interval_ms` is 1, expected 100 to 60000");
        assert_eq!(check(r#"{"process":{"top":1001}}"#), "`process.top` is 1001, expected 0 to 1000");
        #[cfg(target_os = "linux")]
        assert_eq!(
            check(r#"{"process":{"watch":["a","b:("]}}"#),
            "`process.watch`: `b:(` error: unclosed group"
        );
        assert!(
            check(r#"{"disabled":["gpu"]}"#).starts_with("`disabled` names `gpu`, expected one of cpu, ")
        );
        assert!(check(r#"{"intervall_ms":1}"#).starts_with("unknown field `intervall_ms`"));
        assert!(check(r#"{"process":{"whole_life":true}}"#).starts_with("unknown field `whole_life`"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_names_are_those_of_the_collectors() {
        let root = std::path::Path::new("/");
        let all = super::super::collectors(&Config::default(), root);
        assert_eq!(all.iter().map(|one| one.name()).collect::<Vec<_>>(), NAMES);
        let config = Config { disabled: vec!["cpu".into(), "process".into()], ..Config::default() };
        let some = super::super::collectors(&config, root);
        assert_eq!(some.len(), NAMES.len() - 2);
    }
}
