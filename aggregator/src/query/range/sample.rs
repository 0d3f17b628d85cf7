//! Steps from samples: the newest that is not too old.

use super::{LOOK_BACK, Point, RangeError, Source, moment, number};
use crate::query::promql::{Grid, cell};
use crate::store::Sample;
use quorate_common::model::time::WallTime;

/// How much time is read at once.
const SLICE_NS: i64 = 3_600 * 1_000_000_000;

/// Steps that are read at once, and the time that they need.
#[derive(Debug, PartialEq, Eq)]
struct Slice {
    first: usize,
    /// Behind the last.
    end: usize,
    from: WallTime,
    to: WallTime,
}

pub(super) fn read(source: &Source<'_>, grid: Grid, left: &mut usize) -> Result<Vec<Vec<Point>>, RangeError> {
    let mut points = vec![Vec::new(); source.series.len()];
    let mut newest: Vec<Option<Sample>> = vec![None; source.series.len()];
    let (mut next, mut read_to) = (0, WallTime(i64::MIN));
    while let Some(slice) = slice(grid, next, read_to) {
        let samples = source.store.samples(source.node, source.series, slice.from, slice.to);
        source.take(samples.iter().map(Vec::len).sum(), left)?;
        for ((samples, newest), points) in samples.iter().zip(&mut newest).zip(&mut points) {
            step(grid, &slice, samples, newest, points);
        }
        (next, read_to) = (slice.end, slice.to);
    }
    Ok(points)
}

/// The steps from `first` on that are read next; what is older than `read_to` was read.
fn slice(grid: Grid, first: usize, read_to: WallTime) -> Option<Slice> {
    if first >= grid.count {
        return None;
    }
    let start = moment(grid, first);
    // Steps that are far apart need nothing of what lies between them.
    let is_sparse = i128::from(grid.step_ms) > LOOK_BACK.as_millis().cast_signed();
    let more = if is_sparse { 0 } else { SLICE_NS / grid.step_ms.max(1).saturating_mul(1_000_000) };
    let more = usize::try_from(more).unwrap_or(usize::MAX);
    let end = first.saturating_add(1).saturating_add(more).min(grid.count);
    let from = WallTime(after(start).max(read_to).0.saturating_add(1));
    Some(Slice { first, end, from, to: moment(grid, end - 1) })
}

/// A sample counts at a moment if it is later than this.
fn after(at: WallTime) -> WallTime {
    let look_back = i64::try_from(LOOK_BACK.as_nanos()).unwrap_or(i64::MAX);
    WallTime(at.0.saturating_sub(look_back))
}

fn step(grid: Grid, slice: &Slice, samples: &[Sample], newest: &mut Option<Sample>, points: &mut Vec<Point>) {
    let mut coming = samples.iter().peekable();
    for step in slice.first..slice.end {
        let at = moment(grid, step);
        while let Some(sample) = coming.next_if(|sample| sample.at <= at) {
            *newest = Some(*sample);
        }
        let fresh = newest.filter(|sample| sample.at > after(at) && !cell::is_stale(sample.value));
        points.extend(fresh.map(|sample| Point { step: number(step), value: sample.value }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn slices_meet_and_far_steps_leave_out_what_lies_between() {
        let grid = Grid::range(10_000_000, 10_000_000 + 2 * 3_600_000, 60_000).unwrap();
        let first = slice(grid, 0, WallTime(i64::MIN)).unwrap();
        assert_eq!((first.first, first.end), (0, 61));
        assert_eq!(first.from, WallTime((10_000 - 300) * SECOND + 1));
        let second = slice(grid, first.end, first.to).unwrap();
        assert_eq!((second.end, second.from), (121, WallTime(first.to.0 + 1)));
        assert_eq!(slice(grid, second.end, second.to), None);
        let sparse = Grid::range(0, 3_600_000, 600_000).unwrap();
        let second = slice(sparse, 1, WallTime(0)).unwrap();
        assert_eq!(
            (second.end, second.from, second.to),
            (2, WallTime(300 * SECOND + 1), WallTime(600 * SECOND))
        );
    }
}
