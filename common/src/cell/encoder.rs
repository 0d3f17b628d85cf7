//! The sending twin: compares a row with the one before and writes what changed.

use super::layout::{Chains, Layout, Span};
use super::{CellError, Form, GroupId, Index, bitmap, varint};
use crate::model::series::Window;
use bytes::Bytes;

/// Encodes the frames of one session or journal segment.
#[derive(Debug)]
pub struct Encoder {
    layout: Layout,
    chains: Chains,
    row: Vec<i64>,
    groups: Vec<u8>,
    cells: Vec<u8>,
}

/// The variable part of a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedFrame {
    /// The frame that it is a difference to; 0 for a key frame.
    pub predecessor: u64,
    /// Bitmap of the sampled groups.
    pub groups: Bytes,
    /// Changed cells.
    pub cells: Bytes,
    /// How many cells are mentioned.
    pub changed: u32,
    /// Live series of the sampled groups.
    pub samples: u64,
}

impl Encoder {
    /// An encoder without series.
    pub fn new() -> Encoder {
        Encoder {
            layout: Layout::new(u32::MAX, u32::MAX),
            chains: Chains::default(),
            row: Vec::new(),
            groups: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Appends series to a group and returns the index of the first. A group that is not known must have the
    /// next free number; a known one keeps its window. New series start at cell 0.
    ///
    /// # Errors
    /// [`CellError::GroupOrder`], [`CellError::GroupWindow`] and the two limits.
    pub fn register(&mut self, group: GroupId, window: Window, forms: &[Form]) -> Result<Index, CellError> {
        let span = self.layout.register(group, window, forms)?;
        self.row.resize(self.layout.len(), 0);
        Ok(span.first)
    }

    /// Ends a series; its index is never used again, but keeps its place in the row.
    ///
    /// # Errors
    /// [`CellError::IndexUnknown`] and [`CellError::IndexRetired`].
    pub fn retire(&mut self, index: Index) -> Result<(), CellError> {
        self.layout.retire(index)
    }

    /// How many series were ever registered: the length of a row.
    pub fn series_count(&self) -> usize {
        self.layout.len()
    }

    /// How many samples a frame of these groups holds: their live series. Each group is to be named once.
    pub fn sampled_count(&self, groups: &[GroupId]) -> u64 {
        groups.iter().map(|&group| self.layout.live(group)).sum()
    }

    /// Encodes one tick of one window. `row` holds the newest cell of every index; only the live members of the
    /// `sampled` groups are read. With `key`, or as the first of its chain, the frame depends on no other.
    ///
    /// # Errors
    /// [`CellError::RowLength`], [`CellError::Sequence`], [`CellError::GroupUnknown`],
    /// [`CellError::GroupWindow`]; nothing has changed then.
    pub fn encode(
        &mut self,
        seq: u64,
        window: Window,
        sampled: &[GroupId],
        row: &[i64],
        key: bool,
    ) -> Result<EncodedFrame, CellError> {
        let series = self.layout.len();
        if row.len() != series {
            return Err(CellError::RowLength { cells: row.len(), series });
        }
        let last = self.chains.last(window);
        if seq <= last {
            return Err(CellError::Sequence { seq, last, window });
        }
        let samples = self.sample(window, sampled)?;
        let key = key || last == 0;
        if key {
            self.layout.spans_of(window).for_each(|span| zero(&mut self.row, span));
        }
        self.chains.advance(window, seq);
        let changed = self.write(row);
        Ok(EncodedFrame {
            predecessor: if key { 0 } else { last },
            groups: Bytes::copy_from_slice(&self.groups),
            cells: Bytes::copy_from_slice(&self.cells),
            changed,
            samples,
        })
    }

    /// Fills the bitmap and counts the samples; a group named twice counts once.
    fn sample(&mut self, window: Window, sampled: &[GroupId]) -> Result<u64, CellError> {
        self.groups.clear();
        let mut samples = 0;
        for &group in sampled {
            self.layout.check(group, window)?;
            if bitmap::set(&mut self.groups, group) {
                samples += self.layout.live(group);
            }
        }
        Ok(samples)
    }

    /// Writes the changed cells of the groups in the bitmap and returns their number.
    fn write(&mut self, row: &[i64]) -> u32 {
        self.cells.clear();
        let (mut next, mut changed) = (0, 0);
        for span in self.layout.spans().filter(|span| bitmap::has(&self.groups, span.group)) {
            let new = row.get(span.range()).unwrap_or_default();
            let old = self.row.get_mut(span.range()).unwrap_or_default();
            let slots = self.layout.slots().get(span.range()).unwrap_or_default();
            for (index, ((&new, old), slot)) in (span.first..).zip(new.iter().zip(old).zip(slots)) {
                if new == *old || slot.retired() {
                    continue;
                }
                varint::put(&mut self.cells, u64::from(index - next));
                varint::put(&mut self.cells, varint::change(slot.form(), *old, new));
                *old = new;
                // There are at most u32::MAX indices, from 0: the one after the last still fits.
                next = index + 1;
                changed += 1;
            }
        }
        changed
    }
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder::new()
    }
}

/// Makes the cells of a span 0.
pub(super) fn zero(row: &mut [i64], span: Span) {
    row.get_mut(span.range()).unwrap_or_default().fill(0);
}
