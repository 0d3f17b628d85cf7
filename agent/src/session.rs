//! One session with an aggregator, as a machine without I/O and without a clock.
//!
//! ```text
//!              begin                  Welcome                     bye
//!   (closed) ────────→ greeting ────────────────→ live ──────────────────→ (over)
//!                      sends Hello     sends Register, key frame,
//!                                      then every tick as it comes
//! ```
//!
//! An error ends it; the next session begins with everything registered anew and a key frame, which is
//! the only way that the two ends come into step again.

use crate::encode::{Catalogue, Changes, GroupInfo, NewSeries, Tick};
use crate::spool::Spool;
use quorate_common::cell::{CellError, Encoder, Form};
use quorate_common::model::node::HostFacts;
use quorate_common::model::series::Window;
use quorate_common::model::session::{
    Ack, AgentMessage, AggregatorMessage, ByeReason, Epoch, Frame, Held, Hello, PROTOCOL, Register,
    RegisterGroup, Request, Welcome,
};
use quorate_common::model::time::{BootTime, Now};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A session in which nothing was acknowledged for this long is given up.
pub const ACK_DEADLINE: Duration = Duration::from_secs(10);
/// Registrations are cut at about this size.
const REGISTER_BYTES_MAX: usize = 256 * 1024;

/// What an agent is, as far as a session must say it.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// This start of the agent.
    pub epoch: Epoch,
    /// This boot of the host.
    pub boot_id: [u8; 16],
    /// Distance between rounds.
    pub interval_ms: u32,
    /// What the host is.
    pub facts: HostFacts,
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The aggregator said something out of turn.
    #[error("aggregator sent {0} {1}")]
    OutOfTurn(&'static str, &'static str),
    /// Nothing was acknowledged in time.
    #[error("no acknowledgement for {} s", ACK_DEADLINE.as_secs())]
    Silent,
    /// A tick could not be encoded.
    #[error("failed to encode frame {seq}")]
    Encode {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: CellError,
    },
}

/// What a message from the aggregator asks of the agent.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The session has become live: send what is due.
    Live,
    /// Answer a request, over the other connection.
    Answer(Request),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Live,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    encoder: Encoder,
    /// What was registered so far; the position is the number of the group.
    groups: Vec<GroupInfo>,
    /// The session index of every live slot.
    index_of: HashMap<u32, u32>,
    /// The slot behind every session index. Behind one that has ended it may be another series' by now; what
    /// stands in the row there is not read.
    slot_of: Vec<u32>,
    row: Vec<i64>,
    /// Number of the last tick that was sent or that the aggregator had already.
    sent: u64,
    echo: u64,
    /// When the oldest unanswered message was sent; `None` when all is acknowledged.
    waiting_since: Option<BootTime>,
    acknowledged: u64,
}

impl Session {
    /// Begins a session; the message is the first to send.
    pub fn begin(me: &Introduction, spool: &Spool, now: Now) -> (Session, AgentMessage) {
        let held = spool.bounds().map(|(first, last)| Held { epoch: me.epoch, first, last });
        let hello = Hello {
            protocol: PROTOCOL,
            epoch: me.epoch,
            boot_id: me.boot_id,
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
            interval_ms: me.interval_ms,
            held: held.into_iter().collect(),
            facts: me.facts.clone(),
        };
        let session = Session {
            phase: Phase::Greeting,
            encoder: Encoder::new(),
            groups: Vec::new(),
            index_of: HashMap::new(),
            slot_of: Vec::new(),
            row: Vec::new(),
            sent: 0,
            echo: 0,
            waiting_since: Some(now.boot),
            acknowledged: 0,
        };
        (session, AgentMessage::Hello(hello))
    }

    /// Takes a message of the aggregator.
    pub fn receive(
        &mut self,
        message: AggregatorMessage,
        spool: &mut Spool,
        now: Now,
    ) -> Result<Effect, SessionError> {
        match (self.phase, message) {
            (Phase::Greeting, AggregatorMessage::Welcome(welcome)) => Ok(self.welcome(&welcome, spool)),
            (Phase::Live, AggregatorMessage::Ack(ack)) => {
                self.ack(&ack, spool, now);
                Ok(Effect::None)
            }
            (Phase::Live, AggregatorMessage::Request(request)) => Ok(Effect::Answer(request)),
            (Phase::Greeting, _) => Err(SessionError::OutOfTurn("a message", "before its welcome")),
            (Phase::Live, AggregatorMessage::Welcome(_)) => {
                Err(SessionError::OutOfTurn("a welcome", "twice"))
            }
        }
    }

