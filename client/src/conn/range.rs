//! A range query: what is asked, and the parts of its answer put together.

use super::convert::{all, labels, stamp};
use crate::view::{self, Number, Stamp};
use quorate_common::model::time::WallTime;
use quorate_proto::convert::timestamp;
use quorate_proto::v1::{self, query_range_response::Part};
use std::time::Duration;
use tonic::{Status, Streaming};

/// Most values of one answer that are taken: as many as an aggregator gives.
const VALUES_MAX: usize = 20_000_000;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeQuestion {
    /// Of which series.
    pub selector: String,
    /// The first step.
    pub start: Stamp,
    /// No step lies behind it.
    pub end: Stamp,
    /// Between two steps; `None` for the aggregator's choice.
    pub step: Option<Duration>,
    /// What to read from.
    pub resolution: Resolution,
    /// What to take of buckets; `None` for the aggregator's choice.
    pub aggregate: Option<Aggregate>,
    /// Most series.
    pub limit: u32,
}

/// What values are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Resolution {
    /// As fine as the step shows
    #[default]
    Auto,
    /// Samples
    Raw,
    /// Buckets of a minute
    #[value(name = "1m")]
    Minute,
    /// Buckets of an hour
    #[value(name = "1h")]
    Hour,
}

/// What is taken of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Aggregate {
    /// The average
    Avg,
    /// The least
    Min,
    /// The greatest
    Max,
    /// The newest
    Last,
}

impl From<RangeQuestion> for v1::QueryRangeRequest {
    fn from(question: RangeQuestion) -> Self {
        let resolution = match question.resolution {
            Resolution::Auto => v1::Resolution::Unspecified,
            Resolution::Raw => v1::Resolution::Raw,
            Resolution::Minute => v1::Resolution::Minute,
            Resolution::Hour => v1::Resolution::Hour,
        };
        let aggregate = match question.aggregate {
            None => v1::Aggregate::Unspecified,
            Some(Aggregate::Avg) => v1::Aggregate::Avg,
            Some(Aggregate::Min) => v1::Aggregate::Min,
            Some(Aggregate::Max) => v1::Aggregate::Max,
            Some(Aggregate::Last) => v1::Aggregate::Last,
        };
        v1::QueryRangeRequest {
            selector: question.selector,
            start: Some(timestamp(question.start.0)),
            end: Some(timestamp(question.end.0)),
            step: question.step.and_then(|step| prost_types::Duration::try_from(step).ok()),
            resolution: resolution.into(),
            aggregate: aggregate.into(),
            limit: question.limit,
        }
    }
}

/// All parts of an answer; `None` if some are missing or there are far too many.
pub(super) async fn whole(
    mut parts: Streaming<v1::QueryRangeResponse>,
) -> Result<Option<view::RangeAnswer>, Status> {
    let (mut answer, mut values) = (None, 0);
    while let Some(message) = parts.message().await? {
        match (message.part, &mut answer) {
            (Some(Part::Head(head)), None) => answer = begin(&head),
            (Some(Part::Series(one)), Some(answer)) => {
                values += one.values.len();
                answer.series.push(series(one, answer.start, answer.step_ms));
            }
            (Some(Part::End(end)), Some(_)) => return Ok(answer.map(|answer| ended(answer, end))),
            // A part of a newer protocol.
            (None, _) => {}
            _ => return Ok(None),
        }
        if values > VALUES_MAX {
            return Ok(None);
        }
    }
    Ok(None)
}

fn begin(head: &v1::RangeHead) -> Option<view::RangeAnswer> {
    let step = Duration::try_from(head.step?).ok()?;
    Some(view::RangeAnswer {
        start: stamp(head.start)?,
        end: stamp(head.end)?,
        step_ms: u64::try_from(step.as_millis()).ok()?,
        resolution: match head.resolution() {
            v1::Resolution::Raw => "raw",
            v1::Resolution::Minute => "1m",
            v1::Resolution::Hour => "1h",
            v1::Resolution::Unspecified => "unknown",
        },
        series: Vec::new(),
        left_out: 0,
        warnings: Vec::new(),
        infos: Vec::new(),
        gaps: Vec::new(),
    })
}

fn series(series: v1::RangeSeries, start: Stamp, step_ms: u64) -> view::RangeSeries {
    let moment = |step: u32| {
        let ns = u64::from(step).saturating_mul(step_ms).saturating_mul(1_000_000);
        Stamp(WallTime(start.0.0.saturating_add_unsigned(ns)))
    };
    let samples = series.steps.iter().zip(series.values);
    let sample =
        |(step, value): (&u32, f64)| view::Sample { timestamp: Some(moment(*step)), value: Number(value) };
    view::RangeSeries { labels: labels(series.labels), samples: samples.map(sample).collect() }
}

fn ended(answer: view::RangeAnswer, end: v1::RangeEnd) -> view::RangeAnswer {
    let v1::RangeEnd { left_out, warnings, infos, gaps } = end;
    view::RangeAnswer { left_out, warnings, infos, gaps: all(gaps), ..answer }
}
