//! What a live session costs on the wire, and how much of it are cells.
//!
//! ```text
//!   agent ──mTLS──→ meter ──→ relay ──mTLS──→ aggregator
//!                  (bytes)    (reads along, changes nothing)
//! ```
//!
//! The relay ends the agent's TLS with the aggregator's own certificate and accept loop, decodes each frame as an
//! aggregator does, and hands every message on as it is, in both directions: the acknowledgements are the real
//! aggregator's. In the end the aggregator must have counted as many samples as the relay.

use crate::agent::{NODE, Plan};
use crate::crowd::Crowd;
use crate::meter::{Bytes, Meter};
use crate::record::Told;
use crate::server::Server;
use anyhow::ensure;
use prost::Message;
use quorate_aggregator::serve::listen::{Limits, Listener, serve};
use quorate_common::cell::{Decoder, FrameHead};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::series::Window;
use quorate_common::model::session::{AgentMessage, Frame, Register};
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::{Options, channel};
use quorate_proto::convert::{RegisterLimits, SessionReader};
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use quorate_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};
use std::fmt;
use std::iter::Sum;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// Messages between the two connections.
const RELAYED_MAX: usize = 64;
const SERIES_MAX: usize = 100_000;
const GROUPS_MAX: u32 = 10_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What was read along so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sessions that began.
    pub sessions: u64,
    ticks: u64,
    /// Samples in all frames.
    pub samples: u64,
    /// Cells that differ from the frame before.
    changed: u64,
    /// Bytes that say so.
    cell_bytes: u64,
    registered: u64,
    /// Bytes of registrations and retirements, before gRPC, HTTP/2 and TLS.
    register_bytes: u64,
    /// Why the rest was not read.
    pub broken: Option<String>,
}

/// What a run showed, of its window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Bytes on the wire.
    pub wire: Bytes,
    /// Bytes of encoded cells.
    pub cell_bytes: u64,
    /// Rounds of the agent.
    pub ticks: u64,
    /// Samples.
    pub samples: u64,
    /// Samples that are another value than the one before.
    pub changed: u64,
    /// Series that were registered within the window.
    pub registered: u64,
    /// Bytes that say so, and which ended.
    pub register_bytes: u64,
}

impl Outcome {
    /// What came between two looks, and the bytes of the wire in that time.
    pub fn between(before: &Tally, after: &Tally, wire: Bytes) -> Outcome {
        Outcome {
            wire,
            cell_bytes: after.cell_bytes - before.cell_bytes,
            ticks: after.ticks - before.ticks,
            samples: after.samples - before.samples,
            changed: after.changed - before.changed,
            registered: after.registered - before.registered,
            register_bytes: after.register_bytes - before.register_bytes,
        }
    }

    /// What one changed value costs.
    pub fn bytes_per_changed_cell(&self) -> f64 {
        self.cell_bytes as f64 / self.changed as f64
    }

    /// What a tick costs beside its cells: heads of frames, gRPC, HTTP/2 and TLS, acknowledgements, pings,
    /// and the registrations of what began meanwhile.
    pub fn overhead_bytes_per_tick(&self) -> f64 {
        (self.wire.all() - self.cell_bytes) as f64 / self.ticks as f64
    }

    /// The same without what is registered: what a host costs on which nothing begins or ends.
    pub fn steady_overhead_bytes_per_tick(&self) -> f64 {
        (self.wire.all() - self.cell_bytes - self.register_bytes) as f64 / self.ticks as f64
    }

    /// All bytes for all samples.
    pub fn bytes_per_sample(&self) -> f64 {
        self.wire.all() as f64 / self.samples as f64
    }

    /// Share of samples that are the same value as before.
    pub fn unchanged_percent(&self) -> f64 {
        (self.samples - self.changed) as f64 * 100.0 / self.samples as f64
    }
}

