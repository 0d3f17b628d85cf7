//! The processes there are, read from `/proc` once a round, with descriptors kept open within a budget.
//!
//! Per process and round this is one read of `stat`, and one of `io` only if processor time was used since: a
//! process that did not run did not read or write. A kept descriptor of a process that ended fails with
//! ESRCH, even if its number was given to another one.

use super::super::config::ProcessConfig;
use super::super::error::SampleError;
use super::descriptor;
use super::group::{Level, Reading, Usage};
use super::stat::{self, Io, Stat};
use super::watch::Watch;
use quorate_common::model::time::BootTime;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

/// A `stat` has some 350 bytes; the kernel would have to double its columns twice to outgrow this.
const FILE_BYTES: usize = 2048;
const LIST_BYTES: usize = 32 * 1024;
/// Descriptors are counted once in so many rounds, a tenth of the processes in each.
const COUNT_ROUNDS: u64 = 10;
/// Their limit hardly ever changes.
const LIMIT_ROUNDS: u64 = 600;

/// All processes of the last round.
pub(super) struct Table {
    root: PathBuf,
    directory: Option<OwnedFd>,
    list: Vec<MaybeUninit<u8>>,
    pids: Vec<u32>,
    file: Vec<u8>,
    processes: HashMap<u32, Process>,
    descriptors: Budget,
    units: Units,
    watch: Watch,
    round: u64,
    /// When the last round was, in ticks since boot; `None` before the first.
    last_ticks: Option<u64>,
    /// Readings that were left out because their text was not understood.
    unread: u64,
}

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
    stat_file: Option<OwnedFd>,
    io_file: Option<OwnedFd>,
    round: u64,
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

#[derive(Debug)]
struct Budget {
    open: usize,
    most: usize,
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

    fn ticks(self, at: BootTime) -> u64 {
        (at.0 / 1_000_000).saturating_mul(self.ticks_per_second) / 1000
    }
}

impl Table {
    /// The processes below `root`/proc; nothing is read yet.
    pub fn new(root: &Path, config: &ProcessConfig) -> Table {
        // Half of what this process may open is left to its other parts.
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = allowed.map_or(usize::MAX, |most| usize::try_from(most / 2).unwrap_or(usize::MAX));
        Table {
            root: root.join("proc"),
            directory: None,
            list: vec![MaybeUninit::uninit(); LIST_BYTES],
            pids: Vec::new(),
            file: vec![0; FILE_BYTES],
            processes: HashMap::new(),
            descriptors: Budget { open: 0, most: config.descriptors_max.min(half) },
            units: Units::of_kernel(),
            // What is wrong in it was refused with the configuration.
            watch: Watch::parse(&config.watch).unwrap_or_default(),
            round: 0,
            last_ticks: None,
            unread: 0,
        }
    }

    /// Reads all processes as they are `now`.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be listed, or no process in it could be understood. A process that ends meanwhile, or may
    /// not be looked at, is left out, and so is one whose files are not as the kernel writes them: that is
    /// counted.
    pub fn refresh(&mut self, now: BootTime) -> Result<(), SampleError> {
        self.round += 1;
        self.enumerate().map_err(|error| SampleError::read(&self.root, error))?;
        let pids = std::mem::take(&mut self.pids);
        let (mut some, mut problem) = (false, None);
        for pid in &pids {
            match self.read(*pid) {
                Ok(()) => some = true,
                Err(error) => {
                    self.unread += 1;
                    problem.get_or_insert(error);
                }
            }
        }
        self.pids = pids;
        self.last_ticks = Some(self.units.ticks(now));
        if let (false, Some(error)) = (some, problem) {
            return Err(error);
        }
        let (round, descriptors) = (self.round, &mut self.descriptors);
        self.processes.retain(|_, process| {
            let is_there = process.round == round;
            if !is_there {
                descriptors.close(process);
            }
            is_there
        });
        Ok(())
    }

    /// The processes of the last round, in no order.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// How many readings were left out so far because their text was not understood.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// The kernel's units.
    pub fn units(&self) -> Units {
        self.units
    }

