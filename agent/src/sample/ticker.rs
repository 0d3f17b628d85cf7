//! When ticks come: at whole intervals of the boot clock, so that all agents of an interval tick alike.
//!
//! Says when; does nothing, and reads no clock.

use quorate_common::model::time::BootTime;
use std::time::Duration;

/// Whole intervals of the boot clock.
#[derive(Debug)]
pub(super) struct Ticker {
    interval: Duration,
    /// When the next one is.
    pub next: BootTime,
    /// Ticks that passed unused.
    pub late: u64,
}

impl Ticker {
    /// The first tick is now: a node should be heard at once, not after an interval.
    pub fn new(interval_ms: u32, now: BootTime) -> Ticker {
        Ticker { interval: Duration::from_millis(u64::from(interval_ms.max(1))), next: now, late: 0 }
    }

    /// Another distance, counted from the next tick on.
    pub fn set_interval(&mut self, interval_ms: u32) {
        self.interval = Duration::from_millis(u64::from(interval_ms.max(1)));
    }

    /// Another distance at once: the next tick may come sooner than was announced, never later.
    pub fn hasten(&mut self, interval_ms: u32, now: BootTime) {
        self.set_interval(interval_ms);
        let interval_ns = self.interval_ns();
        let sooner = BootTime((now.0 / interval_ns + 1).saturating_mul(interval_ns));
        self.next = self.next.min(sooner);
    }

    fn interval_ns(&self) -> u64 {
        u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    /// The first tick that is not before `time`.
    pub fn first_from(&self, time: BootTime) -> BootTime {
        let interval_ns = self.interval_ns();
        BootTime(time.0.div_ceil(interval_ns).saturating_mul(interval_ns))
    }

    /// Uses the tick that is due and moves on to the first one after `now`.
    pub fn advance(&mut self, now: BootTime) {
        let interval_ns = self.interval_ns();
        let (due, current) = (self.next.0 / interval_ns, now.0 / interval_ns);
        self.late += current.saturating_sub(due);
        self.next = BootTime((current + 1).saturating_mul(interval_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_aligned_and_missed_ones_counted() {
        let mut ticker = Ticker::new(1000, BootTime(1_234_567_890));
        for (now_ms, next_ms, late) in [
            (1235, 2000, 0),
            (2000, 3000, 0),
            (3999, 4000, 0),
            (4001, 5000, 0),
            (7500, 8000, 2),
            (8000, 9000, 2),
        ] {
            ticker.advance(BootTime(now_ms * 1_000_000));
            assert_eq!((ticker.next, ticker.late), (BootTime(next_ms * 1_000_000), late), "{now_ms}");
        }
    }

    #[test]
    fn another_distance_never_means_later() {
        let at = |ms: u64| BootTime(ms * 1_000_000);
        let mut ticker = Ticker::new(10_000, at(20_000));
        ticker.hasten(500, at(12_100));
        assert_eq!(ticker.next, at(12_500));
        ticker.set_interval(10_000);
        assert_eq!(ticker.next, at(12_500), "as it was announced");
        ticker.advance(at(12_500));
        ticker.hasten(7000, at(19_900));
        assert_eq!((ticker.next, ticker.late), (at(20_000), 0), "the old one comes first");
        assert_eq!((ticker.first_from(at(21_000)), ticker.first_from(at(21_001))), (at(21_000), at(28_000)));
    }
}
