//! What a swarm counts of itself: connections, sessions, frames, acknowledgements and the gaps between them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Classes of gaps: below 1 ms, below 2 ms, below 4 ms …
const CLASSES: usize = 24;

/// Of all virtual agents together; only ever grows.
#[derive(Debug, Default)]
pub struct Counters {
    attempts: AtomicU64,
    unreachable: AtomicU64,
    sessions: AtomicU64,
    lost: AtomicU64,
    refusals: AtomicU64,
    frames: AtomicU64,
    samples: AtomicU64,
    acks: AtomicU64,
    gap_us_max: AtomicU64,
    gaps: [AtomicU64; CLASSES],
    outage_us_max: AtomicU64,
}

/// What was counted until some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Attempts to connect.
    pub attempts: u64,
    /// Attempts without a connection, or without an answer to the call.
    pub unreachable: u64,
    /// Sessions that became live.
    pub sessions: u64,
    /// Live sessions that were lost.
    pub lost: u64,
    /// Sessions, live or not, that the aggregator ended for something that the agent did.
    pub refusals: u64,
    /// Frames sent, those that were sent again included.
    pub frames: u64,
    /// Samples in them.
    pub samples: u64,
    /// Acknowledgements.
    pub acks: u64,
    /// The longest time between two acknowledgements of one session.
    pub ack_gap_max: Duration,
    /// 99 of 100 gaps are below this, a power of two of milliseconds.
    pub ack_gap_p99: Duration,
    /// The longest time from a lost session to the next one that was live.
    pub outage_max: Duration,
}

impl Counters {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Counts {
            attempts: read(&self.attempts),
            unreachable: read(&self.unreachable),
            sessions: read(&self.sessions),
            lost: read(&self.lost),
            refusals: read(&self.refusals),
            frames: read(&self.frames),
            samples: read(&self.samples),
            acks: read(&self.acks),
            ack_gap_max: Duration::from_micros(read(&self.gap_us_max)),
            ack_gap_p99: self.gap_p99(),
            outage_max: Duration::from_micros(read(&self.outage_us_max)),
        }
    }

    pub(super) fn attempt(&self) {
        self.attempts.fetch_add(1, Relaxed);
    }

    pub(super) fn unreachable(&self) {
        self.unreachable.fetch_add(1, Relaxed);
    }

    /// A session is live, so long after the one before was lost.
    pub(super) fn live(&self, outage: Option<Duration>) {
        self.sessions.fetch_add(1, Relaxed);
        self.outage_us_max.fetch_max(outage.map_or(0, micros), Relaxed);
    }

    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refusals.fetch_add(1, Relaxed);
    }

    pub(super) fn frame(&self, samples: u64) {
        self.frames.fetch_add(1, Relaxed);
        self.samples.fetch_add(samples, Relaxed);
    }

    /// An acknowledgement, so long after the one before it.
    pub(super) fn ack(&self, gap: Option<Duration>) {
        self.acks.fetch_add(1, Relaxed);
        let Some(gap) = gap else { return };
        self.gap_us_max.fetch_max(micros(gap), Relaxed);
        let class = (u64::BITS - (micros(gap) / 1000).leading_zeros()) as usize;
        self.gaps[class.min(CLASSES - 1)].fetch_add(1, Relaxed);
    }

    fn gap_p99(&self) -> Duration {
        let gaps: Vec<u64> = self.gaps.iter().map(|class| class.load(Relaxed)).collect();
        let all: u64 = gaps.iter().sum();
        let mut below = 0;
        let class = gaps.iter().position(|count| {
            below += count;
            below * 100 >= all * 99
        });
        Duration::from_millis(if all == 0 { 0 } else { 1 << class.unwrap_or(CLASSES - 1) })
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { attempts, unreachable, sessions, lost, refusals, frames, samples, acks, .. } = self;
        write!(
            f,
            "{attempts} attempts, {unreachable} without an answer, {sessions} sessions, {lost} lost, "
        )?;
        write!(f, "{refusals} refused; {frames} frames, {samples} samples, {acks} acks, ")?;
        write!(f, "the longest gap {} ms, ", self.ack_gap_max.as_millis())?;
        write!(f, "99 % below {} ms; ", self.ack_gap_p99.as_millis())?;
        write!(f, "the longest outage {} ms", self.outage_max.as_millis())
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_classes_and_a_longest() {
        let counters = Counters::default();
        assert_eq!(counters.counts().ack_gap_p99, Duration::ZERO);
        for _ in 0..99 {
            counters.ack(Some(Duration::from_millis(900)));
        }
        counters.ack(Some(Duration::from_secs(7)));
        counters.ack(None);
        let counts = counters.counts();
        assert_eq!((counts.acks, counts.ack_gap_max), (101, Duration::from_secs(7)));
        assert_eq!(counts.ack_gap_p99, Duration::from_millis(1024));
        counters.ack(Some(Duration::from_secs(1_000_000)));
        assert_eq!(counters.counts().ack_gap_p99, Duration::from_millis(8192));
    }
}