impl Sum for Outcome {
    fn sum<I: Iterator<Item = Outcome>>(all: I) -> Outcome {
        all.fold(Outcome::default(), |sum, one| Outcome {
            wire: Bytes { up: sum.wire.up + one.wire.up, down: sum.wire.down + one.wire.down },
            cell_bytes: sum.cell_bytes + one.cell_bytes,
            ticks: sum.ticks + one.ticks,
            samples: sum.samples + one.samples,
            changed: sum.changed + one.changed,
            registered: sum.registered + one.registered,
            register_bytes: sum.register_bytes + one.register_bytes,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { wire: Bytes { up, down }, cell_bytes, ticks, samples, changed, .. } = self;
        write!(f, "{up} B up, {down} B down in {ticks} ticks, {cell_bytes} B of them cells and ")?;
        write!(f, "{} B registrations of {} series; ", self.register_bytes, self.registered)?;
        write!(f, "{samples} samples, {changed} changed ({:.1} % did not); ", self.unchanged_percent())?;
        write!(f, "{:.2} B a changed cell, ", self.bytes_per_changed_cell())?;
        write!(f, "{:.1} B overhead a tick, ", self.overhead_bytes_per_tick())?;
        write!(f, "{:.1} B of it without registrations, ", self.steady_overhead_bytes_per_tick())?;
        write!(f, "{:.3} B a sample; all verified", self.bytes_per_sample())
    }
}

/// Runs the plan but for its burners.
pub async fn measure(plan: &Plan) -> anyhow::Result<Outcome> {
    let server = Server::start(&plan.aggregator, None).await?;
    let tls = server.enrol(NODE).await?;
    let target = channel(&server.grpc, tls, Options::AGENT).await?;
    let shutdown = Shutdown::new();
    let (address, tally) = relay(&server, target, &shutdown, None).await?;
    let meter = Meter::start(address).await?;
    let mut crowd = Crowd::start(plan.idle)?;
    let agent = server.start_agent(NODE, &plan.agent, &meter.address)?;
    server.until_heard(NODE).await?;
    tokio::time::sleep(plan.settle).await;

    between_ticks().await;
    let (before, bytes) = (tally.borrow().clone(), meter.bytes());
    tokio::time::sleep(plan.window).await;
    between_ticks().await;
    let (after, wire) = (tally.borrow().clone(), meter.bytes().since(bytes));
    crowd.check()?;
    agent.release().await;
    let last = tally.borrow().clone();
    ensure!((last.sessions, &last.broken) == (1, &None), "the session broke: {last:?}");
    let delivery = server.delivery(NODE).await?;
    ensure!(last.samples == delivery.collected, "read {last:?}, the aggregator counts {delivery:?}");
    ensure!(meter.connections() == 1, "{} connections", meter.connections());
    shutdown.ask();
    server.stop().await?;
    Ok(Outcome::between(&before, &after, wire))
}

/// Agents tick at whole seconds of the boot clock: half a second later everything of a tick has arrived.
async fn between_ticks() {
    let into_ns = SystemClock.now().boot.0 % SECOND_NS;
    let wait_ns = (SECOND_NS * 3 / 2 - into_ns) % SECOND_NS;
    tokio::time::sleep(Duration::from_nanos(wait_ns)).await;
}

/// Serves in the aggregator's name until asked to stop. What is read along is told, if somebody is to hear it.
pub async fn relay(
    server: &Server,
    target: Channel,
    shutdown: &Shutdown,
    told: Option<mpsc::Sender<Told>>,
) -> anyhow::Result<(String, watch::Receiver<Tally>)> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let address = tcp.local_addr()?.to_string();
    let (_, tls) = watch::channel(Arc::new(server.tls()?));
    let incoming = Listener::new("relay", tcp, tls, Limits::default()).start(shutdown);
    let (publish, tally) = watch::channel(Tally::default());
    let relay = IngestServiceServer::new(Relay { target, publish, told });
    shutdown.spawn("relay", serve(incoming, move |_| relay.clone(), shutdown.clone()));
    Ok((address, tally))
}

struct Relay {
    target: Channel,
    publish: watch::Sender<Tally>,
    told: Option<mpsc::Sender<Told>>,
}

#[tonic::async_trait]
impl IngestService for Relay {
    type SessionStream = Streaming<v1::SessionResponse>;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut inbound = request.into_inner();
        let (outbox, messages) = mpsc::channel(RELAYED_MAX);
        let publish = self.publish.clone();
        publish.send_modify(|tally| tally.sessions += 1);
        let mut reader = Reader { told: self.told.clone(), ..Reader::default() };
        // Ends with either stream.
        tokio::spawn(async move {
            while let Ok(Some(message)) = inbound.message().await {
                publish.send_modify(|tally| reader.read(message.clone(), tally));
                if outbox.send(message).await.is_err() {
                    break;
                }
            }
        });
        IngestServiceClient::new(self.target.clone()).session(ReceiverStream::new(messages)).await
    }

