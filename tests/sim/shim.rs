//! The disk of one process: it dies with it, fails when told to, and is where some mutants live.

use super::mutant::Mutant;
use quorate_common::disk::{Disk, MemoryDisk, Opened, Operation};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module.
pub struct Shim {
    disk: MemoryDisk,
    mutant: Option<Mutant>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Calls until the process ends.
    fuse: Option<u32>,
    is_dead: bool,
    /// The next failure: which calls, and how many of them succeed before it.
    fault: Option<(Operation, u32)>,
    faults: u64,
    /// The last call noted a loss.
    has_noted_loss: bool,
    is_cut_apart: bool,
    /// A write that a mutant holds back.
    held_back: Option<(PathBuf, Vec<u8>)>,
}

impl Shim {
    /// Over the disk that stays.
    pub fn new(disk: &MemoryDisk, mutant: Option<Mutant>) -> Shim {
        Shim { disk: disk.clone(), mutant, state: Mutex::default() }
    }

    /// The process ends inside a call to come.
    pub fn arm(&self, calls: u32) {
        self.state().fuse = Some(calls);
    }

    /// One call fails.
    pub fn fail(&self, operation: Operation, after: u32) {
        self.state().fault = Some((operation, after));
    }

    /// Nothing more happens to it.
    pub fn calm(&self) {
        let mut state = self.state();
        (state.fuse, state.fault) = (None, None);
    }

    /// Whether the process has ended.
    pub fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// How many calls failed.
    pub fn faults(&self) -> u64 {
        self.state().faults
    }

    /// Whether the process ended between the note of a loss and what follows.
    pub fn is_cut_apart(&self) -> bool {
        self.state().is_cut_apart
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether the call takes place.
    fn enter(&self, operation: Operation) -> io::Result<()> {
        let mut state = self.state();
        match state.fuse {
            Some(0) => {
                state.is_cut_apart |=
                    !state.is_dead && state.has_noted_loss && operation == Operation::Remove;
                state.is_dead = true;
            }
            Some(calls) => state.fuse = Some(calls - 1),
            None => {}
        }
        if state.is_dead {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.has_noted_loss = false;
        match state.fault {
            Some((failing, 0)) if failing == operation => {
                (state.fault, state.faults) = (None, state.faults + 1);
                Err(io::ErrorKind::StorageFull.into())
            }
            Some((failing, after)) if failing == operation => {
                state.fault = Some((failing, after - 1));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn begins(path: &Path, beginning: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(beginning))
}

impl Disk for Shim {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        self.enter(Operation::Read)?;
        self.disk.read(path, bytes_max)
    }

    fn read_part(&self, path: &Path, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.enter(Operation::Read)?;
        self.disk.read_part(path, at, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Opened>> {
        self.enter(Operation::Read)?;
        self.disk.open(path)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.enter(Operation::Read)?;
        self.disk.length(path)
    }

    fn free(&self, directory: &Path) -> io::Result<u64> {
        self.enter(Operation::Read)?;
        self.disk.free(directory)
    }

    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.enter(Operation::Write)?;
        let is_loss = begins(path, "losses");
        let grows = self.disk.read(path, u64::MAX).map_or(0, |before| before.len()) < content.len();
        if is_loss && grows && self.is(Mutant::LossAfterUnlink) {
            self.state().held_back = Some((path.to_owned(), content.to_vec()));
            return Ok(());
        }
        self.disk.write_atomic(path, content)?;
        self.state().has_noted_loss = is_loss;
        Ok(())
    }

    fn create_exclusive(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.enter(Operation::Write)?;
        self.disk.create_exclusive(path, content)
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let was_dead = self.is_dead();
        let entered = self.enter(Operation::Write);
        if entered.is_err() {
            // Whoever dies or fails in a write has written a part.
            let part = if was_dead { 0 } else { content.len() / 2 };
            self.disk.append(path, &content[..part])?;
            return entered;
        }
        self.disk.append(path, content)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.enter(Operation::Sync)?;
        let skipped = (self.is(Mutant::AcknowledgedBeforeSync) && begins(path, "log"))
            || (self.is(Mutant::UnlinkedBeforeSeal) && begins(path, "chunks"))
            || (self.is(Mutant::JournalNotSynced) && path.starts_with("/spool"));
        if skipped { Ok(()) } else { self.disk.sync(path) }
    }

    fn shorten(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.enter(Operation::Write)?;
        self.disk.shorten(path, bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.enter(Operation::Read)?;
        self.disk.list(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.enter(Operation::Remove)?;
        let removed = self.disk.remove(path);
        let held_back = self.state().held_back.take();
        if let Some((path, content)) = held_back {
            self.write_back(&path, &content)?;
        }
        removed
    }
}

impl Shim {
    fn write_back(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.enter(Operation::Write)?;
        self.disk.write_atomic(path, content)
    }
}

/// Another disk with the same files, all of them durable.
pub fn copy(disk: &MemoryDisk, directories: &[&str]) -> MemoryDisk {
    let other = MemoryDisk::default();
    for directory in directories.iter().map(Path::new) {
        for name in disk.list(directory).expect("a disk in memory") {
            let path = directory.join(name);
            let content = disk.read(&path, u64::MAX).expect("it was listed");
            other.write_atomic(&path, &content).expect("a disk in memory");
        }
    }
    other
}
