//! What of the flight recorder can be configured, and what is refused.

use quorate_common::quantity::Size;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the flight recorder keeps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many minutes it reaches back, 0 to 60; 0 switches it off.
    pub minutes: u32,
    /// Distance between what it keeps, 100 to 60,000, also when `sample.interval_ms` is longer.
    pub interval_ms: u32,
    /// Most memory, 256KiB to 256MiB. The oldest goes first.
    pub bytes_max: Size,
}

impl Default for Config {
    fn default() -> Config {
        Config { minutes: 15, interval_ms: 1000, bytes_max: Size::from_bytes(4 << 20) }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A number outside its range.
    #[error("`recorder.{field}` is {value}, expected {min} to {max}")]
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
}

impl Config {
    /// Refuses what cannot work.
    ///
    /// # Errors
    ///
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fields = [
            ("minutes", u64::from(self.minutes), 0, 60),
            ("interval_ms", u64::from(self.interval_ms), 100, 60_000),
            ("bytes_max", self.bytes_max.bytes(), 256 << 10, 256 << 20),
        ];
        match fields.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
            Some((field, value, min, max)) => Err(ConfigError::Range { field, value, min, max }),
            None => Ok(()),
        }
    }

    pub(super) fn span(&self) -> Duration {
        Duration::from_secs(u64::from(self.minutes) * 60)
    }

    pub(super) fn bytes_max(&self) -> usize {
        usize::try_from(self.bytes_max.bytes()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_by_name() {
        for (json, expect) in [
            ("{}", "fine"),
            (r#"{"minutes":0,"bytes_max":"256KiB"}"#, "fine"),
            (r#"{"minutes":61}"#, "`recorder.minutes` is 61, expected 0 to 60"),
            (r#"{"interval_ms":1}"#, "`recorder.interval_ms` is 1, expected 100 to 60000"),
            (r#"{"bytes_max":"1KiB"}"#, "`recorder.bytes_max` is 1024, expected 262144 to 268435456"),
        ] {
            let config: Config = serde_json::from_str(json).unwrap();
            assert_eq!(config.check().map_or_else(|error| error.to_string(), |()| "fine".into()), expect);
        }
    }
}
