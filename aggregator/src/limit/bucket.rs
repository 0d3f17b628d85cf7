//! A token bucket: so many at once, so many a second in the long run.

use quorate_common::model::time::BootTime;

/// A token bucket: so many at once, so many a second.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate_per_s: u64,
    /// Room, in billionths of a message.
    room: u64,
    room_max: u64,
    at: BootTime,
}

const MESSAGE: u64 = 1_000_000_000;

impl Bucket {
    /// A full bucket.
    pub fn new(rate_per_s: u32, burst: u32, now: BootTime) -> Bucket {
        let room_max = u64::from(burst.max(1)) * MESSAGE;
        Bucket { rate_per_s: u64::from(rate_per_s), room: room_max, room_max, at: now }
    }

    /// Takes one message's room; `false` when there is none.
    pub fn take(&mut self, now: BootTime) -> bool {
        let elapsed_ns = u64::try_from(now.since(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        self.room = self.room.saturating_add(elapsed_ns.saturating_mul(self.rate_per_s)).min(self.room_max);
        let fits = self.room >= MESSAGE;
        if fits {
            self.room -= MESSAGE;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate() {
        let start = BootTime(0);
        let mut bucket = Bucket::new(10, 3, start);
        assert_eq!((0..5).filter(|_| bucket.take(start)).count(), 3);
        let later = start + Duration::from_millis(250);
        assert_eq!((0..5).filter(|_| bucket.take(later)).count(), 2);
        assert!(!bucket.take(start), "a clock that went back gives nothing");
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| bucket.take(much_later)).count(), 3, "room does not pile up");
    }
}
