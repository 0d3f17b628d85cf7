//! The reserve: room that is taken while there is some, and given back when there is none, so that what makes room
//! can be done: sealing, ledgers before a deletion, names.
//!
//! ```text
//!   missing ──room for two──→ held ──the disk is full──→ spent
//!                              ↑                           │  only what makes room may write,
//!                              └───────room for two────────┘  until there is room for one
//! ```

use quorate_common::disk::Disk;
use quorate_common::rng::Rng;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const NAME: &str = "reserve";
/// It is written in parts of this size.
const PART_BYTES: usize = 1 << 20;

/// What has become of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveState {
    /// There was no room for it yet.
    Missing,
    /// It is on the disk.
    Held,
    /// It was given back.
    Spent,
}

/// See the module.
pub struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    size: u64,
    state: AtomicU8,
    /// One at a time takes it or gives it back.
    turn: Mutex<()>,
}

impl Reserve {
    /// That of a directory: as an earlier process left it, or made now if there is room.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path, size: u64, rng: &mut dyn Rng) -> Reserve {
        let (path, turn) = (directory.join(NAME), Mutex::default());
        let reserve = Reserve { disk, path, size, state: AtomicU8::new(code(ReserveState::Missing)), turn };
        if reserve.disk.length(&reserve.path).is_ok_and(|bytes| bytes == size) {
            reserve.put(ReserveState::Held);
        } else {
            // One that is not whole was being written when a process ended.
            reserve.disk.remove(&reserve.path).ok();
            reserve.take(rng);
        }
        reserve
    }

    /// What has become of it.
    pub fn state(&self) -> ReserveState {
        match self.state.load(Ordering::Relaxed) {
            1 => ReserveState::Held,
            2 => ReserveState::Spent,
            _ => ReserveState::Missing,
        }
    }

    /// Bytes that it takes on the disk.
    pub fn bytes(&self) -> u64 {
        if self.state() == ReserveState::Held { self.size } else { 0 }
    }

    /// Gives it back, if it is there.
    pub fn give_back(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state() != ReserveState::Held {
            return;
        }
        match self.disk.remove(&self.path) {
            Ok(()) => {
                self.put(ReserveState::Spent);
                tracing::error!(class = "failure", "the disk is full, its reserve is given back");
            }
            Err(error) => tracing::error!(class = "failure", %error, "failed to give back the reserve"),
        }
    }

    /// Takes it, if it is not there and there is room for two: as much as before it is left then.
    pub fn take(&self, rng: &mut dyn Rng) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state() == ReserveState::Held || !self.has_room(2) {
            return;
        }
        match self.fill(rng) {
            Ok(()) => {
                if self.state() == ReserveState::Spent {
                    tracing::info!("there is room on the disk again, and its reserve is taken");
                }
                self.put(ReserveState::Held);
            }
            Err(_) => drop(self.disk.remove(&self.path)),
        }
    }

    /// Whether whoever makes no room may write.
    pub fn lets_write(&self) -> bool {
        self.state() != ReserveState::Spent || self.has_room(1)
    }

    fn has_room(&self, times: u64) -> bool {
        let directory = self.path.parent().unwrap_or(&self.path);
        self.disk.free(directory).is_ok_and(|bytes| bytes >= self.size.saturating_mul(times))
    }

    /// Real blocks: of bytes that no file system makes smaller.
    fn fill(&self, rng: &mut dyn Rng) -> io::Result<()> {
        let mut left = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut part = vec![0; left.min(PART_BYTES)];
        rng.fill(&mut part);
        while left > 0 {
            let part = part.get(..left.min(PART_BYTES)).unwrap_or_default();
            self.disk.append(&self.path, part)?;
            left -= part.len();
        }
        self.disk.sync(&self.path)
    }

    fn put(&self, state: ReserveState) {
        self.state.store(code(state), Ordering::Relaxed);
    }
}

const fn code(state: ReserveState) -> u8 {
    match state {
        ReserveState::Missing => 0,
        ReserveState::Held => 1,
        ReserveState::Spent => 2,
    }
}

/// Whether a failure means that there is no room.
pub fn is_full(error: &(dyn Error + 'static)) -> bool {
    let is_here = error.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    });
    is_here || error.source().is_some_and(is_full)
}

#[cfg(test)]
mod tests {
    use super::super::engine::SealError;
    use super::*;
    use quorate_common::disk::{Fault, MemoryDisk, Operation};
    use quorate_common::rng::SeededRng;

    const SIZE: u64 = 3 << 19;

    fn reserve(disk: &MemoryDisk) -> Reserve {
        Reserve::new(Arc::new(disk.clone()), Path::new("d"), SIZE, &mut SeededRng::new(1))
    }

    fn length(disk: &MemoryDisk) -> u64 {
        disk.length(Path::new("d/reserve")).unwrap_or_default()
    }

    #[test]
    fn it_is_taken_given_back_once_and_taken_again() {
        let disk = MemoryDisk::default();
        let held = reserve(&disk);
        assert_eq!((held.state(), held.bytes(), length(&disk)), (ReserveState::Held, SIZE, SIZE));
        disk.cut_power(&mut SeededRng::new(1));
        assert_eq!((reserve(&disk).state(), length(&disk)), (ReserveState::Held, SIZE));
        disk.limit(Some(SIZE));
        held.give_back();
        held.give_back();
        assert_eq!((held.state(), held.bytes(), length(&disk)), (ReserveState::Spent, 0, 0));
        assert!(held.lets_write(), "there is room for one");
        disk.append(Path::new("d/x"), &[1]).unwrap();
        assert!(!held.lets_write());
        held.take(&mut SeededRng::new(1));
        assert_eq!((held.state(), length(&disk)), (ReserveState::Spent, 0));
        disk.limit(Some(2 * SIZE + 1));
        held.take(&mut SeededRng::new(1));
        assert_eq!((held.state(), length(&disk)), (ReserveState::Held, SIZE));
    }

    #[test]
    fn without_room_there_is_none_and_everybody_may_write() {
        let disk = MemoryDisk::default();
        disk.limit(Some(2 * SIZE - 1));
        let missing = reserve(&disk);
        assert_eq!((missing.state(), missing.lets_write(), length(&disk)), (ReserveState::Missing, true, 0));
        disk.limit(None);
        for (operation, after) in [(Operation::Write, 1), (Operation::Sync, 0)] {
            disk.fail(Fault { operation, after, error: io::ErrorKind::Other });
            missing.take(&mut SeededRng::new(1));
            assert_eq!((missing.state(), length(&disk)), (ReserveState::Missing, 0), "whole or not at all");
        }
        disk.append(Path::new("d/reserve"), &[1]).unwrap();
        assert_eq!((reserve(&disk).state(), length(&disk)), (ReserveState::Held, SIZE), "half of one goes");
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let failed = |kind: io::ErrorKind| SealError::Read(kind.into());
        assert!(
            is_full(&failed(io::ErrorKind::StorageFull)) && is_full(&failed(io::ErrorKind::QuotaExceeded))
        );
        assert!(!is_full(&failed(io::ErrorKind::Other)));
    }
}
