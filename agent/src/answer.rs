//! Answers to the aggregator's requests, over a connection of their own, so that no answer, however large,
//! ever delays a frame.
//!
//! Only what [`RequestKind`] lists can be asked. No request names a path or a command.

use crate::recorder;
use crate::sample::Sampling;
use quorate_common::error::chain;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::session::{Rate, RecordedSeries, Request, RequestKind, Response, ResponseBody};
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::{Options, channel};
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Rows in one part: small enough for any message limit.
const ROWS_PER_PART: usize = 500;
/// Samples in one part, for the same reason.
const SAMPLES_PER_PART: usize = 10_000;
/// Requests that are answered at once; more are dropped, and time out where they were asked.
const ANSWERS_MAX: usize = 4;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("failed to open a connection for the answer")]
    Connect(#[source] quorate_proto::connect::ConnectError),
    #[error("failed to send the answer: {}", .0.message())]
    Send(tonic::Status),
}

/// Answers requests.
#[derive(Clone)]
pub struct Answerer {
    tls: watch::Receiver<Arc<ClientConfig>>,
    sampling: Sampling,
    recorder: Option<recorder::Shared>,
    room: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Answerer {
    /// Answers with what sampling and the recorder know.
    pub fn new(
        tls: watch::Receiver<Arc<ClientConfig>>,
        sampling: Sampling,
        recorder: Option<recorder::Shared>,
        shutdown: Shutdown,
    ) -> Answerer {
        Answerer { tls, sampling, recorder, room: Arc::new(Semaphore::new(ANSWERS_MAX)), shutdown }
    }

    /// Begins to answer a request to the aggregator at `address`.
    pub fn answer(&self, request: Request, address: String) {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            tracing::warn!(class = "failure", id = request.id, "too many requests at once, one is dropped");
            return;
        };
        let answerer = self.clone();
        self.shutdown.spawn("answer", async move {
            let deadline = Duration::from_millis(u64::from(request.deadline_ms));
            let answered = tokio::time::timeout(deadline, answerer.run(&request, &address)).await;
            if let Ok(Err(error)) = answered {
                tracing::warn!(
                    class = "failure",
                    id = request.id,
                    error = chain(&error),
                    "request not answered"
                );
            }
            drop(permit);
        });
    }

    /// Whoever asked this agent to sample more often is gone.
    pub fn session_ended(&self) {
        self.sampling.end_rates();
    }

    async fn set_rate(&self, rate: Option<Rate>) -> Result<Vec<ResponseBody>, String> {
        let rate = rate.ok_or("the request names no rate")?;
        tracing::info!(
            class = "action",
            collector = rate.collector,
            interval_ms = rate.interval_ms,
            for_ms = rate.for_ms,
            "asked to sample more often"
        );
        let done = self.sampling.set_rate(rate).await.map_err(|error| chain(&error))?;
        done.map(|()| vec![ResponseBody::Done]).map_err(|error| chain(&error))
    }

    async fn run(&self, request: &Request, address: &str) -> Result<(), AnswerError> {
        let bodies = match request.kind {
            RequestKind::ProcessTable => {
                self.sampling.process_table().await.map(parts).map_err(|e| chain(&e))
            }
            RequestKind::CollectNow => {
                self.sampling.collect_now().await.map(|()| vec![ResponseBody::Done]).map_err(|e| chain(&e))
            }
            RequestKind::Recorder => self.recorded(request).await.map(recorded_parts),
            RequestKind::Drain => Ok(vec![ResponseBody::Done]),
            RequestKind::SetRate => self.set_rate(request.rate.clone()).await,
        };
        let bodies = bodies.unwrap_or_else(|error| vec![ResponseBody::Failed(error)]);
        let count = bodies.len();
        let messages: Vec<v1::AnswerRequest> = (0..)
            .zip(bodies)
            .map(|(part, body)| {
                Response { id: request.id, part, last: part as usize + 1 == count, body }.into()
            })
            .collect();
        let tls = self.tls.borrow().clone();
        let channel = channel(address, tls, Options::CALL).await.map_err(AnswerError::Connect)?;
        let mut client = IngestServiceClient::new(channel);
        client.answer(tokio_stream::iter(messages)).await.map_err(AnswerError::Send)?;
        Ok(())
    }
}

impl Answerer {
    async fn recorded(&self, request: &Request) -> Result<Vec<RecordedSeries>, String> {
        let recorder = self.recorder.as_ref().ok_or("the flight recorder is switched off")?;
        let range = request.range.clone().ok_or("the request names no metric")?;
        let recording = recorder.recording();
        let span = Duration::from_secs(u64::from(range.seconds));
        // Many minutes of many series take a while to replay.
        let read = tokio::task::spawn_blocking(move || recording.read(&range.metric, span)).await;
        read.map_err(|error| chain(&error))?.map_err(|error| chain(&error))
    }
}

/// A part ends before the series with which it would be too large; one series is never divided, as the recorder
/// keeps no more than 60 minutes.
fn recorded_parts(series: Vec<RecordedSeries>) -> Vec<ResponseBody> {
    let (mut parts, mut open, mut samples) = (Vec::new(), Vec::new(), 0);
    for one in series {
        samples += one.samples.len();
        if samples > SAMPLES_PER_PART && !open.is_empty() {
            parts.push(ResponseBody::Recording(std::mem::take(&mut open)));
            samples = one.samples.len();
        }
        open.push(one);
    }
    parts.push(ResponseBody::Recording(open));
    parts
}

fn parts(rows: Vec<ProcessRow>) -> Vec<ResponseBody> {
    if rows.is_empty() {
        return vec![ResponseBody::Processes(rows)];
    }
    rows.chunks(ROWS_PER_PART).map(|rows| ResponseBody::Processes(rows.to_vec())).collect()
}
