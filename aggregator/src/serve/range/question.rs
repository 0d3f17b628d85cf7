//! What a range query asks: read from a request, with the field that is wrong named.

use crate::query::promql::{Grid, STEPS_MAX};
use crate::query::range::{Aggregate, Reading, resolution_of};
use crate::query::selector::Selector;
use crate::serve::query::within;
use crate::store::bucket::Resolution;
use quorate_common::model::time::WallTime;
use quorate_proto::convert::{timestamp, wall_time};
use quorate_proto::{status, v1};
use tonic::Status;

/// Steps of a query that says nothing about them.
const STEPS_DEFAULT: i64 = 240;
/// How far back a query reaches that says nothing about it.
const SPAN_DEFAULT_MS: i64 = 3_600_000;

/// What a caller wants to know.
pub struct Question {
    pub(super) selector: Selector,
    pub(super) grid: Grid,
    pub(super) end_ms: i64,
    pub(super) reading: Reading,
    pub(super) limit: usize,
}

impl Question {
    /// Reads a request.
    ///
    /// # Errors
    /// A field that is wrong is named.
    pub fn read(request: v1::QueryRangeRequest, now: WallTime) -> Result<Question, Status> {
        let selector = Selector::parse(&request.selector)
            .map_err(|error| status::field("selector", error.to_string()))?;
        let limit = within("limit", request.limit, 1000, 10_000)? as usize;
        let moment = |stamp: &prost_types::Timestamp| wall_time(stamp).as_millis();
        let end_ms = request.end.as_ref().map_or(now.as_millis(), moment);
        let start_ms = request.start.as_ref().map_or(end_ms.saturating_sub(SPAN_DEFAULT_MS), moment);
        let grid = grid((start_ms, end_ms), request.step.as_ref())?;
        let resolution = v1::Resolution::try_from(request.resolution)
            .map_err(|_| status::field("resolution", "field `resolution`: not known here"))?;
        let aggregate = v1::Aggregate::try_from(request.aggregate)
            .map_err(|_| status::field("aggregate", "field `aggregate`: not known here"))?;
        let reading = reading(resolution, aggregate, grid.step_ms)?;
        Ok(Question { selector, grid, end_ms, reading, limit })
    }

    /// What was made of the request.
    pub(super) fn head(&self) -> v1::RangeHead {
        let (resolution, aggregate) = match self.reading {
            Reading::Samples => (v1::Resolution::Raw, v1::Aggregate::Unspecified),
            Reading::Buckets(resolution, aggregate) => (wire(resolution), wire_aggregate(aggregate)),
        };
        let millis = self.grid.step_ms;
        let nanos = i32::try_from(millis % 1000 * 1_000_000).unwrap_or(0);
        v1::RangeHead {
            start: Some(timestamp(at(self.grid.start_ms))),
            end: Some(timestamp(at(self.end_ms))),
            step: Some(prost_types::Duration { seconds: millis / 1000, nanos }),
            resolution: resolution.into(),
            aggregate: aggregate.into(),
        }
    }

    /// How the values came to be.
    pub(super) fn infos(&self) -> Vec<String> {
        match self.reading {
            Reading::Samples => Vec::new(),
            Reading::Buckets(resolution, aggregate) => {
                let word = if resolution == Resolution::Minute { "1m" } else { "1h" };
                vec![format!("values are the {} of buckets of {word}", aggregate.as_str())]
            }
        }
    }
}

/// A moment in milliseconds.
pub(super) fn at(ms: i64) -> WallTime {
    WallTime(ms.saturating_mul(1_000_000))
}

/// The steps from start to end.
fn grid((start_ms, end_ms): (i64, i64), step: Option<&prost_types::Duration>) -> Result<Grid, Status> {
    let span_ms = end_ms.saturating_sub(start_ms);
    if span_ms < 0 {
        return Err(status::field(
            "end",
            format!("field `end`: {} is before `start` {}", at(end_ms), at(start_ms)),
        ));
    }
    let whole_seconds = (span_ms / STEPS_DEFAULT).div_euclid(1000).saturating_add(1).saturating_mul(1000);
    let step_ms = match step {
        None => whole_seconds,
        Some(step) => step.seconds.saturating_mul(1000).saturating_add(i64::from(step.nanos) / 1_000_000),
    };
    if step_ms <= 0 {
        return Err(status::field("step", "field `step`: not a millisecond or more"));
    }
    let grid = Grid::range(start_ms, end_ms, step_ms)
        .ok_or_else(|| status::field("start", "field `start`: too long before `end`"))?;
    if grid.count > STEPS_MAX {
        let text = format!("field `step`: {step_ms} ms make {} steps, limit {STEPS_MAX}", grid.count);
        return Err(status::field("step", text));
    }
    Ok(grid)
}

