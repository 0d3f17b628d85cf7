//! One agent, one aggregator and the link between them, in virtual time.

use super::met::Met;
use quorate_agent::encode::{Cutter, GroupInfo, NewSeries, Round};
use quorate_agent::session::{Holding, Introduction, Session as AgentSession};
use quorate_agent::spool::{Config, Log, Spool};
use quorate_aggregator::agents::delivery::Delivery;
use quorate_aggregator::limit::AgentLimits as Limits;
use quorate_aggregator::receive::backfill::Backfill;
use quorate_aggregator::receive::session::{NodeHandle, Session as AggregatorSession, Step};
use quorate_aggregator::store::embedded::Embedded;
use quorate_aggregator::store::live::Live;
use quorate_common::disk::MemoryDisk;
use quorate_common::model::backfill::{self, Known};
use quorate_common::model::label::Labels;
use quorate_common::model::node::{HostFacts, NodeId};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
use quorate_common::model::session::{Ack, AgentMessage, AggregatorMessage, Epoch, Welcome};
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::rng::{Rng, SeededRng};
use quorate_proto::convert::{RegisterLimits, SessionReader, SessionWriter};
use quorate_proto::v1;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

pub(super) const NODE: NodeId = NodeId(1);
const BOOT: [u8; 16] = [7; 16];
const SECOND: u64 = 1_000_000_000;
/// Rough seconds, and then quiet ones in which everything must arrive.
const ROUGH: u64 = 240;
const QUIET: u64 = 20;
/// Sampling intervals of the three groups: one of each window class.
const INTERVALS_S: [u64; 3] = [1, 10, 30];

pub struct World {
    rng: SeededRng,
    second: u64,
    pub(super) agent: Agent,
    pub(super) aggregator: Aggregator,
    link: Option<Link>,
    /// The agent's disk: what is written is there after a kill, what is synced after a power cut.
    disk: MemoryDisk,
    /// What the journal may take of it.
    size_max: u64,
    /// Name and time of every sample that the agent collected since the aggregator began.
    pub(super) collected: BTreeMap<(String, i64), Sampled>,
    pub met: Met,
}

/// The cell of a sample, and the frame that it is in.
pub(super) struct Sampled {
    pub(super) cell: i64,
    epoch: Epoch,
    seq: u64,
}

pub(super) struct Agent {
    epoch: Epoch,
    cutter: Cutter,
    pub(super) spool: Spool,
    log: Log,
    session: Option<AgentSession>,
    slots: Vec<Option<(u32, String)>>,
    /// Slots that ended in an earlier round.
    free: Vec<u32>,
    begun: u32,
    cells: Vec<i64>,
}

pub(super) struct Aggregator {
    pub(super) node: NodeHandle,
    pub(super) store: Arc<Embedded>,
    session: Option<AggregatorSession>,
}

/// Carries the agent's messages as they would be on the wire.
struct Link {
    writer: SessionWriter,
    reader: SessionReader,
    up: VecDeque<v1::SessionRequest>,
    down: VecDeque<AggregatorMessage>,
}

impl Link {
    fn new(hello: AgentMessage, limits: Limits) -> Link {
        let mut writer = SessionWriter::default();
        let reader = SessionReader::new(RegisterLimits { series_max: limits.indices_max() as usize });
        Link { up: VecDeque::from([writer.write(hello)]), down: VecDeque::new(), writer, reader }
    }
}

impl Agent {
    fn new(epoch: Epoch, disk: &MemoryDisk, size_max: u64) -> Agent {
        let (disk, rng) = (Arc::new(disk.clone()), Box::new(SeededRng::new(epoch.nonce)));
        let log = Log::open(disk, Path::new("/spool"), size_max, (epoch, BOOT), rng);
        Agent {
            log: log.expect("a disk that works"),
            epoch,
            cutter: Cutter::default(),
            spool: Spool::new(Config { ticks_max: 12, ..Config::default() }),
            session: None,
            slots: Vec::new(),
            free: Vec::new(),
            begun: 0,
            cells: Vec::new(),
        }
    }
}

impl Aggregator {
    fn new() -> Aggregator {
        let row = Live::default().row(NODE, &"n1".parse().expect("a name"));
        let store = Arc::<Embedded>::default();
        let node = NodeHandle { id: NODE, row, delivery: Arc::new(Delivery::new(NODE, store.clone())) };
        Aggregator { node, store, session: None }
    }
}

