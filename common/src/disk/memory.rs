//! A disk in memory that forgets what was not synced when its plug is pulled, and fails when told to.

use super::{Disk, Opened, fits};
use crate::rng::Rng;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Disk::read`], [`Disk::read_part`], [`Disk::open`], [`Disk::length`] and [`Disk::list`].
    Read,
    /// [`Disk::write_atomic`], [`Disk::create_exclusive`] and [`Disk::append`].
    Write,
    /// [`Disk::sync`].
    Sync,
    /// [`Disk::remove`].
    Remove,
}

/// One failure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which call fails.
    pub operation: Operation,
    /// How many such calls succeed before it.
    pub after: u32,
    /// What it fails with.
    pub error: io::ErrorKind,
}

/// Shared by its clones. There are no directories: a file is in whichever its path names.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What programs see.
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What a power cut leaves at least.
    durable: BTreeMap<PathBuf, Vec<u8>>,
    faults: Vec<Fault>,
    bytes_max: Option<u64>,
}

impl MemoryDisk {
    /// Adds a failure to come.
    pub fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Failures that have not come yet.
    pub fn pending(&self) -> usize {
        self.state().faults.len()
    }

    /// Takes back all failures that have not come yet.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Limits the bytes of all files together; `None` for no limit.
    pub fn limit(&self, bytes_max: Option<u64>) {
        self.state().bytes_max = bytes_max;
    }

    /// Pulls the plug: of what was appended and not synced, a part that the dice choose is left.
    pub fn cut_power(&self, rng: &mut dyn Rng) {
        let mut state = self.state();
        let State { files, durable, .. } = &mut *state;
        for (path, kept) in durable.iter_mut() {
            let tail =
                files.get(path).filter(|file| file.starts_with(kept)).map(|file| file[kept.len()..].to_vec());
            let tail = tail.unwrap_or_default();
            let left = rng.below(tail.len() as u64 + 1);
            kept.extend(tail.into_iter().zip(0..left).map(|(byte, _)| byte));
        }
        *files = durable.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless this call is to fail.
    fn enter(&self, operation: Operation) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let Some(at) = state.faults.iter().position(|fault| fault.operation == operation) else {
            return Ok(state);
        };
        if state.faults[at].after > 0 {
            state.faults[at].after -= 1;
            return Ok(state);
        }
        Err(state.faults.remove(at).error.into())
    }
}

impl State {
    /// Bytes that still fit when `freed` are given up.
    fn room(&self, freed: usize) -> usize {
        let used: usize = self.files.values().map(Vec::len).sum();
        let limit = self.bytes_max.map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        limit.saturating_sub(used - freed)
    }

    fn put(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        let freed = self.files.get(path).map_or(0, Vec::len);
        if content.len() > self.room(freed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.files.insert(path.to_owned(), content.to_vec());
        self.keep(path, content.to_vec());
        Ok(())
    }

    /// The file survives, and so does what happened to the directory before.
    fn keep(&mut self, path: &Path, content: Vec<u8>) {
        self.durable.insert(path.to_owned(), content);
        let State { files, durable, .. } = self;
        durable.retain(|other, _| other.parent() != path.parent() || files.contains_key(other));
    }
}

/// A file as it was when it was opened.
struct Content(Vec<u8>);

impl Opened for Content {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_part(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        part(&self.0, at, bytes)
    }
}

fn part(content: &[u8], at: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let rest = usize::try_from(at).ok().and_then(|at| content.get(at..)).unwrap_or_default();
    Ok(rest.get(..bytes).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let state = self.enter(Operation::Read)?;
        let content = state.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        fits(content, bytes_max).map(|()| content.clone())
    }

    fn read_part(&self, path: &Path, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let state = self.enter(Operation::Read)?;
        let content = state.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        part(content, at, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Opened>> {
        let state = self.enter(Operation::Read)?;
        Ok(Box::new(Content(state.files.get(path).ok_or(io::ErrorKind::NotFound)?.clone())))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let state = self.enter(Operation::Read)?;
        Ok(state.files.get(path).ok_or(io::ErrorKind::NotFound)?.len() as u64)
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.enter(Operation::Read)?.room(0) as u64)
    }

    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.enter(Operation::Write)?.put(path, content)
    }

    fn create_exclusive(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.enter(Operation::Write)?;
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.put(path, content)
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.enter(Operation::Write)?;
        let part = content.len().min(state.room(0));
        state.files.entry(path.to_owned()).or_default().extend_from_slice(&content[..part]);
        if part < content.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(Operation::Sync)?;
        let content = state.files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        state.keep(path, content);
        Ok(())
    }

    fn shorten(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut state = self.enter(Operation::Write)?;
        let mut content = state.files.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        content.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
        state.files.insert(path.to_owned(), content.clone());
        state.keep(path, content);
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let state = self.enter(Operation::Read)?;
        let inside = state.files.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| path.file_name().map(OsString::from)).collect())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(Operation::Remove)?;
        state.files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
