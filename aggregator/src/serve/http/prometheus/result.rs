//! The result of a query in JSON: a scalar, a string, a vector or a matrix.

use super::value::{Histogram, Number, Point};
use crate::query::promql::cell::is_absent;
use crate::query::promql::{Answer, Data, Grid, Histograms, LabelSet, Sample, Series};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A result, and the steps it is on.
pub struct Shown {
    pub data: Data,
    pub histograms: Histograms,
    pub grid: Grid,
    pub is_instant: bool,
}

impl Shown {
    /// What is shown of an answer: `limit` series at most.
    pub fn of(answer: Answer, grid: Grid, is_instant: bool, limit: usize) -> (Shown, bool) {
        let Answer { mut data, histograms, .. } = answer;
        let count = match &mut data {
            Data::Vector(series) => cut(series, limit),
            Data::Ranges(series) => cut(series, limit),
            Data::Scalar(_) | Data::Text(_) => 0,
        };
        (Shown { data, histograms, grid, is_instant }, count > limit)
    }

    fn kind(&self) -> &'static str {
        match &self.data {
            _ if !self.is_instant => "matrix",
            Data::Scalar(_) => "scalar",
            Data::Text(_) => "string",
            Data::Vector(_) => "vector",
            Data::Ranges(_) => "matrix",
        }
    }

    fn samples<'a>(&self, values: &'a [f64]) -> impl Iterator<Item = Sample> + use<'a> {
        let pairs = self.grid.times().zip(values).filter(|(_, value)| !is_absent(**value));
        pairs.map(|(at_ms, value)| Sample { at_ms, value: *value })
    }

    fn line<'a>(&'a self, labels: &'a LabelSet, samples: Vec<Sample>) -> Line<'a> {
        Line { labels, samples, histograms: &self.histograms }
    }

    fn one<'a>(&'a self, series: &'a Series) -> One<'a> {
        One(self.line(&series.labels, self.samples(&series.values).take(1).collect()))
    }
}

/// Keeps some; how many there were.
fn cut<T>(list: &mut Vec<T>, limit: usize) -> usize {
    let count = list.len();
    list.truncate(limit);
    count
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(2))?;
        object.serialize_entry("resultType", self.kind())?;
        let at_ms = self.grid.start_ms;
        let nameless = LabelSet::default();
        let first = |values: &[f64]| Number(values.first().copied().unwrap_or(f64::NAN));
        match &self.data {
            Data::Text(text) => object.serialize_entry("result", &Point(at_ms, text))?,
            Data::Scalar(values) if self.is_instant => {
                object.serialize_entry("result", &Point(at_ms, first(values)))?;
            }
            Data::Scalar(values) => {
                object.serialize_entry("result", &[self.line(&nameless, self.samples(values).collect())])?;
            }
            Data::Vector(series) if self.is_instant => {
                object.serialize_entry("result", &Each(|| series.iter().map(|own| self.one(own))))?;
            }
            Data::Vector(series) => {
                let line = |own: &'_ Series| self.samples(&own.values).collect();
                let lines = || series.iter().map(move |own| self.line(&own.labels, line(own)));
                object.serialize_entry("result", &Each(lines))?;
            }
            Data::Ranges(series) => {
                let lines = || series.iter().map(|(labels, samples)| self.line(labels, samples.clone()));
                object.serialize_entry("result", &Each(lines))?;
            }
        }
        object.end()
    }
}

/// A list whose elements are made one by one.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Labels as an object.
pub struct Labels<'a>(pub &'a LabelSet);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// One series.
struct Line<'a> {
    labels: &'a LabelSet,
    samples: Vec<Sample>,
    histograms: &'a Histograms,
}

impl Line<'_> {
    fn numbers(&self) -> Vec<Point<Number>> {
        let plain = self.samples.iter().filter(|sample| self.histograms.get(sample.value).is_none());
        plain.map(|sample| Point(sample.at_ms, Number(sample.value))).collect()
    }

    fn histograms(&self) -> Vec<Point<Histogram<'_>>> {
        let found = self
            .samples
            .iter()
            .filter_map(|sample| Some(Point(sample.at_ms, Histogram(self.histograms.get(sample.value)?))));
        found.collect()
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("metric", &Labels(self.labels))?;
        let (numbers, histograms) = (self.numbers(), self.histograms());
        if !numbers.is_empty() {
            object.serialize_entry("values", &numbers)?;
        }
        if !histograms.is_empty() {
            object.serialize_entry("histograms", &histograms)?;
        }
        object.end()
    }
}

/// One series at one moment.
struct One<'a>(Line<'a>);

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(2))?;
        object.serialize_entry("metric", &Labels(self.0.labels))?;
        for number in self.0.numbers() {
            object.serialize_entry("value", &number)?;
        }
        for histogram in self.0.histograms() {
            object.serialize_entry("histogram", &histogram)?;
        }
        object.end()
    }
}
