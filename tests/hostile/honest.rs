//! Honest agents: each with its own certificate, its own connection and its own session, a frame a second.
//!
//! They do what a real agent does on the wire and nothing else; whoever needs more of them takes a swarm.

use quorate_common::cell::Encoder;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::label::Labels;
use quorate_common::model::node::HostFacts;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::{AgentMessage, Epoch, Frame, Hello, PROTOCOL, Register, RegisterGroup};
use quorate_proto::connect::{Options, channel};
use quorate_proto::convert::SessionWriter;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Series of each.
pub const SERIES: usize = 20;
/// Frames that may wait for the connection.
const OUTBOX_MAX: usize = 4;

/// A session of one agent.
pub struct Session {
    pub writer: SessionWriter,
    pub outbox: mpsc::Sender<v1::SessionRequest>,
    pub inbound: Streaming<v1::SessionResponse>,
    encoder: Encoder,
    seq: u64,
    collected: u64,
}

/// What an agent says first.
pub fn hello(nonce: u64) -> Hello {
    let now = SystemClock.now();
    Hello {
        protocol: PROTOCOL,
        epoch: Epoch { order: 1, nonce },
        boot_id: [7; 16],
        boot_ns: now.boot.0,
        wall_ns: now.wall.0,
        interval_ms: 1000,
        held: Vec::new(),
        facts: HostFacts { hostname: "honest".into(), ..HostFacts::default() },
    }
}

/// So many series of one group.
pub fn group(group: u32, first: u32, series: usize) -> RegisterGroup {
    let spec = |at: usize| SeriesSpec {
        metric: Metric {
            name: format!("honest_{group}_{at}").into(),
            kind: MetricKind::Gauge,
            form: CellForm::COUNT,
        },
        labels: Labels::default(),
    };
    RegisterGroup {
        group,
        collector: format!("honest{group}"),
        interval_ms: 1000,
        class: SeriesClass::System,
        first_index: first,
        series: (0..series).map(spec).collect(),
    }
}

impl Session {
    /// Connects, says Hello and registers.
    pub async fn open(address: &str, tls: Arc<ClientConfig>, nonce: u64) -> Result<Session, Status> {
        let channel = channel(address, tls, Options::AGENT)
            .await
            .map_err(|error| Status::unavailable(quorate_common::error::chain(&error)))?;
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        let mut writer = SessionWriter::default();
        outbox.try_send(writer.write(AgentMessage::Hello(hello(nonce)))).unwrap();
        let inbound =
            IngestServiceClient::new(channel).session(ReceiverStream::new(messages)).await?.into_inner();
        let mut encoder = Encoder::new();
        let groups = vec![group(0, 0, SERIES)];
        let forms: Vec<_> = groups[0].series.iter().map(|spec| spec.metric.form.into()).collect();
        encoder.register(0, Window::Short, &forms).unwrap();
        let register = Register { groups, retire: Vec::new() };
        outbox.send(writer.write(AgentMessage::Register(register))).await.unwrap();
        Ok(Session { writer, outbox, inbound, encoder, seq: 0, collected: 0 })
    }

    /// The next frame.
    pub fn frame(&mut self) -> v1::SessionRequest {
        self.seq += 1;
        let row: Vec<i64> = (0..SERIES as i64).map(|at| at * 1000 + self.seq.cast_signed()).collect();
        let encoded = self.encoder.encode(self.seq, Window::Short, &[0], &row, self.seq == 1).unwrap();
        self.collected += encoded.samples;
        let now = SystemClock.now();
        let frame = Frame {
            seq: self.seq,
            predecessor: encoded.predecessor,
            window: Some(Window::Short),
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
            next_due_ms: 1000,
            collected_total: self.collected,
            echo: 0,
            groups: encoded.groups,
            cells: encoded.cells,
        };
        self.writer.write(AgentMessage::Frame(frame))
    }

    /// Sends a frame a second until it is sent away, and says why.
    pub async fn run(mut self) -> Status {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = second.tick() => {
                    let frame = self.frame();
                    if self.outbox.send(frame).await.is_err() {
                        return self.end().await;
                    }
                }
                reply = self.inbound.message() => match reply {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::ok("the stream ended"),
                    Err(status) => return status,
                }
            }
        }
    }

    /// Waits for the end of its stream, and says why it ended.
    pub async fn end(&mut self) -> Status {
        loop {
            match self.inbound.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("the stream ended"),
                Err(status) => return status,
            }
        }
    }
}
