//! One agent's session, as a machine without I/O and without a clock.
//!
//! ```text
//!            Hello                Register, Frame …            Bye
//!   waiting ───────→ live ──────────────────────────→ live ─────────→ over
//!             Welcome        Ack, every few seconds or every 64 frames
//! ```
//!
//! Whatever cannot be decoded or is out of turn ends the session with a [`Refusal`]; the agent then begins
//! another with a key frame.

use super::intake::{Intake, IntakeError, Place};
use crate::agents::delivery::Delivery;
use crate::limit::{AgentLimits as Limits, Bucket, Reason, millis};
use crate::store::live::NodeRow;
use crate::store::{Append, Lane};
use quorate_common::catalog;
use quorate_common::error::Kind;
use quorate_common::model::node::{HostFacts, NodeId};
use quorate_common::model::session::{
    ACK_EVERY, Ack, AgentMessage, AggregatorMessage, ByeReason, Epoch, Frame, Hello, PROTOCOL, Register,
    RegisterGroup, Welcome,
};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::sync::Arc;

/// Frames that are acknowledged at once.
const ACK_FRAMES: u64 = 64;

/// Why a session was ended.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Another version of the protocol.
    #[error("agent protocol {found} is not supported, need {PROTOCOL}, upgrade the {}", if *found < PROTOCOL { "agent" } else { "aggregator" })]
    Protocol {
        /// What the agent speaks.
        found: u32,
    },
    /// A message that may not come now.
    #[error("{0} {1}")]
    OutOfTurn(&'static str, &'static str),
    /// Too many messages.
    #[error("more than {0} messages a second")]
    Rate(u32),
    /// What came cannot be taken.
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

impl Refusal {
    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        match self {
            Refusal::Protocol { .. } => Kind::Conflict,
            Refusal::OutOfTurn(..) | Refusal::Intake(_) => Kind::Invalid,
            Refusal::Rate(_) => Kind::Exhausted,
        }
    }

    /// The word that it is counted under.
    pub fn reason(&self) -> Reason {
        match self {
            Refusal::Protocol { .. } => Reason::Protocol,
            Refusal::OutOfTurn(..) | Refusal::Intake(IntakeError::Count { .. }) => Reason::OutOfTurn,
            Refusal::Rate(_) => Reason::MessageRate,
            Refusal::Intake(IntakeError::Long { .. }) => Reason::FrameBytes,
            Refusal::Intake(IntakeError::Decode { .. }) => Reason::Decode,
        }
    }
}

/// What a message led to.
#[derive(Debug)]
pub enum Step {
    /// Nothing to say.
    Quiet,
    /// The session is live: this must be answered, and the judge must hear of it.
    Opened {
        /// The answer.
        welcome: AggregatorMessage,
        /// This boot of the host.
        boot_id: [u8; 16],
        /// What the host is.
        facts: Arc<HostFacts>,
    },
    /// This must be answered.
    Reply(AggregatorMessage),
    /// The agent said farewell.
    Farewell(ByeReason),
}

/// What a session needs of the node that it is for.
#[derive(Clone)]
pub struct NodeHandle {
    /// The registry's number.
    pub id: NodeId,
    /// Its newest values.
    pub row: Arc<NodeRow>,
    /// Its ledgers.
    pub delivery: Arc<Delivery>,
}

/// One session.
pub struct Session {
    node: NodeHandle,
    store: Arc<dyn Append>,
    aggregator: Arc<str>,
    limits: Limits,
    bucket: Bucket,
    live: Option<LiveSession>,
    bites: Bites,
}

/// How often limits bit that end no session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bites {
    /// Series beyond the quota.
    pub series: u64,
    /// Frames that announced the next one too far away.
    pub intervals: u64,
}

struct LiveSession {
    epoch: Epoch,
    intake: Intake,
    boot_id: [u8; 16],
    received: u64,
    unacknowledged: u64,
    echo: u64,
    acknowledged_at: BootTime,
}

impl Session {
    /// A session that waits for its Hello.
    pub fn new(
        node: NodeHandle,
        store: Arc<dyn Append>,
        aggregator: Arc<str>,
        limits: Limits,
        now: Now,
    ) -> Session {
        let bucket = Bucket::new(limits.messages_per_s_max, limits.messages_burst_max, now.boot);
        Session { node, store, aggregator, limits, bucket, live: None, bites: Bites::default() }
    }

    /// Whether the agent has said Hello.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// How often limits bit since this was asked last.
    pub fn take_bites(&mut self) -> Bites {
        std::mem::take(&mut self.bites)
    }