    /// The directory that has the processes.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn enumerate(&mut self) -> Result<(), Errno> {
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None => rustix::fs::open(
                &self.root,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?,
        };
        rustix::fs::seek(&directory, SeekFrom::Start(0))?;
        self.pids.clear();
        let mut entries = RawDir::new(&directory, &mut self.list);
        while let Some(entry) = entries.next() {
            let name = super::super::text::digits(entry?.file_name().to_bytes());
            self.pids.extend(name.and_then(|pid| u32::try_from(pid).ok()));
        }
        self.directory = Some(directory);
        Ok(())
    }

    fn read(&mut self, pid: u32) -> Result<(), SampleError> {
        let mut process = self.processes.remove(&pid).unwrap_or_else(|| Process::new(pid));
        let read = self.read_stat(&mut process);
        if matches!(read, Ok(true)) {
            self.processes.insert(pid, process);
        } else {
            self.descriptors.close(&mut process);
        }
        read.map(|_| ())
    }

    /// Whether the process is there.
    fn read_stat(&mut self, process: &mut Process) -> Result<bool, SampleError> {
        let mut read = self.contents(&mut process.stat_file, process.pid, "stat");
        if process.stat_file.is_some() && read == Err(Errno::SRCH) {
            // The process has ended; its number may already be another's.
            self.descriptors.close(process);
            *process = Process::new(process.pid);
            read = self.contents(&mut process.stat_file, process.pid, "stat");
        }
        let Ok(length) = read else { return Ok(false) };
        // The path is only built for a failure: nothing is allocated for a process that is as it was.
        let bytes = &self.file[..length];
        let parsed = stat::parse(Path::new(""), bytes);
        let (name, stat) = parsed.or_else(|_| stat::parse(&self.path(process.pid, "stat"), bytes))?;
        let has_run = process.update(name, stat, (self.last_ticks, &self.watch));
        let is_new = process.round == 0;
        process.round = self.round;
        // A malformed file leaves what was known: the process is there all the same.
        if has_run && process.io != Traffic::Denied && self.read_io(process).is_err() {
            self.unread += 1;
        }
        self.count_descriptors(process, is_new);
        Ok(true)
    }

    /// Kernel threads have none, and the directory of a process that is new has not been counted yet.
    fn count_descriptors(&self, process: &mut Process, is_new: bool) {
        let turn = self.round.wrapping_add(u64::from(process.pid));
        let Some(directory) = &self.directory else { return };
        if process.stat.is_kernel || !(is_new || turn.is_multiple_of(COUNT_ROUNDS)) {
            return;
        }
        process.descriptors = descriptor::open_count(directory, process.pid);
        // One that has just begun may be gone before anybody asks how full it is.
        if !is_new && (process.descriptors_max.is_none() || turn.is_multiple_of(LIMIT_ROUNDS)) {
            process.descriptors_max = descriptor::most(directory, process.pid);
        }
    }

    fn read_io(&mut self, process: &mut Process) -> Result<(), SampleError> {
        match self.contents(&mut process.io_file, process.pid, "io") {
            Ok(length) => {
                let bytes = &self.file[..length];
                let parsed = stat::parse_io(Path::new(""), bytes);
                let io = parsed.or_else(|_| stat::parse_io(&self.path(process.pid, "io"), bytes))?;
                process.io = Traffic::Known(io);
            }
            Err(Errno::ACCESS | Errno::PERM) => process.io = Traffic::Denied,
            // It has just ended, or this kernel has no such file: what was known stays.
            Err(_) => self.descriptors.open -= usize::from(process.io_file.take().is_some()),
        }
        Ok(())
    }

    fn path(&self, pid: u32, file: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(file)
    }

    /// Reads a file of a process into the buffer, and keeps it open if the budget allows.
    fn contents(&mut self, kept: &mut Option<OwnedFd>, pid: u32, file: &str) -> Result<usize, Errno> {
        if let Some(descriptor) = kept {
            return read_from(descriptor, &mut self.file);
        }
        let Some(directory) = &self.directory else { return Err(Errno::BADF) };
        let mut path = [0u8; 24];
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(directory, relative(&mut path, pid, file), flags, Mode::empty())?;
        let length = read_from(&descriptor, &mut self.file)?;
        if self.descriptors.open < self.descriptors.most {
            self.descriptors.open += 1;
            *kept = Some(descriptor);
        }
        Ok(length)
    }
}

/// One read is the whole file. An empty one is what a process leaves that ends at this very moment.
fn read_from(descriptor: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    match rustix::io::pread(descriptor, buffer, 0)? {
        0 => Err(Errno::SRCH),
        length => Ok(length),
    }
}

/// `PID/file`, without an allocation.
fn relative<'a>(buffer: &'a mut [u8; 24], pid: u32, file: &str) -> &'a str {
    use std::io::Write;
    let mut rest = &mut buffer[..];
    // A number has at most ten digits, and the files are called `stat` and `io`.
    write!(rest, "{pid}/{file}").ok();
    let length = 24 - rest.len();
    std::str::from_utf8(&buffer[..length]).unwrap_or_default()
}

impl Budget {
    fn close(&mut self, process: &mut Process) {
        for file in [&mut process.stat_file, &mut process.io_file] {
            self.open -= usize::from(file.take().is_some());
        }
    }
}

