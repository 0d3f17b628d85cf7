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

use crate::encode::Stretch;
use crate::spool::Spool;
use quorate_common::cell::CellError;
use quorate_common::model::node::HostFacts;
use quorate_common::model::session::{
    Ack, AgentMessage, AggregatorMessage, ByeReason, Epoch, Held, Hello, PROTOCOL, Request, Welcome,
};
use quorate_common::model::time::{BootTime, Now};
use std::time::Duration;

/// A session in which nothing was acknowledged for this long is given up.
pub const ACK_DEADLINE: Duration = Duration::from_secs(10);

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

/// What the node has of earlier when a session begins.
#[derive(Clone, Debug, Default)]
pub struct Holding {
    /// One range of frames for each epoch.
    pub held: Vec<Held>,
    /// A journal has it: what is old need not come through the session.
    pub is_backed: bool,
}

impl Holding {
    /// What waits in memory, of the current epoch, and nothing else.
    pub fn of(epoch: Epoch, spool: &Spool) -> Holding {
        let held = spool.bounds().map(|(first, last)| Held { epoch, first, last });
        Holding { held: held.into_iter().collect(), is_backed: false }
    }

    /// A journal's, and what waits in memory and may not have got there yet. What is old is in the journal, or known
    /// to an aggregator: no session sends it.
    pub fn backed(epoch: Epoch, spool: &Spool, mut held: Vec<Held>, now: BootTime) -> Holding {
        let young = |(first, last): (u64, u64)| Held { epoch, first: first.max(spool.old(now) + 1), last };
        held.extend(spool.bounds().map(young).filter(|held| held.first <= held.last));
        Holding { held: Held::joined(held), is_backed: true }
    }
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
    /// Ticks left the memory before they were sent, and with them what began and ended.
    #[error("frames {first} to {last} were not sent in time")]
    Behind {
        /// The oldest.
        first: u64,
        /// The newest.
        last: u64,
    },
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
    is_backed: bool,
    stretch: Stretch,
    /// Whether anything was registered, which is when there is a first tick to send.
    has_begun: bool,
    /// Number of the last tick that was sent or that the aggregator had already.
    sent: u64,
    echo: u64,
    /// When the oldest unanswered message was sent; `None` when all is acknowledged.
    waiting_since: Option<BootTime>,
    acknowledged: u64,
}

impl Session {
    /// Begins a session; the message is the first to send.
    pub fn begin(me: &Introduction, holding: Holding, now: Now) -> (Session, AgentMessage) {
        let hello = Hello {
            protocol: PROTOCOL,
            epoch: me.epoch,
            boot_id: me.boot_id,
            boot_ns: now.boot.0,
            wall_ns: now.wall.0,
            interval_ms: me.interval_ms,
            held: holding.held,
            facts: me.facts.clone(),
        };
        let session = Session {
            phase: Phase::Greeting,
            is_backed: holding.is_backed,
            stretch: Stretch::default(),
            has_begun: false,
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
            (Phase::Greeting, AggregatorMessage::Welcome(welcome)) => Ok(self.welcome(&welcome, spool, now)),
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

    fn welcome(&mut self, welcome: &Welcome, spool: &mut Spool, now: Now) -> Effect {
        spool.acknowledge(welcome.durable, &welcome.above);
        self.phase = Phase::Live;
        let first = spool.bounds().map_or(0, |(first, _)| first - 1);
        self.sent = if self.is_backed { first.max(spool.old(now.boot)) } else { first };
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
        self.register(spool, &mut messages);
        for tick in spool.after(self.sent) {
            let next = self.sent + 1;
            if tick.seq > next {
                return Err(SessionError::Behind { first: next, last: tick.seq - 1 });
            }
            let encoded = self.stretch.tick(tick, self.echo, &mut messages);
            encoded.map_err(|source| SessionError::Encode { seq: tick.seq, source })?;
            self.sent = tick.seq;
            self.waiting_since.get_or_insert(now.boot);
        }
        Ok(messages)
    }

    /// Registers, once, what is registered when the first tick begins. What is not in memory before it is acknowledged,
    /// or the journal's to send.
    fn register(&mut self, spool: &Spool, messages: &mut Vec<AgentMessage>) {
        let first = spool.after(self.sent).next().filter(|_| !self.has_begun);
        let Some(first) = first else { return };
        self.sent = first.seq - 1;
        self.stretch.begin(&spool.registered(self.sent), messages);
        self.has_begun = true;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Config;
    use crate::testing::{at, series, tick};
    use quorate_common::cell::{Decoder, Form, FrameHead};
    use quorate_common::model::series::Window;

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
        let (mut session, hello) = Session::begin(&me(), Holding::of(me().epoch, spool), at(0));
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
    fn what_is_old_is_left_to_the_journal() {
        let mut spool = spool(15);
        let held = |first, last| Held { epoch: me().epoch, first, last };
        let young = Holding::backed(me().epoch, &spool, Vec::new(), at(15).boot);
        assert_eq!(young.held, [held(6, 15)], "what the journal has no more is not sent");
        let holding = Holding::backed(me().epoch, &spool, vec![held(1, 14)], at(15).boot);
        let (mut session, hello) = Session::begin(&me(), holding, at(15));
        let AgentMessage::Hello(hello) = hello else { panic!("{hello:?}") };
        assert_eq!(hello.held, [held(1, 15)]);
        session.receive(welcome(2), &mut spool, at(15)).unwrap();
        let sent = decode(&session.due(&spool, at(15)).unwrap());
        assert_eq!(sent.first(), Some(&(6, 6)), "the ticks of the last ten seconds");
        assert_eq!(sent.len(), 10);
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
    fn what_was_acknowledged_before_it_began_is_not_missed() {
        let mut spool = spool(4);
        let mut session = live(&mut spool, 4);
        assert_eq!(spool.bounds(), None);
        session.due(&spool, at(4)).unwrap();
        spool.push(tick(5));
        assert!(session.due(&spool, at(5)).is_ok());
    }

    #[test]
    fn what_left_the_memory_before_it_began_is_registered() {
        let mut spool = spool(0);
        let mut session = live(&mut spool, 0);
        assert_eq!(session.due(&spool, at(0)).unwrap(), [], "nothing is registered before there is a tick");
        spool.push(tick(1));
        spool.acknowledge(1, &[]);
        spool.push(tick(2));
        let said = session.due(&spool, at(2)).unwrap();
        assert!(matches!(said[0], AgentMessage::Register(_)), "{said:?}");
    }

    #[test]
    fn what_left_the_memory_unsent_ends_it() {
        let mut spool = Spool::new(Config { ticks_max: 2, ..Config::default() });
        spool.push(tick(1));
        let mut session = live(&mut spool, 0);
        assert_eq!(session.due(&spool, at(1)).unwrap().len(), 2);
        (2..=4).for_each(|seq| spool.push(tick(seq)));
        let behind = session.due(&spool, at(4)).unwrap_err();
        assert!(matches!(behind, SessionError::Behind { first: 2, last: 2 }), "{behind}");
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
        let (mut session, _) = Session::begin(&me(), Holding::of(me().epoch, &spool), at(0));
        assert!(session.receive(AggregatorMessage::Ack(Ack::default()), &mut spool, at(0)).is_err());
        let mut session = live(&mut spool, 0);
        assert!(session.receive(welcome(0), &mut spool, at(0)).is_err());
    }
}
