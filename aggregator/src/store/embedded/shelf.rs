//! The shelf: chunk files of windows that are over, each with an index beside it.
//!
//! ```text
//!   chunks-<class>-<start>-<order>-<salt>.qj1            chunk │ chunk │ … │ end: covered log files
//!   index-<class>-<start>-<order>-<bytes>-<salt>.qj1     covered log files, where each chunk is
//! ```
//!
//! Both are journals: every record is checked, and a damaged one costs itself. A chunk file is written once and
//! never changed; frames that come late make another one of the same window. The index is made anew from the chunks
//! when it is damaged or missing. A chunk file without its last record is unfinished.

use super::chunk::{Chunk, Entry, read_covered, read_index, write_covered, write_index};
use super::window::Span;
use crate::store::{Sample, SeriesId};
use quorate_common::disk::Disk;
use quorate_common::journal::{self, Journal, JournalError, Piece, parse_name, pieces};
use quorate_common::model::node::NodeId;
use quorate_common::model::time::WallTime;
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Beginnings of the names of files.
pub const CHUNKS: &str = "chunks";
pub const INDEX: &str = "index";
const CHUNK: u8 = 1;
const END: u8 = 2;
const LIST: u8 = 3;
/// Longer files are not ours.
pub const FILE_BYTES_MAX: u64 = 16 << 30;

/// A chunk file.
#[derive(Debug)]
pub struct Volume {
    /// The window of all its samples.
    pub span: Span,
    /// How many chunk files of the window were before it.
    pub order: u64,
    /// How long it is.
    pub bytes: u64,
    path: PathBuf,
    salt: u64,
    index: Option<PathBuf>,
}

/// All chunk files.
pub struct Shelf {
    pub(super) disk: Arc<dyn Disk>,
    directory: PathBuf,
    volumes: RwLock<Vec<Arc<Volume>>>,
    /// Chunks and indices that could not be read.
    damaged: AtomicU64,
    /// The damaged places of chunk files: where they begin, and how many bytes each has.
    spoilt: Mutex<BTreeMap<PathBuf, BTreeMap<u64, u64>>>,
}

/// A chunk file that is written.
pub struct Writing {
    chunks: Journal,
    span: Span,
    order: u64,
    entries: Vec<Entry>,
}