    type BackfillStream = Streaming<v1::BackfillResponse>;

    async fn backfill(
        &self,
        _: Request<Streaming<v1::BackfillRequest>>,
    ) -> Result<Response<Self::BackfillStream>, Status> {
        Err(Status::unimplemented("nothing is old here"))
    }

    async fn answer(
        &self,
        _: Request<Streaming<v1::AnswerRequest>>,
    ) -> Result<Response<v1::AnswerResponse>, Status> {
        Err(Status::unimplemented("nobody asks here"))
    }
}

/// Reads one session along.
struct Reader {
    messages: SessionReader,
    decoder: Decoder,
    row: Vec<i64>,
    /// Time of the newest tick: the frames of one tick have one time.
    tick: u64,
    told: Option<mpsc::Sender<Told>>,
}

impl Default for Reader {
    fn default() -> Reader {
        let decoder = Decoder::new(SERIES_MAX as u32, GROUPS_MAX);
        let messages = SessionReader::new(RegisterLimits { series_max: SERIES_MAX });
        Reader { messages, decoder, row: Vec::new(), tick: 0, told: None }
    }
}

impl Reader {
    fn read(&mut self, message: v1::SessionRequest, tally: &mut Tally) {
        if let Err(error) = self.try_read(message, tally) {
            tally.broken.get_or_insert_with(|| format!("{error:#}"));
        }
    }

    fn try_read(&mut self, message: v1::SessionRequest, tally: &mut Tally) -> anyhow::Result<()> {
        let length = message.encoded_len() as u64;
        match self.messages.read(message)? {
            AgentMessage::Register(register) => {
                tally.register_bytes += length;
                self.register(register, tally)
            }
            AgentMessage::Frame(frame) => self.frame(&frame, tally),
            AgentMessage::Hello(_) | AgentMessage::Bye(_) => Ok(()),
        }
    }

    fn register(&mut self, register: Register, tally: &mut Tally) -> anyhow::Result<()> {
        self.tell(|| Told::Register(register.clone()))?;
        for index in register.retire {
            self.decoder.retire(index)?;
        }
        for group in register.groups {
            let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
            let window = Window::of_interval_ms(group.interval_ms);
            self.decoder.register(group.group, window, group.first_index, &forms)?;
            tally.registered += forms.len() as u64;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, tally: &mut Tally) -> anyhow::Result<()> {
        if let Some(window) = frame.window {
            self.cells(frame, window, tally)?;
        } else {
            self.tell(|| Told::frame(frame, &[], &[]))?;
        }
        tally.ticks += u64::from(frame.boot_ns != self.tick);
        self.tick = frame.boot_ns;
        Ok(())
    }

    fn cells(&mut self, frame: &Frame, window: Window, tally: &mut Tally) -> anyhow::Result<()> {
        self.row.clear();
        self.row.extend_from_slice(self.decoder.row());
        let head = FrameHead { seq: frame.seq, predecessor: frame.predecessor, window };
        let decoded = self.decoder.decode(head, &frame.groups, &frame.cells)?;
        tally.samples += decoded.samples;
        if let Some(told) = &self.told {
            told.try_send(Told::frame(frame, decoded.groups, decoded.changed))?;
        }
        let cells = self.row.iter().zip(self.decoder.row());
        tally.changed += cells.filter(|(old, new)| old != new).count() as u64;
        tally.cell_bytes += frame.cells.len() as u64;
        Ok(())
    }

    fn tell(&self, what: impl FnOnce() -> Told) -> anyhow::Result<()> {
        match &self.told {
            Some(told) => Ok(told.try_send(what())?),
            None => Ok(()),
        }
    }
}
