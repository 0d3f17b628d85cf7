//! A stretch of frames of one node in one window: it can be read without any other.
//!
//! ```text
//!   base (layout, row, first frame) · frame · register · frame · retire · frame …
//! ```
//!
//! The same records stand in the log, in the same order. It ends after 60 frames, with its session, its window or
//! its log file.

use super::layout::Layout;
use super::log::FileNumber;
use super::record::{Base, Frame};
use super::window::Span;
use crate::store::{Column, NewColumns, Sample, SeriesId, Ticket};
use quorate_common::cell::{CellError, Decoder, FrameHead, Index};
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::WallTime;
use std::collections::HashMap;
use std::sync::Arc;

/// Frames in one.
pub const FRAMES_MAX: usize = 60;

/// See the module.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The window of all its frames.
    pub span: Span,
    /// The log file that has it too; 0 if none has.
    pub number: FileNumber,
    /// Its oldest frame.
    pub first: WallTime,
    /// Its newest frame.
    pub last: WallTime,
    base_at: WallTime,
    base_batch: Ticket,
    base_seq: u64,
    /// The groups that the first frame sampled; none if it was kept before.
    base_groups: Vec<u8>,
    /// The row after the first frame, as a key frame.
    base_cells: Vec<u8>,
    layout: Arc<Layout>,
    entries: Vec<Entry>,
    /// The bytes of all frames, one behind the other.
    bytes: Vec<u8>,
    /// How many frames it has.
    pub frames: usize,
    /// The newest frame of the chain.
    pub newest: u64,
}

#[derive(Clone, Debug)]
enum Entry {
    Register(NewColumns),
    Retire(Vec<Index>),
    Frame { at: WallTime, head: FrameHead, groups: u32, cells: u32, again: bool, batch: Ticket },
}

impl Segment {
    /// One that begins, in a log file and with a batch.
    pub fn begin(span: Span, (number, batch): (FileNumber, Ticket), base: &Base<'_>) -> Segment {
        let Base { frame, layout } = base;
        Segment {
            span,
            number,
            first: frame.at,
            last: frame.at,
            base_at: frame.at,
            base_batch: batch,
            base_seq: frame.head.seq,
            base_groups: if frame.again { Vec::new() } else { frame.groups.to_vec() },
            base_cells: frame.cells.to_vec(),
            layout: layout.clone(),
            entries: Vec::new(),
            bytes: Vec::new(),
            frames: 1,
            newest: frame.head.seq,
        }
    }

