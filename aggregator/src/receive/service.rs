//! The ingest RPC: carries messages between the stream and the session's machine, and nothing else.

use super::backfill::Backfill;
use super::session::{NodeHandle, Session, Step};
use crate::agents::{Agents, Arrival, Attached, Ended};
use crate::identity::roster::Principal;
use crate::limit::{AgentLimits, Current, Reason, Refusals, millis};
use crate::peer::Peer;
use crate::store::live::Live;
use crate::store::{Append, Commits};
use prost::Message;
use quorate_common::clock::Clock;
use quorate_common::model::backfill::{self, Known};
use quorate_common::model::node::{NodeId, NodeName};
use quorate_common::model::session::AggregatorMessage;
use quorate_common::model::stream::{Observation, StreamEnd, StreamEvent};
use quorate_common::shutdown::Shutdown;
use quorate_proto::convert::{RegisterLimits, SessionReader};
use quorate_proto::status;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_server::IngestService;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

/// Replies that may wait for one agent to take them.
const REPLIES_MAX: usize = 16;

/// The parts that sessions are made of.
#[derive(Clone)]
pub struct Ingest {
    /// The name of this aggregator.
    pub name: Arc<str>,
    /// What one agent may do.
    pub limits: Current,
    /// Who is told whom we send away.
    pub refusals: Refusals,
    /// The newest values.
    pub live: Arc<Live>,
    /// History.
    pub store: Arc<dyn Append>,
    /// Current sessions.
    pub agents: Agents,
    /// To the judge.
    pub observations: mpsc::Sender<Observation>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
}

type Replies = mpsc::Sender<Result<v1::SessionResponse, Status>>;

