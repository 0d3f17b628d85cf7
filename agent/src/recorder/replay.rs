//! Reads a recording: replays its segments and picks out one metric.

use super::{Known, Segment, WINDOW};
use quorate_common::cell::{CellError, Decoder, Form, FrameHead};
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::session::RecordedSeries;
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Most samples of one answer.
const SAMPLES_MAX: usize = 100_000;

/// What was recorded when it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    segments: Vec<Arc<Segment>>,
}

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It does not fit together.
    #[error("failed to replay the recording")]
    Cell(#[from] CellError),
    /// More than one answer may hold.
    #[error("more than {SAMPLES_MAX} samples of `{0}`: ask for fewer seconds")]
    Many(String),
}

/// Follows the frames of one segment.
struct Replay<'a> {
    metric: &'a str,
    decoder: Decoder,
    next: u32,
    /// Index, group and number in the result of each series that was asked for.
    wanted: Vec<(u32, u32, usize)>,
}

/// Series by name, so that one that goes through many segments is one.
#[derive(Default)]
struct Found {
    numbers: BTreeMap<String, usize>,
    series: Vec<RecordedSeries>,
    samples: usize,
}

impl Recording {
    pub(super) fn new(segments: Vec<Arc<Segment>>) -> Recording {
        Recording { segments }
    }

    /// When the newest round was; `None` if there is none.
    pub fn last(&self) -> Option<Now> {
        Some(self.segments.last()?.frames.last()?.at)
    }

    /// All samples of a metric of the last `span` of the recording, oldest first, for each of its series.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub fn read(&self, metric: &str, span: Duration) -> Result<Vec<RecordedSeries>, ReplayError> {
        let mut found = Found::default();
        let Some(last) = self.last() else { return Ok(found.series) };
        let since = last.boot - span;
        for segment in &self.segments {
            if segment.frames.last().is_some_and(|last| last.at.boot >= since) {
                replay(segment, metric, since, &mut found)?;
            }
        }
        found.series.retain(|series| !series.samples.is_empty());
        Ok(found.series)
    }
}

fn replay(segment: &Segment, metric: &str, since: BootTime, found: &mut Found) -> Result<(), ReplayError> {
    let decoder = Decoder::new(u32::MAX, u32::MAX);
    let mut replay = Replay { metric, decoder, next: 0, wanted: Vec::new() };
    for group in 0..segment.groups {
        let from = segment.base.partition_point(|known| known.group < group);
        let to = segment.base.partition_point(|known| known.group <= group);
        replay.register(group, &segment.base[from..to], found)?;
    }
    for (seq, frame) in (1..).zip(&segment.frames) {
        for index in &frame.retired {
            replay.decoder.retire(*index)?;
            replay.wanted.retain(|(wanted, ..)| wanted != index);
        }
        for run in frame.begun.chunk_by(|a, b| a.group == b.group) {
            replay.register(run[0].group, run, found)?;
        }
        let head = FrameHead { seq, predecessor: seq - 1, window: WINDOW };
        let groups: Vec<u32> = replay.decoder.decode(head, &frame.groups, &frame.cells)?.groups.to_vec();
        if frame.at.boot < since {
            continue;
        }
        for (index, group, number) in &replay.wanted {
            if groups.contains(group) {
                let cell = replay.decoder.row().get(*index as usize).copied().unwrap_or_default();
                found.push(*number, frame.at.wall, cell);
            }
        }
        if found.samples > SAMPLES_MAX {
            return Err(ReplayError::Many(metric.to_owned()));
        }
    }
    Ok(())
}

impl Replay<'_> {
    fn register(&mut self, group: u32, members: &[Known], found: &mut Found) -> Result<(), CellError> {
        let forms: Vec<Form> = members.iter().map(|known| known.spec.metric.form.into()).collect();
        self.decoder.register(group, WINDOW, self.next, &forms)?;
        for (index, known) in (self.next..).zip(members) {
            if *known.spec.metric.name == *self.metric {
                self.wanted.push((index, group, found.number(&known.spec)));
            }
        }
        self.next += members.len() as u32;
        Ok(())
    }
}

impl Found {
    fn number(&mut self, spec: &SeriesSpec) -> usize {
        let next = self.series.len();
        let number = *self.numbers.entry(spec.labels.to_string()).or_insert(next);
        if number == next {
            self.series.push(RecordedSeries { spec: spec.clone(), samples: Vec::new() });
        }
        number
    }

    fn push(&mut self, number: usize, at: WallTime, cell: i64) {
        if let Some(series) = self.series.get_mut(number) {
            series.samples.push((at, series.spec.metric.form.value(cell)));
            self.samples += 1;
        }
    }
}