    fn welcome(&mut self, welcome: &Welcome, spool: &mut Spool) -> Effect {
        spool.acknowledge(welcome.durable, &welcome.above);
        self.phase = Phase::Live;
        self.sent = spool.bounds().map_or(0, |(first, _)| first - 1);
        self.waiting_since = None;
        Effect::Live
    }

    fn ack(&mut self, ack: &Ack, spool: &mut Spool, now: Now) {
        self.echo = ack.echo;
        self.acknowledged = self.acknowledged.max(ack.received);
        self.waiting_since = if self.acknowledged >= self.sent { None } else { Some(now.boot) };
        spool.acknowledged(ack);
    }

    /// The messages for all ticks that were not sent yet, in order; at the start also what is registered.
    pub fn due(&mut self, spool: &Spool, now: Now) -> Result<Vec<AgentMessage>, SessionError> {
        let mut messages = Vec::new();
        if self.phase != Phase::Live {
            return Ok(messages);
        }
        if self.groups.is_empty() {
            let Catalogue { groups, series } = spool.base();
            self.register(Vec::new(), (groups, series), &mut messages);
        }
        for tick in spool.after(self.sent) {
            self.change(&tick.changes, &mut messages);
            messages.push(AgentMessage::Frame(self.frame(tick)?));
            self.sent = tick.seq;
            self.waiting_since.get_or_insert(now.boot);
        }
        Ok(messages)
    }

    /// Says whether the aggregator has been silent for too long.
    pub fn check(&self, now: Now) -> Result<(), SessionError> {
        match self.waiting_since {
            Some(since) if now.boot.since(since) >= ACK_DEADLINE => Err(SessionError::Silent),
            _ => Ok(()),
        }
    }

    /// The farewell.
    pub fn bye(&self, reason: ByeReason) -> AgentMessage {
        AgentMessage::Bye(reason)
    }

    fn change(&mut self, changes: &Changes, messages: &mut Vec<AgentMessage>) {
        let ended = changes.retired.iter().filter_map(|slot| self.index_of.remove(slot));
        let mut retire: Vec<u32> = ended.collect();
        retire.sort_unstable();
        for &index in &retire {
            // An index that stands in the map is registered and live: it can be retired.
            self.encoder.retire(index).ok();
        }
        self.register(retire, (&changes.groups, &changes.registered), messages);
    }

    /// Says what ends, registers new groups, in order and even when empty, and adds series to groups that are known.
    fn register(
        &mut self,
        retire: Vec<u32>,
        (groups, series): (&[GroupInfo], &[NewSeries]),
        messages: &mut Vec<AgentMessage>,
    ) {
        let mut parts = Parts::new(retire, messages);
        let mut members: BTreeMap<u32, Vec<&NewSeries>> =
            groups.iter().map(|g| (g.group, Vec::new())).collect();
        for one in series {
            members.entry(one.group).or_default().push(one);
        }
        self.groups.extend(groups.iter().cloned());
        for (group, members) in members {
            if let Some(info) = self.groups.get(group as usize).cloned() {
                self.register_group(&info, &members, &mut parts);
            }
        }
        parts.finish();
    }

    fn register_group(&mut self, info: &GroupInfo, members: &[&NewSeries], parts: &mut Parts<'_>) {
        let forms: Vec<Form> = members.iter().map(|s| s.spec.metric.form.into()).collect();
        let window = Window::of_interval_ms(info.interval_ms);
        // Groups come in order and indices are dense, so the encoder has no reason to refuse.
        let Ok(first) = self.encoder.register(info.group, window, &forms) else { return };
        for (index, member) in (first..).zip(members) {
            self.index_of.insert(member.slot, index);
            self.slot_of.push(member.slot);
            self.row.push(0);
        }
        parts.add(info, first, members);
    }

