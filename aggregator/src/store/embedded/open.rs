//! Opening: a directory as an earlier process left it, however it ended, becomes a store.
//!
//! Log files that a finished chunk file covers are not replayed but for their ledgers. Chunk files without a last
//! record are unfinished: they go if their log files are still there, and into `quarantine` if not. The same goes for
//! a chunk file whose seal has others that are not there, while all its log files are. All that is replayed is synced before the store is handed out, for the process before may have died before it did that.

use super::config::Config;
use super::engine::{Engine, Parts};
use super::history::History;
use super::index::Cover;
use super::log::{FileNumber, Log};
use super::pool::Pool;
use super::replay::{Found, Replay, Report};
use super::reserve::Reserve;
use super::shelf::{FILE_BYTES_MAX, Shelf, scan};
use super::volume::{Contents, Volume, name_of, parse_chunks, parse_index};
use super::window::Span;
use super::writer::{CHECKPOINT, Durable, LOG, Left, NAMES, Writer};
use super::{Embedded, Nodes};
use quorate_common::clock::Clock;
use quorate_common::disk::{Disk, SystemDisk};
use quorate_common::journal::parse_name;
use quorate_common::lock::{LockError, StateLock};
use quorate_common::model::node::NodeId;
use quorate_common::rng::Rng;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

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
        let quarantined = opening.set_aside()?;
        let Opening { shelf, replay, left, next, pool, .. } = opening;
        let (report, ledgers, found) = replay.finish();
        let [for_writer, mut for_upkeep] = dice;
        let reserve = Reserve::new(disk.clone(), directory, config.reserve.bytes(), &mut *for_upkeep);
        let durable: Durable = Arc::new(Mutex::new(ledgers));
        let writer = Writer::new(disk, directory, for_writer, durable.clone(), left);
        let parts = Parts { log: Log::new(next), shelf, durable, writer, clock, rng: for_upkeep, reserve };
        let engine = Engine::new(config, parts);
        let (nodes, engine) = (histories(found), Some(engine));
        Ok((Embedded { nodes, pool, engine, quarantined, ..Embedded::default() }, report))
    }
}

/// The histories of all nodes, on as many threads as there are cores: most of it is the hashing of names.
fn histories(found: HashMap<NodeId, Found>) -> Nodes {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let share = found.len().div_ceil(cores).max(1);
    let mut found = found.into_iter();
    let shares: Vec<Vec<_>> = (0..cores).map(|_| found.by_ref().take(share).collect()).collect();
    let made = |share: Vec<_>| share.into_iter().map(history).collect::<Vec<_>>();
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || made(share))).collect();
        let ended = threads.into_iter().map(thread::ScopedJoinHandle::join);
        ended.flat_map(|made| made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    all.into_iter().collect::<HashMap<_, _>>().into()
}

fn history((node, found): (NodeId, Found)) -> (NodeId, Arc<Mutex<History>>) {
    let Found { segments, mut names, floor } = found;
    let mut history = History::new(node);
    history.dictionary.forget(floor);
    names.sort_by_key(|(id, _)| *id);
    history.dictionary.reserve(names.len());
    names.into_iter().for_each(|(id, known)| history.dictionary.restore(id, known));
    segments.into_iter().for_each(|segment| history.restore(segment));
    (node, Arc::new(Mutex::new(history)))
}

/// What was found so far.
struct Opening<'a> {
    disk: Arc<dyn Disk>,
    directory: &'a Path,
    shelf: Shelf,
    pool: Arc<Pool>,
    replay: Replay,
    left: Left,
    next: FileNumber,
    /// Log files whose frames are sealed.
    covered: HashSet<String>,
}

