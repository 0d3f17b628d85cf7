//! Verification in the background: sealed files are read once more, for a disk may lose what nobody asks for.
//!
//! ```text
//!   a minute after the last began, the next file in order ─→ its chunks, 4 MiB a step ─→ damage is told, once a place
//!        └─ the last one was it: the round is over, and the next begins a day after it at the earliest
//! ```
//!
//! Nothing is repaired or deleted: what a damaged byte costs is a chunk, and all others stay readable. It holds no
//! lock while it reads, and reads so little at once that nobody else waits for the disk.

use super::index::Entry;
use super::shelf::Shelf;
use super::volume::{Contents, Volume};
use quorate_common::model::time::BootTime;
use std::sync::Arc;
use std::time::Duration;

/// Files begin so far apart.
const FILE_EVERY: Duration = Duration::from_secs(60);
/// Rounds begin so far apart.
const ROUND_EVERY: Duration = Duration::from_secs(86_400);
/// Read in one step; steps are a second apart.
const STEP_BYTES: u64 = 4 << 20;

/// See the module.
#[derive(Default)]
pub struct Verify {
    /// The last file that was begun; the next is the one behind it.
    after: Option<(Contents, u64)>,
    file_begun: Option<BootTime>,
    round_begun: Option<BootTime>,
    current: Option<Current>,
    /// Files that were read to their end.
    pub verified: u64,
}

/// The file that is read.
struct Current {
    volume: Arc<Volume>,
    /// What is left of it, the last first.
    entries: Vec<Entry>,
}

impl Verify {
    /// Reads a bit more.
    pub fn step(&mut self, shelf: &Shelf, now: BootTime) {
        if self.current.is_none() {
            self.current = self.next(&shelf.all(), now).map(|volume| Current::begin(shelf, volume));
        }
        let Some(current) = &mut self.current else { return };
        if current.step(shelf) {
            self.current = None;
            self.verified += 1;
        }
    }

    /// The file whose turn it is. `volumes` are in order.
    fn next(&mut self, volumes: &[Arc<Volume>], now: BootTime) -> Option<Arc<Volume>> {
        let is_due = |begun: Option<BootTime>, every| begun.is_none_or(|begun| now.since(begun) >= every);
        if !is_due(self.file_begun, FILE_EVERY) {
            return None;
        }
        let behind =
            |volume: &&Arc<Volume>| self.after.is_none_or(|after| (volume.contents, volume.order) > after);
        let mut next = volumes.iter().find(behind);
        if next.is_none() || self.round_begun.is_none() {
            if !is_due(self.round_begun, ROUND_EVERY) {
                return None;
            }
            next = volumes.first();
            self.round_begun = next.map(|_| now);
        }
        let next = next?;
        self.after = Some((next.contents, next.order));
        self.file_begun = Some(now);
        Some(next.clone())
    }
}

impl Current {
    fn begin(shelf: &Shelf, volume: Arc<Volume>) -> Current {
        let mut entries = match shelf.index(&volume) {
            Ok((_, entries)) => entries,
            Err(_) => {
                shelf.tell_spoilt(&volume, (0, volume.bytes));
                Vec::new()
            }
        };
        entries.reverse();
        Current { volume, entries }
    }

    /// True at its end.
    fn step(&mut self, shelf: &Shelf) -> bool {
        let mut read = 0;
        while read < STEP_BYTES {
            let Some(entry) = self.entries.pop() else { return true };
            read += entry.bytes;
            // A damaged one is told there.
            if shelf.chunk(&self.volume, &entry).is_err() {
                shelf.tell_spoilt(&self.volume, (entry.at, entry.bytes));
            }
        }
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::shelf::tests::{shelf, write_window};
    use quorate_common::disk::{Disk, MemoryDisk};

    fn at(second: u64) -> BootTime {
        BootTime((1_000 + second) * 1_000_000_000)
    }

    /// How many files are verified after each of these steps.
    fn check(verify: &mut Verify, shelf: &Shelf, steps: &[(u64, u64)]) {
        for (second, expect) in steps {
            verify.step(shelf, at(*second));
            assert_eq!(verify.verified, *expect, "after {second} s");
        }
    }

    fn flip(disk: &MemoryDisk, volume: &Volume, byte: usize) {
        let mut content = disk.read(&volume.path, u64::MAX).unwrap();
        content[byte] ^= 1;
        disk.write_atomic(&volume.path, &content).unwrap();
    }

    #[test]
    fn each_file_has_its_turn_and_a_round_its_day() {
        let (_, shelf) = shelf();
        let mut verify = Verify::default();
        check(&mut verify, &shelf, &[(0, 0), (1, 0)]);
        (0..3).for_each(|window| write_window(&shelf, window, 2));
        check(&mut verify, &shelf, &[(2, 1), (3, 1), (61, 1), (62, 2), (122, 3), (182, 3)]);
        write_window(&shelf, 3, 1);
        check(&mut verify, &shelf, &[(183, 4), (243, 4), (86_401, 4), (86_402, 5), (86_462, 6)]);
        assert_eq!(shelf.spoilt(), []);
    }

    #[test]
    fn damage_is_told_once_with_its_place() {
        let (disk, shelf) = shelf();
        (0..2).for_each(|window| write_window(&shelf, window, 3));
        let volumes = shelf.all();
        let entries = shelf.index(&volumes[1]).unwrap().1;
        for entry in &entries[1..] {
            flip(&disk, &volumes[1], entry.at as usize + 20);
        }
        let mut verify = Verify::default();
        check(&mut verify, &shelf, &[(0, 1), (60, 2)]);
        let name = volumes[1].path.file_name().unwrap().to_str().unwrap().to_owned();
        let spoilt = [(name.clone(), entries[1].bytes + entries[2].bytes)];
        assert_eq!((shelf.spoilt(), shelf.damaged()), (spoilt.to_vec(), 2));
        check(&mut verify, &shelf, &[(86_400, 3), (86_460, 4)]);
        assert_eq!(shelf.spoilt(), spoilt, "the same places");
        shelf.delete(&volumes[1]).unwrap();
        assert_eq!(shelf.spoilt(), [], "it is gone");
    }

    #[test]
    fn a_file_that_is_deleted_meanwhile_is_no_damage() {
        let (disk, shelf) = shelf();
        write_window(&shelf, 0, 2);
        let volume = shelf.all()[0].clone();
        let mut current = Current::begin(&shelf, volume.clone());
        shelf.delete(&volume).unwrap();
        assert!(current.step(&shelf));
        assert_eq!((shelf.spoilt(), shelf.damaged()), (vec![], 0));
        // Nobody of ours deleted this one.
        write_window(&shelf, 1, 1);
        disk.remove(&shelf.all()[0].path).unwrap();
        let mut current = Current::begin(&shelf, shelf.all()[0].clone());
        assert!(current.step(&shelf));
        assert_eq!(shelf.spoilt().len(), 1);
    }
}
