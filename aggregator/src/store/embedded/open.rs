//! Opening: a directory as an earlier process left it, however it ended, becomes a store.
//!
//! Log files that a finished chunk file covers are not replayed but for their ledgers. Chunk files without a last
//! record are unfinished: they go if their log files are still there, and into `quarantine` if not. All that is
//! replayed is synced before the store is handed out, for the process before may have died before it did that.

use super::dictionary::Known;
use super::engine::{Config, Engine, Parts};
use super::history::History;
use super::log::{FileNumber, Log};
use super::replay::{Found, Replay, Report};
use super::shelf::{FILE_BYTES_MAX, Shelf, Volume, parse_chunks, parse_index, scan};
use super::window::Span;
use super::writer::{CHECKPOINT, Durable, LOG, Left, NAMES, Writer};
use super::{Embedded, Nodes};
use crate::store::SeriesId;
use quorate_common::clock::Clock;
use quorate_common::disk::{Disk, SystemDisk};
use quorate_common::journal::parse_name;
use quorate_common::lock::{LockError, StateLock};
use quorate_common::model::node::NodeId;
use quorate_common::rng::Rng;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Beside the history: what cannot be read.
const QUARANTINE: &str = "quarantine";

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("failed to take the history")]
    Lock(#[from] LockError),
    /// The disk failed.
    #[error("failed to {what} `{}`", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Randomness for names of files: one for the writer and one for sealing.
pub type Dice = [Box<dyn Rng>; 2];

impl Embedded {
    /// The history in a directory of the kernel's file systems, which is made if it is not there.
    ///
    /// # Errors
    /// A second process on the directory, and a disk that cannot be read.
    pub fn open(
        directory: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
        dice: Dice,
    ) -> Result<(Embedded, Report), StoreError> {
        let quarantine = directory.join(QUARANTINE);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&quarantine)
            .map_err(|source| StoreError::Disk { what: "make", path: quarantine, source })?;
        let lock = StateLock::take(directory)?;
        let (mut store, report) = Embedded::open_on(Arc::new(SystemDisk), directory, config, clock, dice)?;
        store.lock = Some(lock);
        Ok((store, report))
    }

    /// The history in a directory of any disk; whoever calls is alone with it.
    ///
    /// # Errors
    /// A disk that cannot be read.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: Config,
        clock: Arc<dyn Clock>,
        dice: Dice,
    ) -> Result<(Embedded, Report), StoreError> {
        let mut opening = Opening::new(disk.clone(), directory);
        let names = opening.list()?;
        opening.volumes(&names)?;
        opening.journals(&names)?;
        let Opening { shelf, replay, left, next, .. } = opening;
        let (report, ledgers, found) = replay.finish();
        let [for_writer, for_upkeep] = dice;
        let durable: Durable = Arc::new(Mutex::new(ledgers));
        let writer = Writer::new(disk, directory, for_writer, durable.clone(), left);
        let parts = Parts { log: Log::new(next), shelf, durable, writer, clock, rng: for_upkeep };
        let engine = Engine::new(config, parts);
        Ok((Embedded { nodes: histories(found), engine: Some(engine), ..Embedded::default() }, report))
    }
}

fn histories(found: HashMap<NodeId, Found>) -> Nodes {
    let history = |(node, Found { segments, names, floor }): (NodeId, Found)| {
        let mut history = History::new(node);
        history.dictionary.forget(floor);
        let mut names: Vec<(SeriesId, Known)> = names.into_iter().collect();
        names.sort_by_key(|(id, _)| *id);
        names.into_iter().for_each(|(id, known)| history.dictionary.restore(id, known));
        segments.into_iter().for_each(|segment| history.restore(segment));
        (node, Arc::new(Mutex::new(history)))
    };
    found.into_iter().map(history).collect::<HashMap<_, _>>().into()
}

/// What was found so far.
struct Opening<'a> {
    disk: Arc<dyn Disk>,
    directory: &'a Path,
    shelf: Shelf,
    replay: Replay,
    left: Left,
    next: FileNumber,
    /// Log files whose frames are sealed.
    covered: HashSet<String>,
}