    fn frame(&mut self, tick: &Tick) -> Result<Frame, SessionError> {
        for (cell, slot) in self.row.iter_mut().zip(&self.slot_of) {
            *cell = tick.cells.get(*slot as usize).copied().unwrap_or(*cell);
        }
        let mut frame = Frame {
            seq: tick.seq,
            window: tick.window,
            boot_ns: tick.at.boot.0,
            wall_ns: tick.at.wall.0,
            next_due_ms: tick.next_due_ms,
            collected_total: tick.collected_total,
            echo: self.echo,
            ..Frame::default()
        };
        if let Some(window) = tick.window {
            let encoded = self
                .encoder
                .encode(tick.seq, window, &tick.sampled, &self.row, false)
                .map_err(|source| SessionError::Encode { seq: tick.seq, source })?;
            (frame.predecessor, frame.groups, frame.cells) =
                (encoded.predecessor, encoded.groups, encoded.cells);
        }
        Ok(frame)
    }
}

/// Collects registrations into messages of bounded size.
struct Parts<'a> {
    messages: &'a mut Vec<AgentMessage>,
    open: Register,
    bytes: usize,
}

impl<'a> Parts<'a> {
    /// What ends comes first.
    fn new(retire: Vec<u32>, messages: &'a mut Vec<AgentMessage>) -> Self {
        Parts { messages, open: Register { groups: Vec::new(), retire }, bytes: 0 }
    }

    fn add(&mut self, info: &GroupInfo, first: u32, members: &[&NewSeries]) {
        self.open.groups.push(empty_group(info, first));
        for (index, member) in (first..).zip(members) {
            let bytes = size_of_series(member);
            if self.bytes + bytes > REGISTER_BYTES_MAX && self.bytes > 0 {
                self.finish_part();
                self.open.groups.push(empty_group(info, index));
            }
            self.bytes += bytes;
            if let Some(group) = self.open.groups.last_mut() {
                group.series.push(member.spec.clone());
            }
        }
    }

    fn finish_part(&mut self) {
        self.bytes = 0;
        self.messages.push(AgentMessage::Register(std::mem::take(&mut self.open)));
    }

    fn finish(mut self) {
        if !(self.open.groups.is_empty() && self.open.retire.is_empty()) {
            self.finish_part();
        }
    }
}

fn empty_group(info: &GroupInfo, first_index: u32) -> RegisterGroup {
    RegisterGroup {
        group: info.group,
        collector: info.collector.clone(),
        interval_ms: info.interval_ms,
        class: info.class,
        first_index,
        series: Vec::new(),
    }
}

