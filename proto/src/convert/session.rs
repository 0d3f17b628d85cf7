//! What agent and aggregator say to one another, as far as each message stands for itself.

use super::{ConvertError, pair, word};
use crate::v1;
use crate::v1::answer_request::Body;
use crate::v1::session_response::Message as Down;
use quorate_common::model::label::{Labels, check_metric_name};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesSpec, Window};
use quorate_common::model::session::{
    Ack, AggregatorMessage, ByeReason, Epoch, Held, Hello, Rate, RecordedSeries, RecorderRange, Request,
    RequestKind, Response, ResponseBody, SeqRange, Welcome,
};
use quorate_common::model::time::WallTime;

pair!(Window, Window, "frame.window", { Short, Medium, Long });
pair!(ByeReason, ByeReason, "bye.reason", { Stop, Restart, HostShutdown, Drain });
pair!(RequestKind, RequestKind, "request.kind", { ProcessTable, CollectNow, Recorder, Drain, SetRate });

/// Most epochs that a Hello may list.
const HELD_MAX: usize = 256;

impl From<Epoch> for v1::Epoch {
    fn from(epoch: Epoch) -> Self {
        v1::Epoch { order: epoch.order, nonce: epoch.nonce }
    }
}

impl From<v1::Epoch> for Epoch {
    fn from(epoch: v1::Epoch) -> Self {
        Epoch { order: epoch.order, nonce: epoch.nonce }
    }
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        let held =
            |held: Held| v1::Held { epoch: Some(held.epoch.into()), first: held.first, last: held.last };
        v1::Hello {
            protocol: hello.protocol,
            epoch: Some(hello.epoch.into()),
            boot_id: hello.boot_id.to_vec(),
            interval_ms: hello.interval_ms,
            held: hello.held.into_iter().map(held).collect(),
            facts: Some((&hello.facts).into()),
            boot_ns: hello.boot_ns,
            wall_ns: hello.wall_ns,
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(hello: v1::Hello) -> Result<Self, ConvertError> {
        let boot_id = hello.boot_id.as_slice().try_into().map_err(|_| {
            ConvertError::invalid("hello.boot_id", format!("{} bytes, must be 16", hello.boot_id.len()))
        })?;
        if hello.held.len() > HELD_MAX {
            let reason = format!("{} entries, limit {HELD_MAX}", hello.held.len());
            return Err(ConvertError::invalid("hello.held", reason));
        }
        Ok(Hello {
            protocol: hello.protocol,
            epoch: hello.epoch.ok_or(ConvertError::Missing("hello.epoch"))?.into(),
            boot_id,
            boot_ns: hello.boot_ns,
            wall_ns: hello.wall_ns,
            interval_ms: hello.interval_ms,
            held: hello.held.into_iter().map(held).collect::<Result<_, _>>()?,
            facts: hello.facts.ok_or(ConvertError::Missing("hello.facts"))?.into(),
        })
    }
}

fn held(held: v1::Held) -> Result<Held, ConvertError> {
    if held.first == 0 || held.first > held.last {
        let reason = format!("frames {} to {} are no range", held.first, held.last);
        return Err(ConvertError::invalid("hello.held", reason));
    }
    let epoch = held.epoch.ok_or(ConvertError::Missing("hello.held.epoch"))?.into();
    Ok(Held { epoch, first: held.first, last: held.last })
}

impl From<SeqRange> for v1::SeqRange {
    fn from(range: SeqRange) -> Self {
        v1::SeqRange { first: range.first, last: range.last }
    }
}

impl From<v1::SeqRange> for SeqRange {
    fn from(range: v1::SeqRange) -> Self {
        SeqRange { first: range.first, last: range.last }
    }
}

impl From<AggregatorMessage> for v1::SessionResponse {
    fn from(message: AggregatorMessage) -> Self {
        let ranges = |ranges: Vec<SeqRange>| ranges.into_iter().map(Into::into).collect();
        let message = match message {
            AggregatorMessage::Welcome(welcome) => Down::Welcome(v1::Welcome {
                aggregator: welcome.aggregator,
                wall_ns: welcome.wall_ns,
                durable: welcome.durable,
                above: ranges(welcome.above),
                series_max: welcome.series_max,
            }),
            AggregatorMessage::Ack(ack) => Down::Ack(v1::Ack {
                echo: ack.echo,
                received: ack.received,
                durable: ack.durable,
                above: ranges(ack.above),
            }),
            AggregatorMessage::Request(request) => Down::Request(v1::AgentRequest {
                id: request.id,
                kind: v1::RequestKind::from(request.kind).into(),
                deadline_ms: request.deadline_ms,
                rate: request.rate.map(Into::into),
                range: request
                    .range
                    .map(|range| v1::RecorderRange { metric: range.metric, seconds: range.seconds }),
            }),
        };
        v1::SessionResponse { message: Some(message) }
    }
}

impl TryFrom<v1::SessionResponse> for AggregatorMessage {
    type Error = ConvertError;

