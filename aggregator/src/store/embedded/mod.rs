//! The embedded engine: our own append-only files or, without a directory, the last minutes in memory.
//!
//! Each node has its own history behind its own lock, held for the time of one call and never across an
//! await. Sessions never wait for a disk: two threads do, one that commits and one that seals. See [`engine`].

mod chunk;
mod config;
mod dictionary;
mod engine;
mod history;
mod index;
mod lately;
mod layout;
mod ledgers;
mod log;
mod open;
mod pool;
mod record;
mod replay;
mod retain;
mod run;
mod seal;
mod segment;
mod shelf;
#[cfg(test)]
mod tests;
mod volume;
mod window;
mod writer;

pub use config::Config;
pub use engine::Commits;
pub use open::{Dice, StoreError};
pub use replay::Report;
pub use retain::{Deletions, Tally};
pub use run::Running;

use super::bucket::roll;
use super::{Append, Bucket, FrameRecord, Lane, NewColumns, Origin, Resolution, Sample, Select, SeriesId};
use engine::Engine;
use history::History;
use log::{Learned, Log};
use pool::Pool;
use quorate_common::cell::{Decoder, Index};
use quorate_common::ledger::Ledger;
use quorate_common::lock::StateLock;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{CellForm, SeriesSpec, Window};
use quorate_common::model::session::{Epoch, SeqRange};
use quorate_common::model::time::WallTime;
use record::Record;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;
use window::Span;

/// All histories, by node.
type Nodes = RwLock<HashMap<NodeId, Arc<Mutex<History>>>>;

/// The store. [`Embedded::default`] is one in memory alone; see [`Embedded::open`] for one that lasts.
#[derive(Default)]
pub struct Embedded {
    nodes: Nodes,
    pool: Arc<Pool>,
    engine: Option<Engine>,
    /// Held as long as the store is.
    lock: Option<StateLock>,
}

impl Embedded {
    /// Tells of every commit, and of every one that failed; `None` if nothing becomes durable.
    pub fn commits(&self) -> Option<watch::Receiver<Commits>> {
        self.engine.as_ref().map(|engine| engine.commits.subscribe())
    }

    /// All epochs of a node of which something is durable, and what.
    pub fn epochs(&self, node: NodeId) -> Vec<(Epoch, Ledger)> {
        let Some(engine) = &self.engine else { return Vec::new() };
        engine.ledgers().of(node).map(|(epoch, ledger)| (epoch, ledger.clone())).collect()
    }

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

    fn log(&self) -> Option<&Log> {
        self.engine.as_ref().map(|engine| &engine.log)
    }

    fn note(&self, at: WallTime, record: &Record<'_>, learned: Learned) {
        if let Some(log) = self.log() {
            log.note(Span::of(Window::Short, at), record, learned);
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

    /// How the values of some series are held.
    fn forms(&self, node: NodeId, series: &[SeriesId]) -> Vec<CellForm> {
        let Some(history) = self.get(node) else { return vec![CellForm::Float; series.len()] };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let form =
            |id: &SeriesId| history.dictionary.get(*id).map_or(CellForm::Float, |spec| spec.metric.form);
        series.iter().map(form).collect()
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
    ) {
        self.with(node, |history| history.frame((lane, origin), record, decoder, self.log()));
    }

    fn beat(&self, node: NodeId, at: WallTime, seq: u64, origin: Origin) {
        let learned = Learned::Frame(node, origin.epoch, seq, origin.totals);
        self.note(at, &Record::Beat { node, seq, origin }, learned);
    }

    fn close(&self, node: NodeId, at: WallTime, epoch: Epoch, range: SeqRange) {
        self.note(at, &Record::Closed { node, epoch, range }, Learned::Closed(node, epoch, range));
    }

    fn end(&self, node: NodeId, at: WallTime, epoch: Epoch) {
        self.note(at, &Record::Ended { node, epoch }, Learned::Ended(node, epoch));
    }

    fn durable(&self, node: NodeId, epoch: Epoch) -> Option<Ledger> {
        self.engine.as_ref()?.ledgers().get(node, epoch).cloned()
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
            return;
        };
        let next = self.with(node, History::forget);
        let record = Record::Forgotten { node, next };
        engine.log.name(&record);
        let at = engine.clock.now().wall;
        self.epochs(node).into_iter().for_each(|(epoch, _)| self.end(node, at, epoch));
        self.note(at, &record, Learned::Forgotten(node));
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

    fn rolled(
        &self,
        node: NodeId,
        series: &[SeriesId],
        resolution: Resolution,
        from: WallTime,
        to: WallTime,
    ) -> Vec<Vec<Bucket>> {
        // Only whole buckets are given.
        let first = resolution.floor(WallTime(from.0.saturating_add(resolution.length_ns() - 1)));
        let last = resolution.last(resolution.floor(to));
        let samples = self.samples(node, series, first, last);
        let rolled = samples.into_iter().zip(self.forms(node, series)).map(|(samples, form)| {
            let minutes = roll(Resolution::Minute, form, samples.into_iter().map(Bucket::of));
            roll(resolution, form, minutes.into_iter())
        });
        rolled.collect()
    }
}
