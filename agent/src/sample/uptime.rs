//! The wall clock, and what the kernel says of itself. When the host booted stands in `/proc/stat`: see
//! `cpu.rs`.

use super::error::SampleError;
use super::labelled::Labelled;
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{TIME, UNAME_INFO};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::ffi::CStr;

/// Says what time it is here: the aggregator's view of a node's clock, kept as history.
pub(super) struct Time {
    interval_ms: u32,
    slot: Option<Slot>,
}

impl Time {
    /// Says it every `interval_ms`.
    pub fn new(interval_ms: u32) -> Time {
        Time { interval_ms, slot: None }
    }
}

impl Sampler for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let slot = *self.slot.get_or_insert_with(|| out.slot(&TIME, Labels::default()));
        out.set(slot, now.wall.as_millis());
        Ok(())
    }
}

/// Names kernel and host. A new hostname ends the series and begins another.
pub(super) struct Uname {
    interval_ms: u32,
    said: Labelled,
}

impl Uname {
    /// Asks every `interval_ms`.
    pub fn new(interval_ms: u32) -> Uname {
        Uname { interval_ms, said: Labelled::default() }
    }
}

impl Sampler for Uname {
    fn name(&self) -> &'static str {
        "uname"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let uname = rustix::system::uname();
        let text = |text: &CStr| text.to_string_lossy().into_owned();
        let labels = Labels::new([
            ("sysname", text(uname.sysname())),
            ("nodename", text(uname.nodename())),
            ("release", text(uname.release())),
            ("version", text(uname.version())),
            ("machine", text(uname.machine())),
            ("domainname", text(uname.domainname())),
        ])?;
        self.said.set((&UNAME_INFO, &labels), 1, out)?;
        self.said.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, sample};
    use super::*;

    #[test]
    fn the_clock_is_in_milliseconds() {
        assert_eq!(
            sample(&mut Time::new(1000), &mut Board::default()).unwrap(),
            "node_time_seconds 1795203000.125\n"
        );
    }

    #[test]
    fn the_kernel_names_itself() {
        let text = sample(&mut Uname::new(30_000), &mut Board::default()).unwrap();
        for label in ["sysname=\"Linux\"", "nodename=", "release=", "version=", "machine=", "domainname="] {
            assert!(text.contains(label), "{text}");
        }
        assert!(text.starts_with("node_uname_info{") && text.ends_with("} 1\n"), "{text}");
    }
}
