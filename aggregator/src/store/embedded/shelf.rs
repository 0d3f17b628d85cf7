//! The shelf: all volumes, and what is in them. See [`super::volume`] for their names.
//!
//! ```text
//!   chunk file   chunk │ chunk │ … │ end: what it covers
//!   index        what it covers, where each chunk is
//! ```
//!
//! Both are journals: every record is checked, and a damaged one costs itself. A chunk file is written once and
//! never changed; frames that come late make another one of the same window. The index is made anew from the chunks
//! when it is damaged or missing. A chunk file without its last record is unfinished.

use super::cache::{CACHE_BYTES_MAX, Cache};
use super::chunk::{Chunk, ChunkError};
use super::index::{Cover, Entry, read_cover, read_index, write_cover, write_index};
use super::rolled;
use super::volume::{Contents, Volume, name_of};
use crate::store::{Bucket, Sample, SeriesId};
use quorate_common::disk::Disk;
use quorate_common::journal::{self, Journal, JournalError, Piece, parse_name, pieces};
use quorate_common::model::node::NodeId;
use quorate_common::model::time::WallTime;
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

const CHUNK: u8 = 1;
const END: u8 = 2;
const ROLLED: u8 = 4;
const LIST: u8 = 3;
/// Longer files are not ours.
pub const FILE_BYTES_MAX: u64 = 16 << 30;

/// All chunk files.
pub struct Shelf {
    pub(super) disk: Arc<dyn Disk>,
    directory: PathBuf,
    volumes: RwLock<Vec<Arc<Volume>>>,
    /// The order of the next volume.
    next: AtomicU64,
    /// For those who read.
    cache: Cache,
    /// Chunks and indices that could not be read.
    damaged: AtomicU64,
    /// The damaged places of chunk files: where they begin, and how many bytes each has.
    spoilt: Mutex<BTreeMap<PathBuf, BTreeMap<u64, u64>>>,
}

/// A chunk file that is written.
pub struct Writing {
    chunks: Journal,
    pub(super) contents: Contents,
    order: u64,
    entries: Vec<Entry>,
}

