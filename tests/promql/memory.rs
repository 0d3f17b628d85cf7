//! The series of a script, in memory.

use super::native::Classic;
use super::series::{self, Point};
use quorate_aggregator::query::promql::cell::histogram;
use quorate_aggregator::query::promql::native::Hint;
use quorate_aggregator::query::promql::{
    Budget, Error, LabelSet, NativeHistogram, Sample, Selection, Source, SourceSeries,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All series that are loaded.
#[derive(Default)]
pub struct Memory {
    series: BTreeMap<LabelSet, BTreeMap<i64, f64>>,
    /// Those that samples mark, by their place.
    histograms: Vec<Arc<NativeHistogram>>,
}

impl Memory {
    pub fn clear(&mut self) {
        self.series.clear();
        self.histograms.clear();
    }

    pub fn load(&mut self, line: &str, step_ms: i64) {
        let (labels, points) = series::parse(line);
        let points = (0..).zip(points).filter_map(|(at, point)| Some((at * step_ms, point?)));
        self.append(labels, points);
    }

    fn append(&mut self, labels: LabelSet, points: impl Iterator<Item = (i64, Point)>) {
        let own = self.series.entry(labels).or_default();
        let mut before: Option<Arc<NativeHistogram>> = None;
        for (at_ms, point) in points {
            let value = match point {
                Point::Float(value) => {
                    before = None;
                    value
                }
                Point::Histogram(histogram_of) => {
                    let stored = Arc::new(hinted(histogram_of, before.as_deref()));
                    before = Some(Arc::clone(&stored));
                    self.histograms.push(stored);
                    histogram(self.histograms.len() as u64 - 1)
                }
            };
            own.insert(at_ms, value);
        }
    }

    /// Adds native histograms for the classic ones of some lines.
    pub fn convert(&mut self, lines: &[String], step_ms: i64) {
        let mut classic: BTreeMap<LabelSet, BTreeMap<i64, Classic>> = BTreeMap::new();
        for (labels, points) in lines.iter().map(|line| series::parse(line)) {
            let name = labels.name().to_owned();
            let Some((base, part)) = name.rsplit_once('_') else { continue };
            let (mut base_labels, bound) = (labels.without("le"), labels.get("le"));
            base_labels.set("__name__", base);
            let own = classic.entry(base_labels).or_default();
            for (at, point) in (0..).zip(points) {
                let Some(Point::Float(value)) = point else { continue };
                let histogram = own.entry(at * step_ms).or_default();
                match part {
                    "bucket" => histogram.buckets.push((bound.parse().unwrap(), value)),
                    "count" => histogram.count = Some(value),
                    "sum" => histogram.sum = value,
                    _ => {}
                }
            }
        }
        for (labels, histograms) in classic {
            let points =
                histograms.into_iter().map(|(at_ms, own)| (at_ms, Point::Histogram(own.to_native())));
            self.append(labels, points);
        }
    }
}

/// As a store would keep it: with what it knows of resets.
fn hinted(mut histogram: NativeHistogram, before: Option<&NativeHistogram>) -> NativeHistogram {
    if let Some(before) = before.filter(|_| histogram.hint == Hint::Unknown) {
        histogram.hint = if histogram.is_reset_after(before) { Hint::Reset } else { Hint::NotReset };
    }
    histogram
}

impl Source for Memory {
    fn select(
        &self,
        selection: &Selection,
        from_ms: i64,
        to_ms: i64,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SourceSeries>, Error> {
        if from_ms > to_ms {
            return Ok(Vec::new());
        }
        let matching = self.series.iter().filter(|(labels, _)| selection.matches(labels));
        let read = matching.map(|(labels, points)| {
            let samples =
                points.range(from_ms..=to_ms).map(|(at, value)| Sample { at_ms: *at, value: *value });
            (labels.clone(), samples.collect())
        });
        let found: Vec<SourceSeries> = read.collect();
        budget.read(found.iter().map(|(_, samples)| samples.len()).sum())?;
        budget.make(found.len(), 0)?;
        Ok(found)
    }

    fn histogram(&self, id: u64) -> Option<Arc<NativeHistogram>> {
        self.histograms.get(usize::try_from(id).ok()?).cloned()
    }
}
