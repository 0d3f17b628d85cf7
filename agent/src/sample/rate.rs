//! How often each collector runs: the interval of its configuration, and a shorter one while somebody asks.
//!
//! ```text
//!   usual ──asked for a shorter interval──→ faster ──its time is over, or the session ends──→ usual
//!                                            │  ↑
//!                                            └──┘ asked again: the shorter interval and the later end count
//! ```
//!
//! It can only be made faster: what is stored by configuration is never thinned out from afar. Reads no clock.

use quorate_common::model::session::Rate;
use quorate_common::model::session::{RATE_FOR_MS_MAX, RATE_FOR_MS_MIN, RATE_INTERVAL_MS};
use quorate_common::model::time::BootTime;
use std::time::Duration;

/// Why another rate is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// A number outside its range.
    #[error("`{field}` is {value}, expected {min} to {max}")]
    Range {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u32,
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A collector that does not run here.
    #[error("no collector `{name}` runs here, expected one of {known}")]
    Collector {
        /// What was named.
        name: String,
        /// Those that run.
        known: String,
    },
}

/// Refuses numbers that cannot be served.
pub fn check(rate: &Rate) -> Result<(), RateError> {
    let ranges = [
        ("interval_ms", rate.interval_ms, *RATE_INTERVAL_MS.start(), *RATE_INTERVAL_MS.end()),
        ("for_ms", rate.for_ms, RATE_FOR_MS_MIN, RATE_FOR_MS_MAX),
    ];
    match ranges.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
        Some((field, value, min, max)) => Err(RateError::Range { field, value, min, max }),
        None => Ok(()),
    }
}

/// The pace of one collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    usual_ms: u32,
    faster: Option<(u32, BootTime)>,
}

impl Pace {
    /// The pace of the configuration.
    pub fn new(usual_ms: u32) -> Pace {
        Pace { usual_ms: usual_ms.max(1), faster: None }
    }

    /// The interval when nobody asks.
    pub fn usual_ms(&self) -> u32 {
        self.usual_ms
    }

    /// The interval that is in force.
    pub fn interval_ms(&self) -> u32 {
        self.faster.map_or(self.usual_ms, |(faster_ms, _)| faster_ms)
    }

    /// Somebody asks for a shorter interval; one that is not shorter than the usual one asks for nothing.
    pub fn ask(&mut self, interval_ms: u32, for_ms: u32, now: BootTime) {
        if interval_ms >= self.usual_ms {
            return;
        }
        let until = now + Duration::from_millis(u64::from(for_ms));
        let (other_ms, other_until) = self.faster.unwrap_or((interval_ms, until));
        self.faster = Some((interval_ms.min(other_ms), until.max(other_until)));
    }

    /// Goes back when its time is over.
    pub fn expire(&mut self, now: BootTime) {
        self.faster = self.faster.filter(|(_, until)| now < *until);
    }

    /// Goes back with the next look.
    pub fn stop(&mut self) {
        self.faster = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    #[test]
    fn the_shorter_interval_and_the_later_end_count() {
        let mut pace = Pace::new(10_000);
        for (now, ask, expect) in [
            (0, None, 10_000),
            (1, Some((20_000, 60)), 10_000),
            (1, Some((1000, 30)), 1000),
            (2, Some((5000, 60)), 1000),
            (31, None, 1000),
            (40, Some((500, 10)), 500),
            (61, None, 500),
            (62, None, 10_000),
        ] {
            pace.expire(second(now));
            if let Some((interval_ms, for_s)) = ask {
                pace.ask(interval_ms, for_s * 1000, second(now));
            }
            assert_eq!(pace.interval_ms(), expect, "{now} {ask:?}");
        }
        pace.ask(1000, 10_000, second(70));
        pace.stop();
        assert_eq!(pace, Pace::new(10_000));
    }

    #[test]
    fn numbers_have_ranges() {
        let check = |interval_ms, for_ms| {
            let rate = Rate { collector: String::new(), interval_ms, for_ms };
            super::check(&rate).map_err(|error| error.to_string())
        };
        assert_eq!(check(1000, 60_000), Ok(()));
        assert_eq!(check(99, 60_000), Err("`interval_ms` is 99, expected 100 to 60000".into()));
        assert_eq!(check(1000, 600_001), Err("`for_ms` is 600001, expected 10000 to 600000".into()));
        assert_eq!(check(1000, 0), Err("`for_ms` is 0, expected 10000 to 600000".into()));
    }
}
