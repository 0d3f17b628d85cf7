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

use crate::agents::delivery::{Arrival, Counted, Delivery};
use crate::limit::{AgentLimits as Limits, Bucket, Reason, millis};
use crate::store::live::NodeRow;
use crate::store::{Append, Column, FrameRecord, Lane, NewColumns};
use quorate_common::catalog;
use quorate_common::cell::{CellError, Decoder, FrameHead};
use quorate_common::error::Kind;
use quorate_common::ledger::LedgerError;
use quorate_common::model::node::{HostFacts, NodeId};
use quorate_common::model::series::Window;
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
    /// A frame that is too long.
    #[error("frame {seq}: {bytes} bytes, limit {limit}")]
    Long {
        /// Which.
        seq: u64,
        /// How long.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A frame whose running total contradicts the frames before it.
    #[error("failed to count frame {seq}")]
    Count {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// A frame or registration that does not fit what came before.
    #[error("failed to decode {what}")]
    Decode {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: CellError,
    },
}

impl Refusal {
    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        match self {
            Refusal::Protocol { .. } => Kind::Conflict,
            Refusal::OutOfTurn(..)
            | Refusal::Long { .. }
            | Refusal::Count { .. }
            | Refusal::Decode { .. } => Kind::Invalid,
            Refusal::Rate(_) => Kind::Exhausted,
        }
    }

    /// The word that it is counted under.
    pub fn reason(&self) -> Reason {
        match self {
            Refusal::Protocol { .. } => Reason::Protocol,
            Refusal::OutOfTurn(..) | Refusal::Count { .. } => Reason::OutOfTurn,
            Refusal::Rate(_) => Reason::MessageRate,
            Refusal::Long { .. } => Reason::FrameBytes,
            Refusal::Decode { .. } => Reason::Decode,
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
    decoder: Decoder,
    /// Admitted live series, and how each index stands.
    admitted: Vec<bool>,
    admitted_live: u32,
    /// For each group: live series, and how many of them are admitted.
    groups: Vec<GroupCount>,
    boot_id: [u8; 16],
    offset_ns: i64,
    received: u64,
    unacknowledged: u64,
    echo: u64,
    acknowledged_at: BootTime,
}

#[derive(Clone, Copy, Debug, Default)]
struct GroupCount {
    admitted: u64,
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
        let (durable, above) = self.node.delivery.begin(hello.epoch, &hello.held);
        let measured = now.wall.0.saturating_sub_unsigned(hello.boot_ns);
        let offset_ns = self.node.delivery.offset(hello.boot_id, measured);
        self.store.begin(self.node.id, Lane::Live);
        self.node.row.begin();
        self.node.delivery.gaps.opened(hello.epoch, hello.boot_id);
        self.live = Some(LiveSession {
            epoch: hello.epoch,
            decoder: Decoder::new(self.limits.indices_max(), self.limits.groups_max),
            admitted: Vec::new(),
            admitted_live: 0,
            groups: Vec::new(),
            boot_id: hello.boot_id,
            offset_ns,
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
        self.retire(&register.retire)?;
        for group in register.groups {
            self.register_group(group)?;
        }
        Ok(Step::Quiet)
    }

    fn retire(&mut self, indices: &[u32]) -> Result<(), Refusal> {
        let Some(live) = &mut self.live else { return Ok(()) };
        for &index in indices {
            let group = live.decoder.group_of(index);
            live.decoder
                .retire(index)
                .map_err(|source| Refusal::Decode { what: format!("the end of series {index}"), source })?;
            if let (Some(true), Some(group)) = (live.admitted.get(index as usize), group) {
                live.admitted_live -= 1;
                live.groups[group as usize].admitted -= 1;
            }
        }
        if !indices.is_empty() {
            self.store.retire(self.node.id, Lane::Live, indices);
            self.node.row.retire(indices);
        }
        Ok(())
    }

    fn register_group(&mut self, group: RegisterGroup) -> Result<(), Refusal> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let window = Window::of_interval_ms(group.interval_ms);
        let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
        live.decoder.register(group.group, window, group.first_index, &forms).map_err(|source| {
            Refusal::Decode {
                what: format!("the registration of group {} `{}`", group.group, group.collector),
                source,
            }
        })?;
        let count = live.groups.len().max(group.group as usize + 1);
        live.groups.resize(count, GroupCount::default());
        let mut columns = Vec::with_capacity(group.series.len());
        for spec in &group.series {
            let admit = live.admitted_live < self.limits.series_per_node_max;
            live.admitted.push(admit);
            live.admitted_live += u32::from(admit);
            self.bites.series += u64::from(!admit);
            live.groups[group.group as usize].admitted += u64::from(admit);
            let id = admit.then(|| self.store.intern(self.node.id, spec));
            columns.push(Column { id, form: spec.metric.form, group: group.group });
        }
        let new = NewColumns { group: group.group, window, first: group.first_index, columns };
        self.store.register(self.node.id, Lane::Live, &new);
        self.node.row.register(&new, &|at| collector_of(&group, at));
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, now: Now) -> Result<Step, Refusal> {
        let bytes = frame.groups.len() + frame.cells.len();
        if bytes > self.limits.frame_bytes_max {
            return Err(Refusal::Long { seq: frame.seq, bytes, limit: self.limits.frame_bytes_max });
        }
        let Some(live) = &mut self.live else { return Ok(Step::Quiet) };
        if frame.seq <= live.received {
            return Err(Refusal::OutOfTurn("frame", "is older than the one before it"));
        }
        let measured = now.wall.0.saturating_sub_unsigned(frame.boot_ns);
        if measured < live.offset_ns {
            live.offset_ns = self.node.delivery.offset(live.boot_id, measured);
        }
        let aligned = WallTime(live.offset_ns.saturating_add_unsigned(frame.boot_ns));
        live.take(&self.node, &*self.store, frame, aligned)?;
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
        let (durable, above) = self.node.delivery.known(live.epoch);
        Step::Reply(AggregatorMessage::Ack(Ack { echo: live.echo, received: live.received, durable, above }))
    }
}

impl LiveSession {
    /// Decodes a frame, counts it, and only then keeps it: what is refused leaves no trace.
    fn take(
        &mut self,
        node: &NodeHandle,
        store: &dyn Append,
        frame: &Frame,
        aligned: WallTime,
    ) -> Result<(), Refusal> {
        let mut counted =
            Counted { seq: frame.seq, collected_total: frame.collected_total, sampled: 0, admitted: 0 };
        let Some(window) = frame.window else { return count(node, self.epoch, counted).map(drop) };
        let head = FrameHead { seq: frame.seq, predecessor: frame.predecessor, window };
        let decoded = self
            .decoder
            .decode(head, &frame.groups, &frame.cells)
            .map_err(|source| Refusal::Decode { what: format!("frame {}", frame.seq), source })?;
        counted.sampled = decoded.samples;
        counted.admitted = decoded.groups.iter().map(|group| self.groups[*group as usize].admitted).sum();
        let again = count(node, self.epoch, counted)? != Arrival::New;
        node.row.apply(aligned, decoded.groups, decoded.changed);
        let record = FrameRecord { at: aligned, head, groups: &frame.groups, cells: &frame.cells, again };
        store.frame(node.id, Lane::Live, record, &self.decoder);
        Ok(())
    }
}

/// Counts a frame, unless it was counted before.
fn count(node: &NodeHandle, epoch: Epoch, counted: Counted) -> Result<Arrival, Refusal> {
    let stored = node.delivery.stored(epoch, counted);
    stored.map_err(|source| Refusal::Count { seq: counted.seq, source })
}

/// The collector whose success a series of a group tells.
fn collector_of(group: &RegisterGroup, at: usize) -> Option<String> {
    let spec = group.series.get(at)?;
    let tells = &*spec.metric.name == catalog::COLLECTOR_SUCCESS.name;
    if tells { spec.labels.get("collector").map(str::to_owned) } else { None }
}

#[cfg(test)]
mod tests;
