//! Building: the roll-up of a period becomes a file, node by node and some series at a time.
//!
//! What is held at once is the list of chunks of the period, and the finer history of some series over one slice.

use super::Nodes;
use super::engine::{Engine, SealError};
use super::index::Entry;
use super::period::Period;
use super::rolled::{self, Buckets, SERIES_MAX};
use super::rollup::Shelved;
use super::select::in_order;
use super::shelf::Writing;
use super::volume::{Contents, Volume};
use crate::store::bucket::{roll, superseded};
use crate::store::{Bucket, Resolution, SeriesId};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::CellForm;
use quorate_common::model::time::WallTime;
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError};

/// Series that are rolled up at once.
const BATCH: usize = if cfg!(test) { 27 } else { 252 };
const HOUR_NS: i64 = 3_600_000_000_000;

/// The chunks of one node in a period, each with its volume.
type Chunks = Vec<(Arc<Volume>, Entry)>;

impl Engine {
    /// Rolls up a period, or again those of its nodes that have come late.
    ///
    /// # Errors
    /// The disk: nothing is left then, and it is tried again.
    pub(super) fn build(
        &self,
        nodes: &Nodes,
        (shelved, period): (&Shelved, Period),
        rng: &mut dyn Rng,
    ) -> Result<(), SealError> {
        let chunks = self.listing(shelved, period)?;
        let mut writing = self.shelf.begin(Contents::Rolled(period), self.shelf.next_order(), rng);
        for (node, chunks) in chunks {
            let done = self.build_node(nodes, (node, period), chunks, &mut writing);
            if let Err(error) = done {
                self.shelf.discard(&[writing]);
                return Err(error);
            }
        }
        Ok(self.shelf.finish(vec![writing], Vec::new(), rng)?)
    }

    /// All chunks of the nodes of which something is not rolled up.
    fn listing(&self, shelved: &Shelved, period: Period) -> Result<BTreeMap<NodeId, Chunks>, SealError> {
        let (mut listing, mut late): (BTreeMap<NodeId, Chunks>, HashSet<NodeId>) = Default::default();
        for volume in shelved.sources(period) {
            let (_, entries) = self.shelf.index(volume).map_err(SealError::Read)?;
            if shelved.is_fresh(volume, period) {
                late.extend(entries.iter().map(|entry| entry.node));
            }
            for mut entry in entries {
                // The chunk says them, too; all together they are many.
                entry.series = Vec::new();
                listing.entry(entry.node).or_default().push((volume.clone(), entry));
            }
        }
        listing.retain(|node, _| late.contains(node));
        Ok(listing)
    }

    fn build_node(
        &self,
        nodes: &Nodes,
        (node, period): (NodeId, Period),
        mut chunks: Chunks,
        writing: &mut Writing,
    ) -> Result<(), SealError> {
        let mut forms = BTreeMap::new();
        for (volume, entry) in &mut chunks {
            let Some(chunk) = self.shelf.chunk(volume, entry).map_err(SealError::Read)? else { continue };
            entry.series = chunk.series.iter().map(|(id, _)| *id).collect();
            forms.extend(chunk.series);
        }
        self.tell_forms(nodes, node, &mut forms);
        let forms: Vec<(SeriesId, CellForm)> = forms.into_iter().collect();
        for batch in forms.chunks(BATCH) {
            let series = self.build_batch(period, &chunks, batch)?;
            let series: Vec<Buckets> =
                series.into_iter().filter(|(_, _, buckets)| !buckets.is_empty()).collect();
            for series in series.chunks(SERIES_MAX) {
                writing.push(&rolled::chunk(node, series)?)?;
            }
        }
        Ok(())
    }

    /// How values are held says the dictionary; a roll-up may have had to hold them otherwise.
    fn tell_forms(&self, nodes: &Nodes, node: NodeId, forms: &mut BTreeMap<SeriesId, CellForm>) {
        let nodes = nodes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(history) = nodes.get(&node) else { return };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, form) in forms {
            *form = history.dictionary.get(*id).map_or(*form, |spec| spec.metric.form);
        }
    }

    /// The buckets of some series over the period, slice by slice.
    fn build_batch(
        &self,
        period: Period,
        chunks: &Chunks,
        batch: &[(SeriesId, CellForm)],
    ) -> Result<Vec<Buckets>, SealError> {
        let wanted: HashMap<SeriesId, usize> =
            batch.iter().enumerate().map(|(at, (id, _))| (*id, at)).collect();
        let mut series: Vec<Buckets> = batch.iter().map(|(id, form)| (*id, *form, Vec::new())).collect();
        let slice = if period.resolution == Resolution::Minute { HOUR_NS } else { 6 * HOUR_NS };
        let mut from = period.start();
        while from < period.end() {
            let end = WallTime(from.0.saturating_add(slice));
            let range = (from, WallTime(end.0 - 1));
            let parts = self.parts(period, chunks, &wanted, range)?;
            for ((_, form, buckets), parts) in series.iter_mut().zip(parts) {
                buckets.extend(roll(period.resolution, *form, parts.into_iter()));
            }
            from = end;
        }
        Ok(series)
    }

    /// What the buckets of a slice are made of: samples or finer buckets, in order of time.
    fn parts(
        &self,
        period: Period,
        chunks: &Chunks,
        wanted: &HashMap<SeriesId, usize>,
        (from, to): (WallTime, WallTime),
    ) -> Result<Vec<Vec<Bucket>>, SealError> {
        let (mut samples, mut buckets) = (vec![Vec::new(); wanted.len()], vec![Vec::new(); wanted.len()]);
        for (volume, entry) in chunks {
            let is_asked = entry.first <= to && entry.last >= from;
            if !is_asked || !entry.series.iter().any(|id| wanted.contains_key(id)) {
                continue;
            }
            let Some(chunk) = self.shelf.chunk(volume, entry).map_err(SealError::Read)? else { continue };
            let read = match volume.contents {
                Contents::Raw(..) => chunk.samples(wanted, (from, to), &mut samples),
                Contents::Rolled(_) => rolled::buckets(&chunk, wanted, (from, to), &mut buckets),
            };
            if read.is_err() {
                self.shelf.tell_spoilt(volume, (entry.at, entry.bytes));
            }
        }
        if period.resolution == Resolution::Hour {
            return Ok(buckets.into_iter().map(superseded).collect());
        }
        Ok(samples.into_iter().map(|list| in_order(list).into_iter().map(Bucket::of).collect()).collect())
    }
}
