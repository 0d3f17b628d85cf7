//! Counts the frames of a caller that carry nothing. HTTP/2 makes the server answer most of them, flow control
//! does not hold them back, and no service ever sees them.
//!
//! ```text
//!   length (3) type flags stream (4) ─→ content, skipped ─→ the next
//!   counted: all but HEADERS, CONTINUATION and DATA with content
//! ```

use crate::limit::{Bucket, Http2Limits};
use quorate_common::model::time::BootTime;

const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// Reads along what one caller sends after its preface.
#[derive(Debug)]
pub struct Meter {
    bucket: Bucket,
    head: [u8; HEAD_BYTES],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes of content that are still to come.
    content: usize,
}

impl Meter {
    /// Nothing was read yet.
    pub fn new(limits: &Http2Limits, now: BootTime) -> Meter {
        let bucket = Bucket::new(limits.control_frames_per_s_max, limits.control_frames_burst_max, now);
        Meter { bucket, head: [0; HEAD_BYTES], filled: 0, content: 0 }
    }

    /// Reads more; `false` when there were too many. `now` is asked for when it matters only.
    pub fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> BootTime) -> bool {
        while !bytes.is_empty() {
            let skipped = self.content.min(bytes.len());
            self.content -= skipped;
            bytes = &bytes[skipped..];
            let wanted = (HEAD_BYTES - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + wanted].copy_from_slice(&bytes[..wanted]);
            self.filled += wanted;
            bytes = &bytes[wanted..];
            if self.filled == HEAD_BYTES && !self.begin(&now) {
                return false;
            }
        }
        true
    }

    /// A whole head is there.
    fn begin(&mut self, now: &impl Fn() -> BootTime) -> bool {
        self.filled = 0;
        let [a, b, c, kind, ..] = self.head;
        self.content = u32::from_be_bytes([0, a, b, c]) as usize;
        match kind {
            HEADERS | CONTINUATION => true,
            DATA if self.content > 0 => true,
            _ => self.bucket.take(now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, content: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, content as u8, kind, 0, 0, 0, 0, 1];
        bytes.resize(HEAD_BYTES + content, 0xff);
        bytes
    }

    #[test]
    fn only_frames_without_content_count_however_they_are_cut() {
        let limits = Http2Limits {
            control_frames_per_s_max: 1,
            control_frames_burst_max: 3,
            ..Http2Limits::default()
        };
        let now = || BootTime(0);
        let harmless: Vec<u8> = (0..50)
            .flat_map(|_| [frame(DATA, 70), frame(HEADERS, 0), frame(CONTINUATION, 9)].concat())
            .collect();
        let kinds = [(DATA, 0), (2, 5), (3, 4), (4, 0), (6, 8), (8, 4)];
        for size in [1, 7, 9, 64, 100_000] {
            for (kind, content) in kinds {
                let mut meter = Meter::new(&limits, now());
                let mut bytes = harmless.clone();
                (0..3).for_each(|_| bytes.extend(frame(kind, content)));
                assert!(bytes.chunks(size).all(|chunk| meter.read(chunk, now)), "{kind}");
                assert!(!meter.read(&frame(kind, content), now), "{kind}: the fourth is one too many");
            }
        }
    }
}
