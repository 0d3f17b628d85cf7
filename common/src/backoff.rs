//! When to connect again. Pure: the time and the dice are arguments.
//!
//! ```text
//!   lost ─────→ within 250 ms
//!   refused ──→ 250 ms to a bound that doubles from 500 ms to 5 s, anywhere in between
//!   asked ────→ what the aggregator asked for, and up to a tenth more
//! ```
//!
//! A thousand agents that lose one aggregator in the same millisecond must not come back in the same
//! millisecond: hence dice in every line.

use crate::model::time::BootTime;
use crate::rng::Rng;
use std::time::Duration;

/// After a working session is lost, the next attempt begins within this time.
pub const FIRST: Duration = Duration::from_millis(250);
/// After refusals no attempt waits longer than this, unless the aggregator asks for it.
pub const LONGEST: Duration = Duration::from_secs(5);
/// The longest time that an aggregator may ask for.
pub const ASKED_MAX: Duration = Duration::from_secs(3600);

/// How many attempts were refused in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    refused: u32,
}

impl Backoff {
    /// The aggregator accepted a session: the count begins anew.
    pub fn accepted(&mut self) {
        self.refused = 0;
    }

    /// A session that had been accepted is lost; gives the time of the next attempt.
    pub fn lost(&mut self, now: BootTime, rng: &mut dyn Rng) -> BootTime {
        now + rng.jitter(Duration::ZERO, FIRST)
    }

    /// An attempt failed, or a session ended for an error of protocol; gives the time of the next one.
    pub fn refused(&mut self, now: BootTime, rng: &mut dyn Rng) -> BootTime {
        self.refused = self.refused.saturating_add(1);
        let bound = FIRST.saturating_mul(1 << self.refused.min(16)).min(LONGEST);
        now + rng.jitter(FIRST, bound)
    }

    /// The aggregator asked to come back after `delay`; gives the time of the next attempt.
    pub fn asked(&mut self, delay: Duration, now: BootTime, rng: &mut dyn Rng) -> BootTime {
        let delay = delay.min(ASKED_MAX);
        now + delay + rng.jitter(Duration::ZERO, delay / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;

    const NOW: BootTime = BootTime(1_000_000_000);

    /// Waits of a thousand different agents that all went through the same.
    fn waits(step: impl Fn(&mut Backoff, &mut dyn Rng) -> BootTime) -> Vec<Duration> {
        (0..1000).map(|seed| step(&mut Backoff::default(), &mut SeededRng::new(seed)).since(NOW)).collect()
    }

    /// All within the bounds, and close to both.
    fn check(waits: &[Duration], shortest_ms: u64, longest_ms: u64) {
        let (shortest, longest) = (Duration::from_millis(shortest_ms), Duration::from_millis(longest_ms));
        let near = (longest - shortest) / 20;
        assert!(waits.iter().all(|wait| (shortest..=longest).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < shortest + near));
        assert!(waits.iter().any(|wait| *wait > longest - near));
    }

    #[test]
    fn spreads_agents_over_the_whole_range() {
        check(&waits(|backoff, rng| backoff.lost(NOW, rng)), 0, 250);
        for (refusals, longest_ms) in [(1, 500), (2, 1000), (3, 2000), (4, 4000), (5, 5000), (100, 5000)] {
            let step = |backoff: &mut Backoff, rng: &mut dyn Rng| {
                (0..refusals).map(|_| backoff.refused(NOW, rng)).last().unwrap()
            };
            check(&waits(step), 250, longest_ms);
        }
        check(&waits(|backoff, rng| backoff.asked(Duration::from_secs(60), NOW, rng)), 60_000, 66_000);
    }

    #[test]
    fn acceptance_begins_anew() {
        let (mut backoff, mut rng) = (Backoff::default(), SeededRng::new(1));
        for _ in 0..10 {
            backoff.refused(NOW, &mut rng);
        }
        backoff.accepted();
        assert!(backoff.refused(NOW, &mut rng).since(NOW) <= Duration::from_millis(500));
    }

    #[test]
    fn nobody_may_ask_for_ever() {
        let wait = Backoff::default().asked(Duration::MAX, NOW, &mut SeededRng::new(1)).since(NOW);
        assert!(wait <= ASKED_MAX + ASKED_MAX / 10);
    }
}
