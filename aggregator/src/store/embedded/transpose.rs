//! Transposition: the frames of a node become columns, one for each series.
//!
//! ```text
//!   segment ── decoded ──→ rows, one behind the other ── index by index ──→ the cells of a series, by time
//! ```
//!
//! Whether a cell counts is decided for a column and not for a cell: which frames sampled its group, and between
//! which of them it is live. It chooses no chunks and packs nothing.

use super::chunk::TICK_NS;
use super::segment::Segment;
use crate::store::{Column, SeriesId};
use quorate_common::model::series::{CellForm, SeriesClass};
use std::collections::HashMap;
use std::sync::Arc;

/// All rows of some segments, as columns.
#[derive(Debug, Default)]
pub struct Columns {
    /// When each row was sampled, in milliseconds.
    pub times: Vec<i64>,
    /// In the order in which they were first seen.
    pub series: Vec<Series>,
    slots: HashMap<SeriesId, usize>,
}

/// A series over all rows; behind its last sample it has none.
#[derive(Debug)]
pub struct Series {
    /// Its number.
    pub id: SeriesId,
    /// How its values are held.
    pub form: CellForm,
    /// How long it is kept: as it was first seen, for it stands in one chunk file of a window.
    pub class: SeriesClass,
    /// A cell for each row; where there is no sample, anything.
    pub cells: Vec<i64>,
    /// Which rows have a sample.
    pub present: Vec<bool>,
    /// How many do.
    pub samples: usize,
}

/// The frames of one segment.
#[derive(Debug, Default)]
struct Rows {
    times: Vec<i64>,
    cells: Vec<i64>,
    /// Where each row begins, and where the last one ends. Later rows may be longer.
    bounds: Vec<usize>,
    /// The rows that have each group.
    sampled: Vec<Vec<usize>>,
}

impl Columns {
    /// Those of segments of one node, in their order.
    pub fn of(segments: &[Arc<Segment>]) -> Columns {
        let mut columns = Columns::default();
        segments.iter().for_each(|segment| columns.add(segment));
        columns
    }

    fn add(&mut self, segment: &Segment) {
        let (rows, classes, ends) = (Rows::of(segment), segment.classes(), segment.ends());
        let first = self.times.len();
        for (index, column) in segment.columns().enumerate() {
            let class = classes.get(column.group as usize).copied();
            let slot = class.and_then(|class| self.slot(&column, class));
            let Some(series) = slot.and_then(|slot| self.series.get_mut(slot)) else { continue };
            let end = ends.get(&(index as u32)).copied().unwrap_or(rows.times.len());
            let sampled = rows.sampled.get(column.group as usize).map_or(&[][..], Vec::as_slice);
            let live = sampled.get(..sampled.partition_point(|row| *row < end)).unwrap_or_default();
            series.cells.reserve(live.len());
            series.present.reserve(live.len());
            let live = live.iter();
            live.for_each(|row| {
                rows.cell(*row, index).into_iter().for_each(|cell| series.put(first + row, cell))
            });
        }
        self.times.extend_from_slice(&rows.times);
    }

    fn slot(&mut self, column: &Column, class: SeriesClass) -> Option<usize> {
        let (id, form) = (column.id?, column.form);
        let slot = *self.slots.entry(id).or_insert(self.series.len());
        if slot == self.series.len() {
            let (cells, present) = Default::default();
            self.series.push(Series { id, form, class, cells, present, samples: 0 });
        }
        Some(slot)
    }
}

impl Rows {
    fn of(segment: &Segment) -> Rows {
        let mut rows = Rows { bounds: vec![0], ..Rows::default() };
        let done = segment.replay(|at, groups, decoder| {
            let row = rows.times.len();
            rows.times.push(at.0.div_euclid(TICK_NS));
            rows.cells.extend_from_slice(decoder.row());
            rows.bounds.push(rows.cells.len());
            rows.sampled.resize_with(rows.sampled.len().max(groups.len() * 8), Vec::new);
            let has = |group: usize| groups.get(group / 8).is_some_and(|byte| byte >> (group % 8) & 1 == 1);
            let sampled = rows.sampled.iter_mut().enumerate().filter(|(group, _)| has(*group));
            sampled.for_each(|(_, rows)| rows.push(row));
        });
        // What does not fit ends its segment; it could not be read before either.
        done.ok();
        rows
    }

    #[inline]
    fn cell(&self, row: usize, index: usize) -> Option<i64> {
        let at = *self.bounds.get(row)? + index;
        self.cells.get(at).copied().filter(|_| self.bounds.get(row + 1).is_some_and(|end| at < *end))
    }
}

impl Series {
    /// A series that stands at two indices for a moment is sampled once.
    #[inline]
    fn put(&mut self, row: usize, cell: i64) {
        if row < self.cells.len() {
            return self.fill(row, cell);
        }
        if row > self.cells.len() {
            self.cells.resize(row, self.cells.last().copied().unwrap_or(cell));
            self.present.resize(row, false);
        }
        self.cells.push(cell);
        self.present.push(true);
        self.samples += 1;
    }

    /// It went on elsewhere, before it ended where it stood first.
    fn fill(&mut self, row: usize, cell: i64) {
        if let (Some(old), Some(present @ false)) = (self.cells.get_mut(row), self.present.get_mut(row)) {
            (*old, *present) = (cell, true);
            self.samples += 1;
        }
    }
}
