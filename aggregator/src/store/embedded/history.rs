//! The last minutes of one node: stretches of frames, each behind a full state of its decoder.
//!
//! ```text
//!   segment:  base (decoder after its first frame) · frame · register · frame · retire · frame …
//! ```
//!
//! A segment can be read without any other. It ends after 60 frames or with its session.

use super::dictionary::Dictionary;
use crate::store::{Column, FrameRecord, Lane, NewColumns, Sample, SeriesId};
use quorate_common::cell::{Decoder, FrameHead, Index};
use quorate_common::model::time::WallTime;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Frames in one segment.
const FRAMES_MAX: usize = 60;

/// Everything that is kept of one node.
#[derive(Debug, Default)]
pub struct History {
    pub(super) dictionary: Dictionary,
    closed: VecDeque<Arc<Segment>>,
    live: Open,
    late: Open,
}

/// What one session has begun.
#[derive(Debug, Default)]
struct Open {
    segment: Option<Segment>,
    /// The columns of the session under way, by index.
    columns: Vec<Column>,
}

/// A stretch of frames that can be read alone.
#[derive(Clone, Debug)]
pub struct Segment {
    first: WallTime,
    last: WallTime,
    /// When the first frame was sampled.
    base_at: WallTime,
    /// The decoder after the first frame.
    base: Decoder,
    /// The groups that the first frame sampled; none if it was kept before.
    base_groups: Vec<u8>,
    columns: Vec<Column>,
    records: Vec<Record>,
    /// The bytes of all frames, one behind the other.
    bytes: Vec<u8>,
    frames: usize,
}

#[derive(Clone, Debug)]
enum Record {
    Register(NewColumns),
    Retire(Vec<Index>),
    Frame { at: WallTime, head: FrameHead, groups: u32, cells: u32, again: bool },
}

impl History {
    fn open(&mut self, lane: Lane) -> &mut Open {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Late => &mut self.late,
        }
    }

    /// A new session.
    pub fn begin(&mut self, lane: Lane) {
        self.close(lane);
        self.open(lane).columns.clear();
    }

    /// Columns begin.
    pub fn register(&mut self, lane: Lane, new: &NewColumns) {
        let open = self.open(lane);
        open.columns.extend_from_slice(&new.columns);
        if let Some(segment) = &mut open.segment {
            segment.columns.extend_from_slice(&new.columns);
            segment.records.push(Record::Register(new.clone()));
        }
    }

    /// Columns end.
    pub fn retire(&mut self, lane: Lane, indices: &[Index]) {
        if let Some(segment) = &mut self.open(lane).segment {
            segment.records.push(Record::Retire(indices.to_vec()));
        }
    }

    /// A frame was decoded; `decoder` is the state after it.
    pub fn frame(&mut self, lane: Lane, record: FrameRecord<'_>, decoder: &Decoder) {
        if self.open(lane).segment.as_ref().is_some_and(|segment| segment.frames >= FRAMES_MAX) {
            self.close(lane);
        }
        let open = self.open(lane);
        match &mut open.segment {
            Some(segment) => segment.push(record),
            None => open.segment = Some(Segment::begin(record, decoder, open.columns.clone())),
        }
    }

    fn close(&mut self, lane: Lane) {
        if let Some(mut segment) = self.open(lane).segment.take() {
            segment.bytes.shrink_to_fit();
            self.closed.push_back(Arc::new(segment));
        }
    }

    /// Lets go of segments that ended before `before`, and of series that stand in none.
    pub fn expire(&mut self, before: WallTime) {
        // What came late lies between what came in time.
        self.closed.retain(|segment| segment.last >= before);
        for open in [&mut self.live, &mut self.late] {
            open.segment.take_if(|segment| segment.last < before);
        }
        let opens = [&self.live, &self.late];
        let open = opens.iter().flat_map(|open| open.segment.iter().flat_map(|segment| &segment.columns));
        let begun = opens.iter().flat_map(|open| &open.columns);
        let closed = self.closed.iter().flat_map(|segment| &segment.columns);
        let kept: HashSet<SeriesId> =
            closed.chain(open).chain(begun).filter_map(|column| column.id).collect();
        self.dictionary.retain(&kept);
    }

    /// The segments that touch a stretch of time, oldest first.
    pub fn segments(&self, from: WallTime, to: WallTime) -> Vec<Arc<Segment>> {
        let touches = |segment: &Segment| segment.first <= to && segment.last >= from;
        let open = [&self.live, &self.late].into_iter().flat_map(|open| &open.segment);
        let open = open.filter(|segment| touches(segment)).map(|segment| Arc::new(segment.clone()));
        self.closed.iter().filter(|segment| touches(segment)).cloned().chain(open).collect()
    }
}

