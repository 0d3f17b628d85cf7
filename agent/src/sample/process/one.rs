//! One process: what was last read of it, and what that means in our units.

use super::group::{Level, Reading, Usage};
use super::stat::{Io, Stat};
use super::watch::Watch;
use quorate_common::model::time::BootTime;
use rustix::fd::OwnedFd;

/// One process as last read.
pub(super) struct Process {
    pub pid: u32,
    /// As the kernel has it, made printable.
    pub name: Box<str>,
    pub group: Box<str>,
    pub stat: Stat,
    pub io: Traffic,
    /// Ticks used between the last two rounds; all of them if it began since then.
    pub ticks_in_round: u64,
    /// Open descriptors when they were last counted, where that may be known.
    pub descriptors: Option<u64>,
    /// How many it may open.
    pub descriptors_max: Option<u64>,
    raw_name: Box<[u8]>,
    /// Its files, while they are kept open.
    pub stat_file: Option<OwnedFd>,
    pub io_file: Option<OwnedFd>,
    /// When it was last there; 0 before its first reading.
    pub round: u64,
}

/// Whether storage traffic of a process may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Not tried yet.
    Unread,
    /// Not without rights that the agent lacks.
    Denied,
    /// As last read.
    Known(Io),
}

/// The kernel's units in ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Units {
    pub ticks_per_second: u64,
    pub page_bytes: u64,
}

impl Units {
    /// Those of this kernel.
    pub fn of_kernel() -> Units {
        Units {
            ticks_per_second: rustix::param::clock_ticks_per_second().max(1),
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    /// Hundredths of a second.
    pub fn centis(self, ticks: u64) -> u64 {
        ticks.saturating_mul(100) / self.ticks_per_second
    }

    /// Ticks since boot at a moment.
    pub fn ticks(self, at: BootTime) -> u64 {
        (at.0 / 1_000_000).saturating_mul(self.ticks_per_second) / 1000
    }
}

impl Process {
    /// One that was not read yet.
    pub fn new(pid: u32) -> Process {
        Process {
            pid,
            name: "".into(),
            group: "".into(),
            stat: Stat::default(),
            io: Traffic::Unread,
            ticks_in_round: 0,
            descriptors: None,
            descriptors_max: None,
            raw_name: Box::default(),
            stat_file: None,
            io_file: None,
            round: 0,
        }
    }

    /// Takes in a reading; whether it has used processor time since the last one, or there was none.
    pub fn update(&mut self, name: &[u8], stat: Stat, (last, watch): (Option<u64>, &Watch)) -> bool {
        let is_new = self.round == 0 || self.stat.start_ticks != stat.start_ticks;
        if is_new {
            self.io = Traffic::Unread;
        }
        if is_new || *self.raw_name != *name {
            self.raw_name = name.into();
            self.name = printable(name).into();
            self.group = watch.group_of(&self.name).unwrap_or(group_name(&self.name, stat.is_kernel)).into();
        }
        let ticks = |stat: &Stat| stat.user_ticks.saturating_add(stat.system_ticks);
        self.ticks_in_round = match is_new {
            false => ticks(&stat).saturating_sub(ticks(&self.stat)),
            true if last.is_some_and(|last| stat.start_ticks >= last) => ticks(&stat),
            // How much of what it used is older than this round is not known.
            true => 0,
        };
        self.stat = stat;
        is_new || self.ticks_in_round > 0
    }

    /// The process as the groups want it.
    pub fn reading(&self, units: Units) -> Reading<'_> {
        let (stat, start_centis) = (&self.stat, units.centis(self.stat.start_ticks));
        let (io, with_io) = match self.io {
            Traffic::Known(io) => (io, 1),
            Traffic::Unread | Traffic::Denied => (Io::default(), 0),
        };
        let usage = Usage {
            user_centis: units.centis(stat.user_ticks),
            system_centis: units.centis(stat.system_ticks),
            read_bytes: io.read_bytes,
            write_bytes: io.write_bytes,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
        };
        let mut level = Level {
            processes: 1,
            threads: stat.threads,
            resident_bytes: stat.resident_pages.saturating_mul(units.page_bytes),
            virtual_bytes: stat.virtual_bytes,
            oldest_centis: Some(start_centis),
            states: [0; 5],
            with_io,
            descriptors: self.descriptors.unwrap_or(0),
            with_descriptors: u64::from(self.descriptors.is_some()),
            fullest: self.fullness(),
        };
        level.states[state_index(stat.state)] = 1;
        Reading { pid: self.pid, start_centis, group: &self.group, usage, level }
    }

    /// Open descriptors as a share of how many it may open, in ten-thousandths.
    fn fullness(&self) -> Option<u64> {
        Some(self.descriptors?.saturating_mul(10_000) / self.descriptors_max?.max(1))
    }
}

fn state_index(letter: u8) -> usize {
    match letter {
        b'R' => 0,
        b'S' => 1,
        b'D' => 2,
        b'Z' => 3,
        _ => 4,
    }
}

/// A program may give itself any name; control characters would break whoever prints it.
fn printable(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if clean.is_empty() { "unnamed".to_owned() } else { clean }
}

/// The kernel names its threads after what they serve (`kworker/0:1`, `ksoftirqd/7`): the part before is the
/// group.
fn group_name(name: &str, is_kernel: bool) -> &str {
    match name.split_once('/') {
        Some((family, _)) if is_kernel && !family.is_empty() => family,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_threads_are_one_group_for_each_kind() {
        for (name, is_kernel, expect) in [
            ("kworker/0:1-events", true, "kworker"),
            ("kthreadd", true, "kthreadd"),
            ("/x", true, "/x"),
            ("a/b", false, "a/b"),
        ] {
            assert_eq!(group_name(name, is_kernel), expect);
        }
    }
}