impl Shelf {
    /// An empty one.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Shelf {
        let (volumes, damaged, spoilt) = Default::default();
        Shelf { disk, directory: directory.to_owned(), volumes, damaged, spoilt }
    }

    /// Begins the next chunk file of a window.
    pub fn begin(&self, span: Span, rng: &mut dyn Rng) -> Writing {
        let order =
            self.all().into_iter().filter(|volume| volume.span == span).map(|volume| volume.order + 1);
        let order = order.max().unwrap_or(0);
        let stem = format!("{}-{order}", span.stem(CHUNKS));
        let chunks = Journal::begin(self.disk.clone(), &self.directory, &stem, rng);
        Writing { chunks, span, order, entries: Vec::new() }
    }

    /// Makes a chunk file durable, and shows it to readers. Whatever fails leaves nothing.
    ///
    /// # Errors
    /// The disk.
    pub fn finish(
        &self,
        mut writing: Writing,
        covered: &[String],
        rng: &mut dyn Rng,
    ) -> Result<(), JournalError> {
        let done = self.seal(&mut writing, covered, rng);
        let Writing { chunks, span, order, .. } = writing;
        match done {
            Ok(index) => {
                let (bytes, path) = (chunks.bytes(), chunks.path().to_owned());
                let salt = path.file_name().and_then(parse_name).map_or(0, |(_, salt)| salt);
                self.add(Volume { span, order, bytes, path, salt, index: Some(index) });
                Ok(())
            }
            Err(error) => {
                self.disk.remove(chunks.path()).ok();
                Err(error)
            }
        }
    }

    fn seal(
        &self,
        writing: &mut Writing,
        covered: &[String],
        rng: &mut dyn Rng,
    ) -> Result<PathBuf, JournalError> {
        writing.chunks.push(END, &write_covered(covered))?;
        writing.chunks.sync()?;
        let stem = format!("{}-{}-{}", writing.span.stem(INDEX), writing.order, writing.chunks.bytes());
        let mut index = Journal::begin(self.disk.clone(), &self.directory, &stem, rng);
        index.push(LIST, &write_index(covered, &writing.entries))?;
        index.sync().inspect_err(|_| drop(self.disk.remove(index.path())))?;
        Ok(index.path().to_owned())
    }

    /// A chunk file is not wanted.
    pub fn discard(&self, writing: &Writing) {
        // If it stays it is unfinished, and goes with the next start.
        self.disk.remove(writing.chunks.path()).ok();
    }

    /// Adds what is on the disk.
    pub fn add(&self, volume: Volume) {
        let mut volumes = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        let at = volumes.partition_point(|other| key(other) <= key(&volume));
        volumes.insert(at, Arc::new(volume));
    }

    /// All chunk files, oldest first.
    pub fn all(&self) -> Vec<Arc<Volume>> {
        self.volumes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Chunks and indices that could not be read since the start.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Adds the samples of some series of a node to their lists, from `from` to `to`.
    pub fn read(
        &self,
        node: NodeId,
        wanted: &HashMap<SeriesId, usize>,
        (from, to): (WallTime, WallTime),
        samples: &mut [Vec<Sample>],
    ) {
        for volume in self.all().iter().filter(|volume| volume.span.touches(from, to)) {
            let Ok((_, entries)) = self.index(volume) else { continue };
            for entry in entries.iter().filter(|entry| entry.node == node) {
                let asked = entry.series.iter().any(|id| wanted.contains_key(id));
                if asked && entry.first <= to && entry.last >= from {
                    let read = self.chunk(volume, entry);
                    let done = read.and_then(|chunk| chunk.samples(wanted, (from, to), samples).ok());
                    if done.is_none() {
                        self.tell_spoilt(volume, (entry.at, entry.bytes));
                    }
                }
            }
        }
    }

    /// A chunk; `None` if it cannot be read.
    pub fn chunk(&self, volume: &Volume, entry: &Entry) -> Option<Chunk> {
        let bytes = usize::try_from(entry.bytes).ok().filter(|_| entry.bytes <= volume.bytes)?;
        let content = self.disk.read_part(&volume.path, entry.at, bytes).ok()?;
        let (kind, payload) = journal::record_at(&content, volume.salt, entry.at)?;
        Chunk::read(payload).ok().filter(|chunk| kind == CHUNK && chunk.node == entry.node)
    }

    /// Covered log files and chunks of a file: from its index or, if that is damaged, from the chunks themselves.
    ///
    /// # Errors
    /// The disk.
    pub fn index(&self, volume: &Volume) -> io::Result<(Vec<String>, Vec<Entry>)> {
        if let Some(path) = &volume.index {
            let content = self.disk.read(path, FILE_BYTES_MAX)?;
            let salt = path.file_name().and_then(parse_name).map_or(0, |(_, salt)| salt);
            if let Some(Ok(index)) = journal::record_at(&content, salt, 0).map(|(_, list)| read_index(list)) {
                return Ok(index);
            }
            self.tell_damage(path, 0);
        }
        let scan = scan(&self.disk.read(&volume.path, FILE_BYTES_MAX)?, volume.salt);
        Ok((scan.covered.unwrap_or_default(), scan.entries))
    }

    fn tell_damage(&self, path: &Path, at: u64) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(file = %path.display(), at, "history is damaged here");
    }

    /// A place of a chunk file cannot be read. Told once, and not at all if the file is gone.
    pub fn tell_spoilt(&self, volume: &Volume, (at, bytes): (u64, u64)) {
        if !self.all().iter().any(|other| other.path == volume.path) {
            return;
        }
        let is_new = {
            let mut spoilt = self.spoilt.lock().unwrap_or_else(PoisonError::into_inner);
            spoilt.entry(volume.path.clone()).or_default().insert(at, bytes).is_none()
        };
        if is_new {
            self.tell_damage(&volume.path, at);
        }
    }

    /// Chunk files in which damage was found, by name, and how many bytes of each.
    pub fn spoilt(&self) -> Vec<(String, u64)> {
        let spoilt = self.spoilt.lock().unwrap_or_else(PoisonError::into_inner);
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        spoilt.iter().map(|(path, places)| (name(path), places.values().sum())).collect()
    }

    /// Deletes a chunk file and its index.
    ///
    /// # Errors
    /// The disk; readers do not see it any more all the same.
    pub fn delete(&self, volume: &Volume) -> io::Result<()> {
        self.volumes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|other| other.path != volume.path);
        self.spoilt.lock().unwrap_or_else(PoisonError::into_inner).remove(&volume.path);
        // The chunks first: an index alone is nothing.
        self.disk.remove(&volume.path)?;
        volume.index.as_ref().map_or(Ok(()), |index| self.disk.remove(index))
    }
}

