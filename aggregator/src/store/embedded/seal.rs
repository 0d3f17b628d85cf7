//! Sealing: the frames of a node in one window become chunks.
//!
//! Rows become columns; columns that are sampled alike, and then those of one metric, lie side by side, so that the
//! compressor sees like beside like. Nothing is decided here, and no disk is touched.

use super::chunk::{Chunk, TICK_NS, bounds};
use super::segment::{Segment, cell};
use crate::store::{Column, SeriesId};
use quorate_common::block::{self, BlockError, COLUMNS_MAX};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{CellForm, SeriesClass, SeriesSpec};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of one chunk: 64 columns of so many fit a block, whatever their cells are.
const ROWS_MAX: usize = 16_384;

/// A series over all rows.
struct Series {
    id: SeriesId,
    form: CellForm,
    class: SeriesClass,
    cells: Vec<i64>,
    present: Vec<bool>,
    samples: usize,
}

/// The chunks of some segments of one node and window, by class. Series without a spec come last.
///
/// # Errors
/// A block that cannot be made.
pub fn chunks(
    node: NodeId,
    segments: &[Arc<Segment>],
    specs: &HashMap<SeriesId, SeriesSpec>,
) -> Result<Vec<(SeriesClass, Chunk)>, BlockError> {
    let (times, mut series) = transpose(segments);
    let place = |id| specs.get(&id).map(|spec| (&spec.metric.name, &spec.labels));
    series.retain(|series| series.samples > 0);
    series.sort_by_cached_key(|series| {
        let place = place(series.id);
        (
            series.class,
            Reverse(series.samples),
            place.is_none(),
            place.map(|(name, labels)| (name.clone(), labels.clone())),
            series.id,
        )
    });
    let mut chunks = Vec::new();
    let alike = series.chunk_by(|a, b| a.class == b.class);
    for group in alike.flat_map(|series| series.chunks(COLUMNS_MAX)) {
        let Some(class) = group.first().map(|series| series.class) else { continue };
        let sampled = |row: &usize| group.iter().any(|series| series.present.get(*row) == Some(&true));
        let rows: Vec<usize> = (0..times.len()).filter(sampled).collect();
        for rows in rows.chunks(ROWS_MAX) {
            chunks.push((class, chunk(node, group, rows, &times)?));
        }
    }
    Ok(chunks)
}

fn chunk(node: NodeId, group: &[Series], rows: &[usize], times: &[i64]) -> Result<Chunk, BlockError> {
    let times: Vec<i64> = rows.iter().filter_map(|row| times.get(*row).copied()).collect();
    let column = |series: &Series| {
        let cells = rows.iter().map(|row| series.cells.get(*row).copied().unwrap_or_default()).collect();
        let present = rows.iter().map(|row| series.present.get(*row).copied().unwrap_or_default());
        let mut present: Vec<bool> = present.collect();
        if present.iter().all(|present| *present) {
            present.clear();
        }
        block::Column { form: series.form.into(), cells, present }
    };
    let columns: Vec<block::Column> = group.iter().map(column).collect();
    let (first, last) = bounds(&times);
    let series = group.iter().map(|series| (series.id, series.form)).collect();
    Ok(Chunk { node, series, block: block::encode(&times, &columns)?, first, last })
}

/// All times in milliseconds, and all series over them.
fn transpose(segments: &[Arc<Segment>]) -> (Vec<i64>, Vec<Series>) {
    let (mut times, mut series) = (Vec::new(), Vec::new());
    let mut slots: HashMap<SeriesId, usize> = HashMap::new();
    for segment in segments {
        let classes = segment.classes();
        let class = |column: &Column| classes.get(column.group as usize).copied();
        let found: Vec<(usize, usize, Column)> = segment
            .columns()
            .enumerate()
            .filter_map(|(index, column)| {
                let slot = slot(&mut slots, &mut series, &column, class(&column)?)?;
                Some((index, slot, column))
            })
            .collect();
        let done = segment.replay(|at, sampled, decoder| {
            let row = times.len();
            times.push(at.0.div_euclid(TICK_NS));
            for (index, slot, column) in &found {
                let cell = cell(decoder, sampled, *index, column);
                if let (Some(cell), Some(series)) = (cell, series.get_mut(*slot)) {
                    series.push(row, cell);
                }
            }
        });
        // What does not fit ends its segment; it could not be read before either.
        done.ok();
    }
    (times, series)
}

/// A series stays in the class that it has first: it stands in one chunk file of a window.
fn slot(
    slots: &mut HashMap<SeriesId, usize>,
    series: &mut Vec<Series>,
    column: &Column,
    class: SeriesClass,
) -> Option<usize> {
    let (id, form) = (column.id?, column.form);
    let new = slots.len();
    let slot = *slots.entry(id).or_insert(new);
    if slot == series.len() {
        series.push(Series { id, form, class, cells: Vec::new(), present: Vec::new(), samples: 0 });
    }
    Some(slot)
}

impl Series {
    /// A series that stands at two indices for a moment is sampled once.
    fn push(&mut self, row: usize, cell: i64) {
        if self.cells.len() > row {
            return;
        }
        self.cells.resize(row, self.cells.last().copied().unwrap_or(cell));
        self.present.resize(row, false);
        self.cells.push(cell);
        self.present.push(true);
        self.samples += 1;
    }
}
