//! One direction of a bad connection, as arithmetic: when a segment that is sent now arrives, and what of it. No I/O,
//! no clock; the dice are seeded.
//!
//! ```text
//!   segment ──→ on to the line (throttle, drip) ──→ under way (delay, jitter, lost and sent again) ──→ due
//!                                                                                  in order, as TCP hands it over
//! ```

use quorate_common::model::time::BootTime;
use quorate_common::rng::{Rng, SeededRng};
use std::time::Duration;

/// A segment that is lost comes after this time; lost again, after twice as long, and so on: as the kernel does it.
pub const RETRANSMISSION: Duration = Duration::from_millis(200);
/// Losses of one segment in a row.
const LOSSES_MAX: u32 = 8;
const MILLION: f64 = 1e6;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// They arrive.
    #[default]
    Pass,
    /// They wait until the flow is another one: a route that is broken for a while.
    Hold,
    /// They are lost without a word, for good: a connection that swallowed something never passes anything again,
    /// because a stream with a hole would be another fault.
    Swallow,
}

/// A few bytes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drip {
    /// So many …
    pub bytes: usize,
    /// … each time.
    pub every: Duration,
}

/// How one direction is. The default is fair weather: everything arrives at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// Whether bytes arrive at all.
    pub flow: Flow,
    /// How long each segment is under way.
    pub delay: Duration,
    /// Up to so much longer; order stays.
    pub jitter: Duration,
    /// The share of segments that are lost, 0 to 1, and come late: TCP sends them again.
    pub loss: f64,
    /// The share of segments in which one bit is turned, 0 to 1.
    pub corrupt: f64,
    /// The line takes no more than this.
    pub bytes_per_s: Option<u32>,
    /// The line takes bytes in drops.
    pub drip: Option<Drip>,
}

/// The state of one direction of one connection.
#[derive(Debug)]
pub struct Line {
    rng: SeededRng,
    /// When the line has taken all that was sent before.
    free_at: BootTime,
    /// When all that was sent before has arrived.
    last_due: BootTime,
}

impl Line {
    /// A line with dice of its own.
    pub fn new(seed: u64) -> Line {
        Line { rng: SeededRng::new(seed), free_at: BootTime(0), last_due: BootTime(0) }
    }

    /// What arrives of a segment that is sent now, and when: in pieces, in order.
    pub fn carry(&mut self, way: &Way, mut segment: Vec<u8>, now: BootTime) -> Vec<(BootTime, Vec<u8>)> {
        if self.chance(way.corrupt) {
            self.turn_a_bit(&mut segment);
        }
        let size = way.drip.map_or(segment.len(), |drip| drip.bytes).max(1);
        let pieces = segment.chunks(size);
        pieces.map(|piece| (self.due(way, piece.len(), now), piece.to_vec())).collect()
    }

    fn due(&mut self, way: &Way, bytes: usize, now: BootTime) -> BootTime {
        let rate = way.bytes_per_s.map(|rate| Duration::from_secs(1) * bytes as u32 / rate.max(1));
        let drop = way.drip.map(|drip| drip.every);
        self.free_at = self.free_at.max(now) + rate.unwrap_or_default().max(drop.unwrap_or_default());
        let way = way.delay + self.rng.jitter(Duration::ZERO, way.jitter) + self.stall(way.loss);
        self.last_due = self.last_due.max(self.free_at + way);
        self.last_due
    }

    /// How long a segment takes that is lost so often, mostly never.
    fn stall(&mut self, loss: f64) -> Duration {
        let lost = (0..LOSSES_MAX).take_while(|_| self.chance(loss)).count() as u32;
        RETRANSMISSION * ((1 << lost) - 1)
    }