impl<'a> Opening<'a> {
    fn new(disk: Arc<dyn Disk>, directory: &'a Path) -> Opening<'a> {
        let shelf = Shelf::new(disk.clone(), directory);
        let (replay, left, covered) = Default::default();
        Opening { disk, directory, shelf, replay, left, next: 1, covered }
    }

    fn list(&self) -> Result<Vec<OsString>, StoreError> {
        self.disk.list(self.directory).map_err(|error| failed("list", self.directory, error))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        self.disk.read(path, FILE_BYTES_MAX).map_err(|error| failed("read", path, error))
    }

    /// Chunk files onto the shelf.
    fn volumes(&mut self, names: &[OsString]) -> Result<(), StoreError> {
        let logged: HashSet<Span> = names.iter().filter_map(log_span).collect();
        let indices: HashMap<(Span, u64), (u64, &OsString)> = names
            .iter()
            .filter_map(|name| parse_index(name).map(|(span, order, bytes)| ((span, order), (bytes, name))))
            .collect();
        for name in names {
            let Some(place @ (span, order, _)) = parse_chunks(name) else { continue };
            let path = self.directory.join(name);
            match indices.get(&(span, order)) {
                Some((bytes, index)) => {
                    let index = self.directory.join(index);
                    let volume = Volume::found(place, path, *bytes, Some(index));
                    self.shelve(volume, logged.contains(&span))?;
                }
                None => self.unlisted(place, path, logged.contains(&span))?,
            }
        }
        Ok(())
    }

    fn shelve(&mut self, volume: Volume, is_logged: bool) -> Result<(), StoreError> {
        // Only then there can be anything that it covers.
        if is_logged {
            let index = self.shelf.index(&volume);
            let (covered, _) = index.map_err(|error| failed("read the index of", volume.path(), error))?;
            self.covered.extend(covered);
        }
        self.shelf.add(volume);
        Ok(())
    }

    /// A chunk file without an index: a process ended between the two, or the index was lost.
    fn unlisted(
        &mut self,
        place: (Span, u64, u64),
        path: PathBuf,
        is_logged: bool,
    ) -> Result<(), StoreError> {
        let content = self.read(&path)?;
        let found = scan(&content, place.2);
        if found.covered.is_some() {
            // Whoever wrote it may have ended before it was on the disk; its log files go, now that it covers them.
            self.disk.sync(&path).map_err(|error| failed("sync", &path, error))?;
            return self.shelve(Volume::found(place, path, content.len() as u64, None), is_logged);
        }
        if !is_logged {
            self.quarantine(&path, &content)?;
        }
        self.disk.remove(&path).map_err(|error| failed("delete", &path, error))
    }

    fn quarantine(&mut self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let Some(name) = path.file_name() else { return Ok(()) };
        let aside = self.directory.join(QUARANTINE).join(name);
        self.disk.write_atomic(&aside, content).map_err(|error| failed("write", &aside, error))?;
        self.replay.report.quarantined.push(name.to_string_lossy().into_owned());
        Ok(())
    }

    /// Logs, ledgers and dictionary into memory.
    fn journals(&mut self, names: &[OsString]) -> Result<(), StoreError> {
        for name in names {
            let Some((stem, salt)) = parse_name(name) else { continue };
            let path = self.directory.join(name);
            let place = log_span(name).map(|span| (span, self.next));
            if let Some((span, number)) = place {
                self.left.logs.insert(number, (span, path.clone()));
                self.next += 1;
            } else if NAMES.contains(&stem) {
                self.left.names.push(path.clone());
            } else if stem == CHECKPOINT {
                self.left.checkpoints.push(path.clone());
            } else {
                continue;
            }
            let content = self.read(&path)?;
            let name = name.to_string_lossy();
            let place = place.filter(|_| !self.covered.contains(&*name));
            self.replay.read(&name, &content, salt, place);
            self.disk.sync(&path).map_err(|error| failed("sync", &path, error))?;
        }
        Ok(())
    }
}

fn log_span(name: &OsString) -> Option<Span> {
    let (stem, _) = parse_name(name)?;
    Span::parse(stem, LOG).filter(|(_, rest)| rest.is_empty()).map(|(span, _)| span)
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Disk { what, path: path.to_owned(), source }
}