impl Segment {
    fn begin(record: FrameRecord<'_>, decoder: &Decoder, columns: Vec<Column>) -> Segment {
        Segment {
            first: record.at,
            last: record.at,
            base_at: record.at,
            base: decoder.clone(),
            base_groups: if record.again { Vec::new() } else { record.groups.to_vec() },
            columns,
            records: Vec::new(),
            bytes: Vec::new(),
            frames: 1,
        }
    }

    fn push(&mut self, record: FrameRecord<'_>) {
        self.bytes.extend_from_slice(record.groups);
        self.bytes.extend_from_slice(record.cells);
        let (groups, cells) = (record.groups.len() as u32, record.cells.len() as u32);
        let FrameRecord { at, head, again, .. } = record;
        self.records.push(Record::Frame { at, head, groups, cells, again });
        self.first = self.first.min(record.at);
        self.last = self.last.max(record.at);
        self.frames += 1;
    }

    /// Calls `visit` with the time, the bitmap of sampled groups and the decoder after every frame.
    fn replay(&self, mut visit: impl FnMut(WallTime, &[u8], &Decoder)) {
        visit(self.base_at, &self.base_groups, &self.base);
        let mut decoder = self.base.clone();
        let mut bytes = self.bytes.as_slice();
        for record in &self.records {
            match record {
                Record::Register(new) => {
                    let forms: Vec<_> = new.columns.iter().map(|column| column.form.into()).collect();
                    // What was registered once can be registered again.
                    decoder.register(new.group, new.window, new.first, &forms).ok();
                }
                Record::Retire(indices) => {
                    indices.iter().for_each(|index| {
                        decoder.retire(*index).ok();
                    });
                }
                Record::Frame { at, head, groups, cells, again } => {
                    let (bitmap, rest) = bytes.split_at(*groups as usize);
                    let (cells, rest) = rest.split_at(*cells as usize);
                    bytes = rest;
                    if decoder.decode(*head, bitmap, cells).is_ok() && !again {
                        visit(*at, bitmap, &decoder);
                    }
                }
            }
        }
    }
}

fn bit(bitmap: &[u8], group: u32) -> bool {
    bitmap.get(group as usize / 8).is_some_and(|byte| byte >> (group % 8) & 1 == 1)
}

/// The samples of some series in some segments, oldest first; one list for each series.
pub fn read(
    segments: &[Arc<Segment>],
    series: &[SeriesId],
    from: WallTime,
    to: WallTime,
) -> Vec<Vec<Sample>> {
    let wanted: HashMap<SeriesId, usize> = series.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); series.len()];
    for segment in segments {
        let found: Vec<(usize, usize, Column)> = segment
            .columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| Some((index, *wanted.get(&column.id?)?, *column)))
            .collect();
        segment.replay(|at, sampled, decoder| {
            if at < from || at > to {
                return;
            }
            for (index, list, column) in &found {
                let cell = decoder.row().get(*index).filter(|_| decoder.group_of(*index as Index).is_some());
                if let (true, Some(cell)) = (bit(sampled, column.group), cell) {
                    samples[*list].push(Sample { at, value: column.form.value(*cell) });
                }
            }
        });
    }
    samples.iter_mut().for_each(|list| list.sort_by_key(|sample| sample.at));
    samples
}
