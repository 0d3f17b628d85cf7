//! Frames on the wire: what the frames before one foretell of its head is left out.
//!
//! ```text
//!   number       the next one
//!   predecessor  the newest frame of the same window
//!   boot clock   when the frame before said that the next would come
//!   wall clock   as far from the boot clock as in the frame before
//!   collected    as many samples as in the frame before of the same window
//!   groups       those of the frame before of the same window
//! ```
//!
//! Both ends of a session keep a [`Foretold`] and see the same frames in the same order: a frame that is lost on the
//! way is the end of the session. Clocks are carried in whole microseconds; agents read them no finer.

use super::{ConvertError, word};
use crate::v1;
use bytes::Bytes;
use quorate_common::model::series::Window;
use quorate_common::model::session::Frame;

const US_NS: u64 = 1_000;

/// What is known before a frame comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Foretold {
    seq: u64,
    boot_us: i64,
    /// Wall clock less boot clock.
    ahead_us: i64,
    next_due_ms: u32,
    collected_total: u64,
    echo: u64,
    windows: [Newest; 3],
    /// Stands for the heartbeats, which have no window.
    bare: Newest,
}

/// The newest frame of one window.
#[derive(Clone, Debug, Default)]
struct Newest {
    seq: u64,
    samples: u64,
    groups: Bytes,
}

impl Foretold {
    /// The frame as it is sent after those that were sent before.
    pub(super) fn write(&mut self, frame: Frame) -> v1::Frame {
        let boot_us = (frame.boot_ns / US_NS).cast_signed();
        let ahead_us = frame.wall_ns.div_euclid(US_NS.cast_signed()).wrapping_sub(boot_us);
        let newest = self.newest(frame.window);
        let samples = frame.collected_total.wrapping_sub(self.collected_total);
        let wire = v1::Frame {
            skipped: frame.seq.wrapping_sub(self.seq.wrapping_add(1)),
            predecessor: (frame.predecessor != newest.seq).then_some(frame.predecessor),
            window: match frame.window {
                Some(Window::Short) => None,
                Some(window) => Some(v1::Window::from(window).into()),
                None => Some(v1::Window::Unspecified.into()),
            },
            boot_us: boot_us.wrapping_sub(self.due_us()),
            wall_us: ahead_us.wrapping_sub(self.ahead_us),
            next_due_ms: (frame.next_due_ms != self.next_due_ms).then_some(frame.next_due_ms),
            collected: samples.wrapping_sub(newest.samples).cast_signed(),
            echoes: frame.echo.wrapping_sub(self.echo),
            groups: (frame.groups != newest.groups).then(|| frame.groups.clone()),
            cells: frame.cells.clone(),
        };
        self.remember(&frame, (boot_us, ahead_us));
        wire
    }

    /// The frame that was sent.
    pub(super) fn read(&mut self, wire: v1::Frame) -> Result<Frame, ConvertError> {
        let window = match wire.window {
            None => Some(Window::Short),
            Some(0) => None,
            Some(number) => Some(word::<v1::Window, _>(number, "frame.window")?),
        };
        let seq = self.seq.wrapping_add(1).wrapping_add(wire.skipped);
        if seq == 0 {
            return Err(ConvertError::invalid("frame.skipped", "frames count from 1"));
        }
        let clocks = self.clocks(&wire);
        let newest = self.newest(window);
        let samples = newest.samples.wrapping_add_signed(wire.collected);
        let frame = Frame {
            seq,
            predecessor: wire.predecessor.unwrap_or(newest.seq),
            window,
            boot_ns: boot_ns(clocks)?,
            wall_ns: wall_ns(clocks)?,
            next_due_ms: wire.next_due_ms.unwrap_or(self.next_due_ms),
            collected_total: self.collected_total.wrapping_add(samples),
            echo: self.echo.wrapping_add(wire.echoes),
            // A copy, so that what is remembered does not hold on to the message that it came in.
            groups: wire
                .groups
                .map_or_else(|| newest.groups.clone(), |groups| Bytes::copy_from_slice(&groups)),
            cells: wire.cells,
        };
        if window.is_none() && !(frame.groups.is_empty() && frame.cells.is_empty()) {
            return Err(ConvertError::Missing("frame.window"));
        }
        self.remember(&frame, clocks);
        Ok(frame)
    }

    fn remember(&mut self, frame: &Frame, (boot_us, ahead_us): (i64, i64)) {
        let samples = frame.collected_total.wrapping_sub(self.collected_total);
        *self.newest_mut(frame.window) = Newest { seq: frame.seq, samples, groups: frame.groups.clone() };
        // The predecessor of a heartbeat is no frame.
        self.bare.seq = 0;
        (self.seq, self.boot_us, self.ahead_us) = (frame.seq, boot_us, ahead_us);
        (self.next_due_ms, self.collected_total) = (frame.next_due_ms, frame.collected_total);
        self.echo = frame.echo;
    }

    /// When the next frame should have been sampled.
    fn due_us(&self) -> i64 {
        self.boot_us.wrapping_add(i64::from(self.next_due_ms) * 1_000)
    }