fn reading(resolution: v1::Resolution, aggregate: v1::Aggregate, step_ms: i64) -> Result<Reading, Status> {
    let resolution = match resolution {
        v1::Resolution::Unspecified => resolution_of(step_ms),
        v1::Resolution::Raw => None,
        v1::Resolution::Minute => Some(Resolution::Minute),
        v1::Resolution::Hour => Some(Resolution::Hour),
    };
    let taken = match aggregate {
        v1::Aggregate::Unspecified | v1::Aggregate::Avg => Aggregate::Avg,
        v1::Aggregate::Min => Aggregate::Min,
        v1::Aggregate::Max => Aggregate::Max,
        v1::Aggregate::Last => Aggregate::Last,
    };
    match resolution {
        Some(resolution) => Ok(Reading::Buckets(resolution, taken)),
        None if aggregate == v1::Aggregate::Unspecified => Ok(Reading::Samples),
        None => Err(status::field("aggregate", "field `aggregate`: samples have none, see `resolution`")),
    }
}

fn wire(resolution: Resolution) -> v1::Resolution {
    match resolution {
        Resolution::Minute => v1::Resolution::Minute,
        Resolution::Hour => v1::Resolution::Hour,
    }
}

fn wire_aggregate(aggregate: Aggregate) -> v1::Aggregate {
    match aggregate {
        Aggregate::Avg => v1::Aggregate::Avg,
        Aggregate::Min => v1::Aggregate::Min,
        Aggregate::Max => v1::Aggregate::Max,
        Aggregate::Last => v1::Aggregate::Last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(10_000_000_000_000);

    fn request() -> v1::QueryRangeRequest {
        v1::QueryRangeRequest { selector: "node_load1".into(), ..Default::default() }
    }

    fn stamp(seconds: i64) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos: 0 })
    }

    fn step(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    #[test]
    fn what_is_left_out_is_an_hour_until_now() {
        let question = Question::read(request(), NOW).unwrap();
        let expect = Grid { start_ms: 6_400_000, step_ms: 16_000, count: 226 };
        assert_eq!((question.grid, question.end_ms, question.limit), (expect, 10_000_000, 1000));
        assert_eq!(question.reading, Reading::Samples);
        let head = question.head();
        assert_eq!((head.start, head.end, head.step), (stamp(6400), stamp(10_000), step(16)));
        let day = v1::QueryRangeRequest { start: stamp(10_000 - 86_400), ..request() };
        let question = Question::read(day, NOW).unwrap();
        assert_eq!(question.reading, Reading::Buckets(Resolution::Minute, Aggregate::Avg));
        assert_eq!(question.infos(), ["values are the avg of buckets of 1m"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |request: v1::QueryRangeRequest, field: &str, text: &str| {
            let error = Question::read(request, NOW).err().unwrap();
            let fields = status::fields(&error);
            assert_eq!((fields[0].0.as_str(), error.message()), (field, text));
        };
        let late = v1::QueryRangeRequest { start: stamp(10_001), ..request() };
        let text = "field `end`: 1970-01-01T02:46:40.000Z is before `start` 1970-01-01T02:46:41.000Z";
        check(late, "end", text);
        for wrong in [step(0), step(-1), Some(prost_types::Duration { seconds: 0, nanos: 999_999 })] {
            let text = "field `step`: not a millisecond or more";
            check(v1::QueryRangeRequest { step: wrong, ..request() }, "step", text);
        }
        let fine = v1::QueryRangeRequest { start: stamp(-1001), step: step(1), ..request() };
        check(fine, "step", "field `step`: 1000 ms make 11002 steps, limit 11000");
        check(
            v1::QueryRangeRequest { limit: 10_001, ..request() },
            "limit",
            "field `limit`: 10001, limit 10000",
        );
        let resolution = "field `resolution`: not known here";
        check(v1::QueryRangeRequest { resolution: 9, ..request() }, "resolution", resolution);
        let aggregate = v1::QueryRangeRequest { aggregate: v1::Aggregate::Max.into(), ..request() };
        check(aggregate, "aggregate", "field `aggregate`: samples have none, see `resolution`");
    }
}
