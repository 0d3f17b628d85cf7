//! What goes wrong in the rough part of a run.

use super::agent::{self, Agent};
use super::aggregator::{self, Aggregator, NODE};
use super::shim::{Shim, copy};
use super::world::World;
use quorate_aggregator::store::Append;
use quorate_common::disk::{Disk, MemoryDisk, Operation};
use quorate_common::ledger::Ledger;
use quorate_common::model::session::Epoch;
use quorate_common::rng::Rng;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What it wrote stays.
    Kill,
    /// What it synced stays, and of the rest some.
    PowerCut,
}

impl World {
    fn chance(&mut self, of: u64) -> bool {
        self.rng.below(of) == 0
    }

    fn end(&mut self) -> End {
        if self.chance(2) { End::Kill } else { End::PowerCut }
    }

    /// Perhaps one thing.
    pub(super) fn mishap(&mut self) {
        let end = self.end();
        let which = if self.is_flapping { 11 + 200 * self.rng.below(80).min(1) } else { self.rng.below(130) };
        self.tell(|_| format!("mishap {which}"));
        match which {
            0..8 => self.cut(),
            8..11 => self.end_agent(end),
            11..14 => self.end_aggregator(end),
            14 => self.end_both(end),
            15 => self.wipe(),
            16..18 => self.restore_agent(),
            18..20 => self.restore_aggregator(),
            20..23 => self.agent.disk.arm(self.rng.below(6) as u32),
            23..26 => self.arm_aggregator(),
            26..28 => self.fail_agent(),
            28..31 => self.fail_aggregator(),
            31..33 => self.leap(),
            33 => self.be_silent(),
            34 => self.step_agent(),
            35 => self.step_aggregator(),
            36 => self.fill_agent_disk(),
            37 => self.aggregator_disk.limit(Some(self.rng.below(8_000))),
            38..42 => self.relieve(),
            _ => {}
        }
    }

    /// The link is gone.
    pub(super) fn cut(&mut self) {
        self.met.breaks += u64::from(self.link.take().is_some());
        self.agent.session = None;
        self.aggregator.iter_mut().for_each(Aggregator::disconnect);
    }

    pub(super) fn relieve(&mut self) {
        self.agent_disk.limit(None);
        self.aggregator_disk.limit(None);
    }

    pub(super) fn end_agent(&mut self, end: End) {
        self.tell(|world| format!("agent ends {end:?}, inside {}", world.agent.disk.is_dead()));
        if self.chance(3) && !self.agent.disk.is_dead() {
            self.agent.log.sync();
            if !self.agent.disk.is_dead() {
                self.truth.synced();
            }
        }
        self.truth.end_process(self.agent.epoch);
        if end == End::PowerCut {
            self.met.agent_power_cuts += 1;
            self.truth.cut_power();
            self.agent_disk.cut_power(&mut self.rng);
            self.time.boot += 1;
        } else {
            self.met.agent_kills += 1;
        }
        self.start_agent();
    }

    fn start_agent(&mut self) {
        self.cut();
        self.met.agent_faults += self.agent.disk.faults();
        self.met.cut_apart += u64::from(self.agent.disk.is_cut_apart());
        if self.agent.disk.faults() > 0 || std::mem::take(&mut self.is_agent_disk_full) {
            self.truth.lose_node();
        }
        self.agent_disk.limit(None);
        self.agent = Agent::start(&self.agent_disk, self.time.boot, self.room, self.mutant, &mut self.rng);
    }

    pub(super) fn end_aggregator(&mut self, end: End) {
        self.tell(|_| format!("aggregator ends {end:?}"));
        self.cut();
        let faults = self.aggregator.take().map_or(0, |aggregator| aggregator.disk.faults());
        self.met.aggregator_faults += faults;
        match end {
            End::Kill => self.met.aggregator_kills += 1,
            End::PowerCut => {
                self.met.aggregator_power_cuts += 1;
                self.aggregator_disk.cut_power(&mut self.rng);
            }
        }
        self.down_until = self.time.second + if self.chance(2) { 0 } else { self.rng.below(25) };
        self.open_aggregator(true);
        if self.aggregator.is_some() && self.chance(3) {
            self.met.cut_after_replay += 1;
            self.aggregator = None;
            self.aggregator_disk.cut_power(&mut self.rng);
            self.open_aggregator(true);
        }
    }

    /// Opens the store, unless it is still down. It may fail at the first try.
    pub(super) fn open_aggregator(&mut self, is_rough: bool) {
        if self.aggregator.is_some() || (is_rough && self.time.second < self.down_until) {
            return;
        }
        let disk = Arc::new(Shim::new(&self.aggregator_disk, self.mutant));
        if is_rough && self.chance(6) {
            let operation = [Operation::Read, Operation::Sync, Operation::Remove][self.rng.below(3) as usize];
            disk.fail(operation, self.rng.below(6) as u32);
        }
        self.met.aggregator_clock_steps += u64::from(self.time.start_aggregator());
        let clock = self.time.clock();
        match Aggregator::start(disk.clone(), clock, self.mutant, &mut self.rng) {
            Ok(aggregator) => {
                disk.calm();
                self.aggregator = Some(aggregator);
                self.check_recovered();
                self.tell(|world| format!("aggregator opened {}", world.waits()));
            }
            Err(_) => self.met.unopened += 1,
        }
    }