    fn turn_a_bit(&mut self, segment: &mut [u8]) {
        let at = self.rng.below(segment.len() as u64) as usize;
        let bit = self.rng.below(8);
        if let Some(byte) = segment.get_mut(at) {
            *byte ^= 1 << bit;
        }
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && (self.rng.below(MILLION as u64) as f64) < share * MILLION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: BootTime = BootTime(1_000_000_000);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// When so many segments of 1000 bytes arrive that are sent 10 ms after one another, in ms after they were sent.
    fn waits(way: Way, segments: u64) -> Vec<u64> {
        let mut line = Line::new(7);
        let sent = |at: u64| NOW + ms(10) * at as u32;
        let due = |at: u64| line.carry(&way, vec![0; 1000], sent(at)).last().unwrap().0.since(sent(at));
        (0..segments).map(due).map(|wait| wait.as_millis() as u64).collect()
    }

    #[test]
    fn fair_weather_changes_nothing() {
        assert_eq!(waits(Way::default(), 4), [0; 4]);
        let arrived = Line::new(1).carry(&Way::default(), vec![1, 2, 3], NOW);
        assert_eq!(arrived, [(NOW, vec![1, 2, 3])]);
    }

    #[test]
    fn delay_and_jitter() {
        assert_eq!(waits(Way { delay: ms(50), ..Way::default() }, 3), [50; 3]);
        let jittered = waits(Way { jitter: ms(200), ..Way::default() }, 1000);
        assert!(jittered.iter().all(|wait| *wait <= 200) && jittered.iter().any(|wait| *wait > 150));
        let arrivals: Vec<u64> =
            (0..).map(|at| at * 10).zip(&jittered).map(|(sent, wait)| sent + wait).collect();
        assert!(arrivals.is_sorted(), "order stays");
    }

    #[test]
    fn what_is_lost_comes_later_and_holds_up_what_follows() {
        assert_eq!(waits(Way { loss: 1.0, ..Way::default() }, 1), [200 * 255], "no more losses in a row");
        // Far apart, so that each segment has only losses of its own.
        let mut line = Line::new(3);
        let way = Way { loss: 0.25, ..Way::default() };
        let far = |at: u64| NOW + Duration::from_secs(100) * at as u32;
        let waits: Vec<u64> = (0..4000)
            .map(|at| line.carry(&way, vec![0], far(at))[0].0.since(far(at)).as_millis() as u64)
            .collect();
        let share = |wait: u64| waits.iter().filter(|one| **one == wait).count() as f64 / 4000.0;
        for (wait, expect) in [(0, 0.75), (200, 0.1875), (600, 0.0469), (1400, 0.0117)] {
            assert!((share(wait) - expect).abs() < 0.02, "{} of all wait {wait} ms", share(wait));
        }
        let close = self::waits(Way { loss: 0.05, ..Way::default() }, 1000);
        let held_up = close.iter().filter(|wait| **wait > 0).count();
        assert!(held_up > 200, "behind a lost segment all wait: {held_up} of 1000");
    }

    #[test]
    fn a_throttle_and_a_drip_take_their_time() {
        let throttled = waits(Way { bytes_per_s: Some(50_000), ..Way::default() }, 4);
        assert_eq!(throttled, [20, 30, 40, 50], "1000 bytes every 20 ms, sent every 10");
        let drip = Drip { bytes: 4, every: ms(100) };
        let pieces = Line::new(1).carry(&Way { drip: Some(drip), ..Way::default() }, vec![9; 10], NOW);
        let seen: Vec<(u128, usize)> =
            pieces.iter().map(|(due, piece)| (due.since(NOW).as_millis(), piece.len())).collect();
        assert_eq!(seen, [(100, 4), (200, 4), (300, 2)]);
    }

    #[test]
    fn one_bit_is_turned() {
        let mut line = Line::new(5);
        let way = Way { corrupt: 1.0, ..Way::default() };
        for _ in 0..100 {
            let arrived = line.carry(&way, vec![0; 40], NOW).remove(0).1;
            assert_eq!(arrived.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
    }

    #[test]
    fn the_same_seed_has_the_same_weather() {
        let way = Way { jitter: ms(100), loss: 0.1, ..Way::default() };
        assert_eq!(waits(way, 100), waits(way, 100));
        let other = Line::new(8).carry(&way, vec![0; 1000], NOW)[0].0.since(NOW).as_nanos();
        let one = Line::new(7).carry(&way, vec![0; 1000], NOW)[0].0.since(NOW).as_nanos();
        assert_ne!(one, other);
    }
}