#[tonic::async_trait]
impl IngestService for Ingest {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<v1::SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = agent(&request)?;
        let (replies, outbox) = mpsc::channel(REPLIES_MAX);
        let inbound = request.into_inner();
        let ingest = self.clone();
        self.shutdown.spawn("session", async move { ingest.run(caller, inbound, replies).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }

    type BackfillStream = Pin<Box<dyn Stream<Item = Result<v1::BackfillResponse, Status>> + Send>>;

    async fn backfill(
        &self,
        request: Request<Streaming<v1::BackfillRequest>>,
    ) -> Result<Response<Self::BackfillStream>, Status> {
        let caller = agent(&request)?;
        let delivery = self.agents.delivery(caller.node).await;
        let delivery = delivery.ok_or_else(|| Status::failed_precondition("a session comes first"))?;
        let backfill = Backfill::new(caller.node, delivery, self.store.clone(), self.limits.borrow().agent);
        let (replies, outbox) = mpsc::channel(1);
        let inbound = request.into_inner();
        let ingest = self.clone();
        self.shutdown.spawn("backfill", async move { ingest.fill(caller, backfill, inbound, replies).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }

    async fn answer(
        &self,
        request: Request<Streaming<v1::AnswerRequest>>,
    ) -> Result<Response<v1::AnswerResponse>, Status> {
        let caller = agent(&request)?;
        let max = self.limits.borrow().agent.answer_bytes_max as usize;
        let mut inbound = request.into_inner();
        let mut bytes = 0;
        while let Some(part) = inbound.message().await? {
            bytes += part.encoded_len();
            if bytes > max {
                let text = format!("an answer is larger than {max} bytes");
                self.refusals.refuse(Reason::AnswerBytes, caller.peer.address, &text);
                return Err(Status::resource_exhausted(text));
            }
            let part = part.try_into().map_err(|error| status::invalid(&error))?;
            self.agents.answer(caller.node, part).await;
        }
        Ok(Response::new(v1::AnswerResponse {}))
    }
}

/// An agent that calls; its certificate says which, and nothing else does.
struct Caller {
    node: NodeId,
    name: NodeName,
    peer: Arc<Peer>,
}

fn agent<T>(request: &Request<T>) -> Result<Caller, Status> {
    let (principal, peer) =
        (request.extensions().get::<Principal>(), request.extensions().get::<Arc<Peer>>());
    let named = principal.and_then(|p| Some((p.node?, p.name.parse().ok()?))).zip(peer);
    let caller = named.map(|((node, name), peer)| Caller { node, name, peer: peer.clone() });
    caller.ok_or_else(|| Status::permission_denied("only an enrolled agent may call this"))
}

/// Why a session's loop ended.
enum End {
    /// The agent's side ended, in this way.
    Theirs(StreamEnd),
    /// We ended it, and say why.
    Ours(Reason, Status),
}

impl Ingest {
    /// Back-fills until either side ends it. One message at a time: the next is read when the last is answered.
    async fn fill(
        self,
        caller: Caller,
        mut backfill: Backfill,
        mut inbound: Streaming<v1::BackfillRequest>,
        replies: mpsc::Sender<Result<v1::BackfillResponse, Status>>,
    ) {
        let mut stopping = pin!(self.shutdown.asked());
        let mut expelled = pin!(caller.peer.ending.told());
        let mut commits = self.store.commits();
        loop {
            let message = tokio::select! {
                message = inbound.message() => message,
                reason = &mut expelled => Err(Status::unauthenticated(&*reason)),
                () = &mut stopping => Err(Status::unavailable("the aggregator is stopping")),
            };
            let reply = match message {
                Ok(Some(message)) => message.try_into().map_err(|error| status::invalid(&error)),
                Ok(None) => return,
                Err(status) => Err(status),
            };
            let reply = match reply {
                Ok(message) => tokio::select! {
                    known = fill(&mut backfill, &mut commits, &*self.clock, message) => Ok(known),
                    reason = &mut expelled => Err(Status::unauthenticated(&*reason)),
                    () = &mut stopping => Err(Status::unavailable("the aggregator is stopping")),
                },
                Err(status) => Err(status),
            };
            if let Ok(Known { refused: Some(text), .. }) = &reply {
                self.refusals.refuse(
                    Reason::Decode,
                    caller.peer.address,
                    &format!("a piece of {}: {text}", caller.name),
                );
            }
            let is_over = reply.is_err();
            if replies.send(reply.map(Into::into)).await.is_err() || is_over {
                return;
            }
        }
    }

    async fn run(self, caller: Caller, mut inbound: Streaming<v1::SessionRequest>, replies: Replies) {
        let Caller { node, ref name, ref peer } = caller;
        let (now, limits) = (self.clock.now(), self.limits.borrow().agent);
        let arrival = Arrival { from: peer.address, at: now.boot };
        let Some(mut attached) = self.agents.attach(node, arrival).await else { return };
        if let Some(swaps) = attached.flapping {
            self.tell_flapping(&caller, swaps);
        }
        let handle =
            NodeHandle { id: node, row: self.live.row(node, name), delivery: attached.delivery.clone() };
        let mut session = Session::new(handle, self.store.clone(), self.name.clone(), limits, now);
        let end = self.carry((&caller, limits), &mut session, &mut inbound, &replies, &mut attached).await;
        let current = self.agents.detach(node, &attached).await;
        let end = match end {
            End::Theirs(end) => {
                tracing::info!(%name, ?end, "session ended");
                if current { end } else { StreamEnd::Superseded }
            }
            End::Ours(reason, status) => {
                let detail = format!("session of {name}: {}", status.message());
                self.refusals.refuse(reason, peer.address, &detail);
                // If nobody takes replies any more, the agent knows already.
                replies.try_send(Err(status)).ok();
                StreamEnd::Superseded
            }
        };
        // One end for each opening: a stream that never said Hello was never open.
        if session.is_live() {
            self.observe(node, StreamEvent::Ended(end)).await;
        }
    }

    async fn carry(
        &self,
        (caller, limits): (&Caller, AgentLimits),
        session: &mut Session,
        inbound: &mut Streaming<v1::SessionRequest>,
        replies: &Replies,
        attached: &mut Attached,
    ) -> End {
        // Made once: a frame that comes by itself would else pay for joining and leaving all lists of waiters.
        let limits_of_messages = RegisterLimits { series_max: limits.indices_max() as usize };
        let mut reader = SessionReader::new(limits_of_messages);
        let mut stopping = pin!(self.shutdown.asked());
        let mut expelled = pin!(caller.peer.ending.told());
        let mut hello = pin!(tokio::time::sleep(millis(limits.hello_deadline_ms)));
        loop {
            let step = tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(message)) => match self.take(session, &mut reader, message) {
                        Ok(step) => step,
                        Err(end) => return end,
                    },
                    Ok(None) => return End::Theirs(StreamEnd::Silent),
                    Err(status) => return broken(status),
                },
                Some(question) = attached.questions.recv() => Step::Reply(question),
                why = &mut attached.ended => return ended(why.unwrap_or(Ended::Removed), caller),
                reason = &mut expelled => {
                    return End::Ours(Reason::Unauthenticated, Status::unauthenticated(&*reason));
                }
                () = &mut hello, if !session.is_live() => {
                    let text = format!("no hello within {:?}", millis(limits.hello_deadline_ms));
                    return End::Ours(Reason::HelloTimeout, Status::deadline_exceeded(text));
                }
                () = &mut stopping => {
                    replies.try_send(Err(Status::unavailable("the aggregator is stopping"))).ok();
                    return End::Theirs(StreamEnd::Superseded);
                }
            };
            if let Err(end) = self.follow(caller.node, step, replies).await {
                return end;
            }
        }
    }

