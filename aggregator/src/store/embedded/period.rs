//! A stretch of time that is rolled up together: six hours of minutes, thirty days of hours.
//!
//! Every window lies in one period of minutes, and every period of minutes in one of hours.

use crate::store::Resolution;
use quorate_common::model::time::WallTime;

const SECOND: i64 = 1_000_000_000;

/// A period of one resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Period {
    /// How long its buckets are.
    pub resolution: Resolution,
    /// Where it begins, in seconds since the Unix epoch.
    start_s: i64,
}

impl Period {
    /// The one that a time lies in.
    pub fn of(resolution: Resolution, at: WallTime) -> Period {
        let length = length_s(resolution);
        Period { resolution, start_s: at.0.div_euclid(SECOND).div_euclid(length) * length }
    }

    /// Its first moment.
    pub fn start(self) -> WallTime {
        WallTime(self.start_s.saturating_mul(SECOND))
    }

    /// The first moment after it.
    pub fn end(self) -> WallTime {
        WallTime(self.start_s.saturating_add(length_s(self.resolution)).saturating_mul(SECOND))
    }

    /// As it stands in names of files.
    pub fn stem(self, what: &str) -> String {
        format!("{what}-{}-{}", word(self.resolution), self.start_s)
    }

    /// What [`Period::stem`] wrote, and what stands behind it.
    pub fn parse<'a>(stem: &'a str, what: &str) -> Option<(Period, &'a str)> {
        let rest = stem.strip_prefix(what)?.strip_prefix('-')?;
        let known = [Resolution::Minute, Resolution::Hour].into_iter();
        let mut found = known.filter_map(|of| Some((of, rest.strip_prefix(word(of))?.strip_prefix('-')?)));
        let (resolution, rest) = found.next()?;
        // A minus may stand before the digits, and one stands behind them if anything does.
        let end = rest.char_indices().skip(1).find(|(_, letter)| *letter == '-');
        let (start, rest) = rest.split_at_checked(end.map_or(rest.len(), |(at, _)| at))?;
        let start_s: i64 = start.parse().ok()?;
        let period = Period { resolution, start_s };
        Some((period, rest.strip_prefix('-').unwrap_or(rest))).filter(|_| start_s % length_s(resolution) == 0)
    }
}

const fn length_s(resolution: Resolution) -> i64 {
    match resolution {
        Resolution::Minute => 6 * 3_600,
        Resolution::Hour => 30 * 86_400,
    }
}

const fn word(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Minute => "minutes",
        Resolution::Hour => "hours",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_periods_lie_in_each_other() {
        for (resolution, at, stem) in [
            (Resolution::Minute, 21_601, "chunks-minutes-21600"),
            (Resolution::Hour, 2_591_999, "chunks-hours-0"),
            (Resolution::Minute, -1, "chunks-minutes--21600"),
        ] {
            let period = Period::of(resolution, WallTime(at * SECOND));
            assert_eq!(period.stem("chunks"), stem);
            assert_eq!(Period::parse(stem, "chunks"), Some((period, "")));
            assert_eq!(Period::parse(&format!("{stem}-7-x"), "chunks"), Some((period, "7-x")));
            let hours = Period::of(Resolution::Hour, period.start());
            assert!(hours.start() <= period.start() && period.end() <= hours.end());
        }
        for stem in ["chunks", "chunks-minutes", "chunks-minutes-", "chunks-minutes-7", "chunks-days-0"] {
            assert_eq!(Period::parse(stem, "chunks"), None, "{stem}");
        }
    }
}
