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
/// So long the fastest message is looked for, among at least so many.
const WINDOW: Duration = Duration::from_secs(300);
const PACED_MIN: u32 = 60;
/// The distance of two messages may differ by so much on both clocks, or the second one was under way for long.
const PACE_NS: i64 = 250_000_000;
/// A difference that no message is under way for: one of the clocks was set.
const APART_NS: u64 = 60_000_000_000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Offset {
    ns: i64,
    /// Where it goes, slowly.
    target: i64,
    /// The least that was measured since `since`, of so many messages that came at the pace at which they were sent.
    least: i64,
    paced: u32,
    since: BootTime,
    /// The newest message: the host's time since boot in it, and ours when it came.
    newest: Option<(u64, BootTime)>,
}

impl Offset {
    /// As it was when it was last written down.
    pub fn known(ns: i64) -> Offset {
        Offset { ns, target: ns, least: i64::MAX, paced: 0, since: BootTime(0), newest: None }
    }

    /// As the first message has it, which was sent at `boot_ns` of the host.
    pub fn measured(ns: i64, boot_ns: u64, now: BootTime) -> Offset {
        Offset { since: now, newest: Some((boot_ns, now)), ..Offset::known(ns) }
    }

    /// In nanoseconds.
    pub fn ns(&self) -> i64 {
        self.ns
    }

    /// A session begins with a message that was sent at once: what is far from it is wrong.
    pub fn greet(&mut self, measured: i64, boot_ns: u64, now: BootTime) {
        if measured.abs_diff(self.ns) >= APART_NS {
            *self = Offset::measured(measured, boot_ns, now);
        }
    }

    /// Another message: the offset from now on.
    pub fn follow(&mut self, measured: i64, boot_ns: u64, now: BootTime) -> i64 {
        // Messages of earlier may come again.
        let (before, came) = self.newest.unwrap_or((boot_ns, now));
        self.newest = Some((before.max(boot_ns), now));
        let passed = i64::try_from(boot_ns.saturating_sub(before)).unwrap_or(i64::MAX);
        let ours = i64::try_from(now.since(came).as_nanos()).unwrap_or(i64::MAX);
        if passed > 0 && passed.abs_diff(ours) < PACE_NS.unsigned_abs() {
            self.look(measured, now);
        }
        if measured < self.ns.saturating_sub(DELAY_NS) {
            self.ns = self.ns.saturating_sub(self.ns.saturating_sub(measured).min(passed / 2));
            self.target = self.ns;
        } else if self.target > self.ns {
            self.ns = self.ns.saturating_add(self.target.saturating_sub(self.ns).min(passed / 100));
        }
        self.ns
    }

    /// The fastest message of a while, if there were enough.
    fn look(&mut self, measured: i64, now: BootTime) {
        (self.least, self.paced) = (self.least.min(measured), self.paced.saturating_add(1));
        if now.since(self.since) < WINDOW {
            return;
        }
        if self.paced >= PACED_MIN {
            self.target = if self.least > self.ns.saturating_add(DELAY_NS) { self.least } else { self.ns };
        }
        (self.least, self.paced, self.since) = (i64::MAX, 0, now);
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
    fn what_comes_after_an_outage_changes_nothing() {
        let (_, mut offset) = stamps(290, |_| 0);
        let at = |second: i64| (second * SECOND).cast_unsigned();
        for second in 291..500 {
            offset.follow((1_000 - second) * SECOND, at(second), BootTime(at(1_000)));
        }
        for second in 1_001..2_000 {
            offset.follow(0, at(second), BootTime(at(second)));
        }
        assert_eq!(offset.ns(), 0);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_once_by_a_new_session() {
        for (measured, expect) in
            [(59 * SECOND, 5), (3_600 * SECOND, 3_600 * SECOND), (-3_600 * SECOND, -3_600 * SECOND)]
        {
            let mut offset = Offset::known(5);
            offset.greet(measured, 900, BootTime(0));
            assert_eq!(offset.ns(), expect);
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