    fn try_from(response: v1::SessionResponse) -> Result<Self, ConvertError> {
        let ranges = |ranges: Vec<v1::SeqRange>| ranges.into_iter().map(Into::into).collect();
        Ok(match response.message.ok_or(ConvertError::Missing("message"))? {
            Down::Welcome(welcome) => AggregatorMessage::Welcome(Welcome {
                aggregator: welcome.aggregator,
                wall_ns: welcome.wall_ns,
                durable: welcome.durable,
                above: ranges(welcome.above),
                series_max: welcome.series_max,
            }),
            Down::Ack(ack) => AggregatorMessage::Ack(Ack {
                echo: ack.echo,
                received: ack.received,
                durable: ack.durable,
                above: ranges(ack.above),
            }),
            Down::Request(request) => AggregatorMessage::Request(Request {
                id: request.id,
                kind: word::<v1::RequestKind, _>(request.kind, "request.kind")?,
                rate: request.rate.map(Into::into),
                deadline_ms: request.deadline_ms,
                range: request
                    .range
                    .map(|range| RecorderRange { metric: range.metric, seconds: range.seconds }),
            }),
        })
    }
}

impl From<Rate> for v1::Rate {
    fn from(rate: Rate) -> Self {
        v1::Rate { collector: rate.collector, interval_ms: rate.interval_ms, for_ms: rate.for_ms }
    }
}

impl From<v1::Rate> for Rate {
    fn from(rate: v1::Rate) -> Self {
        Rate { collector: rate.collector, interval_ms: rate.interval_ms, for_ms: rate.for_ms }
    }
}

impl From<Response> for v1::AnswerRequest {
    fn from(response: Response) -> Self {
        let body = match response.body {
            ResponseBody::Processes(rows) => {
                Body::Processes(v1::ProcessTable { rows: rows.iter().map(Into::into).collect() })
            }
            ResponseBody::Recording(series) => {
                Body::Recording(v1::Recording { series: series.into_iter().map(Into::into).collect() })
            }
            ResponseBody::Done => Body::Done(v1::Done {}),
            ResponseBody::Failed(reason) => Body::Failed(reason),
        };
        v1::AnswerRequest { id: response.id, part: response.part, last: response.last, body: Some(body) }
    }
}

impl TryFrom<v1::AnswerRequest> for Response {
    type Error = ConvertError;

    fn try_from(answer: v1::AnswerRequest) -> Result<Self, ConvertError> {
        let body = match answer.body.ok_or(ConvertError::Missing("answer.body"))? {
            Body::Processes(table) => {
                ResponseBody::Processes(table.rows.into_iter().map(Into::into).collect())
            }
            Body::Recording(recording) => ResponseBody::Recording(
                recording.series.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            ),
            Body::Done(v1::Done {}) => ResponseBody::Done,
            Body::Failed(reason) => ResponseBody::Failed(reason),
        };
        Ok(Response { id: answer.id, part: answer.part, last: answer.last, body })
    }
}

impl From<RecordedSeries> for v1::RecordedSeries {
    fn from(series: RecordedSeries) -> Self {
        let RecordedSeries { spec, samples } = series;
        v1::RecordedSeries {
            metric: spec.metric.name.to_string(),
            counter: spec.metric.kind == MetricKind::Counter,
            labels: spec
                .labels
                .iter()
                .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
                .collect(),
            wall_ns: samples.iter().map(|(at, _)| at.0).collect(),
            values: samples.iter().map(|(_, value)| *value).collect(),
        }
    }
}

impl TryFrom<v1::RecordedSeries> for RecordedSeries {
    type Error = ConvertError;

