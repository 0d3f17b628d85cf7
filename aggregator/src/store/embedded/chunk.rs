//! Chunks: up to 64 series of one node in one window.
//!
//! ```text
//!   chunk    node │ how many │ (difference to the number before, form) … │ block
//! ```
//!
//! A chunk says of itself all that is needed to read it.

use super::record::write::{put_form, put_numbers};
use super::record::{Reader, RecordError};
use crate::store::{Sample, SeriesId};
use quorate_common::block::{Block, BlockError};
use quorate_common::cell::varint::{put, unzigzag, zigzag};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::CellForm;
use quorate_common::model::time::WallTime;
use std::collections::HashMap;

/// Times in blocks are milliseconds.
pub const TICK_NS: i64 = 1_000_000;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Whose.
    pub node: NodeId,
    /// Its series, in the order of their columns.
    pub series: Vec<(SeriesId, CellForm)>,
    /// Its samples.
    pub block: Vec<u8>,
    /// Its oldest row.
    pub first: WallTime,
    /// Its newest row.
    pub last: WallTime,
}

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// Its head is damaged.
    #[error("failed to read the head of a chunk")]
    Head(#[from] RecordError),
    /// Its samples are damaged.
    #[error("failed to read the samples of a chunk")]
    Block(#[from] BlockError),
}

impl Chunk {
    /// Its bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.block.len() + 3 * self.series.len() + 16);
        put_numbers(&mut out, [zigzag(self.node.0), self.series.len() as u64]);
        let mut before = 0;
        for (id, form) in &self.series {
            put_id(&mut out, &mut before, *id);
            put_form(&mut out, *form);
        }
        out.extend_from_slice(&self.block);
        out
    }

    /// A chunk of these bytes.
    ///
    /// # Errors
    /// [`ChunkError`].
    pub fn read(payload: &[u8]) -> Result<Chunk, ChunkError> {
        let mut chunk = Chunk::read_between(payload, WallTime(0), WallTime(0))?;
        (chunk.first, chunk.last) = bounds(&Block::open(&chunk.block)?.times()?);
        Ok(chunk)
    }

    /// A chunk of these bytes, whose times are known. Its samples are not looked at.
    ///
    /// # Errors
    /// [`ChunkError::Head`].
    pub fn read_between(payload: &[u8], first: WallTime, last: WallTime) -> Result<Chunk, ChunkError> {
        let mut reader = Reader(payload);
        let (node, count) = (reader.node()?, reader.count()?);
        let mut before = 0;
        let one = |_| Ok((take_id(&mut reader, &mut before)?, reader.form()?));
        let series = (0..count).map(one).collect::<Result<Vec<_>, RecordError>>()?;
        Ok(Chunk { node, series, block: reader.0.to_vec(), first, last })
    }

    /// Adds the samples of some series to their lists, from `from` to `to`.
    ///
    /// # Errors
    /// A damaged block; lists may have some of it then.
    pub fn samples(
        &self,
        wanted: &HashMap<SeriesId, usize>,
        (from, to): (WallTime, WallTime),
        samples: &mut [Vec<Sample>],
    ) -> Result<(), ChunkError> {
        let block = Block::open(&self.block)?;
        let times = block.times()?;
        for (position, (id, form)) in self.series.iter().enumerate() {
            let Some(list) = wanted.get(id).and_then(|list| samples.get_mut(*list)) else { continue };
            let column = block.column(position)?;
            for (row, (time, cell)) in times.iter().zip(&column.cells).enumerate() {
                let at = WallTime(time.saturating_mul(TICK_NS));
                let present = column.present.get(row).copied().unwrap_or(true);
                if present && from <= at && at <= to {
                    list.push(Sample { at, value: form.value(*cell) });
                }
            }
        }
        Ok(())
    }
}

/// The oldest and the newest of some times in milliseconds.
pub fn bounds(times: &[i64]) -> (WallTime, WallTime) {
    let time = |time: Option<&i64>| WallTime(time.copied().unwrap_or_default().saturating_mul(TICK_NS));
    (time(times.iter().min()), time(times.iter().max()))
}

/// Appends a number of a series, as the difference to the one before it.
pub fn put_id(out: &mut Vec<u8>, before: &mut i64, id: SeriesId) {
    put(out, zigzag(i64::from(id.0) - *before));
    *before = id.0.into();
}

/// What [`put_id`] wrote.
///
/// # Errors
/// A number that no series has.
pub fn take_id(reader: &mut Reader<'_>, before: &mut i64) -> Result<SeriesId, RecordError> {
    let id = before.checked_add(unzigzag(reader.number()?));
    let id = id.and_then(|id| u32::try_from(id).ok()).ok_or(RecordError::Range("a series"))?;
    *before = id.into();
    Ok(SeriesId(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::block::{self, Column};
    use quorate_common::cell::Form;
    use quorate_common::rng::{Rng, SeededRng};

    fn chunk() -> Chunk {
        let column = |cells: [i64; 3], present| Column { form: Form::Integer, cells: cells.into(), present };
        let columns = [column([1, 2, 3], Vec::new()), column([7, 0, 9], vec![true, false, true])];
        let block = block::encode(&[1_000, 2_000, 3_000], &columns).unwrap();
        let form = CellForm::Integer { scale: 1, unit: 1 };
        let (first, last) = bounds(&[1_000, 2_000, 3_000]);
        let series = vec![(SeriesId(u32::MAX), form), (SeriesId(2), form)];
        Chunk { node: NodeId(-5), series, block, first, last }
    }

    #[test]
    fn a_chunk_says_all_that_is_needed() {
        let bytes = chunk().write();
        let read = Chunk::read(&bytes).unwrap();
        assert_eq!(read, chunk());
        let mut lists = vec![Vec::new(), Vec::new()];
        let wanted = HashMap::from([(SeriesId(2), 1), (SeriesId(3), 0)]);
        let second = 1_000_000_000;
        read.samples(&wanted, (WallTime(0), WallTime(3 * second)), &mut lists).unwrap();
        let sample = |at, value| Sample { at: WallTime(at * second), value };
        assert_eq!(lists, [vec![], vec![sample(1, 0.7), sample(3, 0.9)]]);
    }

    #[test]
    fn damage_is_an_error_or_another() {
        let (mut rng, chunk) = (SeededRng::new(1), chunk().write());
        let mut refused = 0;
        for _ in 0..5_000 {
            let mut damaged = chunk.clone();
            damaged[rng.below(chunk.len() as u64) as usize] ^= 1 << rng.below(8);
            refused += usize::from(Chunk::read(&damaged).is_err());
        }
        assert!(refused > 2_000, "{refused}");
    }
}