impl Shelf {
    /// An empty one.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Shelf {
        let (volumes, next, damaged, spoilt) = Default::default();
        let (directory, cache) = (directory.to_owned(), Cache::new(CACHE_BYTES_MAX));
        Shelf { disk, directory, volumes, next, cache, damaged, spoilt }
    }

    /// The order for volumes that are written now.
    pub fn next_order(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Begins a chunk file.
    pub fn begin(&self, contents: Contents, order: u64, rng: &mut dyn Rng) -> Writing {
        let stem = contents.chunks_stem(order);
        let chunks = Journal::begin(self.disk.clone(), &self.directory, &stem, rng);
        Writing { chunks, contents, order, entries: Vec::new() }
    }

    /// Makes chunk files durable that cover some log files together, and shows them to readers. Whatever fails
    /// leaves nothing.
    ///
    /// # Errors
    /// The disk.
    pub fn finish(
        &self,
        mut writings: Vec<Writing>,
        logs: Vec<String>,
        rng: &mut dyn Rng,
    ) -> Result<(), JournalError> {
        let files = writings.iter().filter_map(|writing| name_of(writing.chunks.path())).collect();
        let mut indices = Vec::new();
        match self.seal(&mut writings, &Cover { logs, files }, &mut indices, rng) {
            Ok(()) => {
                writings
                    .into_iter()
                    .zip(indices)
                    .for_each(|(writing, index)| self.add(volume(&writing, &index)));
                Ok(())
            }
            Err(error) => {
                self.discard(&writings);
                indices.iter().for_each(|index| drop(self.disk.remove(index.path())));
                Err(error)
            }
        }
    }

    fn seal(
        &self,
        writings: &mut [Writing],
        cover: &Cover,
        indices: &mut Vec<Journal>,
        rng: &mut dyn Rng,
    ) -> Result<(), JournalError> {
        for writing in &mut *writings {
            writing.chunks.push(END, &write_cover(cover))?;
            writing.chunks.sync()?;
        }
        for Writing { chunks, contents, order, entries } in writings {
            let stem = contents.index_stem(*order, chunks.bytes());
            let mut index = Journal::begin(self.disk.clone(), &self.directory, &stem, rng);
            index.push(LIST, &write_index(cover, entries))?;
            let done = index.sync();
            indices.push(index);
            done?;
        }
        Ok(())
    }

    /// Chunk files are not wanted.
    pub fn discard(&self, writings: &[Writing]) {
        // What stays is unfinished or half of a seal, and goes with the next start.
        writings.iter().for_each(|writing| drop(self.disk.remove(writing.chunks.path())));
    }

    /// Adds what is on the disk.
    pub fn add(&self, volume: Volume) {
        self.next.fetch_max(volume.order.saturating_add(1), Ordering::Relaxed);
        let mut volumes = self.volumes.write().unwrap_or_else(PoisonError::into_inner);
        let at = volumes.partition_point(|other| key(other) <= key(&volume));
        volumes.insert(at, Arc::new(volume));
    }

    /// All chunk files, oldest first.
    pub fn all(&self) -> Vec<Arc<Volume>> {
        self.volumes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The chunk files that have samples of a stretch of time.
    fn raw(&self, from: WallTime, to: WallTime) -> Vec<Arc<Volume>> {
        let volumes = self.volumes.read().unwrap_or_else(PoisonError::into_inner);
        let raw = volumes.iter().filter(|volume| volume.contents.span().is_some());
        raw.filter(|volume| volume.contents.touches(from, to)).cloned().collect()
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
        for volume in self.raw(from, to) {
            self.each(&volume, (node, wanted), (from, to), |chunk| {
                chunk.samples(wanted, (from, to), samples)
            });
        }
    }

    /// Adds the buckets of some series of a node that begin from `from` to `to` to their lists, volume by volume.
    pub fn read_rolled<'a>(
        &self,
        volumes: impl Iterator<Item = &'a Volume>,
        (node, wanted): (NodeId, &HashMap<SeriesId, usize>),
        range: (WallTime, WallTime),
        lists: &mut [Vec<Bucket>],
    ) {
        for volume in volumes {
            self.each(volume, (node, wanted), range, |chunk| rolled::buckets(chunk, wanted, range, lists));
        }
    }

    /// Reads every chunk of a volume that has any of some series of a node between two moments.
    fn each(
        &self,
        volume: &Volume,
        (node, wanted): (NodeId, &HashMap<SeriesId, usize>),
        (from, to): (WallTime, WallTime),
        mut read: impl FnMut(&Chunk) -> Result<(), ChunkError>,
    ) {
        let Ok(entries) = self.entries(volume) else { return };
        let first = entries.partition_point(|entry| entry.node < node);
        let of_node = entries.get(first..).unwrap_or_default().iter().take_while(|entry| entry.node == node);
        for entry in of_node.filter(|entry| entry.first <= to && entry.last >= from && entry.has_any(wanted))
        {
            if let Ok(Some(chunk)) = self.chunk(volume, entry)
                && read(&chunk).is_err()
            {
                self.tell_spoilt(volume, (entry.at, entry.bytes));
            }
        }
    }

    /// A chunk of a volume; `None` if it is damaged.
    ///
    /// # Errors
    /// The disk.
    pub fn chunk(&self, volume: &Volume, entry: &Entry) -> io::Result<Option<Chunk>> {
        let Some(bytes) = usize::try_from(entry.bytes).ok().filter(|_| entry.bytes <= volume.bytes) else {
            self.tell_spoilt(volume, (entry.at, entry.bytes));
            return Ok(None);
        };
        let content = match self.disk.read_part(&volume.path, entry.at, bytes) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            content => content.unwrap_or_default(),
        };
        let record = journal::record_at(&content, volume.salt, entry.at);
        let payload = record.filter(|(kind, _)| *kind == kind_of(volume.contents));
        let chunk = payload.and_then(|(_, payload)| Chunk::read(payload).ok());
        let chunk = chunk.filter(|chunk| chunk.node == entry.node);
        if chunk.is_none() {
            self.tell_spoilt(volume, (entry.at, entry.bytes));
        }
        Ok(chunk)
    }

    /// The chunks of a file, in order of nodes, for those who ask again and again.
    ///
    /// # Errors
    /// The disk.
    pub fn entries(&self, volume: &Volume) -> io::Result<Arc<Vec<Entry>>> {
        if let Some(entries) = self.cache.get(volume) {
            return Ok(entries);
        }
        let mut entries = self.index(volume)?.1;
        entries.sort_by_key(|entry| entry.node);
        let entries = Arc::new(entries);
        self.cache.put(volume, entries.clone());
        Ok(entries)
    }

    /// What a file covers, and its chunks: from its index or, if that is damaged, from the chunks themselves.
    ///
    /// # Errors
    /// The disk.
    pub fn index(&self, volume: &Volume) -> io::Result<(Cover, Vec<Entry>)> {
        if let Some(path) = &volume.index {
            let content = self.disk.read(path, FILE_BYTES_MAX)?;
            let salt = path.file_name().and_then(parse_name).map_or(0, |(_, salt)| salt);
            if let Some(Ok(index)) = journal::record_at(&content, salt, 0).map(|(_, list)| read_index(list)) {
                return Ok(index);
            }
            self.tell_damage(path, 0);
        }
        let scan = scan(&self.disk.read(&volume.path, FILE_BYTES_MAX)?, volume.salt);
        Ok((scan.cover.unwrap_or_default(), scan.entries))
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
        self.cache.forget(volume);
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
        self.chunks.push(kind_of(self.contents), &chunk.write())?;
        // A chunk that cannot be read has no place in an index.
        self.entries.extend(entry(chunk, at, self.chunks.bytes() - at).ok());
        self.chunks.write()
    }
}

