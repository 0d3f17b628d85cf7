//! Steps from buckets: all that ended since the step before, put together.

use super::{Aggregate, Point, RangeError, Source, moment, number};
use crate::query::promql::Grid;
use crate::store::bucket::{Bucket, Resolution};
use quorate_common::model::time::WallTime;
use std::collections::BTreeMap;

/// How many buckets of a series are read at once.
const SLICE: i64 = 1000;

/// The buckets of one step.
#[derive(Debug, Clone, Copy)]
struct Fold {
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
    last: f64,
}

impl Fold {
    fn of(bucket: &Bucket) -> Fold {
        let Bucket { min, max, sum, count, last, .. } = *bucket;
        Fold { min, max, sum, count, last }
    }

    fn join(&mut self, next: &Bucket) {
        self.min = self.min.min(next.min);
        self.max = self.max.max(next.max);
        self.sum += next.sum;
        self.count = self.count.saturating_add(next.count);
        self.last = next.last;
    }

    fn value(&self, aggregate: Aggregate) -> f64 {
        match aggregate {
            Aggregate::Avg => self.sum / self.count as f64,
            Aggregate::Min => self.min,
            Aggregate::Max => self.max,
            Aggregate::Last => self.last,
        }
    }
}

pub(super) fn read(
    source: &Source<'_>,
    grid: Grid,
    (resolution, aggregate): (Resolution, Aggregate),
    left: &mut usize,
) -> Result<Vec<Vec<Point>>, RangeError> {
    let length = resolution.length_ns();
    let width = grid.step_ms.saturating_mul(1_000_000).max(length);
    let mut folds: Vec<BTreeMap<usize, Fold>> = vec![BTreeMap::new(); source.series.len()];
    // A bucket that begins here ends just behind what belongs to the step before the first.
    let mut from = moment(grid, 0).0.saturating_sub(width).saturating_sub(length).saturating_add(1);
    let end = moment(grid, grid.count.saturating_sub(1)).0.saturating_sub(length);
    while from <= end {
        let to = from.saturating_add(length.saturating_mul(SLICE)).min(end);
        let (first, last) = (WallTime(from), WallTime(to));
        let buckets = source.store.rolled(source.node, source.series, resolution, first, last);
        source.take(buckets.iter().map(Vec::len).sum(), left)?;
        for (buckets, folds) in buckets.iter().zip(&mut folds) {
            buckets.iter().for_each(|bucket| fold(grid, bucket, (length, width), folds));
        }
        from = to.saturating_add(1);
    }
    let point = |(step, fold): (&usize, &Fold)| Point { step: number(*step), value: fold.value(aggregate) };
    Ok(folds.iter().map(|folds| folds.iter().map(point).collect()).collect())
}

/// Puts a bucket into every step that it belongs to: several if steps are shorter than buckets.
fn fold(grid: Grid, bucket: &Bucket, (length, width): (i64, i64), folds: &mut BTreeMap<usize, Fold>) {
    let ended = bucket.at.0.saturating_add(length);
    let step_ns = grid.step_ms.saturating_mul(1_000_000).max(1);
    let behind_start = ended.saturating_sub(moment(grid, 0).0).saturating_add(step_ns - 1);
    let first = usize::try_from(behind_start.div_euclid(step_ns)).unwrap_or(0);
    let has = |step: &usize| moment(grid, *step).0 < ended.saturating_add(width);
    for step in (first..grid.count).take_while(has) {
        folds.entry(step).and_modify(|fold| fold.join(bucket)).or_insert_with(|| Fold::of(bucket));
    }
}
