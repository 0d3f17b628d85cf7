//! Time: one true second for all, and the clocks of two hosts that step away from it.
//!
//! Every step has a number, which is the milliseconds of its offset. So a stamp says by which clock it was made, and
//! in which true second.

use quorate_common::clock::Clock;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::rng::Rng;
use std::sync::{Arc, Mutex, PoisonError};

const SECOND: u64 = 1_000_000_000;
/// Wall time of the true second 0: the beginning of a window of each class.
const BEGIN_S: i64 = 1_800_000_000;

/// See the module.
pub struct Time {
    /// True time.
    pub second: u64,
    /// The boot of the agent's host.
    pub boot: u64,
    offsets_ms: Vec<i64>,
    agent: usize,
    aggregator: usize,
    next_aggregator: usize,
    clock: Arc<Still>,
}

#[derive(Default)]
struct Still(Mutex<Now>);

impl Clock for Still {
    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Time {
    /// Clocks that agree.
    pub fn new(second: u64) -> Time {
        let mut time = Time {
            second,
            boot: 0,
            offsets_ms: vec![0],
            agent: 0,
            aggregator: 0,
            next_aggregator: 0,
            clock: Arc::default(),
        };
        time.pass(0);
        time
    }

    /// Time goes on.
    pub fn pass(&mut self, seconds: u64) {
        self.second += seconds;
        *self.clock.0.lock().unwrap_or_else(PoisonError::into_inner) = self.aggregator();
    }

    /// The aggregator's clock, for its store.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    fn wall(&self, step: usize) -> WallTime {
        let ms = (BEGIN_S + self.second as i64) * 1_000 + self.offsets_ms[step];
        WallTime(ms * 1_000_000)
    }

    /// On the agent's host. Every boot has a clock of its own.
    pub fn agent(&self) -> Now {
        let boot = BootTime((1_000 + 777 * self.boot + self.second) * SECOND);
        Now { boot, wall: self.wall(self.agent) }
    }

    /// On the aggregator's host.
    pub fn aggregator(&self) -> Now {
        Now { boot: BootTime((50_000 + self.second) * SECOND), wall: self.wall(self.aggregator) }
    }

    /// The kernel's number of a boot of the agent's host.
    pub fn boot_id(boot: u64) -> [u8; 16] {
        u128::from(boot + 7).to_le_bytes()
    }

    /// The agent's wall clock is set.
    pub fn step_agent(&mut self, rng: &mut dyn Rng) {
        self.agent = self.step(rng);
    }

    /// The aggregator's wall clock is set. Its own clock never jumps: the next process begins with it.
    pub fn step_aggregator(&mut self, rng: &mut dyn Rng) {
        self.next_aggregator = self.step(rng);
    }

    /// A process of the aggregator begins; whether its clock is another one than the one before had.
    pub fn start_aggregator(&mut self) -> bool {
        let before = std::mem::replace(&mut self.aggregator, self.next_aggregator);
        self.pass(0);
        before != self.aggregator
    }

    fn step(&mut self, rng: &mut dyn Rng) -> usize {
        let number = self.offsets_ms.len();
        // Smaller differences are followed slowly, and then no stamp would say by which clock it was made.
        let seconds = (rng.below(9) as i64 - 4) * 100;
        self.offsets_ms.push(seconds * 1_000 + number as i64);
        number
    }

    /// The true second of a stamp, whichever clock made it; `None` for one that no clock can have made.
    pub fn second_of(&self, at: WallTime) -> Option<u64> {
        let ms = at.0 / 1_000_000;
        let offset = self.offsets_ms.get(usize::try_from(ms.rem_euclid(1_000)).ok()?)?;
        let second = (ms - offset) / 1_000 - BEGIN_S;
        u64::try_from(second).ok().filter(|_| at.0 % 1_000_000 == 0)
    }
}