impl<'a> Opening<'a> {
    fn new(disk: Arc<dyn Disk>, directory: &'a Path) -> Opening<'a> {
        let shelf = Shelf::new(disk.clone(), directory);
        let (pool, replay, left, covered) = Default::default();
        Opening { disk, directory, shelf, pool, replay, left, next: 1, covered }
    }

    fn list(&self) -> Result<Vec<OsString>, StoreError> {
        self.disk.list(self.directory).map_err(|error| failed("list", self.directory, error))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        self.disk.read(path, FILE_BYTES_MAX).map_err(|error| failed("read", path, error))
    }

    /// Chunk files onto the shelf.
    fn volumes(&mut self, names: &[OsString]) -> Result<(), StoreError> {
        let logged: HashMap<&OsString, Span> =
            names.iter().filter_map(|name| Some((name, log_span(name)?))).collect();
        let spans: HashSet<Span> = logged.values().copied().collect();
        let indices: HashMap<(Contents, u64), (u64, &OsString)> = names
            .iter()
            .filter_map(|name| parse_index(name).map(|(of, order, bytes)| ((of, order), (bytes, name))))
            .collect();
        let mut found = Vec::new();
        for name in names {
            let Some(place @ (contents, order, _)) = parse_chunks(name) else { continue };
            // Only then there can be anything that it covers.
            let is_logged = contents.span().is_some_and(|span| spans.contains(&span));
            let path = self.directory.join(name);
            found.extend(match indices.get(&(contents, order)) {
                Some((bytes, index)) => Some(self.listed(place, path, (*bytes, index), is_logged)?),
                None => self.unlisted(place, path, is_logged)?,
            });
        }
        let logs = logged.keys().map(|name| name.to_string_lossy().into_owned()).collect();
        self.shelve(found, &logs)
    }

    /// All but those whose seal a process did not end: their log files are there, and are sealed again.
    fn shelve(&mut self, found: Vec<(Volume, Cover)>, logs: &HashSet<String>) -> Result<(), StoreError> {
        let files = found.iter().filter_map(|(volume, _)| name_of(&volume.path)).collect();
        for (volume, cover) in found {
            if cover.is_half(&files, logs) {
                for path in [Some(&volume.path), volume.index.as_ref()].into_iter().flatten() {
                    self.disk.remove(path).map_err(|error| failed("delete", path, error))?;
                }
            } else {
                self.covered.extend(cover.logs);
                self.shelf.add(volume);
            }
        }
        Ok(())
    }

    fn listed(
        &mut self,
        (contents, order, salt): (Contents, u64, u64),
        path: PathBuf,
        (bytes, index): (u64, &OsString),
        is_logged: bool,
    ) -> Result<(Volume, Cover), StoreError> {
        let index = self.directory.join(index);
        let index_bytes = self.disk.length(&index).map_err(|error| failed("measure", &index, error))?;
        let volume = Volume { contents, order, bytes, index_bytes, salt, index: Some(index), path };
        if !is_logged {
            return Ok((volume, Cover::default()));
        }
        let read = self.shelf.index(&volume);
        let (cover, _) = read.map_err(|error| failed("read the index of", &volume.path, error))?;
        Ok((volume, cover))
    }

    /// A chunk file without an index: a process ended between the two, or the index was lost.
    fn unlisted(
        &mut self,
        (contents, order, salt): (Contents, u64, u64),
        path: PathBuf,
        is_logged: bool,
    ) -> Result<Option<(Volume, Cover)>, StoreError> {
        let content = self.read(&path)?;
        if let Some(cover) = scan(&content, salt).cover {
            // Whoever wrote it may have ended before it was on the disk; its log files go, now that it covers them.
            self.disk.sync(&path).map_err(|error| failed("sync", &path, error))?;
            let bytes = content.len() as u64;
            let volume = Volume { contents, order, bytes, index_bytes: 0, salt, index: None, path };
            return Ok(Some((volume, cover)));
        }
        // A roll-up is made anew.
        if !is_logged && contents.span().is_some() {
            self.quarantine(&path, &content)?;
        }
        self.disk.remove(&path).map_err(|error| failed("delete", &path, error))?;
        Ok(None)
    }

    fn quarantine(&mut self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let Some(name) = path.file_name() else { return Ok(()) };
        let aside = self.directory.join(QUARANTINE).join(name);
        self.disk.write_atomic(&aside, content).map_err(|error| failed("write", &aside, error))?;
        self.replay.report.quarantined.push(name.to_string_lossy().into_owned());
        Ok(())
    }

    /// What lies in quarantine, of this start and of earlier ones.
    fn set_aside(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let directory = self.directory.join(QUARANTINE);
        let names = self.disk.list(&directory).map_err(|error| failed("list", &directory, error))?;
        let entry = |name: &OsString| {
            let path = directory.join(name);
            let bytes = self.disk.length(&path).map_err(|error| failed("measure", &path, error))?;
            Ok((name.to_string_lossy().into_owned(), bytes))
        };
        names.iter().map(entry).collect()
    }

    /// Logs, ledgers and dictionary into memory. The dictionary is most of the work, so it has a thread of its own.
    fn journals(&mut self, names: &[OsString]) -> Result<(), StoreError> {
        let (dictionary, others) = self.sort(names);
        let (disk, pool) = (&*self.disk, &self.pool);
        let (named, replayed) = thread::scope(|scope| {
            let named = scope.spawn(|| read_names(disk, &dictionary, Replay::new(pool.clone())));
            let replayed = read_all(disk, &others, Replay::new(pool.clone()));
            (named.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), replayed)
        });
        self.replay.join(named?);
        self.replay.join(replayed?);
        Ok(())
    }

