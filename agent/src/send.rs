//! Send: carries a session over mTLS gRPC, and connects again when it ends.
//!
//! One task owns the spool. It takes rounds whether or not there is a connection; connecting is never part of
//! starting up. The first attempt after a loss comes within 250 ms, later ones after full jitter.

mod standing;
mod stream;

pub use standing::Standing;

use crate::answer::Answerer;
use crate::encode::{Cutter, Round};
use crate::identity::Life;
use crate::session::{Effect, Holding, Introduction, Session, SessionError};
use crate::skew::Doubt;
use crate::spool::{Keeper, Spool};
use quorate_common::backoff::Backoff;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::backfill::Known;
use quorate_common::model::session::{
    Ack, AgentMessage, AggregatorMessage, ByeReason, Request, RequestKind, Welcome,
};
use quorate_common::notify::Pulse;
use quorate_common::rng::Rng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::ConnectError;
use quorate_proto::convert::ConvertError;
use quorate_proto::renew::is_expired;
use quorate_proto::status::{is_refusal, reason};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use stream::{Stream, open};
use tokio::sync::{Notify, mpsc, watch};
use tonic::Status;

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("no aggregator could be reached")]
    Connect(#[source] ConnectError),
    #[error("aggregator ended the session: {}", reason(.0))]
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

/// How carrying a session ended, if nothing was wrong.
enum Carried {
    /// It is to end with this farewell.
    Farewell(ByeReason),
    /// Another certificate is to be shown.
    Renewed,
}

/// What follows a session.
enum Next {
    /// Nothing.
    Stop,
    /// Another one at once, over a connection of its own; this stream stays until it is live, so that nobody misses
    /// a beat.
    TakeOver(Box<Stream>),
    /// Another one, after a rest.
    Again(Ended),
}

impl Ended {
    /// Whether the aggregator holds our certificate for expired.
    fn says_expired(&self) -> bool {
        match self {
            Ended::Connect(error) => is_expired(error),
            Ended::Status(status) => is_expired(status),
            _ => false,
        }
    }

    /// Whether the aggregator ended the session for something this agent did.
    fn is_refusal(&self) -> bool {
        matches!(self, Ended::Status(status) if is_refusal(status))
    }
}

/// Everything that sending needs.
pub struct Sender {
    /// Who this agent is.
    pub me: Introduction,
    /// Where aggregators are, `host:port`, tried in turn.
    pub aggregators: watch::Receiver<Arc<[String]>>,
    /// The certificate to show and the roots to trust. When it changes, the session moves to a connection that
    /// shows the new one.
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// How long that certificate is good.
    pub life: watch::Receiver<Life>,
    /// Who is told that the aggregator holds our certificate for expired.
    pub expired: Arc<Notify>,
    /// Rounds as they are sampled.
    pub rounds: mpsc::Receiver<Round>,
    /// What answers requests.
    pub answerer: Answerer,
    /// Ticks that wait in memory.
    pub spool: Spool,
    /// The journal that has them on disk, if there is one.
    pub keeper: Option<Keeper>,
    /// Number of the newest tick that the journal was given.
    pub kept: u64,
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
        if self.meanwhile(looked(self.keeper.clone()), &shutdown).await.is_none() {
            return;
        }
        let (mut turn, mut before) = (0, None);
        loop {
            let address = self.address(turn);
            let opening = open(address.clone(), self.tls.borrow_and_update().clone());
            let Some(opened) = self.meanwhile(opening, &shutdown).await else { return };
            let next = match opened {
                Ok(stream) => self.session(stream, before.take(), &shutdown).await,
                Err(ended) => Next::Again(ended),
            };
            self.answerer.session_ended();
            let ended = match next {
                Next::Stop => return,
                Next::TakeOver(stream) => {
                    before = Some(*stream);
                    continue;
                }
                Next::Again(ended) => ended,
            };
            before = None;
            turn += 1;
            let wait = self.rest(&address, &ended);
            if self.meanwhile(tokio::time::sleep(wait), &shutdown).await.is_none() {
                return;
            }
        }
    }

    /// The aggregator whose turn it is.
    fn address(&self, turn: usize) -> String {
        let all = self.aggregators.borrow();
        all.get(turn % all.len().max(1)).cloned().unwrap_or_default()
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
        if ended.says_expired() {
            self.expired.notify_one();
        }
        if let Some(doubt) = Doubt::of(ended, *self.life.borrow(), self.clock.now().wall) {
            tracing::warn!(class = "action", address, %doubt, "clock skew?");
        }
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
        self.keep();
    }

    /// Hands the journal what it was not given yet. When it has no room the rest follows later; if that has gone
    /// meanwhile, it begins anew behind it.
    fn keep(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let gone = self.spool.bounds().is_some_and(|(first, _)| first > self.kept + 1);
        if gone && !keeper.rebase(self.spool.base().clone()) {
            return;
        }
        let is_live = self.standing.borrow().peer.is_some();
        for tick in self.spool.after(self.kept) {
            if !keeper.push(tick.clone(), is_live) {
                return;
            }
            self.kept = tick.seq;
        }
    }

    /// What a session can say that the node has.
    fn holding(&self) -> Holding {
        let shown = self.keeper.as_ref().map(|keeper| keeper.shown().borrow().clone());
        match shown.filter(|shown| shown.is_there) {
            Some(shown) => Holding::backed(self.me.epoch, &self.spool, shown.held, self.clock.now().boot),
            None => Holding::of(self.me.epoch, &self.spool),
        }
    }

    /// Tells the journal what it need not keep any longer.
    fn settle(&self, message: &AggregatorMessage) {
        let (durable, above) = match message {
            AggregatorMessage::Welcome(Welcome { durable, above, .. })
            | AggregatorMessage::Ack(Ack { durable, above, .. }) => (*durable, above.clone()),
            AggregatorMessage::Request(_) => return,
        };
        if let Some(keeper) = &self.keeper {
            keeper.known(Known { epoch: self.me.epoch, durable, above, refused: None });
        }
    }

    /// One session. `before` is the stream that it takes over from.
    async fn session(&mut self, mut stream: Stream, before: Option<Stream>, shutdown: &Shutdown) -> Next {
        match self.carry(&mut stream, before, shutdown).await {
            Ok(Carried::Renewed) => {
                tracing::info!(class = "action", "the session moves to the new certificate");
                Next::TakeOver(Box::new(stream))
            }
            Ok(Carried::Farewell(reason)) => match stream.close(AgentMessage::Bye(reason)).await {
                Ok(()) if reason == ByeReason::Stop => Next::Stop,
                Ok(()) => Next::Again(Ended::Drained),
                Err(ended) => Next::Again(ended),
            },
            Err(ended) => Next::Again(ended),
        }
    }

    async fn carry(
        &mut self,
        stream: &mut Stream,
        mut before: Option<Stream>,
        shutdown: &Shutdown,
    ) -> Result<Carried, Ended> {
        let (mut session, hello) = Session::begin(&self.me, self.holding(), self.clock.now());
        stream.send(hello).await?;
        let mut check = tokio::time::interval(Duration::from_secs(1));
        check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.turned();
            let effect = tokio::select! {
                reply = stream.next() => {
                    let reply = reply?;
                    self.settle(&reply);
                    session.receive(reply, &mut self.spool, self.clock.now())?
                }
                Some(round) = self.rounds.recv() => {
                    self.take(round);
                    Effect::None
                }
                _ = check.tick() => {
                    session.check(self.clock.now())?;
                    Effect::None
                }
                Ok(()) = self.tls.changed() => return Ok(Carried::Renewed),
                () = shutdown.asked() => return Ok(Carried::Farewell(ByeReason::Stop)),
            };
            match effect {
                Effect::None => {}
                Effect::Live => {
                    drop(before.take());
                    self.went_live(&stream.address);
                }
                Effect::Answer(Request { kind: RequestKind::Drain, .. }) => {
                    return Ok(Carried::Farewell(ByeReason::Drain));
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

/// Waits until somebody has looked what the journal has of earlier processes: the first Hello says it.
async fn looked(keeper: Option<Keeper>) {
    let Some(keeper) = keeper else { return };
    keeper.shown().wait_for(|shown| shown.is_open).await.ok();
}
