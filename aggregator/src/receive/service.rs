//! The ingest RPC: carries messages between the stream and the session's machine, and nothing else.

use super::admit::Limits;
use super::session::{NodeHandle, Refusal, Session, Step};
use crate::agents::{Agents, Attached};
use crate::identity::ending::Ending;
use crate::identity::roster::Principal;
use crate::store::Append;
use crate::store::live::Live;
use quorate_common::clock::Clock;
use quorate_common::model::node::{NodeId, NodeName};
use quorate_common::model::session::{AgentMessage, AggregatorMessage};
use quorate_common::model::stream::{Observation, StreamEnd, StreamEvent};
use quorate_common::shutdown::Shutdown;
use quorate_proto::convert::RegisterLimits;
use quorate_proto::status;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_server::IngestService;
use std::pin::{Pin, pin};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

/// Replies that may wait for one agent to take them.
const REPLIES_MAX: usize = 16;

/// The parts that sessions are made of.
#[derive(Clone)]
pub struct Ingest {
    /// The name of this aggregator.
    pub name: Arc<str>,
    /// What one agent may do.
    pub limits: Limits,
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
        let (node, name) = agent(&request)?;
        let ending = request.extensions().get::<Ending>().cloned().unwrap_or_default();
        let (replies, outbox) = mpsc::channel(REPLIES_MAX);
        let inbound = request.into_inner();
        let ingest = self.clone();
        self.shutdown
            .spawn("session", async move { ingest.run((node, name), ending, inbound, replies).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(outbox))))
    }

    async fn answer(
        &self,
        request: Request<Streaming<v1::AnswerRequest>>,
    ) -> Result<Response<v1::AnswerResponse>, Status> {
        let (node, _) = agent(&request)?;
        let mut inbound = request.into_inner();
        while let Some(part) = inbound.message().await? {
            let part = part.try_into().map_err(|error| status::invalid(&error))?;
            self.agents.answer(node, part).await;
        }
        Ok(Response::new(v1::AnswerResponse {}))
    }
}

/// The node that a call comes from; its certificate says so and nothing else does.
fn agent<T>(request: &Request<T>) -> Result<(NodeId, NodeName), Status> {
    let principal = request.extensions().get::<Principal>();
    let named = principal.and_then(|p| Some((p.node?, p.name.parse().ok()?)));
    named.ok_or_else(|| Status::permission_denied("only an enrolled agent may call this"))
}

/// Why a session's loop ended.
enum End {
    /// The agent's side ended, in this way.
    Theirs(StreamEnd),
    /// We ended it, and say why.
    Ours(Status),
}

impl Ingest {
    async fn run(
        self,
        (node, name): (NodeId, NodeName),
        ending: Ending,
        mut inbound: Streaming<v1::SessionRequest>,
        replies: Replies,
    ) {
        let Some(mut attached) = self.agents.attach(node).await else { return };
        let handle =
            NodeHandle { id: node, row: self.live.row(node, &name), delivery: attached.delivery.clone() };
        let now = self.clock.now();
        let mut session = Session::new(handle, self.store.clone(), self.name.clone(), self.limits, now);
        let end = tokio::select! {
            end = self.carry(node, &mut session, &mut inbound, &replies, &mut attached) => end,
            // Once for the whole session: its connection may no longer be used.
            reason = ending.told() => End::Ours(Status::unauthenticated(&*reason)),
        };
        let current = self.agents.detach(node, &attached).await;
        let end = match end {
            End::Theirs(end) => {
                tracing::info!(%name, ?end, "session ended");
                if current { end } else { StreamEnd::Superseded }
            }
            End::Ours(status) => {
                tracing::warn!(%name, reason = status.message(), "session refused");
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
        node: NodeId,
        session: &mut Session,
        inbound: &mut Streaming<v1::SessionRequest>,
        replies: &Replies,
        attached: &mut Attached,
    ) -> End {
        // Made once: a frame that comes by itself would else pay for joining and leaving both lists of waiters.
        let mut ended = pin!(attached.ended.cancelled());
        let mut stopping = pin!(self.shutdown.asked());
        loop {
            let step = tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(message)) => match self.take(session, message) {
                        Ok(step) => step,
                        Err(status) => return End::Ours(status),
                    },
                    Ok(None) => return End::Theirs(StreamEnd::Silent),
                    Err(_) => return End::Theirs(StreamEnd::Lost),
                },
                Some(question) = attached.questions.recv() => Step::Reply(question),
                () = &mut ended => {
                    return End::Ours(Status::aborted("superseded by another session of this node, or revoked"));
                }
                () = &mut stopping => return End::Ours(Status::unavailable("the aggregator is stopping")),
            };
            if let Err(end) = self.follow(node, step, replies).await {
                return end;
            }
        }
    }

    fn take(&self, session: &mut Session, message: v1::SessionRequest) -> Result<Step, Status> {
        let limits = RegisterLimits { series_max: self.limits.indices_max() as usize };
        let message: AgentMessage = message.into_model(limits).map_err(|error| status::invalid(&error))?;
        session
            .receive(message, self.clock.now())
            .map_err(|refusal: Refusal| status::of(refusal.kind(), &refusal))
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

/// An agent that takes no replies gets no more: waiting for it would stop its frames, and its end, too.
fn reply(replies: &Replies, message: AggregatorMessage) -> Result<(), End> {
    replies.try_send(Ok(message.into())).map_err(|error| match error {
        TrySendError::Full(_) => End::Ours(Status::resource_exhausted("the agent does not take its replies")),
        TrySendError::Closed(_) => End::Theirs(StreamEnd::Lost),
    })
}