    /// Takes a message of the agent.
    pub fn receive(&mut self, message: AgentMessage, now: Now) -> Result<Step, Refusal> {
        if !self.bucket.take(now.boot) {
            return Err(Refusal::Rate(self.limits.messages_per_s_max));
        }
        match (message, self.live.is_some()) {
            (AgentMessage::Hello(hello), false) => self.hello(hello, now),
            (AgentMessage::Hello(_), true) => Err(Refusal::OutOfTurn("hello", "came twice")),
            (_, false) => Err(Refusal::OutOfTurn("hello", "must come first")),
            (AgentMessage::Register(register), true) => self.register(register),
            (AgentMessage::Frame(frame), true) => self.frame(&frame, now),
            (AgentMessage::Bye(reason), true) => {
                self.node.delivery.gaps.farewell(reason);
                Ok(Step::Farewell(reason))
            }
        }
    }

    fn hello(&mut self, hello: Hello, now: Now) -> Result<Step, Refusal> {
        if hello.protocol != PROTOCOL {
            return Err(Refusal::Protocol { found: hello.protocol });
        }
        self.node.delivery.begin(hello.epoch, &hello.held);
        let (durable, above) = self.node.delivery.durable(hello.epoch);
        self.node.delivery.greet(hello.boot_id, hello.boot_ns, now);
        let NodeHandle { id, delivery, .. } = &self.node;
        let (delivery, store) = (delivery.clone(), self.store.clone());
        let place = Place { node: *id, lane: Lane::Live, delivery, store };
        self.node.row.begin();
        self.node.delivery.gaps.opened(hello.epoch, hello.boot_id);
        self.live = Some(LiveSession {
            epoch: hello.epoch,
            intake: Intake::begin(place, self.limits),
            boot_id: hello.boot_id,
            received: 0,
            unacknowledged: 0,
            echo: 0,
            acknowledged_at: now.boot,
        });
        let welcome = AggregatorMessage::Welcome(Welcome {
            aggregator: self.aggregator.to_string(),
            wall_ns: now.wall.0,
            durable,
            above,
            series_max: self.limits.series_per_node_max,
        });
        Ok(Step::Opened { welcome, boot_id: hello.boot_id, facts: Arc::new(hello.facts) })
    }

    fn register(&mut self, register: Register) -> Result<Step, Refusal> {
        let Some(live) = &mut self.live else { return Ok(Step::Quiet) };
        live.intake.retire(&register.retire)?;
        if !register.retire.is_empty() {
            self.node.row.retire(&register.retire);
        }
        for group in &register.groups {
            let new = live.intake.register(group)?;
            self.bites.series += new.columns.iter().filter(|column| column.id.is_none()).count() as u64;
            self.node.row.register(&new, &|at| collector_of(group, at));
        }
        Ok(Step::Quiet)
    }

    fn frame(&mut self, frame: &Frame, now: Now) -> Result<Step, Refusal> {
        let Some(live) = &mut self.live else { return Ok(Step::Quiet) };
        if frame.seq <= live.received {
            return Err(Refusal::OutOfTurn("frame", "is older than the one before it"));
        }
        let offset_ns = self.node.delivery.offset(live.boot_id, frame.boot_ns, now);
        let aligned = WallTime(offset_ns.saturating_add_unsigned(frame.boot_ns));
        let said = live.intake.frame(live.epoch, frame, (aligned, now.wall))?;
        if frame.window.is_some() {
            self.node.row.apply(aligned, said.groups, said.changed);
        }
        self.bites.intervals += u64::from(frame.next_due_ms > self.limits.interval_ms_max);
        let next_due_ms = frame.next_due_ms.clamp(1, self.limits.interval_ms_max);
        self.node.delivery.gaps.frame(aligned, next_due_ms);
        self.node.row.heard(now, next_due_ms, (frame.wall_ns.saturating_sub(aligned.0)) / 1_000_000);
        live.received = frame.seq;
        live.unacknowledged += 1;
        Ok(self.acknowledge(now, next_due_ms))
    }

    /// Acknowledges what has arrived unless the next frame comes soon enough to do so then.
    fn acknowledge(&mut self, now: Now, next_due_ms: u32) -> Step {
        let Some(live) = &mut self.live else { return Step::Quiet };
        if live.unacknowledged < ACK_FRAMES
            && live.echo > 0
            && now.boot.since(live.acknowledged_at) + millis(next_due_ms) < ACK_EVERY
        {
            return Step::Quiet;
        }
        live.echo += 1;
        live.unacknowledged = 0;
        live.acknowledged_at = now.boot;
        let (durable, above) = self.node.delivery.durable(live.epoch);
        Step::Reply(AggregatorMessage::Ack(Ack { echo: live.echo, received: live.received, durable, above }))
    }
}

/// The collector whose success a series of a group tells.
fn collector_of(group: &RegisterGroup, at: usize) -> Option<String> {
    let spec = group.series.get(at)?;
    let tells = &*spec.metric.name == catalog::COLLECTOR_SUCCESS.name;
    if tells { spec.labels.get("collector").map(str::to_owned) } else { None }
}

#[cfg(test)]
mod tests;
