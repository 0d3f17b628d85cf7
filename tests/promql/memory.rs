//! The series of a script, in memory.

use super::series;
use quorate_aggregator::query::promql::{LabelSet, Sample, Selection, Source, SourceError, SourceSeries};
use std::collections::{BTreeMap, BTreeSet};

/// All series that are loaded.
#[derive(Default)]
pub struct Memory {
    series: BTreeMap<LabelSet, BTreeMap<i64, f64>>,
    /// Metrics that there are only as native histograms with the bounds of classic ones.
    custom: BTreeSet<String>,
}

impl Memory {
    pub fn clear(&mut self) {
        self.series.clear();
        self.custom.clear();
    }

    pub fn load(&mut self, line: &str, step_ms: i64) {
        let (labels, points) = series::parse(line);
        let own = self.series.entry(labels).or_default();
        for (at, point) in points.iter().enumerate() {
            if let Some(value) = point {
                own.insert(at as i64 * step_ms, *value);
            }
        }
    }

    /// Remembers what would be converted to native histograms.
    pub fn note_custom_buckets(&mut self, lines: &[String], has_custom_buckets: bool) {
        for line in lines.iter().filter(|_| has_custom_buckets) {
            let (labels, _) = series::parse(line);
            let name = labels.name();
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
            self.custom.extend(base.map(str::to_owned));
        }
    }

    /// Whether a query names a metric that is only converted.
    pub fn has_only_custom_buckets(&self, query: &str) -> bool {
        // A pattern for buckets asks for the classic form.
        let parts = query.split('"').filter(|part| !part.ends_with("_bucket"));
        let mut words =
            parts.flat_map(|part| part.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')));
        words.any(|word| self.custom.contains(word))
    }
}

impl Source for Memory {
    fn select(
        &self,
        selection: &Selection,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<SourceSeries>, SourceError> {
        if from_ms > to_ms {
            return Ok(Vec::new());
        }
        let matching = self.series.iter().filter(|(labels, _)| selection.matches(labels));
        let read = matching.map(|(labels, points)| {
            let samples =
                points.range(from_ms..=to_ms).map(|(at, value)| Sample { at_ms: *at, value: *value });
            (labels.clone(), samples.collect())
        });
        Ok(read.collect())
    }
}