impl World {
    pub fn new(seed: u64) -> World {
        // A third of the agents has hardly any room.
        let size_max = if seed.is_multiple_of(3) { 2_000 } else { 1 << 20 };
        let disk = MemoryDisk::default();
        World {
            rng: SeededRng::new(seed),
            second: 0,
            agent: Agent::new(Epoch { order: 1, nonce: seed }, &disk, size_max),
            disk,
            size_max,
            aggregator: Aggregator::new(),
            link: None,
            collected: BTreeMap::new(),
            met: Met::default(),
        }
    }

    pub fn run(&mut self) {
        for second in 1..=ROUGH + QUIET {
            self.second = second;
            if second <= ROUGH {
                self.mishap();
            }
            let round = self.sample(second <= ROUGH);
            for tick in self.agent.cutter.cut(round) {
                self.place(tick.seq, &tick.sampled);
                let before = self.agent.spool.counts().1;
                self.agent.log.push(&tick);
                self.agent.spool.push(tick);
                self.met.overflowed += self.agent.spool.counts().1 - before;
            }
            let connect = second > ROUGH || self.rng.below(if self.size_max < 10_000 { 40 } else { 4 }) == 0;
            if self.link.is_none() && connect {
                self.connect();
            }
            self.exchange(second > ROUGH);
        }
    }

    /// The agent's clocks: it booted a thousand seconds before the aggregator's host.
    pub(super) fn now(&self) -> Now {
        let wall = WallTime((1_800_000_000 + self.second as i64) * SECOND as i64);
        Now { boot: BootTime((1_000 + self.second) * SECOND), wall }
    }

    fn mishap(&mut self) {
        match self.rng.below(100) {
            0..5 => self.cut(),
            5 => {
                self.cut();
                self.met.agent_restarts += 1;
                match self.rng.below(4) {
                    0 => {
                        self.agent.log.sync();
                        self.disk.cut_power(&mut self.rng);
                    }
                    1 => {
                        // What nobody had acknowledged is gone with the disk.
                        self.met.wiped += 1;
                        self.disk = MemoryDisk::default();
                        self.forget_unstored();
                    }
                    // What was written survives the end of the process.
                    _ => {}
                }
                let epoch = Epoch { order: self.agent.epoch.order + 1, nonce: self.rng.u64() };
                self.agent = Agent::new(epoch, &self.disk, self.size_max);
            }
            6 => {
                self.cut();
                self.met.aggregator_restarts += 1;
                // History is in memory: a new process knows nothing, and is owed what the agent still holds.
                self.aggregator = Aggregator::new();
                let Agent { log, spool, epoch, .. } = &self.agent;
                let waits = |seq| spool.after(0).any(|tick| tick.seq == seq);
                self.collected
                    .retain(|_, one| log.has(one.epoch, one.seq) || (one.epoch == *epoch && waits(one.seq)));
            }
            _ => {}
        }
    }

    fn cut(&mut self) {
        self.met.breaks += u64::from(self.link.take().is_some());
        self.agent.session = None;
        self.aggregator.session = None;
    }

    fn forget_unstored(&mut self) {
        let stored = self.stored();
        self.collected.retain(|key, _| stored.contains_key(key));
    }

    fn sample(&mut self, change: bool) -> Round {
        let at = self.now();
        let mut registered = Vec::new();
        let mut retired = Vec::new();
        let begin =
            if self.agent.slots.is_empty() { 6 } else { u64::from(change && self.rng.below(10) == 0) };
        for _ in 0..begin {
            registered.push(self.begin_series());
        }
        if change && self.rng.below(20) == 0 && self.agent.slots.len() >= 6 {
            let slot = self.rng.below(self.agent.slots.len() as u64) as usize;
            let is_new = registered.iter().any(|new: &NewSeries| new.slot == slot as u32);
            if !is_new && self.agent.slots[slot].take().is_some() {
                retired.push(slot as u32);
                self.met.retired += 1;
            }
        }
        self.agent.free.extend_from_slice(&retired);
        let sampled: Vec<u32> =
            (0..3).filter(|group| self.second.is_multiple_of(INTERVALS_S[*group as usize])).collect();
        for slot in 0..self.agent.slots.len() {
            let Some((group, name)) = self.agent.slots[slot].clone() else { continue };
            if sampled.contains(&group) {
                self.agent.cells[slot] = self.next_cell(self.agent.cells[slot]);
                let (cell, epoch) = (self.agent.cells[slot], self.agent.epoch);
                self.collected.insert((name, at.wall.0), Sampled { cell, epoch, seq: 0 });
            }
        }
        let group = |group: u32| GroupInfo {
            group,
            collector: format!("c{group}"),
            interval_ms: INTERVALS_S[group as usize] as u32 * 1000,
            class: SeriesClass::System,
        };
        Round {
            at,
            next_due_ms: 1000,
            registered,
            retired,
            sampled,
            cells: self.agent.cells.clone(),
            groups: (0..3).map(group).collect(),
        }
    }

