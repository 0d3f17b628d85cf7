//! The loader: virtual agents, each with its own certificate, its own mTLS connection and its own session.
//!
//! ```text
//!   prepare ──→ open: Hello, Welcome, Register, key frame, Ack ──→ run: frames and acks, Bye, end of stream
//!   (encodes)                                                      (the measured window)
//! ```
//!
//! Everything is encoded before the window, so that the loader does not limit the server. The end of the stream
//! is the server's word that it took every frame before it.

use crate::mix::{Mix, Source};
use anyhow::{Context, bail, ensure};
use quorate_common::cell::Encoder;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::node::HostFacts;
use quorate_common::model::series::{SeriesClass, Window};
use quorate_common::model::session::{
    AgentMessage, ByeReason, Epoch, Frame, Hello, PROTOCOL, Register, RegisterGroup,
};
use quorate_proto::connect::{Options, channel};
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use quorate_proto::v1::session_request::Message as Up;
use quorate_proto::v1::session_response::Message as Down;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Frames that wait for the connection to take them. One: each frame is written by itself, as in a live session,
/// and not as a burst of ticks that no node would have at once.
const OUTBOX_MAX: usize = 1;
/// Series of one collector.
const GROUP_SERIES: usize = 50;
const SECOND_NS: u64 = 1_000_000_000;
/// When the imagined host collected its first tick, after its start.
const FIRST_BOOT_NS: u64 = 1_000 * SECOND_NS;

/// How much one virtual agent sends.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Agents.
    pub nodes: usize,
    /// Series of each.
    pub series: usize,
    /// Measured ticks of each; one more, the key frame, comes before.
    pub ticks: usize,
    /// What moves.
    pub mix: Mix,
    /// Distance between two ticks of one agent; `None` for as fast as they are taken.
    pub pace: Option<Duration>,
}

/// All that one virtual agent will say, encoded.
pub struct Script {
    hello: Hello,
    register: Register,
    frames: Vec<v1::Frame>,
    /// What the server must hold in the end, by index.
    pub newest: Vec<f64>,
    /// Samples in all frames.
    pub samples: u64,
    /// Bytes of bitmaps and cells in all frames.
    pub bytes: u64,
}

/// Encodes everything that agent number `node` will send.
pub fn prepare(load: Load, node: usize) -> anyhow::Result<Script> {
    let mut source = Source::new(load.mix, load.series, node as u64 + 2);
    let mut encoder = Encoder::new();
    let register = register(&source, &mut encoder)?;
    let groups: Vec<u32> = (0..).take(register.groups.len()).collect();
    let (mut frames, mut samples, mut bytes) = (Vec::with_capacity(load.ticks + 1), 0, 0);
    for seq in 1..=load.ticks as u64 + 1 {
        let encoded = encoder.encode(seq, Window::Short, &groups, source.row(), seq == 1)?;
        samples += encoded.samples;
        bytes += (encoded.groups.len() + encoded.cells.len()) as u64;
        let frame = Frame {
            seq,
            predecessor: encoded.predecessor,
            window: Some(Window::Short),
            boot_ns: FIRST_BOOT_NS + seq * SECOND_NS,
            wall_ns: 0,
            next_due_ms: 1000,
            collected_total: samples,
            echo: 0,
            groups: encoded.groups,
            cells: encoded.cells,
        };
        frames.push(frame.into());
        if seq <= load.ticks as u64 {
            source.tick();
        }
    }
    let forms = source.specs()?.into_iter().map(|spec| spec.metric.form);
    let newest = forms.zip(source.row()).map(|(form, cell)| form.value(*cell)).collect();
    let hello = Hello {
        protocol: PROTOCOL,
        epoch: Epoch { order: 1, nonce: node as u64 },
        boot_id: [7; 16],
        // As if the last tick were collected now.
        boot_ns: FIRST_BOOT_NS + (load.ticks as u64 + 1) * SECOND_NS,
        wall_ns: 0,
        interval_ms: 1000,
        held: Vec::new(),
        facts: HostFacts { hostname: format!("bench-{node}"), ..HostFacts::default() },
    };
    Ok(Script { hello, register, frames, newest, samples, bytes })
}

