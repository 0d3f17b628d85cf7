//! Sealing: the frames of a node in one window become chunks.
//!
//! Rows become columns; columns that are sampled alike, and then those of one metric, lie side by side, so that the
//! compressor sees like beside like. Nothing is decided here, and no disk is touched.

use super::chunk::Chunk;
use super::segment::Segment;
use super::transpose::{Columns, Series};
use crate::store::SeriesId;
use quorate_common::block::{self, BlockError, COLUMNS_MAX};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{SeriesClass, SeriesSpec};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows of one chunk: 64 columns of so many fit a block, whatever their cells are.
const ROWS_MAX: usize = 16_384;

/// The chunks of some segments of one node and window, by class. Series without a spec come last.
///
/// # Errors
/// A block that cannot be made.
pub fn chunks(
    node: NodeId,
    segments: &[Arc<Segment>],
    specs: &HashMap<SeriesId, SeriesSpec>,
) -> Result<Vec<(SeriesClass, Chunk)>, BlockError> {
    let Columns { times, mut series, .. } = Columns::of(segments);
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
        // Nearly all are sampled in every row.
        let is_all =
            rows.len() == series.samples && rows.last() == series.cells.len().checked_sub(1).as_ref();
        if is_all && rows.len() == series.cells.len() {
            return block::Column {
                form: series.form.into(),
                cells: series.cells.clone(),
                present: Vec::new(),
            };
        }
        let cells = rows.iter().map(|row| series.cells.get(*row).copied().unwrap_or_default()).collect();
        let present = rows.iter().map(|row| series.present.get(*row).copied().unwrap_or_default());
        let mut present: Vec<bool> = present.collect();
        if present.iter().all(|present| *present) {
            present.clear();
        }
        block::Column { form: series.form.into(), cells, present }
    };
    let columns: Vec<block::Column> = group.iter().map(column).collect();
    let series = group.iter().map(|series| (series.id, series.form)).collect();
    Ok(Chunk { node, series, block: block::encode(&times, &columns)? })
}
