//! The embedded engine: the last minutes of every node, in memory.
//!
//! Each node has its own history behind its own lock, held for the time of one call and never across an
//! await. Nothing here waits for a disk.

mod dictionary;
mod history;
mod layout;
mod ledgers;
mod log;
mod record;
mod window;
mod writer;

use super::{Append, FrameRecord, NewColumns, Sample, Select, SeriesId};
use history::History;
use quorate_common::cell::{Decoder, Index};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// All histories.
#[derive(Debug, Default)]
pub struct Embedded {
    nodes: RwLock<HashMap<NodeId, Arc<Mutex<History>>>>,
}

impl Embedded {
    fn with<T>(&self, node: NodeId, call: impl FnOnce(&mut History) -> T) -> T {
        let history = match self.get(node) {
            Some(history) => history,
            None => {
                self.nodes.write().unwrap_or_else(PoisonError::into_inner).entry(node).or_default().clone()
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
        self.with(node, |history| history.dictionary.intern(spec))
    }

    fn begin(&self, node: NodeId) {
        self.with(node, History::begin);
    }

    fn register(&self, node: NodeId, columns: &NewColumns) {
        self.with(node, |history| history.register(columns));
    }

    fn retire(&self, node: NodeId, indices: &[Index]) {
        self.with(node, |history| history.retire(indices));
    }

    fn frame(&self, node: NodeId, record: FrameRecord<'_>, decoder: &Decoder) {
        self.with(node, |history| history.frame(record, decoder));
    }

    fn expire(&self, before: WallTime) {
        let nodes: Vec<_> =
            self.nodes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for history in nodes {
            history.lock().unwrap_or_else(PoisonError::into_inner).expire(before);
        }
    }

    fn forget(&self, node: NodeId) {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }
}

impl Select for Embedded {
    fn find(&self, node: NodeId, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        let Some(history) = self.get(node) else { return Vec::new() };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.dictionary.find(matches)
    }

    fn samples(&self, node: NodeId, series: &[SeriesId], from: WallTime, to: WallTime) -> Vec<Vec<Sample>> {
        let Some(history) = self.get(node) else { return vec![Vec::new(); series.len()] };
        // Segments are shared, so the lock is held for the copying of a list and not for the decoding.
        let segments = history.lock().unwrap_or_else(PoisonError::into_inner).segments(from, to);
        history::read(&segments, series, from, to)
    }
}
