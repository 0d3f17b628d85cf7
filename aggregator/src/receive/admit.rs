//! Admission: how much one node may send. Limits are one struct, printed at start; every refusal says which.

use quorate_common::model::time::BootTime;

/// Limits on what one agent may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Series that are kept of one node; more are decoded, dropped and counted.
    pub series_per_node_max: u32,
    /// Largest message.
    pub message_bytes_max: usize,
    /// Largest encoded frame.
    pub frame_bytes_max: usize,
    /// Messages a second, in the long run.
    pub messages_per_s_max: u32,
    /// Messages at once.
    pub messages_burst_max: u32,
    /// Groups in one session.
    pub groups_max: u32,
    /// Longest accepted distance between frames.
    pub interval_ms_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            series_per_node_max: 20_000,
            message_bytes_max: 1024 * 1024,
            frame_bytes_max: 256 * 1024,
            messages_per_s_max: 20,
            messages_burst_max: 1_000,
            groups_max: 4_096,
            interval_ms_max: 60_000,
        }
    }
}

impl Limits {
    /// Session indices that one node may use up: retired ones are not used again.
    pub fn indices_max(&self) -> u32 {
        self.series_per_node_max.saturating_mul(2)
    }
}

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
