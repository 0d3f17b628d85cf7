//! The embedded engine: our own append-only files or, without a directory, the last minutes in memory.
//!
//! Each node has its own history behind its own lock, held for the time of one call and never across an
//! await. Sessions never wait for a disk: two threads do, one that commits and one that seals. See [`engine`].

mod chunk;
mod dictionary;
mod engine;
mod history;
mod layout;
mod ledgers;
mod log;
mod open;
mod record;
mod replay;
mod run;
mod seal;
mod segment;
mod shelf;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use engine::{Config, SealError};
pub use open::{Dice, StoreError};
pub use replay::Report;
pub use run::Running;
pub use writer::CommitError;

use super::{Append, Commits, FrameRecord, Lane, Lost, NewColumns, Origin, Sample, Select, SeriesId, Ticket};
use engine::Engine;
use history::History;
use ledgers::Ledgers;
use log::{Learned, Log};
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

/// The store. [`Embedded::default`] is one in memory alone; see [`Embedded::open`] for one that lasts.
#[derive(Default)]
pub struct Embedded {
    nodes: Nodes,
    engine: Option<Engine>,
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

    /// Makes durable what was gathered, for whoever has no [`Running`]. One thread at a time.
    ///
    /// # Errors
    /// Files that are over: what was gathered for them and not durable before must come again.
    pub fn commit(&self) -> Result<(), CommitError> {
        self.engine.as_ref().map_or(Ok(()), Engine::commit)
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
            let (id, is_new) = history.dictionary.intern(spec, seen);
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

impl Select for Embedded {
    fn find(&self, node: NodeId, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        let Some(history) = self.get(node) else { return Vec::new() };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.dictionary.find(matches)
    }

    fn samples(&self, node: NodeId, series: &[SeriesId], from: WallTime, to: WallTime) -> Vec<Vec<Sample>> {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); series.len()];
        let wanted: HashMap<SeriesId, usize> = series.iter().enumerate().map(|(at, id)| (*id, at)).collect();
        let Some(history) = self.get(node) else { return samples };
        // Segments are shared, so the lock is held for the copying of a list and not for the decoding.
        let segments = history.lock().unwrap_or_else(PoisonError::into_inner).segments(from, to);
        segments.iter().for_each(|segment| segment.read(&wanted, (from, to), &mut samples));
        if let Some(engine) = &self.engine {
            engine.shelf.read(node, &wanted, (from, to), &mut samples);
        }
        for list in &mut samples {
            list.sort_by_key(|sample| sample.at);
            // What was kept, not acknowledged and sent again is there twice.
            list.dedup_by_key(|sample| sample.at);
        }
        samples
    }
}