    /// Remembers in which frame the samples of this second are.
    fn place(&mut self, seq: u64, groups: &[u32]) {
        let at = self.now().wall.0;
        for (_, name) in self.agent.slots.iter().flatten().filter(|(group, _)| groups.contains(group)) {
            if let Some(one) = self.collected.get_mut(&(name.clone(), at)) {
                one.seq = seq;
            }
        }
    }

    fn begin_series(&mut self) -> NewSeries {
        self.met.registered += 1;
        let group = self.agent.begun % 3;
        let name = format!("m_{}_{}", self.agent.epoch.order, self.agent.begun);
        self.agent.begun += 1;
        self.met.reused += u64::from(!self.agent.free.is_empty());
        let slot = self.agent.free.pop().unwrap_or_else(|| {
            self.agent.slots.push(None);
            // The cell of the series before it stays until it is set.
            self.agent.cells.push(0);
            self.agent.slots.len() as u32 - 1
        });
        self.agent.slots[slot as usize] = Some((group, name.clone()));
        let metric = Metric { name: name.into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
        NewSeries { group, slot, spec: SeriesSpec { metric, labels: Labels::default() } }
    }

    fn next_cell(&mut self, cell: i64) -> i64 {
        match self.rng.below(3) {
            0 => cell,
            1 => cell + 1,
            _ => self.rng.below(1 << 40) as i64,
        }
    }

    fn connect(&mut self) {
        let me = Introduction {
            epoch: self.agent.epoch,
            boot_id: BOOT,
            interval_ms: 1000,
            facts: HostFacts::default(),
        };
        let now = self.now();
        let holding = Holding::backed(me.epoch, &self.agent.spool, self.agent.log.held());
        let (session, hello) = AgentSession::begin(&me, holding, now);
        self.agent.session = Some(session);
        let limits = Limits::default();
        let aggregator = &mut self.aggregator;
        aggregator.session = Some(AggregatorSession::new(
            aggregator.node.clone(),
            aggregator.store.clone(),
            "a".into(),
            limits,
            now,
        ));
        self.link = Some(Link::new(hello, limits));
        // The TLS handshake before it has shown that the link is quick enough for one message.
        self.carry_up();
    }

    /// Carries some of what is under way, in both directions, until nothing moves or the link is slow.
    fn exchange(&mut self, all: bool) {
        for _ in 0..40 {
            if !all && self.rng.below(6) == 0 {
                return;
            }
            if !self.carry_up() & !self.carry_down() & !self.send_due() & !self.fill() {
                return;
            }
        }
    }

    fn send_due(&mut self) -> bool {
        let now = self.now();
        let (Some(link), Some(session)) = (&mut self.link, &mut self.agent.session) else { return false };
        let due = session.due(&self.agent.spool, now).expect("the agent can encode its own ticks");
        let some = !due.is_empty();
        link.up.extend(due.into_iter().map(|message| link.writer.write(message)));
        some
    }

    fn carry_up(&mut self) -> bool {
        let now = self.now();
        let (Some(link), Some(session)) = (&mut self.link, &mut self.aggregator.session) else {
            return false;
        };
        let Some(message) = link.up.pop_front() else { return false };
        let message = link.reader.read(message).expect("what was written can be read");
        if let AgentMessage::Frame(frame) = &message {
            self.met.resent += u64::from(frame.predecessor == 0 && frame.seq > 3);
        }
        match session.receive(message, now).expect("an honest agent is never refused") {
            Step::Quiet | Step::Farewell(_) => {}
            Step::Reply(message) | Step::Opened { welcome: message, .. } => link.down.push_back(message),
        }
        true
    }

    /// One exchange over the other connection, whose answer may get lost.
    fn fill(&mut self) -> bool {
        let is_live = self.aggregator.session.as_ref().is_some_and(AggregatorSession::is_live);
        if self.link.is_none() || !is_live {
            return false;
        }
        let Some(message) = self.agent.log.due() else { return false };
        match message {
            backfill::Backfill::Piece(_) => self.met.pieces += 1,
            backfill::Backfill::Loss(_) => self.met.losses += 1,
        }
        let Aggregator { node, store, .. } = &self.aggregator;
        let mut backfill = Backfill::new(NODE, node.delivery.clone(), store.clone(), Limits::default());
        let taken = backfill.receive(message, self.now().wall);
        let known = backfill.known(taken);
        assert_eq!(known.refused, None, "an honest agent is never refused");
        if self.second > ROUGH || self.rng.below(4) > 0 {
            self.agent.log.known(known);
        }
        true
    }

    fn carry_down(&mut self) -> bool {
        let now = self.now();
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
}
