//! A snapshot: every file of the store as it is at one moment, to be read at leisure while the store goes on.
//!
//! ```text
//!   dictionary, checkpoint, logs     opened at once, read up to the length that they had: a later seal deletes them
//!   chunk files, indices             opened when their turn comes: they never change, and go only when too old
//! ```
//!
//! It is taken while nothing is sealed and nothing logged. A log file begins with the ledgers of all that is durable,
//! which all files together hold: so no copy claims more than is in it. Whoever reads it slowly keeps a few open files
//! and nothing else of the store.

use super::shelf::Shelf;
use quorate_common::disk::{Disk, Opened};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
#[error("failed to open `{}`", path.display())]
pub struct SnapshotError {
    /// Which file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// See the module.
#[derive(Default)]
pub struct Snapshot {
    /// Its files; whatever else is lost, a copy of the first ones says what belongs to whom.
    pub files: Vec<SnapshotFile>,
}

/// A file of it.
pub struct SnapshotFile {
    /// What it is called, without a directory.
    pub name: String,
    /// How long it is; of a sealed one this is a guess until it is begun.
    pub bytes: u64,
    source: Source,
}

enum Source {
    Open(Box<dyn Opened>),
    Sealed(Arc<dyn Disk>, PathBuf),
}

impl Snapshot {
    /// Opens `written`, and remembers what stands on the shelf. Nobody may change either meanwhile.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn take(shelf: &Shelf, written: &[PathBuf]) -> Result<Snapshot, SnapshotError> {
        let disk = &shelf.disk;
        let open = |path: &PathBuf| {
            let opened = disk.open(path).and_then(|opened| Ok((opened.bytes()?, opened)));
            let (bytes, opened) = opened.map_err(|source| SnapshotError { path: path.clone(), source })?;
            Ok(SnapshotFile { name: name(path), bytes, source: Source::Open(opened) })
        };
        let mut files = written.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let sealed = |path: &Path, bytes| {
            let source = Source::Sealed(disk.clone(), path.to_owned());
            SnapshotFile { name: name(path), bytes, source }
        };
        for volume in shelf.all() {
            // Without its chunks an index is nothing, and they go first: it is read before them.
            files.extend(volume.index.iter().map(|index| sealed(index, volume.index_bytes)));
            files.push(sealed(&volume.path, volume.bytes));
        }
        Ok(Snapshot { files })
    }
}

impl SnapshotFile {
    /// Makes ready to read it. False if it is gone because it is too old.
    ///
    /// # Errors
    /// The disk.
    pub fn begin(&mut self) -> io::Result<bool> {
        let Source::Sealed(disk, path) = &self.source else { return Ok(true) };
        match disk.open(path) {
            Ok(opened) => {
                self.bytes = opened.bytes()?;
                self.source = Source::Open(opened);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A part of it, once it is begun. Blocks.
    ///
    /// # Errors
    /// The disk, or a file that was not begun.
    pub fn read(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        match &self.source {
            Source::Open(opened) => opened.read_part(at, bytes),
            Source::Sealed(..) => Err(io::Error::other("it was not begun")),
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
