//! The front of the log: records gather here, in memory, until the writer takes them all at once.
//!
//! ```text
//!             push                take, every 100 ms or 1 MiB          commit
//!   sessions ──────→ gathered ───────────────────────────────→ writer ────────→ files
//!                       ↑ stale: begin a new stretch     failed: forget the files │
//!                       └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Files have numbers. When one is over (sealed, or it failed) its number is no longer taken: whoever still writes
//! to it is told, and begins again with a base. What was gathered for a file that failed is thrown away, so that
//! nothing becomes durable that cannot be read. It does no I/O and knows no clock.

use super::record::Record;
use super::window::Span;
use crate::store::{Boot, Lost, Origin, Ticket};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::Epoch;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long records wait for others.
pub const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// So many bytes do not wait.
pub const COMMIT_BYTES: usize = 1 << 20;
/// What waits for a disk that does not come back. More is not logged, and not acknowledged.
const GATHERED_BYTES_MAX: usize = 64 << 20;

/// Number of a log file; 0 for none.
pub type FileNumber = u64;

/// What ledgers learn when a record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// A frame is kept.
    Frame(NodeId, u64, Origin),
    /// Frames will not come.
    Closed(NodeId, Lost),
    /// Where a boot lies.
    Boot(NodeId, Boot),
    /// An epoch is over.
    Ended(NodeId, Epoch),
    /// A node is forgotten.
    Forgotten(NodeId),
}

