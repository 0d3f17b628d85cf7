//! The link: it carries messages as they are on the wire, some now and some later, and breaks.

use super::aggregator::Aggregator;
use super::mutant::Mutant;
use super::time::Time;
use super::world::World;
use bytes::Bytes;
use quorate_agent::session::{Holding, Introduction, Session as AgentSession, SessionError};
use quorate_aggregator::limit::AgentLimits as Limits;
use quorate_aggregator::receive::session::Step;
use quorate_common::model::backfill::{Backfill, Known, Piece};
use quorate_common::model::node::HostFacts;
use quorate_common::model::session::{Ack, AgentMessage, AggregatorMessage, Epoch, SeqRange, Welcome};
use quorate_common::pack::{pack, unpack};
use quorate_common::rng::Rng;
use quorate_proto::convert::{RegisterLimits, SessionReader, SessionWriter};
use quorate_proto::v1;
use std::collections::{BTreeSet, VecDeque};

/// Steps of one second at most.
const STEPS: usize = 60;

/// Both directions of a session, and what is under way.
pub struct Link {
    writer: SessionWriter,
    reader: SessionReader,
    up: VecDeque<v1::SessionRequest>,
    down: VecDeque<AggregatorMessage>,
    /// Pieces that were sent while it was there.
    pub sent: u64,
    /// Its Hello named frames of earlier starts.
    pub has_announced: bool,
}

impl Link {
    fn new(hello: AgentMessage, limits: Limits, has_announced: bool) -> Link {
        let mut writer = SessionWriter::default();
        let reader = SessionReader::new(RegisterLimits { series_max: limits.indices_max() as usize });
        let up = VecDeque::from([writer.write(hello)]);
        Link { writer, reader, up, down: VecDeque::new(), sent: 0, has_announced }
    }

    /// Whether an answer is under way.
    pub fn has_answers(&self) -> bool {
        !self.down.is_empty()
    }
}

impl World {
    /// A session begins, if there is an aggregator.
    pub(super) fn connect(&mut self) {
        let now = self.time.agent();
        if self.aggregator.is_none() {
            return;
        };
        let me = Introduction {
            epoch: self.agent.epoch,
            boot_id: Time::boot_id(self.time.boot),
            interval_ms: 1000,
            facts: HostFacts::default(),
        };
        let held = self.agent.log.held();
        let epochs: BTreeSet<Epoch> = held.iter().map(|held| held.epoch).collect();
        self.met.several_epochs += u64::from(epochs.len() > 2);
        let has_announced = epochs.iter().any(|epoch| *epoch != me.epoch);
        self.tell(|_| format!("connects with {held:?}"));
        let holding = Holding::backed(me.epoch, &self.agent.spool, held, now.boot);
        let (session, hello) = AgentSession::begin(&me, holding, now);
        self.agent.session = Some(session);
        let theirs = self.time.aggregator();
        self.aggregator.iter_mut().for_each(|aggregator| aggregator.connect(theirs));
        self.link = Some(Link::new(hello, Limits::default(), has_announced));
        // The TLS handshake before it has shown that the link is quick enough for one message.
        self.carry_up();
    }

    /// Carries what is under way in both directions, until nothing moves or the link is slow.
    pub(super) fn exchange(&mut self, is_rough: bool) {
        for _ in 0..STEPS {
            if is_rough && self.rng.below(8) == 0 {
                return;
            }
            let moved = self.carry_up() | self.carry_down() | self.send_due() | self.fill(is_rough);
            let waits = self.aggregator.as_ref().is_some_and(Aggregator::is_waiting);
            if waits && (!is_rough || self.rng.below(3) == 0) {
                self.commit();
            }
            if self.problem.is_some() || self.bury() || !(moved || waits) {
                return;
            }
        }
    }

    fn send_due(&mut self) -> bool {
        let now = self.time.agent();
        let (Some(link), Some(session)) = (&mut self.link, &mut self.agent.session) else { return false };
        if session.check(now).is_err() {
            self.cut();
            return false;
        }
        let due = match session.due(&self.agent.spool, now) {
            Err(SessionError::Behind { .. }) => {
                self.met.behind += 1;
                self.cut();
                return false;
            }
            due => due.expect("the agent can encode its own ticks"),
        };
        let some = !due.is_empty();
        link.up.extend(due.into_iter().map(|message| link.writer.write(message)));
        some
    }

