//! One process of the agent: it samples, keeps a journal and has a session. The world carries what it says.

use super::met::Met;
use super::mutant::Mutant;
use super::shim::Shim;
use super::time::Time;
use super::truth;
use quorate_agent::encode::{Cutter, GroupInfo, NewSeries, Round};
use quorate_agent::session::Session;
use quorate_agent::spool::{Config, Log, Spool};
use quorate_common::disk::{Disk, MemoryDisk};
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
use quorate_common::model::session::Epoch;
use quorate_common::model::time::Now;
use quorate_common::rng::{Rng, SeededRng};
use std::path::Path;
use std::sync::Arc;

/// Sampling intervals of the three groups: one of each window class.
const INTERVALS_S: [u64; 3] = [1, 10, 30];
/// Directories of its disk.
pub const DIRECTORIES: [&str; 2] = ["/state", "/spool"];
const COUNTER: &str = "/state/epoch";

/// What an agent may use.
#[derive(Clone, Copy)]
pub struct Room {
    /// Bytes of the journal.
    pub size_max: u64,
    /// Ticks in memory.
    pub ticks_max: usize,
}

/// See the module.
pub struct Agent {
    pub epoch: Epoch,
    pub disk: Arc<Shim>,
    pub cutter: Cutter,
    pub spool: Spool,
    pub log: Log,
    pub session: Option<Session>,
    /// Group and number of the series of each slot.
    pub slots: Vec<Option<(u32, u32)>>,
    /// Slots that ended in an earlier round.
    free: Vec<u32>,
    begun: u32,
    cells: Vec<i64>,
}

impl Agent {
    /// A process that finds what earlier ones left on the disk.
    pub fn start(
        disk: &MemoryDisk,
        boot: u64,
        room: Room,
        mutant: Option<Mutant>,
        rng: &mut dyn Rng,
    ) -> Agent {
        let epoch = begin_epoch(disk, rng);
        let shim = Arc::new(Shim::new(disk, mutant));
        let dice = Box::new(SeededRng::new(rng.u64()));
        let me = (epoch, Time::boot_id(boot));
        let log = Log::open(shim.clone(), Path::new("/spool"), room.size_max, me, dice);
        Agent {
            epoch,
            disk: shim,
            cutter: Cutter::default(),
            spool: Spool::new(Config { ticks_max: room.ticks_max, ..Config::default() }),
            log: log.expect("nothing fails before anything is armed"),
            session: None,
            slots: Vec::new(),
            free: Vec::new(),
            begun: 0,
            cells: Vec::new(),
        }
    }

    /// Samples once. Series begin and end if anything may `change`.
    pub fn sample(
        &mut self,
        (at, second): (Now, u64),
        change: bool,
        rng: &mut dyn Rng,
        met: &mut Met,
    ) -> Round {
        let begin = if self.slots.is_empty() { 6 } else { u64::from(change && rng.below(10) == 0) };
        let registered: Vec<NewSeries> = (0..begin).map(|_| self.begin_series(met)).collect();
        let mut retired = Vec::new();
        if change && rng.below(20) == 0 && self.slots.len() >= 6 {
            let slot = rng.below(self.slots.len() as u64) as usize;
            let is_new = registered.iter().any(|new| new.slot == slot as u32);
            if !is_new && self.slots[slot].take().is_some() {
                retired.push(slot as u32);
                met.retired += 1;
            }
        }
        self.free.extend_from_slice(&retired);
        let due = |group: &u32| second.is_multiple_of(INTERVALS_S[*group as usize]);
        let sampled: Vec<u32> = (0..3).filter(due).collect();
        for (slot, cell) in self.slots.iter().zip(&mut self.cells) {
            if slot.is_some_and(|(group, _)| sampled.contains(&group)) {
                *cell = next_cell(*cell, rng);
            }
        }
        let groups = (0..3).map(group).collect();
        Round { at, next_due_ms: 1000, registered, retired, sampled, cells: self.cells.clone(), groups }
    }

    fn begin_series(&mut self, met: &mut Met) -> NewSeries {
        met.registered += 1;
        let (group, number) = (self.begun % 3, self.begun);
        self.begun += 1;
        met.reused += u64::from(!self.free.is_empty());
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // The cell of the series before it stays until it is set.
            self.cells.push(0);
            self.slots.len() as u32 - 1
        });
        self.slots[slot as usize] = Some((group, number));
        let metric =
            Metric { name: truth::name(number).into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
        NewSeries { group, slot, spec: SeriesSpec { metric, labels: Labels::default() } }
    }
}

fn group(group: u32) -> GroupInfo {
    GroupInfo {
        group,
        collector: format!("c{group}"),
        interval_ms: INTERVALS_S[group as usize] as u32 * 1000,
        class: SeriesClass::System,
    }
}

fn next_cell(cell: i64, rng: &mut dyn Rng) -> i64 {
    match rng.below(3) {
        0 => cell,
        1 => cell + 1,
        _ => rng.below(1 << 40) as i64,
    }
}

/// The next start, by the counter on the disk.
fn begin_epoch(disk: &MemoryDisk, rng: &mut dyn Rng) -> Epoch {
    let path = Path::new(COUNTER);
    let before = disk.read(path, 99).ok().and_then(|text| String::from_utf8(text).ok()?.parse::<u64>().ok());
    let order = before.unwrap_or(0) + 1;
    // A full disk takes ten bytes more: what happens without a counter is no business of the journal.
    disk.limit(None);
    disk.write_atomic(path, order.to_string().as_bytes()).expect("a disk that works");
    Epoch { order, nonce: rng.u64() }
}