    /// The place of the next record.
    pub fn place(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    /// Columns begin.
    pub fn register(&mut self, new: &NewColumns) {
        self.entries.push(Entry::Register(new.clone()));
    }

    /// Columns end.
    pub fn retire(&mut self, indices: &[Index]) {
        self.entries.push(Entry::Retire(indices.to_vec()));
    }

    /// A frame follows, with a batch.
    pub fn push(&mut self, frame: &Frame<'_>, batch: Ticket) {
        // By a quarter: half of what is in memory is such bytes.
        let (more, room) = (frame.groups.len() + frame.cells.len(), self.bytes.capacity() - self.bytes.len());
        if more > room {
            self.bytes.reserve_exact(more.max(self.bytes.len() / 4));
        }
        self.bytes.extend_from_slice(frame.groups);
        self.bytes.extend_from_slice(frame.cells);
        let (groups, cells) = (frame.groups.len() as u32, frame.cells.len() as u32);
        let Frame { at, head, again, .. } = *frame;
        self.entries.push(Entry::Frame { at, head, groups, cells, again, batch });
        self.first = self.first.min(at);
        self.last = self.last.max(at);
        self.frames += 1;
        self.newest = head.seq;
    }

    /// The same without the samples that came with a batch or after it. `None` if there are none of those.
    pub fn before(&self, batch: Ticket) -> Option<Segment> {
        let (mut before, mut is_less) = (self.clone(), false);
        if !before.base_groups.is_empty() && before.base_batch >= batch {
            before.base_groups.clear();
            is_less = true;
        }
        for entry in &mut before.entries {
            if let Entry::Frame { again, batch: own, .. } = entry
                && !*again
                && *own >= batch
            {
                *again = true;
                is_less = true;
            }
        }
        is_less.then_some(before)
    }

    /// Nothing follows.
    pub fn end(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// What stands at each index, from the first on.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        let later = self.entries.iter().flat_map(|entry| match entry {
            Entry::Register(new) => new.columns.as_slice(),
            _ => &[],
        });
        self.layout.columns.iter().chain(later).copied()
    }

    /// How long the history of each group is kept, by number.
    pub fn classes(&self) -> Vec<SeriesClass> {
        let mut classes: Vec<SeriesClass> = self.layout.groups.iter().map(|group| group.class).collect();
        for entry in &self.entries {
            if let Entry::Register(new) = entry
                && new.group as usize == classes.len()
            {
                classes.push(new.class);
            }
        }
        classes
    }

    /// Before which visit of [`Segment::replay`] each index ends that does.
    pub fn ends(&self) -> HashMap<Index, usize> {
        let mut ends: HashMap<Index, usize> = self.layout.retired.iter().map(|index| (*index, 0)).collect();
        let mut visits = 1;
        for entry in &self.entries {
            match entry {
                Entry::Retire(indices) => ends.extend(indices.iter().map(|index| (*index, visits))),
                Entry::Frame { again: false, .. } => visits += 1,
                Entry::Frame { .. } | Entry::Register(_) => {}
            }
        }
        ends
    }

    /// Calls `visit` with the time, the bitmap of sampled groups and the decoder after every frame.
    ///
    /// # Errors
    /// A record that does not fit those before it; all before it were visited.
    pub fn replay(&self, mut visit: impl FnMut(WallTime, &[u8], &Decoder)) -> Result<(), CellError> {
        let mut decoder = self.layout.decoder(self.span.window, self.base_seq, &self.base_cells)?;
        visit(self.base_at, &self.base_groups, &decoder);
        let mut bytes = self.bytes.as_slice();
        for entry in &self.entries {
            match entry {
                Entry::Register(new) => {
                    let forms: Vec<_> = new.columns.iter().map(|column| column.form.into()).collect();
                    decoder.register(new.group, new.window, new.first, &forms)?;
                }
                Entry::Retire(indices) => indices.iter().try_for_each(|index| decoder.retire(*index))?,
                Entry::Frame { at, head, groups, cells, again, .. } => {
                    let (bitmap, rest) = bytes.split_at_checked(*groups as usize).unwrap_or_default();
                    let (cells, rest) = rest.split_at_checked(*cells as usize).unwrap_or_default();
                    bytes = rest;
                    decoder.decode(*head, bitmap, cells)?;
                    if !again {
                        visit(*at, bitmap, &decoder);
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the samples of some series to their lists, from `from` to `to`.
    pub fn read(
        &self,
        wanted: &HashMap<SeriesId, usize>,
        (from, to): (WallTime, WallTime),
        samples: &mut [Vec<Sample>],
    ) {
        let found: Vec<(usize, usize, Column)> = self
            .columns()
            .enumerate()
            .filter_map(|(index, column)| Some((index, *wanted.get(&column.id?)?, column)))
            .collect();
        let done = self.replay(|at, sampled, decoder| {
            if at < from || at > to {
                return;
            }
            for (index, list, column) in &found {
                if let (Some(cell), Some(list)) =
                    (cell(decoder, sampled, *index, column), samples.get_mut(*list))
                {
                    list.push(Sample { at, value: column.form.value(cell) });
                }
            }
        });
        // What was decoded when it came is decoded again; what came from a damaged file ends where it ends.
        done.ok();
    }
}

/// The cell of a live series whose group was sampled.
pub fn cell(decoder: &Decoder, sampled: &[u8], index: usize, column: &Column) -> Option<i64> {
    let byte = sampled.get(column.group as usize / 8)?;
    let live = byte >> (column.group % 8) & 1 == 1 && decoder.group_of(index as Index).is_some();
    decoder.row().get(index).copied().filter(|_| live)
}