impl Writing {
    /// Takes a chunk.
    ///
    /// # Errors
    /// The disk, or a chunk that is too long.
    pub fn push(&mut self, chunk: &Chunk) -> Result<(), JournalError> {
        let at = self.chunks.bytes();
        self.chunks.push(CHUNK, &chunk.write())?;
        self.entries.push(entry(chunk, at, self.chunks.bytes() - at));
        self.chunks.write()
    }

    /// Whether it has no chunk.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn key(volume: &Volume) -> (Span, u64) {
    (volume.span, volume.order)
}

fn entry(chunk: &Chunk, at: u64, bytes: u64) -> Entry {
    let series = chunk.series.iter().map(|(id, _)| *id).collect();
    Entry { node: chunk.node, at, bytes, first: chunk.first, last: chunk.last, series }
}

/// What a chunk file holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// The log files that it covers; `None` if it is unfinished.
    pub covered: Option<Vec<String>>,
    /// Its chunks.
    pub entries: Vec<Entry>,
    /// Bytes that are damaged.
    pub damaged: u64,
}

/// Reads a chunk file from end to end.
pub fn scan(content: &[u8], salt: u64) -> Scan {
    let mut scan = Scan::default();
    for piece in pieces(content, salt) {
        match piece {
            Piece::Record { kind: CHUNK, payload, at } => match Chunk::read(payload) {
                Ok(chunk) => scan.entries.push(entry(&chunk, at as u64, payload.len() as u64 + 13)),
                Err(_) => scan.damaged += payload.len() as u64,
            },
            Piece::Record { kind: END, payload, .. } => scan.covered = read_covered(payload).ok(),
            Piece::Record { payload, .. } => scan.damaged += payload.len() as u64,
            Piece::Damage { bytes, .. } => scan.damaged += bytes as u64,
        }
    }
    scan
}

/// What a name of a chunk file says: its window and order, and the salt of its checks.
pub fn parse_chunks(name: &OsStr) -> Option<(Span, u64, u64)> {
    let (stem, salt) = parse_name(name)?;
    let (span, order) = Span::parse(stem, CHUNKS)?;
    Some((span, order.parse().ok()?, salt))
}

/// What a name of an index says: window and order of its chunk file, and how long that is.
pub fn parse_index(name: &OsStr) -> Option<(Span, u64, u64)> {
    let (stem, _) = parse_name(name)?;
    let (span, rest) = Span::parse(stem, INDEX)?;
    let (order, bytes) = rest.split_once('-')?;
    Some((span, order.parse().ok()?, bytes.parse().ok()?))
}

