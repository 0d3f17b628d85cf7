//! The agent's own budget: what it may use, what it used, and what it gives up when that is more.
//!
//! The decision is a pure function of measurements; the sampling thread measures once in ten seconds. One step
//! at a time, and after each there is time to see what it brought. What was given up comes back when there is
//! plenty of room; if that turned out too soon, the next time takes twice as long.
//!
//! ```text
//!   0 full ─→ 1 processes every 5 ticks ─→ 2 interval × 2 ─→ 3 interval × 4 ─→ 4 optional collectors off
//!             each →: over the budget for 30 s          each ←: below 70 % of it for 60 s, or longer
//! ```

use quorate_common::model::time::BootTime;
use quorate_common::quantity::Size;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::time::Duration;

/// How often the agent looks at itself.
pub(super) const MEASURE: Duration = Duration::from_secs(10);
/// Measurements over the budget before a step is taken.
const OVER_MAX: u32 = 3;
/// Measurements with room before a step is taken back, at first and at most.
const ROOM_MIN: u32 = 6;
const ROOM_MAX: u32 = 360;
/// There is room below this part of the budget, in percent.
const ROOM_PERCENT: u64 = 70;

/// What the agent may use. Above it, it gives up detail step by step and says so in
/// `quorate_agent_budget_step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// Share of one processor, such as `1%` or `0.5%`; `0%` is no limit.
    pub cpu: Share,
    /// Resident memory, such as `40MiB`; `0B` is no limit.
    pub memory: Size,
}

/// A share of one processor, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u32);

/// What the agent used since it last looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// Processor time since the start of the agent.
    pub cpu: Duration,
    /// Of one processor, in hundredths of a percent; `None` at the first look.
    pub share: Option<u32>,
    /// Resident memory, where the system says it.
    pub bytes: Option<u64>,
}

/// What is given up at one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    /// Processes are read each so many ticks.
    pub process_ticks: u32,
    /// All intervals are so many times as long.
    pub factor: u32,
    /// Whether collectors run that a host can be judged without.
    pub optional: bool,
}

const LADDER: [Rung; 5] = [
    Rung { process_ticks: 1, factor: 1, optional: true },
    Rung { process_ticks: 5, factor: 1, optional: true },
    Rung { process_ticks: 5, factor: 2, optional: true },
    Rung { process_ticks: 5, factor: 4, optional: true },
    Rung { process_ticks: 5, factor: 4, optional: false },
];

/// Where on the ladder the agent stands.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    config: BudgetConfig,
    step: usize,
    over: u32,
    room: u32,
    room_needed: u32,
    /// It has come down, and not proved yet that it can stay there.
    on_trial: bool,
}

/// Takes the differences between looks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    last: Option<(BootTime, Duration)>,
}

impl Ladder {
    pub fn new(config: BudgetConfig) -> Ladder {
        Ladder { config, step: 0, over: 0, room: 0, room_needed: ROOM_MIN, on_trial: false }
    }

    /// The step, from 0.
    pub fn step(&self) -> usize {
        self.step
    }

    /// What is given up now.
    pub fn rung(&self) -> Rung {
        LADDER[self.step]
    }

    /// Takes in a measurement; whether the step has changed.
    pub fn judge(&mut self, spent: &Spent) -> bool {
        let before = self.step;
        self.over = if self.exceeds(spent, 100) { self.over + 1 } else { 0 };
        self.room = if self.exceeds(spent, ROOM_PERCENT) { 0 } else { self.room + 1 };
        if self.over >= OVER_MAX && self.step + 1 < LADDER.len() {
            self.step += 1;
            if std::mem::take(&mut self.on_trial) {
                self.room_needed = (self.room_needed * 2).min(ROOM_MAX);
            }
        } else if self.room >= self.room_needed {
            // Without anything to take back, it has proved itself.
            self.on_trial = self.step > 0;
            self.room_needed = if self.step > 0 { self.room_needed } else { ROOM_MIN };
            self.step = self.step.saturating_sub(1);
        } else {
            return false;
        }
        (self.over, self.room) = (0, 0);
        self.step != before
    }

    /// Whether anything is above this part of the budget.
    fn exceeds(&self, spent: &Spent, percent: u64) -> bool {
        let above = |used: Option<u64>, most: u64| {
            used.is_some_and(|used| most > 0 && used.saturating_mul(100) > most.saturating_mul(percent))
        };
        above(spent.share.map(u64::from), u64::from(self.config.cpu.0))
            || above(spent.bytes, self.config.memory.bytes())
    }
}