fn register(source: &Source, encoder: &mut Encoder) -> anyhow::Result<Register> {
    let mut groups = Vec::new();
    for (group, series) in (0..).zip(source.specs()?.chunks(GROUP_SERIES)) {
        let forms: Vec<_> = series.iter().map(|spec| spec.metric.form.into()).collect();
        groups.push(RegisterGroup {
            group,
            collector: format!("bench{group}"),
            interval_ms: 1000,
            class: SeriesClass::System,
            first_index: encoder.register(group, Window::Short, &forms)?,
            series: series.to_vec(),
        });
    }
    Ok(Register { groups, retire: Vec::new() })
}

/// A session that is live: its key frame was acknowledged.
pub struct Session {
    outbox: mpsc::Sender<v1::SessionRequest>,
    inbound: Streaming<v1::SessionResponse>,
    frames: std::vec::IntoIter<v1::Frame>,
    echo: u64,
    received: u64,
}

impl Session {
    /// Connects, registers, and sends the key frame.
    pub async fn open(address: &str, tls: Arc<ClientConfig>, script: Script) -> anyhow::Result<Session> {
        let Script { mut hello, register, mut frames, .. } = script;
        let wall = SystemClock.now().wall.0;
        hello.wall_ns = wall;
        let end = hello.boot_ns;
        frames.iter_mut().for_each(|frame| frame.wall_ns = wall - (end - frame.boot_ns).cast_signed());
        let channel = channel(address, tls, Options::AGENT).await?;
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        outbox.send(AgentMessage::Hello(hello).into()).await?;
        let inbound =
            IngestServiceClient::new(channel).session(ReceiverStream::new(messages)).await?.into_inner();
        outbox.send(AgentMessage::Register(register).into()).await?;
        let frames = frames.into_iter();
        let mut session = Session { outbox, inbound, frames, echo: 0, received: 0 };
        let key = session.frames.next().context("no frame to send")?;
        session.outbox.send(message(Up::Frame(key))).await?;
        while session.received == 0 {
            ensure!(session.hear().await?, "the aggregator closed the stream");
        }
        Ok(session)
    }

    /// Sends all frames and a farewell, and returns when the aggregator has taken them all.
    pub async fn run(mut self, pace: Option<Duration>, phase: Duration) -> anyhow::Result<()> {
        let mut due = pace.map(|period| {
            let start = tokio::time::sleep(phase);
            tokio::time::interval_at(start.deadline(), period)
        });
        while self.frames.len() > 0 {
            let ready = async {
                if let Some(due) = &mut due {
                    due.tick().await;
                }
                self.outbox.reserve().await
            };
            tokio::select! {
                permit = ready => {
                    let Some(mut frame) = self.frames.next() else { break };
                    frame.echo = self.echo;
                    permit?.send(message(Up::Frame(frame)));
                }
                reply = self.inbound.message() => take(reply?, &mut self.echo, &mut self.received)?,
            }
        }
        self.outbox.send(AgentMessage::Bye(ByeReason::Stop).into()).await?;
        while self.hear().await? {}
        Ok(())
    }

    /// Takes one reply; `false` at the end of the stream.
    async fn hear(&mut self) -> anyhow::Result<bool> {
        let reply = self.inbound.message().await?;
        let more = reply.is_some();
        if more {
            take(reply, &mut self.echo, &mut self.received)?;
        }
        Ok(more)
    }
}

fn take(reply: Option<v1::SessionResponse>, echo: &mut u64, received: &mut u64) -> anyhow::Result<()> {
    match reply.context("the aggregator closed the stream")?.message {
        Some(Down::Ack(ack)) => (*echo, *received) = (ack.echo, ack.received),
        Some(Down::Welcome(_)) => {}
        other => bail!("the aggregator sent {other:?}"),
    }
    Ok(())
}

fn message(message: Up) -> v1::SessionRequest {
    v1::SessionRequest { message: Some(message) }
}
