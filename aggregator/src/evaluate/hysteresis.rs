//! Holding a bad verdict until the good news has lasted, and noticing who changes too often.

use quorate_common::model::time::BootTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Good beats that end a held verdict.
pub(super) const BEATS: u64 = 3;
/// Time that the good beats must span.
pub(super) const LASTING: Duration = Duration::from_secs(5);
/// Transitions that make flapping.
const FLAPS: usize = 4;
/// Stretch in which they must lie, and the quiet time after which it is over.
const FLAP_WINDOW: Duration = Duration::from_secs(300);

/// An unbroken run of good news.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streak {
    began: Option<(BootTime, u64)>,
}

impl Streak {
    /// Good news at `now`, with `beats` heard in all so far. Returns whether the run has lasted long enough.
    pub(super) fn good(&mut self, now: BootTime, beats: u64) -> bool {
        self.began.get_or_insert((now, beats));
        let (lasted, counted) = self.so_far(now, beats);
        lasted >= LASTING && counted >= BEATS
    }

    /// Bad news: the run is broken.
    pub(super) fn miss(&mut self) {
        self.began = None;
    }

    /// How long the run is and how many beats it has; the first beat counts.
    pub(super) fn so_far(&self, now: BootTime, beats: u64) -> (Duration, u64) {
        match self.began {
            Some((since, first)) => (now.since(since), beats.saturating_sub(first) + 1),
            None => (Duration::ZERO, 0),
        }
    }
}

/// The last transitions of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Flapping {
    last: VecDeque<BootTime>,
    active: bool,
}

impl Flapping {
    /// One more transition.
    pub(super) fn record(&mut self, now: BootTime) {
        if self.last.len() == FLAPS {
            self.last.pop_front();
        }
        self.last.push_back(now);
        let crowded = self.last.front().is_some_and(|first| now.since(*first) <= FLAP_WINDOW);
        self.active |= self.last.len() == FLAPS && crowded;
    }

    /// Whether the node flaps: four transitions in five minutes, until five quiet ones.
    pub(super) fn check(&mut self, now: BootTime) -> bool {
        let quiet = self.last.back().is_none_or(|last| now.since(*last) >= FLAP_WINDOW);
        self.active &= !quiet;
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    #[test]
    fn a_streak_needs_both_time_and_beats() {
        let check = |news: &[(u64, u64)], expect| {
            let mut streak = Streak::default();
            let last = news.iter().fold(false, |_, (now, beats)| streak.good(at(*now), *beats));
            assert_eq!(last, expect, "{news:?}");
        };
        check(&[(0, 9)], false);
        check(&[(0, 9), (5, 11)], true);
        check(&[(0, 9), (4, 13)], false);
        check(&[(0, 9), (60, 10)], false);
        check(&[(0, 9), (120, 11)], true);
    }

    #[test]
    fn a_miss_begins_anew() {
        let mut streak = Streak::default();
        assert!(!streak.good(at(0), 1));
        streak.miss();
        assert!(!streak.good(at(5), 9));
        assert!(streak.good(at(10), 11));
    }

    #[test]
    fn four_transitions_in_five_minutes_flap() {
        let check = |transitions: &[u64], asked: u64, expect| {
            let mut flapping = Flapping::default();
            transitions.iter().for_each(|t| flapping.record(at(*t)));
            assert_eq!(flapping.check(at(asked)), expect, "{transitions:?} at {asked}");
        };
        check(&[], 0, false);
        check(&[0, 10, 20], 20, false);
        check(&[0, 100, 200, 300], 300, true);
        check(&[0, 100, 200, 301], 301, false);
        check(&[0, 10, 20, 30], 329, true);
        check(&[0, 10, 20, 30], 330, false);
        check(&[0, 10, 20, 30, 300], 599, true);
    }
}