fn size_of_series(series: &NewSeries) -> usize {
    let labels: usize = series.spec.labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    series.spec.metric.name.len() + labels + 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Config;
    use crate::testing::{at, series, tick};
    use quorate_common::cell::{Decoder, FrameHead};

    fn me() -> Introduction {
        Introduction {
            epoch: Epoch { order: 1, nonce: 2 },
            boot_id: [1; 16],
            interval_ms: 1000,
            facts: HostFacts::default(),
        }
    }

    fn spool(count: u64) -> Spool {
        let mut spool = Spool::new(Config::default());
        (1..=count).for_each(|seq| spool.push(tick(seq)));
        spool
    }

    fn welcome(durable: u64) -> AggregatorMessage {
        AggregatorMessage::Welcome(Welcome {
            aggregator: "a".into(),
            wall_ns: 0,
            durable,
            above: Vec::new(),
            series_max: 100,
        })
    }

    fn live(spool: &mut Spool, durable: u64) -> Session {
        let (mut session, hello) = Session::begin(&me(), spool, at(0));
        assert!(matches!(hello, AgentMessage::Hello(_)));
        assert!(session.due(spool, at(0)).unwrap().is_empty(), "nothing before the welcome");
        assert_eq!(session.receive(welcome(durable), spool, at(0)).unwrap(), Effect::Live);
        session
    }

    /// What a receiver makes of the messages: the cell of the one series after each frame.
    fn decode(messages: &[AgentMessage]) -> Vec<(u64, i64)> {
        let mut decoder = Decoder::new(100, 10);
        let mut seen = Vec::new();
        for message in messages {
            match message {
                AgentMessage::Register(register) => {
                    for group in &register.groups {
                        let forms: Vec<Form> = group.series.iter().map(|s| s.metric.form.into()).collect();
                        decoder.register(group.group, Window::Short, group.first_index, &forms).unwrap();
                    }
                }
                AgentMessage::Frame(frame) => {
                    let head = FrameHead {
                        seq: frame.seq,
                        predecessor: frame.predecessor,
                        window: frame.window.unwrap(),
                    };
                    decoder.decode(head, &frame.groups, &frame.cells).unwrap();
                    seen.push((frame.seq, decoder.row()[0]));
                }
                other => panic!("{other:?}"),
            }
        }
        seen
    }

    #[test]
    fn begins_with_registration_and_key_frame() {
        let mut spool = spool(3);
        let mut session = live(&mut spool, 0);
        let messages = session.due(&spool, at(1)).unwrap();
        assert_eq!(decode(&messages), [(1, 1), (2, 2), (3, 3)]);
        assert!(session.due(&spool, at(1)).unwrap().is_empty(), "nothing twice");
    }

    #[test]
    fn a_later_session_registers_what_began_before() {
        let mut spool = spool(5);
        let mut session = live(&mut spool, 3);
        assert_eq!(decode(&session.due(&spool, at(1)).unwrap()), [(4, 4), (5, 5)]);
    }

    #[test]
    fn a_slot_used_again_is_a_new_index() {
        let mut spool = Spool::new(crate::spool::Config::default());
        let changed = |seq, registered, retired| {
            let changes = crate::encode::Changes { groups: Vec::new(), registered, retired };
            crate::encode::Tick { changes: changes.into(), ..tick(seq) }
        };
        for one in [tick(1), changed(2, vec![], vec![0]), changed(3, vec![series(0, 0)], vec![]), tick(4)] {
            spool.push(crate::encode::Tick { window: Some(Window::Short), ..one });
        }
        let mut session = live(&mut spool, 0);
        let messages = session.due(&spool, at(1)).unwrap();
        let said = |message: &AgentMessage| match message {
            AgentMessage::Register(register) => {
                let begun = register.groups.iter().map(|group| (group.first_index, group.series.len()));
                format!("{:?} {:?}", begun.collect::<Vec<_>>(), register.retire)
            }
            AgentMessage::Frame(frame) => format!("{:?}", &frame.cells[..]),
            other => panic!("{other:?}"),
        };
        let said: Vec<String> = messages.iter().map(said).collect();
        let expect = ["[(0, 1)] []", "[0, 2]", "[] [0]", "[]", "[(1, 1)] []", "[1, 6]", "[1, 2]"];
        assert_eq!(said, expect);
    }

    #[test]
    fn lets_go_of_what_is_durable_and_echoes_the_acknowledgement() {
        let mut spool = spool(2);
        let mut session = live(&mut spool, 0);
        session.due(&spool, at(1)).unwrap();
        let ack = Ack { echo: 7, received: 2, durable: 2, above: Vec::new() };
        session.receive(AggregatorMessage::Ack(ack), &mut spool, at(2)).unwrap();
        assert_eq!(spool.bounds(), None);
        spool.push(tick(3));
        let messages = session.due(&spool, at(3)).unwrap();
        assert!(matches!(&messages[0], AgentMessage::Frame(frame) if frame.echo == 7), "{messages:?}");
    }

    #[test]
    fn gives_up_when_nothing_is_acknowledged() {
        let mut spool = spool(1);
        let mut session = live(&mut spool, 0);
        session.due(&spool, at(1)).unwrap();
        assert!(session.check(at(10)).is_ok());
        assert!(matches!(session.check(at(11)), Err(SessionError::Silent)));
        let ack = Ack { echo: 1, received: 1, durable: 0, above: Vec::new() };
        session.receive(AggregatorMessage::Ack(ack), &mut spool, at(11)).unwrap();
        assert!(session.check(at(60)).is_ok(), "nothing is on its way");
    }

    #[test]
    fn what_comes_out_of_turn_ends_it() {
        let mut spool = spool(1);
        let (mut session, _) = Session::begin(&me(), &spool, at(0));
        assert!(session.receive(AggregatorMessage::Ack(Ack::default()), &mut spool, at(0)).is_err());
        let mut session = live(&mut spool, 0);
        assert!(session.receive(welcome(0), &mut spool, at(0)).is_err());
    }
}
