//! History: a value for each step of a series, from samples or from buckets.
//!
//! ```text
//!   samples   a step has the newest of (step - 5 min, step], unless it says that the series ended
//!   buckets   a step has all that ended in (step - width, step], width = the longer of step and bucket
//! ```
//!
//! Time is read in slices, so that a year takes no more memory than a day. May block; reads no clock.

mod bucket;
mod sample;

use super::promql::Grid;
use crate::store::bucket::Resolution;
use crate::store::{Select, SeriesId};
use quorate_common::model::node::NodeId;
use quorate_common::model::time::WallTime;
use std::time::Duration;

/// How old the newest sample of a step may be.
pub const LOOK_BACK: Duration = Duration::from_secs(300);
/// Most samples and buckets that are read for one query.
pub const READ_MAX: usize = 50_000_000;

/// What values are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Samples as they were sampled.
    Samples,
    /// Buckets, and what is taken of them.
    Buckets(Resolution, Aggregate),
}

/// What is taken of the buckets of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aggregate {
    /// The average of all samples in them.
    #[default]
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
    /// The newest value.
    Last,
}

impl Aggregate {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Aggregate::Avg => "avg",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Last => "last",
        }
    }
}

/// What a step is best read from: as fine as it shows, and no finer.
pub fn resolution_of(step_ms: i64) -> Option<Resolution> {
    let step_ns = step_ms.saturating_mul(1_000_000);
    [Resolution::Hour, Resolution::Minute].into_iter().find(|resolution| step_ns >= resolution.length_ns())
}

/// A step that has a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The number of the step in its grid.
    pub step: u32,
    /// Its value.
    pub value: f64,
}

/// Why a range was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It asks for too much.
    #[error(
        "more than {READ_MAX} samples to read: shorten the time, narrow the selector, or ask for `resolution` 1m or 1h"
    )]
    Samples,
    /// Nobody waits for it any more.
    #[error("query was cancelled")]
    Cancelled,
}

/// Some series of one node, and what may be read of them.
pub struct Source<'a> {
    /// History.
    pub store: &'a dyn Select,
    /// Whose series.
    pub node: NodeId,
    /// Which; what is read of them is in memory at once.
    pub series: &'a [SeriesId],
    /// Asked before each slice: whether nobody waits any more.
    pub is_over: &'a dyn Fn() -> bool,
}

/// The points of each series, in the order of steps. `left` is what may still be read, in samples.
pub fn read(
    source: &Source<'_>,
    grid: Grid,
    reading: Reading,
    left: &mut usize,
) -> Result<Vec<Vec<Point>>, RangeError> {
    match reading {
        Reading::Samples => sample::read(source, grid, left),
        Reading::Buckets(resolution, aggregate) => bucket::read(source, grid, (resolution, aggregate), left),
    }
}

impl Source<'_> {
    /// Whether to go on after so many samples.
    fn take(&self, samples: usize, left: &mut usize) -> Result<(), RangeError> {
        *left = left.checked_sub(samples).ok_or(RangeError::Samples)?;
        if (self.is_over)() { Err(RangeError::Cancelled) } else { Ok(()) }
    }
}

/// A step as a moment.
fn moment(grid: Grid, step: usize) -> WallTime {
    let ms = i64::try_from(step).unwrap_or(i64::MAX).saturating_mul(grid.step_ms);
    WallTime(grid.start_ms.saturating_add(ms).saturating_mul(1_000_000))
}

/// The number of a step, of which a query has no more than fit.
fn number(step: usize) -> u32 {
    u32::try_from(step).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
