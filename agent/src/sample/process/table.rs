//! The processes there are, read from `/proc` once a round, with descriptors kept open within a budget.
//!
//! Per process and round this is one read of `stat`, and one of `io` only if processor time was used since: a
//! process that did not run did not read or write. A kept descriptor of a process that ended fails with
//! ESRCH, even if its number was given to another one.

use super::super::config::ProcessConfig;
use super::super::error::SampleError;
use super::descriptor;
use super::one::{Process, Traffic, Units};
use super::stat;
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

#[derive(Debug)]
struct Budget {
    open: usize,
    most: usize,
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

#[cfg(test)]
mod tests {
    use super::super::super::golden::Tree;
    use super::super::stat::Io;
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
}