    /// The values have been read from their cells already: how they were held is not said.
    fn try_from(series: v1::RecordedSeries) -> Result<Self, ConvertError> {
        if series.wall_ns.len() != series.values.len() {
            return Err(ConvertError::invalid("recording.values", "not as many as times"));
        }
        let invalid = |error: quorate_common::model::label::LabelError| {
            ConvertError::invalid("recording.labels", error.to_string())
        };
        check_metric_name(&series.metric).map_err(invalid)?;
        if !series.labels.len().is_multiple_of(2) {
            return Err(ConvertError::invalid("recording.labels", "a name without a value"));
        }
        let pairs = series.labels.chunks(2).map(|pair| (pair[0].as_str(), pair[1].as_str()));
        let labels = Labels::new(pairs).map_err(invalid)?;
        let kind = if series.counter { MetricKind::Counter } else { MetricKind::Gauge };
        let metric = Metric { name: series.metric.into(), kind, form: CellForm::Float };
        let samples = series.wall_ns.into_iter().map(WallTime).zip(series.values).collect();
        Ok(RecordedSeries { spec: SeriesSpec { metric, labels }, samples })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregator_messages_and_answers_read_back() {
        let above = vec![SeqRange { first: 9, last: 11 }];
        let messages = [
            AggregatorMessage::Welcome(Welcome {
                aggregator: "a".into(),
                wall_ns: 5,
                durable: 7,
                above: above.clone(),
                series_max: 20_000,
            }),
            AggregatorMessage::Ack(Ack { echo: 1, received: 11, durable: 7, above }),
            AggregatorMessage::Request(Request {
                id: 1,
                kind: RequestKind::SetRate,
                deadline_ms: 10,
                rate: Some(Rate { collector: "cpu".into(), interval_ms: 1000, for_ms: 60_000 }),
                range: None,
            }),
            AggregatorMessage::Request(Request {
                id: 2,
                kind: RequestKind::ProcessTable,
                deadline_ms: 10,
                rate: None,
                range: None,
            }),
            AggregatorMessage::Request(Request {
                id: 3,
                kind: RequestKind::Recorder,
                deadline_ms: 10,
                rate: None,
                range: Some(RecorderRange { metric: "m".into(), seconds: 60 }),
            }),
        ];
        for message in messages {
            let wire = v1::SessionResponse::from(message.clone());
            assert_eq!(AggregatorMessage::try_from(wire).unwrap(), message);
        }
        let metric = Metric { name: "m".into(), kind: MetricKind::Gauge, form: CellForm::Float };
        let labels = Labels::new([("a", "b")]).unwrap();
        let samples = vec![(WallTime(-1), 0.5), (WallTime(2), f64::INFINITY)];
        let recorded = RecordedSeries { spec: SeriesSpec { metric, labels }, samples };
        let mut wire = v1::RecordedSeries::from(recorded.clone());
        wire.values.pop();
        let error = RecordedSeries::try_from(wire).unwrap_err().to_string();
        assert_eq!(error, "field `recording.values`: not as many as times");
        for body in [
            ResponseBody::Done,
            ResponseBody::Failed("no".into()),
            ResponseBody::Processes(vec![]),
            ResponseBody::Recording(vec![recorded]),
        ] {
            let response = Response { id: 1, part: 0, last: true, body };
            assert_eq!(Response::try_from(v1::AnswerRequest::from(response.clone())).unwrap(), response);
        }
    }
}
