//! The embedded engine: our own append-only files or, without a directory, the last minutes in memory.
//!
//! Each node has its own history behind its own lock, held for the time of one call and never across an
//! await. Sessions never wait for a disk: two threads do, one that commits and one that seals. See [`engine`].

mod build;
mod cache;
mod chunk;
mod config;
mod dictionary;
mod engine;
mod history;
mod index;
mod layout;
mod ledgers;
mod log;
mod names;
mod open;
mod packed;
mod period;
mod pool;
mod record;
mod replay;
mod reserve;
mod retain;
mod rolled;
mod rollup;
mod run;
mod seal;
mod segment;
mod select;
mod shelf;
mod snapshot;
#[cfg(test)]
mod tests;
mod transpose;
mod upkeep;
mod verify;
mod volume;
mod window;
mod writer;

pub use config::Config;
pub use engine::SealError;
pub use open::{Dice, StoreError};
pub use replay::Report;
pub use reserve::ReserveState;
pub use retain::{Deletions, Tally};
pub use run::Running;
pub use snapshot::{Snapshot, SnapshotError, SnapshotFile};
pub use writer::CommitError;

use super::{Append, Boot, Commits, FrameRecord, Lane, Lost, NewColumns, Origin, SeriesId, Ticket};
use engine::Engine;
use history::History;
use ledgers::Ledgers;
use log::{Learned, Log};
use pool::Pool;
use quorate_common::cell::{Decoder, Index};
use quorate_common::ledger::Ledger;
use quorate_common::lock::StateLock;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{SeriesSpec, Window};
use quorate_common::model::session::Epoch;
use quorate_common::model::time::{Now, WallTime};
use record::Record;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::watch;
use window::Span;

/// All histories, by node.
type Nodes = RwLock<HashMap<NodeId, Arc<Mutex<History>>>>;

/// How the history on disk does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Chunk files.
    pub files: u64,
    /// Bytes of everything on the disk.
    pub bytes: u64,
    /// How many of them were read once more since the start.
    pub verified: u64,
    /// Chunk files in which damage was found, and how many bytes of each.
    pub damaged: Vec<(String, u64)>,
    /// Files that nothing could be made of, and their bytes.
    pub quarantined: Vec<(String, u64)>,
}

/// The store. [`Embedded::default`] is one in memory alone; see [`Embedded::open`] for one that lasts.
#[derive(Default)]
pub struct Embedded {
    nodes: Nodes,
    pool: Arc<Pool>,
    engine: Option<Engine>,
    /// Files that were put aside, now or at earlier starts: names and bytes.
    quarantined: Vec<(String, u64)>,
    /// What is known, where nothing is more durable than this process.
    ledgers: Mutex<Ledgers>,
    /// Says nothing, where nothing is committed.
    quiet: watch::Sender<Commits>,
    /// Held as long as the store is.
    lock: Option<StateLock>,
}

