//! How long the aggregator itself was not awake, so that nobody is blamed for our own sleep.
//!
//! The sweeper comes every 250 ms. When it comes later than that by more than 250 ms, this process was stopped,
//! swapped out or starved, and frames wait unread in socket buffers. The time in which we slept then does not
//! count towards any deadline, and one more second is allowed for taking in what waited.
//!
//! ```text
//!   sweep      due                     sweep, late
//!     ├─────────┼─────────────────────────┤
//!     │ 250 ms  │ pause: does not count   │ + 1 s for every deadline that ran through it
//! ```
//!
//! Only a sweep notices a pause, and only a sweep judges. So stream ends that are observed after a pause but
//! before the sweep wait until the pause is known: whichever task the runtime wakes first, the verdict is the same.
//!
//! The extra second is given once to a deadline, however many pauses it ran through: an aggregator that is late
//! every time judges slowly, but it still judges.

use quorate_common::model::time::BootTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Distance between two sweeps.
const SWEEP: Duration = Duration::from_millis(250);
/// Lateness that is ordinary scheduling.
const ORDINARY: Duration = Duration::from_millis(250);
/// Lateness after which we know no more of anybody than after our own start.
const LONG: Duration = Duration::from_secs(2);
/// Time to take in what waited in socket buffers.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Pauses that are remembered; more than fit into the longest deadline are of no use.
const PAUSES_MAX: usize = 256;

/// A stretch in which this aggregator should have swept and did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    /// When the sweep was due.
    pub(super) from: BootTime,
    /// When it came.
    pub(super) until: BootTime,
}

impl Pause {
    /// How late the sweep was.
    pub(super) fn length(self) -> Duration {
        self.until.since(self.from)
    }

    /// Whether it was so long that everybody must be heard anew.
    pub(super) fn is_long(self) -> bool {
        self.length() > LONG
    }

    /// The part of it that lies after `start`.
    fn after(self, start: BootTime) -> Duration {
        self.until.since(self.from.max(start))
    }
}

/// Our own pauses, and what they do to deadlines.
#[derive(Debug)]
pub(super) struct Lateness {
    due: BootTime,
    pauses: VecDeque<Pause>,
}

impl Lateness {
    /// Begins to expect sweeps.
    pub(super) fn new(started: BootTime) -> Lateness {
        Lateness { due: started + SWEEP, pauses: VecDeque::new() }
    }

    /// A sweep came. Returns the pause before it, if there was one.
    pub(super) fn notice(&mut self, now: BootTime) -> Option<Pause> {
        let pause = Pause { from: self.due, until: now };
        self.due = now + SWEEP;
        if pause.length() <= ORDINARY {
            return None;
        }
        if self.pauses.len() == PAUSES_MAX {
            self.pauses.pop_front();
        }
        self.pauses.push_back(pause);
        Some(pause)
    }

    /// When something that began at `start` and may take `allowed` of our waking time is over.
    pub(super) fn deadline(&self, start: BootTime, allowed: Duration) -> BootTime {
        let slept: Duration = self.pauses.iter().map(|pause| pause.after(start)).sum();
        let extra = if slept.is_zero() { Duration::ZERO } else { slept + CATCH_UP };
        start + allowed + extra
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> BootTime {
        BootTime(ms * 1_000_000)
    }

    #[test]
    fn ordinary_jitter_is_no_pause() {
        let mut lateness = Lateness::new(at(0));
        for ms in [250, 500, 1000, 1250] {
            assert_eq!(lateness.notice(at(ms)), None, "{ms}");
        }
        assert_eq!(lateness.deadline(at(0), SWEEP), at(250));
    }

    #[test]
    fn a_pause_moves_deadlines_that_ran_through_it() {
        let mut lateness = Lateness::new(at(0));
        let pause = lateness.notice(at(1250)).unwrap();
        assert_eq!((pause.length(), pause.is_long()), (Duration::from_secs(1), false));
        let second = Duration::from_secs(1);
        for (start, expect, why) in [
            (0, 3000, "ran through all of it: 1 s slept, 1 s to catch up"),
            (750, 3250, "ran through half of it"),
            (1250, 2250, "began after it"),
        ] {
            assert_eq!(lateness.deadline(at(start), second), at(expect), "{why}");
        }
    }

    #[test]
    fn two_seconds_is_not_yet_long() {
        for (ms, long) in [(2250, false), (2251, true)] {
            assert_eq!(Lateness::new(at(0)).notice(at(ms)).unwrap().is_long(), long, "{ms}");
        }
    }

    #[test]
    fn always_late_still_comes_to_an_end() {
        let mut lateness = Lateness::new(at(0));
        let mut now = 0;
        while at(now) < lateness.deadline(at(0), Duration::from_millis(3500)) {
            now += 600;
            lateness.notice(at(now));
            assert!(now < 15_000, "a deadline never came");
        }
        assert!(lateness.pauses.len() <= PAUSES_MAX);
    }

    #[test]
    fn time_that_stands_still_is_no_pause() {
        let mut lateness = Lateness::new(at(5000));
        assert_eq!(lateness.notice(at(100)), None);
    }
}