    fn take(
        &self,
        session: &mut Session,
        reader: &mut SessionReader,
        message: v1::SessionRequest,
    ) -> Result<Step, End> {
        let message =
            reader.read(message).map_err(|error| End::Ours(Reason::Invalid, status::invalid(&error)))?;
        let step = session.receive(message, self.clock.now());
        let bites = session.take_bites();
        self.refusals.count(Reason::Series, bites.series);
        self.refusals.count(Reason::Interval, bites.intervals);
        step.map_err(|refusal| End::Ours(refusal.reason(), status::of(refusal.kind(), &refusal)))
    }

    fn tell_flapping(&self, caller: &Caller, swaps: usize) {
        let Caller { name, peer, .. } = caller;
        let detail = format!(
            "{swaps} sessions of {name} took over from one another within a minute: do two hosts share its credential?"
        );
        self.refusals.refuse(Reason::IdentityFlapping, peer.address, &detail);
    }

    async fn follow(&self, node: NodeId, step: Step, replies: &Replies) -> Result<(), End> {
        match step {
            Step::Quiet => Ok(()),
            Step::Reply(message) => reply(replies, message),
            Step::Farewell(reason) => Err(End::Theirs(StreamEnd::Bye(reason))),
            Step::Opened { welcome, boot_id, facts } => {
                self.observe(node, StreamEvent::Opened { boot_id, facts }).await;
                reply(replies, welcome)
            }
        }
    }

    async fn observe(&self, node: NodeId, event: StreamEvent) {
        // The judge ends only with the program.
        self.observations.send(Observation { node, event, at: self.clock.now() }).await.ok();
    }
}

/// Takes a message and waits until it is decided whether it is durable. While the disk fails nothing is taken: it would
/// be kept in memory, not be acknowledged, and come again.
async fn fill(
    backfill: &mut Backfill,
    commits: &mut watch::Receiver<Commits>,
    clock: &dyn Clock,
    message: backfill::Backfill,
) -> Known {
    // Only a store that is gone has no commits, and then we stop, too.
    commits.wait_for(|commits| !commits.is_failing).await.ok();
    let taken = backfill.receive(message, clock.now().wall);
    commits.wait_for(|commits| commits.has(taken.ticket)).await.ok();
    backfill.known(taken)
}

/// An agent that takes no replies gets no more: waiting for it would stop its frames, and its end, too.
fn reply(replies: &Replies, message: AggregatorMessage) -> Result<(), End> {
    replies.try_send(Ok(message.into())).map_err(|error| match error {
        TrySendError::Full(_) => {
            End::Ours(Reason::Replies, Status::resource_exhausted("the agent does not take its replies"))
        }
        TrySendError::Closed(_) => End::Theirs(StreamEnd::Lost),
    })
}

/// Why the agent's messages came to an end: the connection broke, or what came cannot be read and it is told so.
fn broken(status: Status) -> End {
    if status.source().is_some() {
        return End::Theirs(StreamEnd::Lost);
    }
    let reason = match status.code() {
        Code::OutOfRange => Reason::MessageBytes,
        Code::DeadlineExceeded => Reason::MessageTimeout,
        _ => Reason::Decode,
    };
    End::Ours(reason, status)
}

fn ended(why: Ended, caller: &Caller) -> End {
    match why {
        Ended::Superseded { by } => {
            End::Ours(Reason::Superseded, Status::aborted(format!("superseded by connection from {by}")))
        }
        Ended::Removed => {
            let text = format!("node {} was revoked or forgotten", caller.name);
            End::Ours(Reason::Unauthenticated, Status::unauthenticated(text))
        }
    }
}