    /// The files of each copy of the dictionary, and all other journals.
    fn sort(&mut self, names: &[OsString]) -> ([Vec<File>; 2], Vec<File>) {
        let (mut dictionary, mut others) = <([Vec<File>; 2], Vec<File>)>::default();
        for name in names {
            let Some((stem, salt)) = parse_name(name) else { continue };
            let path = self.directory.join(name);
            let name = name.to_string_lossy().into_owned();
            let span = log_span(&name);
            let place = span.map(|span| (span, self.next)).filter(|_| !self.covered.contains(&name));
            let file = File { name, path: path.clone(), salt, place };
            if let Some(span) = span {
                self.left.logs.insert(self.next, (span, path));
                self.next += 1;
                others.push(file);
            } else if let Some(copy) = NAMES.iter().position(|of| *of == stem) {
                self.left.names.push(path);
                dictionary[copy].push(file);
            } else if stem == CHECKPOINT {
                self.left.checkpoints.push(path);
                others.push(file);
            }
        }
        (dictionary, others)
    }
}

/// A journal that is to be read.
struct File {
    name: String,
    path: PathBuf,
    salt: u64,
    /// Its window and number, if its frames are wanted.
    place: Option<(Span, FileNumber)>,
}

/// The dictionary. Its second copy is read only if the first is not whole, or not as long.
fn read_names(
    disk: &dyn Disk,
    [first, second]: &[Vec<File>; 2],
    replay: Replay,
) -> Result<Replay, StoreError> {
    let replay = read_all(disk, first, replay)?;
    let is_whole = replay.report.damaged.is_empty() && replay.report.torn_bytes == 0;
    if is_whole && length(disk, first)? == length(disk, second)? {
        second.iter().try_for_each(|file| sync(disk, file))?;
        return Ok(replay);
    }
    read_all(disk, second, replay)
}

fn read_all(disk: &dyn Disk, files: &[File], mut replay: Replay) -> Result<Replay, StoreError> {
    for file in files {
        let content = disk.read(&file.path, FILE_BYTES_MAX);
        let content = content.map_err(|error| failed("read", &file.path, error))?;
        replay.read(&file.name, &content, file.salt, file.place);
        sync(disk, file)?;
    }
    Ok(replay)
}

fn length(disk: &dyn Disk, files: &[File]) -> Result<u64, StoreError> {
    files.iter().try_fold(0, |sum, file| {
        Ok(sum + disk.length(&file.path).map_err(|error| failed("measure", &file.path, error))?)
    })
}

fn sync(disk: &dyn Disk, file: &File) -> Result<(), StoreError> {
    disk.sync(&file.path).map_err(|error| failed("sync", &file.path, error))
}

fn log_span(name: impl AsRef<OsStr>) -> Option<Span> {
    let (stem, _) = parse_name(name.as_ref())?;
    Span::parse(stem, LOG).filter(|(_, rest)| rest.is_empty()).map(|(span, _)| span)
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Disk { what, path: path.to_owned(), source }
}