impl Process {
    fn new(pid: u32) -> Process {
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
    fn update(&mut self, name: &[u8], stat: Stat, (last, watch): (Option<u64>, &Watch)) -> bool {
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
    use super::super::super::golden::Tree;
    use super::*;

    fn write(tree: &Tree, pid: u32, name: &str, start: u64, ticks: u64) {
        let text = format!("{pid} ({name}) S 1 0 0 0 -1 0 5 0 1 0 {ticks} 0 0 0 20 0 3 0 {start} 8192 2 0\n");
        tree.write(&format!("proc/{pid}/stat"), &text);
        tree.write(&format!("proc/{pid}/io"), &format!("read_bytes: {ticks}\nwrite_bytes: 0\n"));
    }

    fn at(seconds: u64) -> BootTime {
        BootTime(seconds * 1_000_000_000)
    }

    fn names(table: &Table) -> Vec<String> {
        let mut names: Vec<String> =
            table.processes().map(|one| format!("{} {} {}", one.pid, one.name, one.ticks_in_round)).collect();
        names.sort();
        names
    }

    #[test]
    fn follows_processes_within_its_budget() {
        for descriptors_max in [0, 3, 100] {
            let tree = Tree::empty();
            let config = ProcessConfig { descriptors_max, ..ProcessConfig::default() };
            let mut table = Table::new(tree.root(), &config);
            tree.write("proc/version", "not a process");
            tree.write("proc/99999999999/stat", "nor this");
            write(&tree, 1, "init", 1, 10);
            write(&tree, 20, "a b)", 100, 10);
            table.refresh(at(1)).unwrap();
            assert_eq!(names(&table), ["1 init 0", "20 a b) 0"]);
            assert_eq!(table.descriptors.open, descriptors_max.min(4));

            write(&tree, 1, "init", 1, 15);
            write(&tree, 20, "x\ty", 200, 1);
            table.refresh(at(2)).unwrap();
            assert_eq!(names(&table), ["1 init 5", "20 x?y 1"]);
            let first = table.processes().find(|one| one.pid == 1).unwrap();
            assert_eq!(first.io, Traffic::Known(Io { read_bytes: 15, write_bytes: 0 }));

            std::fs::remove_dir_all(tree.root().join("proc/20")).unwrap();
            table.refresh(at(2)).unwrap();
            assert_eq!(names(&table), ["1 init 0"]);
            // Which of the two had the descriptors depends on the order of the directory.
            assert!((descriptors_max.min(1)..=descriptors_max.min(2)).contains(&table.descriptors.open));
        }
    }

    #[test]
    fn failures_name_the_file() {
        let tree = Tree::empty();
        let mut nowhere = Table::new(Path::new("/does/not/exist"), &ProcessConfig::default());
        assert_eq!(nowhere.refresh(at(1)).unwrap_err().to_string(), "failed to read `/does/not/exist/proc`");
        let mut table = Table::new(tree.root(), &ProcessConfig::default());
        tree.write("proc/5/stat", "5 (x) S 1 garbage");
        let error = table.refresh(at(2)).unwrap_err().to_string().replace(&tree.display(), "");
        assert_eq!(error, "failed to parse `/proc/5/stat` line 1: `flags` is missing");
        write(&tree, 5, "x", 1, 1);
        tree.write("proc/6/stat", "6 (y) S 1 garbage");
        table.refresh(at(3)).unwrap();
        assert_eq!((names(&table), table.unread()), (vec!["5 x 0".to_owned()], 2));
        tree.write("proc/5/io", "nonsense");
        write(&tree, 6, "y", 1, 1);
        tree.write("proc/5/stat", "5 (x) S 1 0 0 0 -1 0 5 0 1 0 4 0 0 0 20 0 3 0 1 8192 2 0");
        table.refresh(at(4)).unwrap();
        assert_eq!((names(&table), table.unread()), (vec!["5 x 3".to_owned(), "6 y 0".to_owned()], 3));
    }

    #[test]
    fn this_process_is_there() {
        let mut table = Table::new(Path::new("/"), &ProcessConfig::default());
        for _ in 0..2 {
            table.refresh(at(2)).unwrap();
            let own = table.processes().find(|one| one.pid == std::process::id()).unwrap();
            assert!(own.stat.threads >= 1 && own.stat.resident_pages > 0 && own.io != Traffic::Unread);
        }
    }

    #[test]
    fn an_ended_process_is_noticed() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut table = Table::new(Path::new("/"), &ProcessConfig::default());
        table.refresh(at(2)).unwrap();
        assert!(table.processes().any(|one| one.pid == child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
        table.refresh(at(2)).unwrap();
        assert!(!table.processes().any(|one| one.pid == child.id()));
    }

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
