//! What is kept on disk, and for how long: the `[history]` table of the configuration file.

use quorate_common::model::series::SeriesClass;
use quorate_common::quantity::{Period, Size};
use std::ops::RangeInclusive;

/// Settings of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long samples of the host and what runs it are kept.
    pub system: Period,
    /// How long samples of groups of processes are kept.
    pub process: Period,
    /// How long all other samples are kept.
    pub other: Period,
    /// How long roll-ups of one minute are kept.
    pub minutes: Period,
    /// How long roll-ups of one hour are kept.
    pub hours: Period,
    /// Most of everything on disk. Above it the oldest file goes: of processes first, then of others, then of the
    /// host, and roll-ups last.
    pub size_max: Size,
}

const DAY_S: u64 = 86_400;

impl Default for Config {
    fn default() -> Config {
        let days = |days| Period::from_secs(days * DAY_S);
        Config {
            system: days(30),
            process: days(7),
            other: Period::from_secs(200 * 3_600),
            minutes: days(90),
            hours: days(730),
            size_max: Size::from_bytes(50 << 30),
        }
    }
}

/// An hour to twenty years, in milliseconds.
const PERIOD_MS: RangeInclusive<u64> = 3_600_000..=20 * 365 * DAY_S * 1_000;
/// Less than this the log alone may need.
const SIZE_BYTES: RangeInclusive<u64> = 256 << 20..=1 << 60;

impl Config {
    /// How long samples of a class are kept.
    pub fn raw(&self, class: SeriesClass) -> Period {
        match class {
            SeriesClass::System => self.system,
            SeriesClass::Process => self.process,
            SeriesClass::Other => self.other,
        }
    }

    /// Every key, its value in milliseconds or bytes, and what it may be.
    pub fn bounds(&self) -> [(&'static str, u64, RangeInclusive<u64>); 6] {
        let period = |key, period: Period| (key, period.as_millis(), PERIOD_MS);
        [
            period("history.system", self.system),
            period("history.process", self.process),
            period("history.other", self.other),
            period("history.minutes", self.minutes),
            period("history.hours", self.hours),
            ("history.size_max", self.size_max.bytes(), SIZE_BYTES),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_the_default_is_allowed() {
        let config = Config::default();
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), config);
        assert!(config.bounds().iter().all(|(_, value, allowed)| allowed.contains(value)));
        assert_eq!(
            SeriesClass::ALL.iter().map(|class| config.raw(*class).to_string()).collect::<Vec<_>>(),
            ["30d", "7d", "8d8h"]
        );
    }
}
