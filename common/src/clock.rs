//! The clocks of the machine, behind a trait, so that whatever decides can be given any time in a test.
//!
//! This is the only file that reads a clock. Everything else takes `now` as an argument. [`slewed`] makes of any clock
//! one whose stamps never jump.

pub mod slewed;

pub use slewed::SlewedClock;

use crate::model::time::{BootTime, Now, WallTime};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Reads both clocks at once.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Now;

    /// How far the machine's wall clock was ahead of this one when it was last read, in milliseconds; negative if it
    /// was behind. Zero for a clock that goes by nothing else.
    fn difference_ms(&self) -> i64 {
        0
    }
}

/// The clock that counts on while the host sleeps, where there is one.
#[cfg(target_os = "linux")]
const SINCE_BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// The kernel's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let boot = nanoseconds(clock_gettime(SINCE_BOOT));
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        Now { boot: BootTime(boot.max(0).cast_unsigned()), wall: WallTime(wall) }
    }
}

/// Microseconds of the clock that systemd goes by, which stands still while the host sleeps. For nothing else.
pub fn monotonic_us() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic)).max(0).cast_unsigned() / 1000
}

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_on() {
        let (first, second) = (SystemClock.now(), SystemClock.now());
        assert!(first.boot.0 > 0 && second.boot >= first.boot);
        assert!(first.wall.as_secs_f64() > 1.7e9);
    }
}