    pub(super) fn carry_up(&mut self) -> bool {
        let now = self.time.aggregator();
        let session = self.aggregator.as_mut().and_then(|aggregator| aggregator.session.as_mut());
        let (Some(link), Some(session)) = (&mut self.link, session) else { return false };
        let Some(message) = link.up.pop_front() else { return false };
        let message = link.reader.read(message).expect("what was written can be read");
        if let AgentMessage::Frame(frame) = &message {
            self.met.resent += u64::from(frame.predecessor == 0 && frame.seq > 3);
        }
        match session.receive(message, now) {
            Ok(Step::Quiet | Step::Farewell(_)) => {}
            Ok(Step::Reply(message) | Step::Opened { welcome: message, .. }) => self.answer(message),
            Err(refusal) => self.fail(format!("a session was refused: {refusal:?}")),
        }
        true
    }

    /// The aggregator says something, and is held to it.
    fn answer(&mut self, mut message: AggregatorMessage) {
        if let AggregatorMessage::Welcome(Welcome { durable, above, .. })
        | AggregatorMessage::Ack(Ack { durable, above, .. }) = &mut message
        {
            self.promise(self.agent.epoch, durable, above);
        }
        self.link.iter_mut().for_each(|link| link.down.push_back(message.clone()));
    }

    fn promise(&mut self, epoch: Epoch, durable: &mut u64, above: &mut [SeqRange]) {
        match self.mutant {
            Some(Mutant::WatermarkOffByOne) if *durable > 0 => *durable += 1,
            Some(Mutant::RangeOffByOne) => above.iter_mut().for_each(|range| range.last += 1),
            _ => {}
        }
        self.met.full_ledgers += u64::from(above.len() >= 64);
        self.tell(|_| format!("promise {epoch:?} {durable} {above:?}"));
        self.truth.acknowledge(epoch, *durable, above);
    }

    fn carry_down(&mut self) -> bool {
        let now = self.time.agent();
        let (Some(link), Some(session)) = (&mut self.link, &mut self.agent.session) else { return false };
        let Some(message) = link.down.pop_front() else { return false };
        if let AggregatorMessage::Welcome(Welcome { durable, above, .. })
        | AggregatorMessage::Ack(Ack { durable, above, .. }) = &message
        {
            let epoch = self.agent.epoch;
            self.agent.log.known(Known { epoch, durable: *durable, above: above.clone(), refused: None });
        }
        session.receive(message, &mut self.agent.spool, now).expect("an honest aggregator is never refused");
        true
    }

    /// One step of the other connection, whose answers may get lost.
    fn fill(&mut self, is_rough: bool) -> bool {
        let Some(aggregator) = &mut self.aggregator else { return false };
        let (true, Some(link)) = (aggregator.session.is_some(), &mut self.link) else { return false };
        if let Some(mut known) = aggregator.answer() {
            if let Some(why) = &known.refused {
                self.problem.get_or_insert(format!("a piece was refused: {why}"));
            }
            let Known { epoch, durable, above, .. } = &mut known;
            self.promise(*epoch, durable, above);
            if is_rough && self.rng.below(4) == 0 {
                self.met.unanswered += 1;
            } else {
                self.agent.log.known(known);
            }
            return true;
        }
        if (is_rough && self.is_mute) || !aggregator.takes() {
            return false;
        }
        let due = self.agent.log.due();
        let Some(message) = due.filter(|_| !self.agent.disk.is_dead()) else { return false };
        match &message {
            Backfill::Piece(_) => self.met.pieces += 1,
            Backfill::Loss(_) => self.met.losses += 1,
        }
        link.sent += 1;
        let now = self.time.aggregator().wall;
        aggregator.take(garbled(message, self.mutant, self.time.boot), now);
        true
    }
}

/// As a mutant sends it.
fn garbled(message: Backfill, mutant: Option<Mutant>, boot: u64) -> Backfill {
    match (message, mutant) {
        (Backfill::Piece(piece), Some(Mutant::WrongBoot)) => {
            Backfill::Piece(Piece { boot_id: Time::boot_id(boot), ..piece })
        }
        (Backfill::Piece(piece), Some(Mutant::PieceWithoutBase)) => {
            let bytes = unpack(&piece.packed, usize::MAX).expect("it was packed");
            let first = 1 + usize::from(bytes[0]) + 128 * usize::from(bytes[0] > 127) * usize::from(bytes[1]);
            let rest = bytes.get(first..).unwrap_or_default();
            let packed = Bytes::from(pack(rest).expect("in memory"));
            Backfill::Piece(Piece { packed, ..piece })
        }
        (message, _) => message,
    }
}
