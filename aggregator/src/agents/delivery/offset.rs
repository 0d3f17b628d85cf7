//! Where one boot of a host lies on our time line: our time less the host's time since boot.
//!
//! A message that was under way for long makes the offset look larger than it is, never smaller. So the smallest counts,
//! and one that says much less corrects it at once. Both clocks drift, and ours is slewed: what even the fastest message
//! of some minutes says is believed in the other direction, too. Stamps must not run backwards or stand still for it, so
//! a correction takes at most half of the host's time that passes, and a hundredth of it where the stamps would leap.

use quorate_common::model::time::BootTime;
use std::time::Duration;

/// How much later than the fastest a message may come without being worth a correction.
const DELAY_NS: i64 = 50_000_000;
/// So long the fastest message is looked for.
const WINDOW: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    ns: i64,
    /// Where it goes, slowly.
    target: i64,
    /// The least that was measured since `since`.
    least: i64,
    since: BootTime,
    /// The host's time since boot in the newest message, if there was one.
    boot_ns: Option<u64>,
}

impl Offset {
    /// As it was when it was last written down.
    pub fn known(ns: i64) -> Offset {
        Offset { ns, target: ns, least: i64::MAX, since: BootTime(0), boot_ns: None }
    }

    /// As the first message has it, which was sent at `boot_ns` of the host.
    pub fn measured(ns: i64, boot_ns: u64, now: BootTime) -> Offset {
        Offset { ns, target: ns, least: ns, since: now, boot_ns: Some(boot_ns) }
    }

    /// In nanoseconds.
    pub fn ns(&self) -> i64 {
        self.ns
    }

    /// Another message: the offset from now on.
    pub fn follow(&mut self, measured: i64, boot_ns: u64, now: BootTime) -> i64 {
        // Messages of earlier may come again.
        let newest = self.boot_ns.map_or(boot_ns, |newest| newest.max(boot_ns));
        let passed = newest - self.boot_ns.replace(newest).unwrap_or(newest);
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        if self.least == i64::MAX {
            self.since = now;
        }
        self.least = self.least.min(measured);
        if now.since(self.since) >= WINDOW {
            self.target = if self.least > self.ns.saturating_add(DELAY_NS) { self.least } else { self.ns };
            self.least = i64::MAX;
        }
        if measured < self.ns.saturating_sub(DELAY_NS) {
            self.ns = self.ns.saturating_sub(self.ns.saturating_sub(measured).min(passed / 2));
            self.target = self.ns;
        } else if self.target > self.ns {
            self.ns = self.ns.saturating_add(self.target.saturating_sub(self.ns).min(passed / 100));
        }
        self.ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    /// Messages a second apart whose delays and whose host's lead are given by the second; the stamps.
    fn stamps(seconds: i64, error: impl Fn(i64) -> i64) -> (Vec<i64>, Offset) {
        let boot = |second: i64| (second * SECOND).cast_unsigned();
        let mut offset = Offset::measured(error(0), boot(0), BootTime(0));
        let follow = |second: i64| {
            offset.follow(error(second), boot(second), BootTime(boot(second))) + second * SECOND
        };
        let stamps = (1..=seconds).map(follow).collect();
        (stamps, offset)
    }

    fn run_forward(stamps: &[i64]) {
        let steps = stamps.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.clone().all(|step| (SECOND / 2..=SECOND + SECOND / 100).contains(&step)));
    }

    #[test]
    fn a_first_message_that_was_late_is_corrected_and_stamps_run_on() {
        let (stamps, offset) = stamps(20, |second| if second < 5 { 3 * SECOND } else { 0 });
        run_forward(&stamps);
        assert_eq!((stamps[3], offset.ns()), (7 * SECOND, 0));
    }

    #[test]
    fn late_messages_change_nothing() {
        let (_, offset) = stamps(3_000, |second| (second % 7) * SECOND / 10);
        assert_eq!(offset.ns(), 0);
    }

    #[test]
    fn a_drift_is_followed_in_both_directions() {
        // 50 millionths, and as much as our clock is slewed.
        for rate in [50_000, -50_000, SECOND / 200, -SECOND / 200] {
            let (stamps, offset) = stamps(7_200, |second| second * rate);
            run_forward(&stamps);
            let behind = offset.ns() - 7_200 * rate;
            // A window and half of one late.
            assert!(behind.abs() <= rate.abs() * 610 + 2 * DELAY_NS, "{rate}: {behind}");
        }
    }

    #[test]
    fn what_was_written_down_goes_on() {
        let mut offset = Offset::known(5);
        assert_eq!(
            offset.follow(3 * SECOND, 900, BootTime(0)),
            5,
            "the first message after a start may be late"
        );
        assert_eq!(offset.follow(6, 1_000, BootTime(1)), 5);
    }
}