    fn end_both(&mut self, end: End) {
        self.met.both += 1;
        self.end_agent(end);
        self.end_aggregator(end);
    }

    fn wipe(&mut self) {
        self.met.wiped += 1;
        let unsent = self.link.as_ref().is_some_and(|link| link.has_announced && link.sent == 0);
        self.met.announced_and_never_sent += u64::from(unsent);
        self.agent_disk = MemoryDisk::default();
        self.truth.lose_node();
        self.start_agent();
    }

    /// The state directory is copied, or is again what the copy has.
    fn restore_agent(&mut self) {
        let again = match &self.agent_copy {
            Some(copied) if self.rng.below(2) == 0 => copy(copied, &agent::DIRECTORIES),
            _ => {
                self.agent_copy = Some(copy(&self.agent_disk, &agent::DIRECTORIES));
                return;
            }
        };
        self.met.restored += 1;
        self.agent_disk = again;
        self.truth.lose_node();
        self.start_agent();
    }

    fn restore_aggregator(&mut self) {
        let again = match &self.aggregator_copy {
            Some(copied) if self.rng.below(2) == 0 => copy(copied, &aggregator::DIRECTORIES),
            _ => {
                self.aggregator_copy = Some(copy(&self.aggregator_disk, &aggregator::DIRECTORIES));
                return;
            }
        };
        self.met.set_back += 1;
        self.cut();
        self.aggregator = None;
        self.aggregator_disk = again;
        self.has_set_back = true;
        self.open_aggregator(true);
    }

    /// What a store that was set back still has, is not excused.
    pub(super) fn excuse(&mut self) {
        let Some(aggregator) = &self.aggregator else { return };
        let known: BTreeMap<Epoch, Ledger> = aggregator.store.known(NODE).into_iter().collect();
        self.truth.set_back(|epoch| known.get(&epoch).map_or(0, Ledger::last));
    }

    fn fill_agent_disk(&mut self) {
        self.is_agent_disk_full = true;
        self.agent_disk.limit(Some(self.rng.below(4_000)));
    }

    /// When there is no room any more, the process ends between the note of what is lost and the end of its piece.
    pub(super) fn cut_loss_apart(&mut self) {
        let (pieces, bytes) = self.agent.log.size();
        if pieces > 1 && bytes + 100 > self.room.size_max && self.chance(4) {
            self.agent.disk.arm(2 + self.rng.below(2) as u32);
        }
    }

    fn arm_aggregator(&mut self) {
        let calls = self.rng.below(10) as u32;
        self.aggregator.iter().for_each(|aggregator| aggregator.disk.arm(calls));
    }

    fn fail_agent(&mut self) {
        let operation = [Operation::Write, Operation::Sync, Operation::Remove][self.rng.below(3) as usize];
        self.agent.disk.fail(operation, self.rng.below(4) as u32);
    }

    fn fail_aggregator(&mut self) {
        let operation = [Operation::Write, Operation::Sync, Operation::Remove][self.rng.below(3) as usize];
        let after = self.rng.below(6) as u32;
        self.aggregator.iter().for_each(|aggregator| aggregator.disk.fail(operation, after));
    }

    /// Processes that died inside a call end; whether there were any.
    pub(super) fn bury(&mut self) -> bool {
        let end = self.end();
        let mut some = false;
        if self.agent.disk.is_dead() {
            self.met.agent_deaths_inside += 1;
            self.end_agent(end);
            some = true;
        }
        if self.aggregator.as_ref().is_some_and(|aggregator| aggregator.disk.is_dead()) {
            self.met.aggregator_deaths_inside += 1;
            self.end_aggregator(end);
            some = true;
        }
        some
    }

    /// Nobody runs for a while: some windows are over then.
    fn leap(&mut self) {
        let seconds = [330, 330, 3_700, 7_300][self.rng.below(4) as usize];
        self.time.pass(seconds + self.rng.below(30));
        self.keep_up();
    }

    /// The node is away, and the answers to what it sent are lost; windows are sealed meanwhile.
    fn be_silent(&mut self) {
        while self.carry_up() {}
        self.commit();
        let is_lost = self.link.as_ref().is_some_and(super::link::Link::has_answers);
        self.cut();
        let seals = self.count_seals();
        for _ in 0..3 {
            self.time.pass(330);
            self.commit();
            self.keep_up();
            if self.bury() {
                return;
            }
        }
        self.met.silent_over_seals += u64::from(is_lost && self.count_seals() > seals);
    }

    /// Chunk files on the aggregator's disk.
    pub(super) fn count_seals(&self) -> usize {
        let names = self.aggregator_disk.list(Path::new(aggregator::DIRECTORIES[0]));
        let names = names.expect("a disk in memory");
        names.iter().filter(|name| name.to_string_lossy().starts_with("chunks")).count()
    }

    fn step_agent(&mut self) {
        self.met.agent_clock_steps += 1;
        self.time.step_agent(&mut self.rng);
    }

    fn step_aggregator(&mut self) {
        self.time.step_aggregator(&mut self.rng);
    }
}