    fn clocks(&self, wire: &v1::Frame) -> (i64, i64) {
        (self.due_us().wrapping_add(wire.boot_us), self.ahead_us.wrapping_add(wire.wall_us))
    }

    fn newest(&self, window: Option<Window>) -> &Newest {
        match window {
            Some(window) => &self.windows[place(window)],
            None => &self.bare,
        }
    }

    fn newest_mut(&mut self, window: Option<Window>) -> &mut Newest {
        match window {
            Some(window) => &mut self.windows[place(window)],
            None => &mut self.bare,
        }
    }
}

const fn place(window: Window) -> usize {
    match window {
        Window::Short => 0,
        Window::Medium => 1,
        Window::Long => 2,
    }
}

fn boot_ns((boot_us, _): (i64, i64)) -> Result<u64, ConvertError> {
    let ns = u64::try_from(boot_us).ok().and_then(|us| us.checked_mul(US_NS));
    ns.ok_or_else(|| ConvertError::invalid("frame.boot_us", "no time that a clock can show"))
}

fn wall_ns((boot_us, ahead_us): (i64, i64)) -> Result<i64, ConvertError> {
    let ns = boot_us.checked_add(ahead_us).and_then(|us| us.checked_mul(US_NS.cast_signed()));
    ns.ok_or_else(|| ConvertError::invalid("frame.wall_us", "no time that a clock can show"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use quorate_common::rng::{Rng, SeededRng};

    const SECOND_NS: u64 = 1_000_000_000;

    fn tick(seq: u64) -> Frame {
        Frame {
            seq,
            predecessor: seq - 1,
            window: Some(Window::Short),
            boot_ns: seq * SECOND_NS + 70_000,
            wall_ns: (1_800_000_000 + seq.cast_signed()) * SECOND_NS.cast_signed(),
            next_due_ms: 1000,
            collected_total: 400 * seq,
            echo: 0,
            groups: vec![0xff, 0x1f].into(),
            cells: vec![3; 20].into(),
        }
    }

    #[test]
    fn a_tick_like_the_one_before_is_little_more_than_its_cells() {
        let mut foretold = Foretold::default();
        foretold.write(tick(1));
        foretold.write(tick(2));
        let wire = foretold.write(tick(3));
        assert_eq!(wire, v1::Frame { cells: vec![3; 20].into(), ..v1::Frame::default() });
        let late = Frame { boot_ns: tick(4).boot_ns + 90_000, ..tick(4) };
        assert_eq!(foretold.write(late).encoded_len(), 22 + 3 + 3, "both clocks");
    }

    /// Any frames at all, in any order.
    fn drawn(rng: &mut SeededRng) -> Frame {
        let mut some = |values: &[u64]| {
            let at = rng.below(values.len() as u64 + 1) as usize;
            values.get(at).copied().unwrap_or_else(|| rng.u64())
        };
        let window = [None, Some(Window::Short), Some(Window::Medium), Some(Window::Long)]
            [some(&[0, 1, 2, 3]) as usize % 4];
        let bytes =
            |length: u64| Bytes::from(vec![7; if window.is_none() { 0 } else { length as usize % 5 }]);
        Frame {
            seq: some(&[1, 2, 3, u64::MAX]).max(1),
            predecessor: some(&[0, 1, 2]),
            window,
            boot_ns: some(&[0, 1_000, 5_000_000]) / US_NS * US_NS,
            wall_ns: (some(&[0, 1_000, 5_000_000]) >> 1).cast_signed() / 1000
                * 1000
                * if some(&[0, 1]) % 2 == 0 { 1 } else { -1 },
            next_due_ms: some(&[0, 1000]) as u32,
            collected_total: some(&[0, 1, 1000]),
            echo: some(&[0, 1]),
            groups: bytes(some(&[0, 1, 2])),
            cells: bytes(some(&[0, 1, 2])),
        }
    }

    #[test]
    fn whatever_is_written_is_read() {
        for seed in 0..200 {
            let mut rng = SeededRng::new(seed);
            let (mut writer, mut reader) = (Foretold::default(), Foretold::default());
            for _ in 0..50 {
                let frame = drawn(&mut rng);
                let bytes = writer.write(frame.clone()).encode_to_vec();
                let read = reader.read(v1::Frame::decode(bytes.as_slice()).unwrap());
                assert_eq!(read.unwrap(), frame, "seed {seed}");
            }
        }
    }

    #[test]
    fn wrong_frames_name_their_field() {
        let check = |wire: v1::Frame, expect: &str| {
            assert_eq!(Foretold::default().read(wire).unwrap_err().to_string(), expect);
        };
        let none = v1::Frame::default;
        check(v1::Frame { skipped: u64::MAX, ..none() }, "field `frame.skipped`: frames count from 1");
        check(v1::Frame { window: Some(9), ..none() }, "field `frame.window`: unknown number 9");
        let bare = v1::Frame { window: Some(0), cells: vec![1].into(), ..none() };
        check(bare, "field `frame.window` is missing");
        check(v1::Frame { boot_us: -1, ..none() }, "field `frame.boot_us`: no time that a clock can show");
        check(
            v1::Frame { wall_us: i64::MAX, ..none() },
            "field `frame.wall_us`: no time that a clock can show",
        );
    }
}