impl Learned {
    /// Of which node.
    pub fn node(&self) -> NodeId {
        match *self {
            Learned::Frame(node, ..)
            | Learned::Closed(node, _)
            | Learned::Boot(node, _)
            | Learned::Ended(node, _)
            | Learned::Forgotten(node) => node,
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was taken, and is in this batch.
    Taken(Ticket),
    /// The file is over.
    Stale,
    /// There is no room.
    Full,
}

/// What is to be written to one file.
#[derive(Debug)]
pub struct Part {
    /// What the file is of.
    pub span: Span,
    /// Records, see [`each`].
    pub records: Vec<u8>,
}

/// What records say, in the order in which they came, and in which file each stands: learned file by file, frames of
/// three window classes would look like many holes.
pub type Lesson = Vec<(FileNumber, Learned)>;

/// Everything that was gathered.
#[derive(Debug, Default)]
pub struct Batch {
    /// Which it is.
    pub ticket: Ticket,
    /// For the dictionary; durable before all others.
    pub names: Vec<u8>,
    /// By number of the file.
    pub parts: BTreeMap<FileNumber, Part>,
    /// What they say.
    pub lesson: Arc<Lesson>,
}

/// See the module.
#[derive(Debug)]
pub struct Log {
    gathered: Mutex<Gathered>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Gathered {
    files: HashMap<Span, FileNumber>,
    newest: Option<Span>,
    next: FileNumber,
    names: Vec<u8>,
    parts: BTreeMap<FileNumber, Part>,
    lesson: Lesson,
    bytes: usize,
    /// How many batches were taken, and what the last one says until it is decided.
    taken: u64,
    flying: Arc<Lesson>,
    is_over: bool,
}

impl Log {
    /// An empty one, whose files are numbered from `next` on.
    pub fn new(next: FileNumber) -> Log {
        let gathered = Gathered { next: next.max(1), ..Gathered::default() };
        Log { gathered: Mutex::new(gathered), changed: Condvar::new() }
    }

    /// The file that takes records of a window now.
    pub fn number(&self, span: Span) -> FileNumber {
        self.lock().number(span)
    }

    /// Takes a record of a stretch that began in file `number`.
    pub fn push(
        &self,
        (span, number): (Span, FileNumber),
        record: &Record<'_>,
        learned: Option<Learned>,
    ) -> Pushed {
        let mut gathered = self.lock();
        if gathered.files.get(&span) != Some(&number) {
            return Pushed::Stale;
        }
        if gathered.bytes > GATHERED_BYTES_MAX {
            return Pushed::Full;
        }
        let before = gathered.bytes;
        gathered.put(span, number, record, learned);
        self.wake(before, &gathered);
        Pushed::Taken(Ticket(gathered.taken + 1))
    }

    /// Takes a record that belongs to no stretch, in the newest file of `span`'s class.
    /// False if there is no room.
    pub fn note(&self, span: Span, record: &Record<'_>, learned: Learned) -> bool {
        let mut gathered = self.lock();
        let span = gathered.newest.filter(|newest| newest.window == span.window).unwrap_or(span).max(span);
        let number = gathered.number(span);
        if gathered.bytes > GATHERED_BYTES_MAX {
            return false;
        }
        let before = gathered.bytes;
        gathered.put(span, number, record, Some(learned));
        self.wake(before, &gathered);
        true
    }

    /// Takes a record for the dictionary. Never refused: what is named nowhere cannot be found.
    pub fn name(&self, record: &Record<'_>) {
        let mut gathered = self.lock();
        let (before, names) = (gathered.bytes, gathered.names.len());
        frame(&mut gathered.names, record);
        gathered.bytes += gathered.names.len() - names;
        self.wake(before, &gathered);
    }

    /// Hands over everything; `None` if there is nothing. The batch is decided by [`Log::land`] or [`Log::fail`].
    pub fn take(&self) -> Option<Batch> {
        let mut gathered = self.lock();
        if gathered.is_empty() {
            return None;
        }
        gathered.bytes = 0;
        gathered.taken += 1;
        gathered.flying = Arc::new(std::mem::take(&mut gathered.lesson));
        let (names, parts) = (std::mem::take(&mut gathered.names), std::mem::take(&mut gathered.parts));
        Some(Batch { ticket: Ticket(gathered.taken), names, parts, lesson: gathered.flying.clone() })
    }

    /// The files that take records now, and the number that the next will have.
    pub fn numbers(&self) -> (Vec<FileNumber>, FileNumber) {
        let gathered = self.lock();
        (gathered.files.values().copied().collect(), gathered.next)
    }

    /// What was taken last is durable, and its ledgers know.
    pub fn land(&self) {
        self.lock().flying = Arc::default();
    }

    /// The batch that has everything that came so far.
    pub fn ticket(&self) -> Ticket {
        let gathered = self.lock();
        Ticket(gathered.taken + u64::from(!gathered.is_empty()))
    }

    /// What is to be learned of a node, oldest first.
    pub fn pending(&self, node: NodeId) -> Vec<Learned> {
        let gathered = self.lock();
        let all = gathered.flying.iter().chain(&gathered.lesson);
        all.map(|(_, learned)| *learned).filter(|learned| learned.node() == node).collect()
    }

    /// The file of a window takes no more; whatever it has is in the next [`Log::take`]. Gives the number that the
    /// next file will have: all numbers below it are over for this window.
    pub fn close(&self, span: Span) -> FileNumber {
        let mut gathered = self.lock();
        gathered.files.remove(&span);
        gathered.next
    }

    /// Files failed: they take no more, and what waits for them is thrown away.
    pub fn fail(&self, numbers: &[FileNumber]) {
        let mut gathered = self.lock();
        gathered.files.retain(|_, number| !numbers.contains(number));
        gathered.parts.retain(|number, _| !numbers.contains(number));
        gathered.lesson.retain(|(number, _)| !numbers.contains(number));
        gathered.flying = Arc::default();
        let records: usize = gathered.parts.values().map(|part| part.records.len()).sum();
        gathered.bytes = gathered.names.len() + records;
    }

    /// Nothing more will come.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Waits until there is something to write; false when nothing will come.
    pub fn wait(&self) -> bool {
        let waits = |gathered: &mut Gathered| gathered.bytes == 0 && !gathered.is_over;
        let gathered = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        gathered.bytes > 0
    }

    /// Waits for more, for as long as `least` allows, unless there is much already or nothing will come.
    pub fn linger(&self, least: Duration, bytes: usize) {
        let waits = |gathered: &mut Gathered| gathered.bytes < bytes && !gathered.is_over;
        // Woken by time or by bytes: both mean the same.
        drop(self.changed.wait_timeout_while(self.lock(), least, waits));
    }

    /// The writer waits for the first record and for much; it need not hear of those between.
    fn wake(&self, before: usize, gathered: &Gathered) {
        if before == 0 || (before < COMMIT_BYTES && gathered.bytes >= COMMIT_BYTES) {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn number(&mut self, span: Span) -> FileNumber {
        let Gathered { files, next, .. } = self;
        let number = *files.entry(span).or_insert_with(|| {
            *next += 1;
            *next - 1
        });
        self.newest = self.newest.max(Some(span));
        number
    }

    fn put(&mut self, span: Span, number: FileNumber, record: &Record<'_>, learned: Option<Learned>) {
        let part = self.parts.entry(number).or_insert_with(|| Part { span, records: Vec::new() });
        let before = part.records.len();
        frame(&mut part.records, record);
        self.bytes += part.records.len() - before;
        self.lesson.extend(learned.map(|learned| (number, learned)));
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.parts.is_empty()
    }
}

/// Kind, length and payload, one behind the other.
pub fn frame(out: &mut Vec<u8>, record: &Record<'_>) {
    let begin = out.len();
    out.extend_from_slice(&[record.kind(), 0, 0, 0, 0]);
    record.write(out);
    let length = (out.len() - begin - 5) as u32;
    if let Some(place) = out.get_mut(begin + 1..begin + 5) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

/// Kind and payload of each record that [`frame`] wrote.
pub fn each(mut records: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, a, b, c, d], rest) = records.split_first_chunk()?;
        let (payload, rest) = rest.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
        records = rest;
        Some((kind, payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Lane;
    use quorate_common::model::series::Window;
    use quorate_common::model::time::WallTime;

    const NODE: NodeId = NodeId(1);
    const SPAN: Span = Span::FIRST;

    fn retire(place: u64) -> Record<'static> {
        Record::Retire { node: NODE, lane: Lane::Live, place, indices: vec![3] }
    }

    #[test]
    fn a_file_that_is_over_takes_no_more() {
        let log = Log::new(5);
        assert_eq!(log.number(SPAN), 5);
        let learned = Learned::Ended(NODE, Epoch::default());
        assert_eq!(log.push((SPAN, 5), &retire(1), Some(learned)), Pushed::Taken(Ticket(1)));
        assert_eq!(log.push((SPAN, 4), &retire(1), None), Pushed::Stale);
        log.close(SPAN);
        assert_eq!(log.push((SPAN, 5), &retire(2), None), Pushed::Stale);
        assert_eq!(log.number(SPAN), 6);
        log.push((SPAN, 6), &retire(1), Some(learned));
        log.fail(&[6]);
        assert_eq!(log.push((SPAN, 6), &retire(2), None), Pushed::Stale);
        let batch = log.take().unwrap();
        assert_eq!(batch.parts.keys().copied().collect::<Vec<_>>(), [5], "what waited for 6 is gone");
        assert_eq!(*batch.lesson, [(5, learned)]);
        assert_eq!((log.take().is_none(), log.pending(NODE)), (true, vec![learned]), "until it is decided");
        log.land();
        assert_eq!((log.pending(NODE), log.ticket()), (Vec::new(), Ticket(1)));
        let records: Vec<_> =
            each(&batch.parts[&5].records).map(|(kind, bytes)| Record::read(kind, bytes).unwrap()).collect();
        assert_eq!(records, [retire(1)]);
    }

    #[test]
    fn without_room_nothing_is_taken() {
        let log = Log::new(1);
        let number = log.number(SPAN);
        let long =
            Record::Retire { node: NODE, lane: Lane::Live, place: 1, indices: vec![u32::MAX; 1 << 20] };
        let mut taken = 0;
        while log.push((SPAN, number), &long, None) == Pushed::Taken(Ticket(1)) {
            taken += 1;
        }
        assert_eq!(taken, GATHERED_BYTES_MAX / (5 << 20) + 1);
        assert_eq!(log.push((SPAN, number), &long, None), Pushed::Full);
        log.take();
        assert_eq!(log.push((SPAN, number), &long, None), Pushed::Taken(Ticket(2)));
    }

    #[test]
    fn notes_go_to_the_newest_file() {
        let log = Log::new(1);
        let next = Span::of(Window::Short, SPAN.end());
        assert_eq!((log.number(next), log.number(SPAN)), (1, 2));
        log.note(SPAN, &retire(0), Learned::Ended(NODE, Epoch::default()));
        assert_eq!(log.take().unwrap().parts.keys().copied().collect::<Vec<_>>(), [1]);
        let later = Span::of(Window::Short, WallTime(next.end().0));
        log.note(later, &retire(0), Learned::Ended(NODE, Epoch::default()));
        assert_eq!(log.take().unwrap().parts.keys().copied().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn whoever_waits_is_woken() {
        let log = std::sync::Arc::new(Log::new(1));
        let other = log.clone();
        let waits =
            std::thread::spawn(move || (other.wait(), other.take().unwrap().parts.len(), other.wait()));
        log.note(SPAN, &retire(0), Learned::Ended(NODE, Epoch::default()));
        log.end();
        assert_eq!(waits.join().unwrap(), (true, 1, false));
    }
}