impl Embedded {
    /// Chunks that could not be read since the start.
    pub fn damaged(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.shelf.damaged())
    }

    /// What retention has deleted since the start.
    pub fn deletions(&self) -> Deletions {
        self.engine.as_ref().map_or_else(Deletions::default, |engine| *engine.deletions())
    }

    /// Bytes of everything on the disk.
    pub fn disk_bytes(&self) -> u64 {
        self.engine.as_ref().map_or(0, Engine::bytes)
    }

    /// What has become of the room that is kept for a full disk; `None` if nothing is on disk.
    pub fn reserve(&self) -> Option<ReserveState> {
        self.engine.as_ref().map(|engine| engine.reserve.state())
    }

    /// How the history on disk does; `None` if there is none.
    pub fn condition(&self) -> Option<Condition> {
        let engine = self.engine.as_ref()?;
        Some(Condition {
            files: engine.shelf.all().len() as u64,
            bytes: engine.bytes(),
            verified: engine.verified(),
            damaged: engine.shelf.spoilt(),
            quarantined: self.quarantined.clone(),
        })
    }

    /// All files as they are now, for a backup; none of a store in memory. Blocks while a window is sealed.
    ///
    /// # Errors
    /// A file that cannot be opened.
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        self.engine.as_ref().map_or_else(|| Ok(Snapshot::default()), |engine| engine.snapshot(&self.nodes))
    }

    /// Makes durable what was gathered, for whoever has no [`Running`]. One thread at a time.
    ///
    /// # Errors
    /// Files that are over: what was gathered for them and not durable before must come again.
    pub fn commit(&self) -> Result<(), CommitError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.commit(&self.nodes))
    }

    /// Seals what is over and lets go of what is old, for whoever has no [`Running`]. One thread at a time. Says what
    /// failed; it is tried again.
    pub fn keep_up(&self, now: Now) -> Vec<SealError> {
        self.engine.as_ref().map_or_else(Vec::new, |engine| engine.keep_up(&self.nodes, now))
    }

    fn log(&self) -> Option<&Log> {
        self.engine.as_ref().map(|engine| &engine.log)
    }

    fn note(&self, record: &Record<'_>, learned: Learned) -> bool {
        match &self.engine {
            Some(engine) => {
                let span = Span::of(Window::Short, engine.clock.now().wall);
                engine.log.note(span, record, learned)
            }
            None => {
                self.ledgers().learn(learned);
                true
            }
        }
    }

    /// What is durable, or as durable as it gets.
    fn ledgers(&self) -> MutexGuard<'_, Ledgers> {
        match &self.engine {
            Some(engine) => engine.ledgers(),
            None => self.ledgers.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn with<T>(&self, node: NodeId, call: impl FnOnce(&mut History) -> T) -> T {
        let history = match self.get(node) {
            Some(history) => history,
            None => {
                let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
                let new = || Arc::new(Mutex::new(History::new(node)));
                nodes.entry(node).or_insert_with(new).clone()
            }
        };
        call(&mut history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, node: NodeId) -> Option<Arc<Mutex<History>>> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}

impl Append for Embedded {
    fn intern(&self, node: NodeId, spec: &SeriesSpec) -> SeriesId {
        self.with(node, |history| {
            let seen = self.engine.as_ref().map_or(WallTime(0), |engine| engine.clock.now().wall);
            let (id, is_new) = history.dictionary.intern(spec, seen, &self.pool);
            if let (Some(log), true) = (self.log(), is_new) {
                log.name(&Record::Series { node, id, seen, spec: spec.clone() });
            }
            id
        })
    }

    fn begin(&self, node: NodeId, lane: Lane) {
        self.with(node, |history| history.begin(lane));
    }

    fn register(&self, node: NodeId, lane: Lane, columns: &NewColumns) {
        self.with(node, |history| history.register(lane, columns, self.log()));
    }

    fn retire(&self, node: NodeId, lane: Lane, indices: &[Index]) {
        self.with(node, |history| history.retire(lane, indices, self.log()));
    }

    fn keep(
        &self,
        (node, lane): (NodeId, Lane),
        origin: Option<Origin>,
        record: FrameRecord<'_>,
        decoder: &Decoder,
    ) -> bool {
        let taken = self.with(node, |history| history.frame((lane, origin), record, decoder, self.log()));
        if let (None, Some(origin), false) = (&self.engine, origin, record.again) {
            self.ledgers().learn(Learned::Frame(node, record.head.seq, origin));
        }
        taken
    }

    fn beat(&self, node: NodeId, seq: u64, origin: Origin) -> bool {
        self.note(&Record::Beat { node, seq, origin }, Learned::Frame(node, seq, origin))
    }

    fn close(&self, node: NodeId, lost: Lost) -> bool {
        self.note(&Record::Closed { node, lost }, Learned::Closed(node, lost))
    }

    fn boot(&self, node: NodeId, boot: Boot) {
        self.note(&Record::Boot { node, boot }, Learned::Boot(node, boot));
    }

    fn boots(&self, node: NodeId) -> Vec<Boot> {
        self.ledgers().boots(node).to_vec()
    }

    fn end(&self, node: NodeId, epoch: Epoch) {
        self.note(&Record::Ended { node, epoch }, Learned::Ended(node, epoch));
    }

    fn durable(&self, node: NodeId, epoch: Epoch) -> Ledger {
        self.ledgers().get(node, epoch).cloned().unwrap_or_default()
    }

    fn known(&self, node: NodeId) -> Vec<(Epoch, Ledger)> {
        // In this order: what is decided between the two is learned twice rather than never.
        let pending = self.log().map(|log| log.pending(node)).unwrap_or_default();
        let mut known = self.ledgers().only(node);
        pending.into_iter().for_each(|learned| known.learn(learned));
        known.of(node).map(|(epoch, ledger)| (epoch, ledger.clone())).collect()
    }

    fn ticket(&self) -> Ticket {
        self.log().map_or(Ticket::default(), Log::ticket)
    }

    fn commits(&self) -> watch::Receiver<Commits> {
        self.engine.as_ref().map_or(&self.quiet, |engine| &engine.commits).subscribe()
    }

    fn expire(&self, before: WallTime) {
        // With a directory, what is in memory goes when it is sealed, and not before.
        if self.engine.is_some() {
            return;
        }
        let nodes: Vec<_> =
            self.nodes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for history in nodes {
            history.lock().unwrap_or_else(PoisonError::into_inner).expire(before);
        }
    }

    fn forget(&self, node: NodeId) {
        let Some(engine) = &self.engine else {
            self.nodes.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
            self.ledgers().learn(Learned::Forgotten(node));
            return;
        };
        let next = self.with(node, History::forget);
        let record = Record::Forgotten { node, next };
        engine.log.name(&record);
        self.known(node).into_iter().for_each(|(epoch, _)| self.end(node, epoch));
        self.note(&record, Learned::Forgotten(node));
    }
}
