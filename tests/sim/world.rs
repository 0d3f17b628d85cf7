//! One agent, one aggregator, their disks and the link between them, in virtual time.

use super::agent::{Agent, Room};
use super::aggregator::Aggregator;
use super::link::Link;
use super::met::Met;
use super::mutant::Mutant;
use super::time::Time;
use super::truth::Truth;
use quorate_common::disk::MemoryDisk;
use quorate_common::rng::{Rng, SeededRng};

/// After so many quiet seconds everything has arrived, or it never will.
const QUIET_MAX: u64 = 200;
/// What is younger is not sent by the journal yet.
const QUIET_MIN: u64 = 12;

/// See the module.
pub struct World {
    pub(super) rng: SeededRng,
    pub(super) mutant: Option<Mutant>,
    pub(super) time: Time,
    pub(super) room: Room,
    pub(super) agent: Agent,
    pub(super) agent_disk: MemoryDisk,
    pub(super) agent_copy: Option<MemoryDisk>,
    pub(super) aggregator: Option<Aggregator>,
    pub(super) aggregator_disk: MemoryDisk,
    pub(super) aggregator_copy: Option<MemoryDisk>,
    pub(super) down_until: u64,
    pub(super) has_set_back: bool,
    /// It was, since the agent began.
    pub(super) is_agent_disk_full: bool,
    pub(super) link: Option<Link>,
    /// Nothing of earlier is sent in the rough part.
    pub(super) is_mute: bool,
    /// The link breaks and comes back again and again, so that there are more holes than a ledger can have.
    pub(super) is_flapping: bool,
    rough: u64,
    /// Whether it says what happens.
    pub is_told: bool,
    pub(super) truth: Truth,
    pub(super) problem: Option<String>,
    pub met: Met,
}

impl World {
    /// A world of this seed, with a mistake in the program or none.
    pub fn new(seed: u64, mutant: Option<Mutant>) -> World {
        let mut rng = SeededRng::new(seed);
        let is_flapping = seed % 50 == 7;
        // A third of the agents has hardly any room on the disk, a third hardly any in memory.
        let size_max = if seed.is_multiple_of(3) && !is_flapping { 2_000 } else { 1 << 20 };
        let ticks_max = if is_flapping {
            1
        } else if seed % 3 == 1 {
            2
        } else {
            30
        };
        let room = Room { size_max, ticks_max };
        let disk = MemoryDisk::default();
        let rough = if is_flapping { 500 } else { 25 + rng.below(45) };
        let mut world = World {
            mutant,
            time: Time::new(rng.below(7_200)),
            room,
            agent: Agent::start(&disk, 0, room, mutant, &mut rng),
            agent_disk: disk,
            agent_copy: None,
            aggregator: None,
            aggregator_disk: MemoryDisk::default(),
            aggregator_copy: None,
            down_until: 0,
            has_set_back: false,
            is_agent_disk_full: false,
            link: None,
            is_mute: is_flapping || rng.below(6) == 0,
            is_flapping,
            rough,
            is_told: false,
            truth: Truth::default(),
            problem: None,
            met: Met::default(),
            rng,
        };
        world.open_aggregator(false);
        world
    }

    /// Lives through it and judges it: the first problem, if there is one.
    pub fn run(&mut self) -> Result<(), String> {
        for _ in 0..self.rough {
            self.time.pass(1);
            self.mishap();
            self.turn(true);
            if let Some(problem) = self.problem.take() {
                return Err(problem);
            }
        }
        self.calm();
        for second in 1..=QUIET_MAX {
            self.time.pass(1);
            self.turn(false);
            if let Some(problem) = self.problem.take() {
                return Err(problem);
            }
            if second >= QUIET_MIN && self.is_settled() {
                return self.verdict();
            }
        }
        Err(format!("it never settles: {}", self.waits()))
    }

    /// From here on everything works.
    fn calm(&mut self) {
        self.tell(|_| "calm".into());
        self.relieve();
        self.agent.disk.calm();
        self.aggregator.iter().for_each(|aggregator| aggregator.disk.calm());
    }

    /// Says what happens, if somebody wants to know.
    #[allow(clippy::print_stdout, reason = "for whoever runs one seed")]
    pub(super) fn tell(&self, what: impl FnOnce(&World) -> String) {
        if self.is_told {
            println!("{:>6} {:?} {}", self.time.second, self.agent.epoch.order, what(self));
        }
    }

    pub(super) fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// One second.
    fn turn(&mut self, is_rough: bool) {
        self.bury();
        self.open_aggregator(is_rough);
        self.tick(is_rough);
        self.bury();
        let patience = if self.is_flapping {
            4
        } else if self.is_mute {
            12
        } else {
            4
        };
        if self.link.is_none() && (!is_rough || self.rng.below(patience) == 0) {
            self.connect();
        }
        self.exchange(is_rough);
        if is_rough && self.is_flapping && self.rng.below(3) > 0 {
            self.cut();
        }
        if !is_rough || self.rng.below(3) > 0 {
            self.commit();
        }
        if self.rng.below(8) == 0 {
            self.keep_up();
        }
        self.bury();
    }

    /// The agent samples, and its journal takes that first.
    fn tick(&mut self, is_rough: bool) {
        let (at, second) = (self.time.agent(), self.time.second);
        let round = self.agent.sample((at, second), is_rough, &mut self.rng, &mut self.met);
        for tick in self.agent.cutter.cut(round) {
            self.truth.collect(self.agent.epoch, second, &tick, &self.agent.slots);
            if is_rough {
                self.cut_loss_apart();
            }
            self.agent.log.push(&tick);
            if self.agent.disk.is_dead() {
                return;
            }
            self.truth.pushed(self.agent.epoch, tick.seq);
            let before = self.agent.spool.counts().1;
            self.agent.spool.push(tick);
            self.met.overflowed += self.agent.spool.counts().1 - before;
        }
        if self.agent.session.is_none() {
            self.agent.log.sync();
            if !self.agent.disk.is_dead() {
                self.truth.synced();
            }
        }
    }

    /// What the aggregator gathered becomes durable, or fails.
    pub(super) fn commit(&mut self) {
        let failed = self.aggregator.as_mut().is_some_and(Aggregator::commit);
        self.met.failed_commits += u64::from(failed);
    }

    pub(super) fn keep_up(&mut self) {
        let now = self.time.aggregator();
        self.aggregator.iter_mut().for_each(|aggregator| aggregator.keep_up(now));
    }
}
