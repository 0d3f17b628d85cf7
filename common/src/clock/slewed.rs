//! A clock of our own: its stamps follow the machine's wall clock, and never jump with it.
//!
//! ```text
//!   wall clock   ────────┐            ┌──────        somebody sets it back an hour, and forward again
//!                        └────────────┘
//!   ours         ────────────────────────────        counts on by the time since boot, at most 1 % slower or faster
//! ```
//!
//! It begins at the wall clock or, if that is behind, at the newest stamp that was kept, so that history never begins
//! again where it has been. From then on it counts the time since boot, in which a host's sleep counts too, and draws
//! near to the wall clock by a hundredth of the time that passes. More than two seconds between them are told.
//!
//! For stamps of history, health and alerts. Whether a certificate or a token is over is for the wall clock to say,
//! as for everybody else who looks at it. [`Slew`] decides, and reads no clock.

use super::Clock;
use crate::model::time::{BootTime, Now, WallTime};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// It draws near by one part in so many of the time that passes.
const SLEW: i64 = 100;
/// From here on the difference is told.
const APART_NS: i64 = 2_000_000_000;
/// From here on it is over. Less, so that one that stays at the bound is told once.
const TOGETHER_NS: i64 = 1_000_000_000;

/// What a reading of both clocks makes of ours.
#[derive(Clone, Copy, Debug)]
pub struct Slew {
    boot: BootTime,
    own: i64,
    /// Time that passed and was too short to draw near in.
    spare: i64,
    /// Nanoseconds that the wall clock is ahead.
    difference: i64,
    is_apart: bool,
}

/// A difference that begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The wall clock is more than two seconds away.
    Apart,
    /// It is near again.
    Together,
}

impl Slew {
    /// Begins at the wall clock, or at `least` if that is later.
    pub fn new(now: Now, least: WallTime) -> Slew {
        let own = now.wall.0.max(least.0);
        Slew { boot: now.boot, own, spare: 0, difference: 0, is_apart: false }
    }

    /// Goes on no earlier than at `least`.
    pub fn reach(&mut self, least: WallTime) {
        self.own = self.own.max(least.0);
    }

    /// Takes a reading of both clocks. Says so if a difference begins or ends with it.
    pub fn read(&mut self, now: Now) -> Option<Turn> {
        let passed = i64::try_from(now.boot.0.saturating_sub(self.boot.0)).unwrap_or(i64::MAX);
        self.boot = self.boot.max(now.boot);
        self.own = self.own.saturating_add(passed);
        let allowed = passed.saturating_add(self.spare);
        self.spare = allowed % SLEW;
        let (away, near) = (now.wall.0.saturating_sub(self.own), allowed / SLEW);
        let step = away.clamp(-near, near);
        self.own = self.own.saturating_add(step);
        self.difference = away - step;
        self.turn()
    }

    fn turn(&mut self) -> Option<Turn> {
        let away = self.difference.saturating_abs();
        let is_apart = away > if self.is_apart { TOGETHER_NS } else { APART_NS };
        let turns = is_apart != self.is_apart;
        self.is_apart = is_apart;
        turns.then_some(if is_apart { Turn::Apart } else { Turn::Together })
    }

    /// Both clocks, the wall clock being ours.
    pub fn now(&self) -> Now {
        Now { boot: self.boot, wall: WallTime(self.own) }
    }

    /// How far the wall clock is ahead, in whole milliseconds.
    pub fn difference_ms(&self) -> i64 {
        self.difference / 1_000_000
    }
}

/// The clock of the module over another one.
pub struct SlewedClock<C> {
    inner: C,
    slew: Mutex<Slew>,
}

impl<C: Clock> SlewedClock<C> {
    /// Begins now, and not before the newest stamp that was kept; `WallTime(0)` if none was.
    pub fn new(inner: C, last_stored: WallTime) -> SlewedClock<C> {
        let slew = Mutex::new(Slew::new(inner.now(), last_stored));
        SlewedClock { inner, slew }
    }

    /// Goes on behind the newest stamp that was kept, which is found only when the clock runs already.
    pub fn reach(&self, last_stored: WallTime) {
        self.slew().reach(last_stored);
    }

    fn slew(&self) -> MutexGuard<'_, Slew> {
        self.slew.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clock> Clock for SlewedClock<C> {
    fn now(&self) -> Now {
        let (now, turn, ahead_ms) = {
            // Read under the lock: whoever comes later must not bring an earlier reading.
            let mut slew = self.slew();
            let turn = slew.read(self.inner.now());
            (slew.now(), turn, slew.difference_ms())
        };
        match turn {
            Some(Turn::Apart) => tracing::warn!(
                class = "action",
                ahead_ms,
                "wall clock and own clock differ: stamps count on by our own, which draws near by 1 %"
            ),
            Some(Turn::Together) => tracing::info!(ahead_ms, "wall clock and own clock agree again"),
            None => {}
        }
        now
    }

    fn difference_ms(&self) -> i64 {
        self.slew().difference_ms()
    }
}

#[cfg(test)]
mod tests;