fn key(volume: &Volume) -> (Contents, u64) {
    (volume.contents, volume.order)
}

fn volume(writing: &Writing, index: &Journal) -> Volume {
    let Writing { chunks, contents, order, .. } = writing;
    let path = chunks.path().to_owned();
    let salt = path.file_name().and_then(parse_name).map_or(0, |(_, salt)| salt);
    Volume {
        contents: *contents,
        order: *order,
        bytes: chunks.bytes(),
        index_bytes: index.bytes(),
        salt,
        index: Some(index.path().to_owned()),
        path,
    }
}

fn entry(chunk: &Chunk, at: u64, bytes: u64) -> Result<Entry, ChunkError> {
    let series = chunk.series.iter().map(|(id, _)| *id).collect();
    let (first, last) = chunk.bounds()?;
    Ok(Entry { node: chunk.node, at, bytes, first, last, series })
}

/// What records of a volume are called.
fn kind_of(contents: Contents) -> u8 {
    match contents {
        Contents::Raw(..) => CHUNK,
        Contents::Rolled(_) => ROLLED,
    }
}

/// What a chunk file holds.
#[derive(Debug, Default)]
pub struct Scan {
    /// What it covers; `None` if it is unfinished.
    pub cover: Option<Cover>,
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
            Piece::Record { kind: CHUNK | ROLLED, payload, at } => {
                let bytes = payload.len() as u64;
                match Chunk::read(payload).and_then(|chunk| entry(&chunk, at as u64, bytes + 13)) {
                    Ok(entry) => scan.entries.push(entry),
                    Err(_) => scan.damaged += bytes,
                }
            }
            Piece::Record { kind: END, payload, .. } => scan.cover = read_cover(payload).ok(),
            Piece::Record { payload, .. } => scan.damaged += payload.len() as u64,
            Piece::Damage { bytes, .. } => scan.damaged += bytes as u64,
        }
    }
    scan
}

#[cfg(test)]
pub mod tests {
    use super::super::volume::{parse_chunks, parse_index};
    use super::super::window::Span;
    use super::*;
    use quorate_common::block::{self, Column};
    use quorate_common::cell::Form;
    use quorate_common::disk::{Fault, MemoryDisk, Operation};
    use quorate_common::model::series::{CellForm, SeriesClass, Window};
    use quorate_common::rng::SeededRng;

    const SECOND: i64 = 1_000_000_000;
    const ALL: (WallTime, WallTime) = (WallTime(0), WallTime(299 * SECOND));

    fn chunk(node: i64, id: u32) -> Chunk {
        let column = Column { form: Form::Integer, cells: vec![1, 5, 2], present: Vec::new() };
        let times = [1_000, 2_000, 4_000];
        let block = block::encode(&times, &[column]).unwrap();
        Chunk { node: NodeId(node), series: vec![(SeriesId(id), CellForm::COUNT)], block }
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
        let contents = Contents::Raw(span, SeriesClass::Other);
        let mut writing = shelf.begin(contents, shelf.next_order(), &mut rng);
        (1..=nodes).try_for_each(|node| writing.push(&chunk(node, 7)))?;
        shelf.finish(vec![writing], vec!["log-a".to_owned()], &mut rng)
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
        assert_eq!(shelf.index(first).unwrap().0.logs, ["log-a"]);
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
        for path in [&index, &volume.path] {
            let whole = disk.read(path, u64::MAX).unwrap();
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x10;
                disk.write_atomic(path, &damaged).unwrap();
                shelf.cache.forget(&volume);
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
        let whole = disk.read(&volume.path, u64::MAX).unwrap();
        let cover = scan(&whole, volume.salt).cover.unwrap();
        assert_eq!(
            (cover.logs, cover.files),
            (vec!["log-a".to_owned()], vec![name_of(&volume.path).unwrap()])
        );
        assert_eq!(scan(&whole, volume.salt).entries, shelf.index(&volume).unwrap().1);
        for length in 0..whole.len() {
            assert_eq!(scan(&whole[..length], volume.salt).cover, None, "{length}");
        }
        let name = volume.path.file_name().unwrap();
        assert_eq!(parse_chunks(name), Some((volume.contents, 0, volume.salt)));
        let index = volume.index.as_ref().unwrap();
        assert_eq!(parse_index(index.file_name().unwrap()), Some((volume.contents, 0, whole.len() as u64)));
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
