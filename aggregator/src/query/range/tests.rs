//! Steps of a store that a test can see through.

use super::*;
use crate::query::promql::cell::STALE;
use crate::store::Sample;
use crate::store::bucket::{Bucket, roll};
use quorate_common::model::series::{CellForm, SeriesSpec};

const SECOND: i64 = 1_000_000_000;

/// One series of these samples, in seconds.
struct Fixed(Vec<(i64, f64)>);

impl Fixed {
    fn all(&self) -> impl Iterator<Item = Sample> {
        self.0.iter().map(|(at, value)| Sample { at: WallTime(at * SECOND), value: *value })
    }
}

impl Select for Fixed {
    fn find(&self, _: NodeId, _: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        Vec::new()
    }

    fn samples(&self, _: NodeId, series: &[SeriesId], from: WallTime, to: WallTime) -> Vec<Vec<Sample>> {
        let within = || self.all().filter(|sample| sample.at >= from && sample.at <= to).collect();
        series.iter().map(|_| within()).collect()
    }

    fn rolled(
        &self,
        _: NodeId,
        series: &[SeriesId],
        resolution: Resolution,
        from: WallTime,
        to: WallTime,
    ) -> Vec<Vec<Bucket>> {
        let mut buckets = roll(resolution, CellForm::Float, self.all().map(Bucket::of));
        buckets.retain(|bucket| bucket.at >= from && bucket.at <= to);
        series.iter().map(|_| buckets.clone()).collect()
    }
}

/// The points as `step:value`, of steps in seconds.
fn points(samples: &[(i64, f64)], (start, end, step): (i64, i64, i64), reading: Reading) -> String {
    let store = Fixed(samples.to_vec());
    let grid = Grid::range(start * 1000, end * 1000, step * 1000).unwrap();
    let source = Source { store: &store, node: NodeId(1), series: &[SeriesId(0)], is_over: &|| false };
    let read = read(&source, grid, reading, &mut 1_000_000).unwrap();
    let shown = read[0].iter().map(|point| format!("{}:{}", point.step, point.value));
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_step_has_the_newest_sample_of_five_minutes() {
    let samples = [(10, 1.0), (20, 2.0), (400, 3.0)];
    assert_eq!(points(&samples, (0, 40, 10), Reading::Samples), "1:1 2:2 3:2 4:2");
    // Left-open: a sample of exactly five minutes ago is none.
    assert_eq!(points(&samples, (319, 321, 1), Reading::Samples), "0:2");
    assert_eq!(points(&samples, (0, 7200, 3600), Reading::Samples), "");
    assert_eq!(points(&samples, (0, 1200, 600), Reading::Samples), "1:3");
    assert_eq!(points(&samples, (399, 400, 1), Reading::Samples), "1:3");
}

#[test]
fn a_series_that_ended_has_no_value() {
    let samples = [(10, 1.0), (20, STALE), (30, 3.0)];
    assert_eq!(points(&samples, (10, 30, 5), Reading::Samples), "0:1 1:1 4:3");
}

#[test]
fn slices_lose_nothing() {
    let samples: Vec<(i64, f64)> = (0..20_000).map(|at| (at, at as f64)).collect();
    let shown = points(&samples, (0, 19_999, 7), Reading::Samples);
    let expect = (0..=19_999 / 7).map(|step| format!("{step}:{}", step * 7));
    assert_eq!(shown, expect.collect::<Vec<_>>().join(" "));
}

#[test]
fn a_step_has_the_buckets_that_ended_since_the_one_before() {
    // Minutes 0, 1 and 2, and then nothing until minute 10.
    let samples = [(0, 1.0), (30, 3.0), (60, 5.0), (90, 9.0), (120, 4.0), (600, 8.0)];
    let of =
        |step, aggregate| points(&samples, (0, 660, step), Reading::Buckets(Resolution::Minute, aggregate));
    assert_eq!(of(60, Aggregate::Avg), "1:2 2:7 3:4 11:8");
    assert_eq!(of(120, Aggregate::Min), "1:1 2:4");
    assert_eq!(of(120, Aggregate::Max), "1:9 2:4");
    assert_eq!(of(220, Aggregate::Avg), "1:4.4 3:8", "all samples count the same");
    assert_eq!(of(660, Aggregate::Last), "1:8");
    // Steps within a bucket have the newest that ended.
    assert_eq!(of(30, Aggregate::Avg), "2:2 3:2 4:7 5:7 6:4 7:4 22:8");
}

#[test]
fn many_buckets_come_in_slices() {
    let samples: Vec<(i64, f64)> = (0..5000).map(|at| (at * 60, at as f64)).collect();
    let shown = points(&samples, (60, 300_000, 6000), Reading::Buckets(Resolution::Minute, Aggregate::Last));
    let expect = (0..50).map(|step| format!("{step}:{}", step * 100));
    assert_eq!(shown, expect.collect::<Vec<_>>().join(" "));
}

#[test]
fn what_is_too_much_or_not_waited_for_ends() {
    let store = Fixed((0..100).map(|at| (at, 0.0)).collect());
    let grid = Grid::range(0, 100_000, 1000).unwrap();
    let source = |is_over| Source { store: &store, node: NodeId(1), series: &[SeriesId(0)], is_over };
    let read = |source: &Source<'_>, reading, mut left| read(source, grid, reading, &mut left).err();
    let buckets = Reading::Buckets(Resolution::Minute, Aggregate::Avg);
    assert_eq!(read(&source(&|| false), Reading::Samples, 100), None);
    assert_eq!(read(&source(&|| false), Reading::Samples, 99), Some(RangeError::Samples));
    assert_eq!(read(&source(&|| false), buckets, 0), Some(RangeError::Samples));
    assert_eq!(read(&source(&|| true), Reading::Samples, 100), Some(RangeError::Cancelled));
}

#[test]
fn the_resolution_follows_the_step() {
    let of = |seconds: i64| resolution_of(seconds * 1000);
    assert_eq!(
        [of(59), of(60), of(3599), of(3600)],
        [None, Some(Resolution::Minute), Some(Resolution::Minute), Some(Resolution::Hour)]
    );
}
