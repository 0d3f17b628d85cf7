//! Reading: what is in memory, on the shelf and rolled up, put together. Nobody who writes waits for it.

use super::rollup::{Fresh, Shelved, merged};
use super::{Embedded, Engine};
use crate::store::bucket::{roll, superseded};
use crate::store::{Bucket, Resolution, Sample, Select, SeriesId};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{CellForm, SeriesSpec};
use quorate_common::model::time::WallTime;
use std::collections::HashMap;
use std::sync::PoisonError;

type Range = (WallTime, WallTime);

/// Some series of a node.
struct Asked<'a> {
    node: NodeId,
    series: &'a [SeriesId],
    /// How the values of each are held.
    forms: Vec<CellForm>,
    /// The place of each.
    places: HashMap<SeriesId, usize>,
}

impl Select for Embedded {
    fn find(&self, node: NodeId, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        let Some(history) = self.get(node) else { return Vec::new() };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.dictionary.find(matches)
    }

    fn oldest(&self, node: NodeId) -> WallTime {
        let held =
            self.held(node, (WallTime(i64::MIN), WallTime(i64::MAX))).into_iter().map(|(first, _)| first);
        // Only after the memory, as below.
        let volumes = self.engine.iter().flat_map(|engine| engine.shelf.all());
        let sealed = volumes.filter(|volume| volume.contents.span().is_some());
        held.chain(sealed.map(|volume| volume.contents.start())).min().unwrap_or(WallTime(i64::MAX))
    }

    fn named(
        &self,
        node: NodeId,
        name: &str,
        matches: &dyn Fn(&SeriesSpec) -> bool,
    ) -> Vec<(SeriesId, SeriesSpec)> {
        let Some(history) = self.get(node) else { return Vec::new() };
        let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.dictionary.named(name, matches)
    }

    fn samples(&self, node: NodeId, series: &[SeriesId], from: WallTime, to: WallTime) -> Vec<Vec<Sample>> {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); series.len()];
        let places = places(series);
        let Some(history) = self.get(node) else { return samples };
        // Segments are shared, so the lock is held for the copying of a list and not for the decoding.
        let segments = history.lock().unwrap_or_else(PoisonError::into_inner).segments(from, to);
        segments.iter().for_each(|segment| segment.read(&places, (from, to), &mut samples));
        if let Some(engine) = &self.engine {
            engine.shelf.read(node, &places, (from, to), &mut samples);
        }
        samples.into_iter().map(in_order).collect()
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
        let asked = Asked { node, series, forms: self.forms(node, series), places: places(series) };
        self.buckets(&asked, resolution, (first, last))
    }
}

impl Embedded {
    /// The buckets of whole stretches: from files as far as they go, and from what is finer where they do not.
    fn buckets(&self, asked: &Asked<'_>, resolution: Resolution, range: Range) -> Vec<Vec<Bucket>> {
        let mut lists = vec![Vec::new(); asked.series.len()];
        let mut fresh = self.held(asked.node, range);
        // Only after the memory: what is sealed meanwhile is seen twice rather than never.
        if let Some(engine) = &self.engine {
            let shelved = Shelved::new(engine.shelf.all());
            fresh.extend(engine.fresh(asked.node, &shelved, resolution, range));
            let rolled = shelved.rolled(resolution, range.0, range.1);
            engine.shelf.read_rolled(rolled, (asked.node, &asked.places), range, &mut lists);
        }
        for stretch in merged(resolution, fresh, range) {
            let parts = self.parts(asked, resolution, stretch);
            for ((list, parts), form) in lists.iter_mut().zip(parts).zip(&asked.forms) {
                list.extend(roll(resolution, *form, parts.into_iter()));
            }
        }
        lists.into_iter().map(superseded).collect()
    }

    /// What buckets are made of.
    fn parts(&self, asked: &Asked<'_>, resolution: Resolution, range: Range) -> Vec<Vec<Bucket>> {
        match resolution {
            Resolution::Minute => {
                let samples = self.samples(asked.node, asked.series, range.0, range.1);
                samples.into_iter().map(|list| list.into_iter().map(Bucket::of).collect()).collect()
            }
            Resolution::Hour => self.buckets(asked, Resolution::Minute, range),
        }
    }

    /// Where there is anything in memory.
    fn held(&self, node: NodeId, (from, to): Range) -> Vec<Range> {
        let Some(history) = self.get(node) else { return Vec::new() };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        history.segments(from, to).iter().map(|segment| (segment.first, segment.last)).collect()
    }

    /// How the values of some series are held.
    fn forms(&self, node: NodeId, series: &[SeriesId]) -> Vec<CellForm> {
        let Some(history) = self.get(node) else { return vec![CellForm::Float; series.len()] };
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let form =
            |id: &SeriesId| history.dictionary.get(*id).map_or(CellForm::Float, |spec| spec.metric.form);
        series.iter().map(form).collect()
    }
}

impl Engine {
    /// Where files have anything of a node that is not rolled up.
    fn fresh(
        &self,
        node: NodeId,
        shelved: &Shelved,
        resolution: Resolution,
        (from, to): Range,
    ) -> Vec<Range> {
        let mut stretches = Vec::new();
        for fresh in shelved.fresh(resolution, from, to) {
            match fresh {
                Fresh::Whole(volume) => {
                    let contents = volume.contents;
                    stretches.push((contents.start(), WallTime(contents.end().0.saturating_sub(1))));
                }
                Fresh::Late(volume) => {
                    let Ok(entries) = self.shelf.entries(&volume) else { continue };
                    let of_node = entries.iter().filter(|entry| entry.node == node);
                    stretches.extend(of_node.map(|entry| (entry.first, entry.last)));
                }
            }
        }
        stretches
    }
}

fn places(series: &[SeriesId]) -> HashMap<SeriesId, usize> {
    series.iter().enumerate().map(|(at, id)| (*id, at)).collect()
}

/// Samples in order of time. What was kept, not acknowledged and sent again is there twice, and counts once.
pub(super) fn in_order(mut samples: Vec<Sample>) -> Vec<Sample> {
    samples.sort_by_key(|sample| sample.at);
    samples.dedup_by_key(|sample| sample.at);
    samples
}
