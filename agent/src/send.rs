//! Send: carries a session over mTLS gRPC, and connects again when it ends.
//!
//! One task owns the spool. It takes rounds whether or not there is a connection; connecting is never part of
//! starting up. The first attempt after a loss comes within 250 ms, later ones after full jitter.

mod standing;
mod stream;

pub use standing::Standing;

use crate::answer::Answerer;
use crate::encode::{Cutter, Round};
use crate::session::{Effect, Introduction, Session, SessionError};
use crate::spool::Spool;
use quorate_common::backoff::Backoff;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::session::{ByeReason, Request, RequestKind};
use quorate_common::notify::Pulse;
use quorate_common::rng::Rng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::ConnectError;
use quorate_proto::convert::ConvertError;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use stream::{Stream, open};
use tokio::sync::{mpsc, watch};
use tonic::{Code, Status};

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
                    | Code::OutOfRange
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
    /// Gives ticks their numbers.
    pub cutter: Cutter,
    /// When to connect again.
    pub backoff: Backoff,
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
        let mut turn = 0;
        loop {
            let address = self.aggregators[turn % self.aggregators.len()].clone();
            let opening = open(address.clone(), self.tls.clone());
            let Some(opened) = self.meanwhile(opening, &shutdown).await else { return };
            let ended = match opened {
                Ok(stream) => self.session(stream, &shutdown).await,
                Err(ended) => Err(ended),
            };
            self.answerer.session_ended();
            let Err(ended) = ended else { return };
            turn += 1;
            let wait = self.rest(&address, &ended);
            if self.meanwhile(tokio::time::sleep(wait), &shutdown).await.is_none() {
                return;
            }
        }
    }

    /// Waits for something while rounds go on into the spool; `None` when asked to stop first.
    async fn meanwhile<T>(&mut self, what: impl Future<Output = T>, shutdown: &Shutdown) -> Option<T> {
        tokio::pin!(what);
        loop {
            self.turned();
            tokio::select! {
                done = &mut what => return Some(done),
                Some(round) = self.rounds.recv() => self.take(round),
                () = shutdown.asked() => return None,
            }
        }
    }

    /// Says why a session ended, and how long to wait before the next.
    fn rest(&mut self, address: &str, ended: &Ended) -> Duration {
        self.standing.send_modify(|standing| standing.peer = None);
        let now = self.clock.now().boot;
        let again = if std::mem::take(&mut self.was_live) && !ended.is_refusal() {
            self.backoff.lost(now, &mut *self.rng)
        } else {
            self.backoff.refused(now, &mut *self.rng)
        };
        let wait = again.since(now);
        let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(class = "failure", address, reason = chain(ended), retry_ms, "session ended");
        wait
    }

    /// Says that the task goes on, and how.
    fn turned(&self) {
        self.pulse.beat();
        let (series, waiting) = (self.cutter.series(), self.spool.waiting());
        self.standing.send_modify(|standing| (standing.series, standing.waiting) = (series, waiting));
    }

    fn take(&mut self, round: Round) {
        for tick in self.cutter.cut(round) {
            self.spool.push(tick);
        }
    }

    /// One session. `Ok` when it ended because the agent was asked to stop.
    async fn session(&mut self, mut stream: Stream, shutdown: &Shutdown) -> Result<(), Ended> {
        let (mut session, hello) = Session::begin(&self.me, &self.spool, self.clock.now());
        stream.send(hello).await?;
        let mut check = tokio::time::interval(Duration::from_secs(1));
        loop {
            self.turned();
            let effect = tokio::select! {
                reply = stream.next() => session.receive(reply?, &mut self.spool, self.clock.now())?,
                Some(round) = self.rounds.recv() => {
                    self.take(round);
                    Effect::None
                }
                _ = check.tick() => {
                    session.check(self.clock.now())?;
                    Effect::None
                }
                () = shutdown.asked() => return stream.close(session.bye(ByeReason::Stop)).await,
            };
            match effect {
                Effect::None => {}
                Effect::Live => self.went_live(&stream.address),
                Effect::Answer(Request { kind: RequestKind::Drain, .. }) => {
                    stream.close(session.bye(ByeReason::Drain)).await?;
                    return Err(Ended::Drained);
                }
                Effect::Answer(request) => self.answerer.answer(request, stream.address.clone()),
            }
            for message in session.due(&self.spool, self.clock.now())? {
                stream.send(message).await?;
            }
        }
    }

    fn went_live(&mut self, address: &str) {
        self.backoff.accepted();
        self.was_live = true;
        self.standing.send_modify(|standing| standing.peer = Some(address.to_owned()));
        tracing::info!(class = "success", address, "session is live");
    }
}