impl Meter {
    /// Takes in the agent's processor time at a moment, and its memory.
    pub fn measure(&mut self, now: BootTime, cpu: Duration, bytes: Option<u64>) -> Spent {
        let share = self.last.replace((now, cpu)).and_then(|(at, before)| {
            let (used, whole) = (cpu.saturating_sub(before).as_nanos(), now.since(at).as_nanos());
            u32::try_from((used * 10_000).checked_div(whole)?).ok()
        });
        Spent { cpu, share, bytes }
    }

    /// When it last looked.
    pub fn last(&self) -> Option<BootTime> {
        self.last.map(|(at, _)| at)
    }
}

impl Default for BudgetConfig {
    fn default() -> BudgetConfig {
        BudgetConfig { cpu: Share(100), memory: Size::from_bytes(40 << 20) }
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let wrong =
            || format!("`{}` is not a share such as 1% or 0.5%", text.chars().take(40).collect::<String>());
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 2 || whole.len() > 5 {
            return Err(wrong());
        }
        let hundredths = whole.parse::<u32>().ok().zip(format!("{part:0<2}").parse::<u32>().ok());
        hundredths.map(|(whole, part)| Share(whole * 100 + part)).ok_or_else(wrong)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds shares of a processor, in hundredths of a percent, each so many times; the step after each.
    fn climb(ladder: &mut Ladder, script: &[(u32, u32)]) -> Vec<usize> {
        let one = |&(share, times): &(u32, u32)| {
            for _ in 0..times {
                ladder.judge(&Spent { share: Some(share), ..Spent::default() });
            }
            ladder.step()
        };
        script.iter().map(one).collect()
    }

    #[test]
    fn one_step_at_a_time_and_back_when_there_is_room() {
        let mut ladder = Ladder::new(BudgetConfig::default());
        let script = [
            (101, 2), // Not for long enough.
            (100, 1), // At the budget is within it.
            (101, 2),
            (101, 1),  // A third time: step 1.
            (300, 3),  // Still over: step 2.
            (80, 100), // Within, but without room: it stays.
            (70, 5),
            (70, 1),   // A minute of room: step 1.
            (70, 6),   // And back to the full detail.
            (500, 30), // No further than the last step.
        ];
        assert_eq!(climb(&mut ladder, &script), [0, 0, 0, 1, 2, 2, 2, 1, 0, 4]);
        assert_eq!(ladder.rung(), Rung { process_ticks: 5, factor: 4, optional: false });
    }

    #[test]
    fn what_came_back_too_soon_waits_longer() {
        let mut ladder = Ladder::new(BudgetConfig::default());
        assert_eq!(climb(&mut ladder, &[(200, 3), (50, 6), (200, 3), (50, 11), (50, 1)]), [1, 0, 1, 1, 0]);
        assert_eq!(climb(&mut ladder, &[(200, 3), (50, 23), (50, 1)]), [1, 1, 0]);
        // Room in full detail for as long proves that it can stay: the next time is as quick as the first.
        assert_eq!(climb(&mut ladder, &[(50, 24), (200, 3), (50, 6)]), [0, 1, 0]);
    }

    #[test]
    fn memory_counts_too_and_zero_is_no_limit() {
        let config = BudgetConfig { cpu: Share(0), memory: Size::from_bytes(1000) };
        let mut ladder = Ladder::new(config);
        let step = |ladder: &mut Ladder, bytes| {
            let spent = Spent { share: Some(90_000), bytes, ..Spent::default() };
            for _ in 0..3 {
                ladder.judge(&spent);
            }
            ladder.step()
        };
        assert_eq!(step(&mut ladder, Some(1000)), 0);
        assert_eq!(step(&mut ladder, None), 0);
        assert_eq!(step(&mut ladder, Some(1001)), 1);
        let mut free = Ladder::new(BudgetConfig { cpu: Share(0), memory: Size::from_bytes(0) });
        assert_eq!(step(&mut free, Some(u64::MAX)), 0);
    }

    #[test]
    fn shares_are_of_the_time_between_two_looks() {
        let mut meter = Meter::default();
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        assert_eq!(meter.measure(at(10), Duration::from_secs(5), None).share, None);
        assert_eq!(meter.measure(at(20), Duration::from_millis(5150), None).share, Some(150));
        assert_eq!(meter.measure(at(20), Duration::from_millis(5150), None).share, None);
    }

    #[test]
    fn shares_are_read_as_written() {
        for (text, expect) in [("1%", 100), ("0.5%", 50), ("0.25%", 25), ("150%", 15_000), ("0%", 0)] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.0, share.to_string()), (expect, text.to_owned()));
        }
        for text in ["1", "%", "-1%", "1.%", ".5%", "0.125%", "1 %", "123456%"] {
            let error = text.parse::<Share>().unwrap_err();
            assert_eq!(error, format!("`{text}` is not a share such as 1% or 0.5%"));
        }
    }
}
