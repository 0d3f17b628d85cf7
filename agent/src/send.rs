//! Send: carries a session over mTLS gRPC, and connects again when it ends.
//!
//! One task owns the spool. It takes rounds whether or not there is a connection; connecting is never part of
//! starting up. The first attempt after a loss comes within 250 ms, later ones after full jitter.

mod standing;

pub use standing::Standing;

use crate::answer::Answerer;
use crate::encode::{Cutter, Round};
use crate::session::{Effect, Introduction, Session, SessionError};
use crate::spool::Spool;
use quorate_common::backoff::Backoff;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::session::{AgentMessage, AggregatorMessage, ByeReason, Request, RequestKind};
use quorate_common::notify::Pulse;
use quorate_common::rng::Rng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::{ConnectError, Options, channel};
use quorate_proto::convert::ConvertError;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// Messages that may wait for the stream to take them; more wait in the spool.
const OUTBOX_MAX: usize = 64;
/// Largest message, as the aggregator's limit has it.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// How long a farewell has to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("no aggregator could be reached")]
    Connect(#[source] ConnectError),
    #[error("aggregator ended the session: {}", .0.message())]
    Status(Status),
    #[error("aggregator closed the stream")]
    Closed,
    #[error("aggregator sent something unreadable")]
    Unreadable(#[from] ConvertError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("asked to reconnect")]
    Drained,
}

impl Ended {
    /// Whether the aggregator ended the session for something this agent did: coming back at once would not help.
    fn is_refusal(&self) -> bool {
        match self {
            Ended::Status(status) => matches!(
                status.code(),
                Code::InvalidArgument
                    | Code::FailedPrecondition
                    | Code::PermissionDenied
                    | Code::Unauthenticated
                    | Code::ResourceExhausted
                    | Code::Aborted
            ),
            _ => false,
        }
    }
}

/// Everything that sending needs.
pub struct Sender {
    /// Who this agent is.
    pub me: Introduction,
    /// Where aggregators are, `host:port`, tried in turn.
    pub aggregators: Vec<String>,
    /// The certificate to show and the roots to trust.
    pub tls: Arc<ClientConfig>,
    /// Rounds as they are sampled.
    pub rounds: mpsc::Receiver<Round>,
    /// What answers requests.
    pub answerer: Answerer,
    /// Ticks that wait.
    pub spool: Spool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub rng: Box<dyn Rng + Sync>,
    /// Whether the session that ended last had become live.
    pub was_live: bool,
    /// Beats as long as the task goes on, connected or not.
    pub pulse: Pulse,
    /// How sending does.
    pub standing: watch::Sender<Standing>,
}

impl Sender {
    /// Sends until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut cutter = Cutter::default();
        let mut backoff = Backoff::default();
        let mut turn = 0;
        while !shutdown.is_asked() {
            let address = self.aggregators[turn % self.aggregators.len()].clone();
            let ended = match self.connect(&address, &mut cutter, &shutdown).await {
                Some(Ok(stream)) => self.session(stream, &mut cutter, &mut backoff, &shutdown).await,
                Some(Err(ended)) => Err(ended),
                None => return,
            };
            let Err(ended) = ended else { return };
            self.standing.send_modify(|standing| standing.peer = None);
            turn += 1;
            let now = self.clock.now().boot;
            let again = if std::mem::take(&mut self.was_live) && !ended.is_refusal() {
                backoff.lost(now, &mut *self.rng)
            } else {
                backoff.refused(now, &mut *self.rng)
            };
            let wait = again.since(now);
            let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(class = "failure", address, reason = chain(&ended), retry_ms, "session ended");
            if self.spool_for(wait, &mut cutter, &shutdown).await.is_none() {
                return;
            }
        }
    }

    /// Connects while rounds go on into the spool; `None` when asked to stop.
    async fn connect(
        &mut self,
        address: &str,
        cutter: &mut Cutter,
        shutdown: &Shutdown,
    ) -> Option<Result<Stream, Ended>> {
        let connecting = open(address.to_owned(), self.tls.clone());
        tokio::pin!(connecting);
        loop {
            self.turned(cutter);
            tokio::select! {
                stream = &mut connecting => return Some(stream),
                Some(round) = self.rounds.recv() => self.take(round, cutter),
                () = shutdown.asked() => return None,
            }
        }
    }

    /// Spools for a while; `None` when asked to stop.
    async fn spool_for(&mut self, wait: Duration, cutter: &mut Cutter, shutdown: &Shutdown) -> Option<()> {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            self.turned(cutter);
            tokio::select! {
                () = &mut over => return Some(()),
                Some(round) = self.rounds.recv() => self.take(round, cutter),
                () = shutdown.asked() => return None,
            }
        }
    }

    /// Says that the task goes on, and how.
    fn turned(&self, cutter: &Cutter) {
        self.pulse.beat();
        let (series, waiting) = (cutter.series(), self.spool.waiting());
        self.standing.send_modify(|standing| (standing.series, standing.waiting) = (series, waiting));
    }

    fn take(&mut self, round: Round, cutter: &mut Cutter) {
        for tick in cutter.cut(round) {
            self.spool.push(tick);
        }
    }

    /// One session. `Ok` when it ended because the agent was asked to stop.
    async fn session(
        &mut self,
        mut stream: Stream,
        cutter: &mut Cutter,
        backoff: &mut Backoff,
        shutdown: &Shutdown,
    ) -> Result<(), Ended> {
        let (mut session, hello) = Session::begin(&self.me, &self.spool, self.clock.now());
        stream.send(hello).await?;
        let mut check = tokio::time::interval(Duration::from_secs(1));
        loop {
            self.turned(cutter);
            let effect = tokio::select! {
                reply = stream.inbound.message() => {
                    let message: AggregatorMessage = reply.map_err(Ended::Status)?.ok_or(Ended::Closed)?.try_into()?;
                    session.receive(message, &mut self.spool, self.clock.now())?
                }
                Some(round) = self.rounds.recv() => {
                    self.take(round, cutter);
                    Effect::None
                }
                _ = check.tick() => {
                    session.check(self.clock.now())?;
                    Effect::None
                }
                () = shutdown.asked() => return self.farewell(&session, stream, ByeReason::Stop).await,
            };
            match effect {
                Effect::None => {}
                Effect::Live => {
                    backoff.accepted();
                    self.was_live = true;
                    self.standing.send_modify(|standing| standing.peer = Some(stream.address.clone()));
                    tracing::info!(class = "success", "session is live");
                }
                Effect::Answer(Request { kind: RequestKind::Drain, .. }) => {
                    self.farewell(&session, stream, ByeReason::Drain).await?;
                    return Err(Ended::Drained);
                }
                Effect::Answer(request) => self.answerer.answer(request, stream.address.clone()),
            }
            for message in session.due(&self.spool, self.clock.now())? {
                stream.send(message).await?;
            }
        }
    }

    /// Says farewell and waits, not long, until the aggregator has closed its side.
    async fn farewell(&self, session: &Session, stream: Stream, reason: ByeReason) -> Result<(), Ended> {
        let Stream { outbox, mut inbound, .. } = stream;
        outbox.send(session.bye(reason).into()).await.map_err(|_| Ended::Closed)?;
        drop(outbox);
        let closed = async { while let Ok(Some(_)) = inbound.message().await {} };
        tokio::time::timeout(FAREWELL, closed).await.ok();
        Ok(())
    }
}

/// An open stream.
struct Stream {
    address: String,
    outbox: mpsc::Sender<v1::SessionRequest>,
    inbound: Streaming<v1::SessionResponse>,
}

impl Stream {
    async fn send(&mut self, message: AgentMessage) -> Result<(), Ended> {
        // The stream takes nothing more: either it is over, and the other half knows why, or it stalls.
        let sent = tokio::time::timeout(crate::session::ACK_DEADLINE, self.outbox.send(message.into())).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Err(_) => Err(Ended::Session(SessionError::Silent)),
            Ok(Err(_)) => Err(match self.inbound.message().await {
                Err(status) => Ended::Status(status),
                Ok(_) => Ended::Closed,
            }),
        }
    }
}

async fn open(address: String, tls: Arc<ClientConfig>) -> Result<Stream, Ended> {
    let channel = channel(&address, tls, Options::AGENT).await.map_err(Ended::Connect)?;
    let mut client = IngestServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
    let call = client.session(ReceiverStream::new(messages));
    let response = tokio::time::timeout(Options::AGENT.connect_timeout, call).await;
    let response = response.map_err(|_| Ended::Session(SessionError::Silent))?;
    Ok(Stream { address, outbox, inbound: response.map_err(Ended::Status)?.into_inner() })
}