impl Volume {
    /// One that is on the disk.
    pub fn found(
        (span, order, salt): (Span, u64, u64),
        path: PathBuf,
        bytes: u64,
        index: Option<PathBuf>,
    ) -> Volume {
        Volume { span, order, bytes, path, salt, index }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its index lies, if it has one.
    pub fn index(&self) -> Option<&Path> {
        self.index.as_deref()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use quorate_common::block::{self, Column};
    use quorate_common::cell::Form;
    use quorate_common::disk::{Fault, MemoryDisk, Operation};
    use quorate_common::model::series::{CellForm, Window};
    use quorate_common::rng::SeededRng;

    const SECOND: i64 = 1_000_000_000;
    const ALL: (WallTime, WallTime) = (WallTime(0), WallTime(299 * SECOND));

    fn chunk(node: i64, id: u32) -> Chunk {
        let column = Column { form: Form::Integer, cells: vec![1, 5, 2], present: Vec::new() };
        let times = [1_000, 2_000, 4_000];
        let (first, last) = super::super::chunk::bounds(&times);
        let block = block::encode(&times, &[column]).unwrap();
        Chunk { node: NodeId(node), series: vec![(SeriesId(id), CellForm::COUNT)], block, first, last }
    }

    /// An empty shelf and its disk.
    pub fn shelf() -> (MemoryDisk, Shelf) {
        let disk = MemoryDisk::default();
        (disk.clone(), Shelf::new(Arc::new(disk), Path::new("d")))
    }

    /// Seals a chunk of each of so many nodes, in one of the first windows.
    pub fn write_window(shelf: &Shelf, window: i64, nodes: i64) {
        write_to(shelf, Span::of(Window::Short, WallTime(window * 300 * SECOND)), nodes).unwrap();
    }

    fn write(shelf: &Shelf, nodes: i64) -> Result<(), JournalError> {
        write_to(shelf, Span::FIRST, nodes)
    }

    fn write_to(shelf: &Shelf, span: Span, nodes: i64) -> Result<(), JournalError> {
        let mut rng = SeededRng::new(3 + span.start().0.cast_unsigned());
        let mut writing = shelf.begin(span, &mut rng);
        (1..=nodes).try_for_each(|node| writing.push(&chunk(node, 7)))?;
        shelf.finish(writing, &["log-a".to_owned()], &mut rng)
    }

    fn read(shelf: &Shelf, node: i64) -> usize {
        let mut lists = vec![Vec::new()];
        shelf.read(NodeId(node), &HashMap::from([(SeriesId(7), 0)]), ALL, &mut lists);
        lists[0].len()
    }

    #[test]
    fn late_frames_make_another_file() {
        let (_, shelf) = shelf();
        write(&shelf, 2).unwrap();
        write(&shelf, 1).unwrap();
        let orders: Vec<u64> = shelf.all().iter().map(|volume| volume.order).collect();
        assert_eq!(orders, [0, 1]);
        assert_eq!((read(&shelf, 1), read(&shelf, 2), read(&shelf, 3)), (6, 3, 0));
        let first = &shelf.all()[0];
        assert_eq!(shelf.index(first).unwrap().0, ["log-a"]);
        shelf.delete(first).unwrap();
        assert_eq!((read(&shelf, 1), read(&shelf, 2)), (3, 0));
    }

    #[test]
    fn a_damaged_byte_costs_one_chunk_and_an_index_nothing() {
        let (disk, shelf) = shelf();
        write(&shelf, 3).unwrap();
        let volume = shelf.all()[0].clone();
        let entries = shelf.index(&volume).unwrap().1;
        let index = volume.index.clone().unwrap();
        for path in [&index, volume.path()] {
            let whole = disk.read(path, u64::MAX).unwrap();
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                disk.write_atomic(path, &damaged).unwrap();
                for node in 1..=3 {
                    let entry = &entries[node as usize - 1];
                    let hit = *path != index && (entry.at..entry.at + entry.bytes).contains(&(at as u64));
                    assert_eq!(read(&shelf, node), if hit { 0 } else { 3 }, "byte {at}, node {node}");
                }
            }
            disk.write_atomic(path, &whole).unwrap();
        }
        assert!(shelf.damaged() > 0);
    }

    #[test]
    fn cut_anywhere_it_is_unfinished() {
        let (disk, shelf) = shelf();
        write(&shelf, 2).unwrap();
        let volume = shelf.all()[0].clone();
        let whole = disk.read(volume.path(), u64::MAX).unwrap();
        assert_eq!(scan(&whole, volume.salt).covered, Some(vec!["log-a".to_owned()]));
        assert_eq!(scan(&whole, volume.salt).entries, shelf.index(&volume).unwrap().1);
        for length in 0..whole.len() {
            assert_eq!(scan(&whole[..length], volume.salt).covered, None, "{length}");
        }
        let name = volume.path().file_name().unwrap();
        assert_eq!(parse_chunks(name), Some((Span::FIRST, 0, volume.salt)));
        let index = volume.index.as_ref().unwrap();
        assert_eq!(parse_index(index.file_name().unwrap()), Some((Span::FIRST, 0, whole.len() as u64)));
    }

    #[test]
    fn whatever_fails_leaves_nothing() {
        for (operation, calls) in [(Operation::Write, 4), (Operation::Sync, 2)] {
            for after in 0..=calls {
                let (disk, shelf) = shelf();
                disk.fail(Fault { operation, after, error: io::ErrorKind::StorageFull });
                let done = write(&shelf, 2);
                assert_eq!(done.is_ok(), after == calls, "{operation:?} {after}");
                assert_eq!(shelf.all().len(), usize::from(after == calls));
                assert_eq!(read(&shelf, 1), if after == calls { 3 } else { 0 });
            }
        }
    }
}
