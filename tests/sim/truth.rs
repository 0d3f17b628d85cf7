//! What was collected, what was promised, and what nobody can be asked for.

use quorate_agent::encode::Tick;
use quorate_common::model::backfill::Known;
use quorate_common::model::session::Epoch;
use std::collections::{BTreeMap, HashMap};

/// See the module.
#[derive(Default)]
pub struct Truth {
    /// By number of the series and true second.
    samples: HashMap<(u32, u64), Sampled>,
    epochs: BTreeMap<Epoch, Told>,
}

/// A sample as it was collected.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// Its value.
    pub cell: i64,
    /// In which frame of which start it is.
    pub epoch: Epoch,
    pub seq: u64,
}

/// One start of the agent.
#[derive(Debug)]
pub struct Told {
    /// Collected up to each frame, from the first on.
    pub totals: Vec<u64>,
    /// When the last frame was.
    pub last_second: u64,
    /// The last frame that the journal took, and the last that survives a power cut.
    pushed: u64,
    synced: u64,
    /// From this frame on the node may have lost what nobody else knows.
    pub excused_from: u64,
    /// What the agent was told, by watermark and ranges.
    pub acknowledged: Known,
}

impl Truth {
    fn told(&mut self, epoch: Epoch) -> &mut Told {
        self.epochs.entry(epoch).or_insert_with(|| Told {
            totals: Vec::new(),
            last_second: 0,
            pushed: 0,
            synced: 0,
            excused_from: u64::MAX,
            acknowledged: Known { epoch, ..Known::default() },
        })
    }

    /// A tick was cut; `slots` are the series of the round, with their groups.
    pub fn collect(&mut self, epoch: Epoch, second: u64, tick: &Tick, slots: &[Option<(u32, u32)>]) {
        let told = self.told(epoch);
        told.totals.push(tick.collected_total);
        told.last_second = second;
        let sampled = slots.iter().zip(&*tick.cells).filter_map(|(slot, cell)| Some(((*slot)?, *cell)));
        for ((group, series), cell) in sampled {
            if tick.sampled.contains(&group) {
                self.samples.insert((series, second), Sampled { cell, epoch, seq: tick.seq });
            }
        }
    }

    /// The journal took a tick.
    pub fn pushed(&mut self, epoch: Epoch, seq: u64) {
        self.told(epoch).pushed = seq;
    }

    /// The journal synced everything.
    pub fn synced(&mut self) {
        self.epochs.values_mut().for_each(|told| told.synced = told.pushed);
    }

    /// A sample, by its series and stamp.
    pub fn sampled(&self, series: u32, second: u64) -> Option<Sampled> {
        self.samples.get(&(series, second)).copied()
    }

    /// Frames of which not all samples are `stored`: how many are, of how many, and in which second it was.
    pub fn missing(&self, epoch: Epoch, stored: &BTreeMap<u64, u64>) -> BTreeMap<u64, (u64, u64, u64)> {
        let mut missing: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
        for ((_, second), sampled) in self.samples.iter().filter(|(_, sampled)| sampled.epoch == epoch) {
            let stored = stored.get(&sampled.seq).copied().unwrap_or(0);
            missing.entry(sampled.seq).or_insert((stored, 0, *second)).1 += 1;
        }
        missing.retain(|_, (stored, all, _)| stored < all);
        missing
    }

    /// All starts.
    pub fn epochs(&self) -> impl Iterator<Item = (&Epoch, &Told)> {
        self.epochs.iter()
    }

    /// The agent is told what is durable.
    pub fn acknowledge(
        &mut self,
        epoch: Epoch,
        durable: u64,
        above: &[quorate_common::model::session::SeqRange],
    ) {
        let known = &mut self.told(epoch).acknowledged;
        known.durable = known.durable.max(durable);
        known.above.extend(above.iter().filter(|range| range.last > durable));
        known.above.retain(|range| range.last > known.durable);
        known.above.sort_by_key(|range| range.first);
        known.above.dedup();
    }

    /// A process ended: what its journal took is there, what it did not take is gone.
    pub fn end_process(&mut self, epoch: Epoch) {
        let told = self.told(epoch);
        told.excused_from = told.excused_from.min(told.pushed + 1);
    }

    /// The agent's host lost its power.
    pub fn cut_power(&mut self) {
        for told in self.epochs.values_mut() {
            told.excused_from = told.excused_from.min(told.synced + 1);
            told.pushed = told.synced;
        }
    }

    /// The agent's disk is another one, or cannot be relied on.
    pub fn lose_node(&mut self) {
        self.epochs.values_mut().for_each(|told| told.excused_from = 1);
    }

    /// The aggregator's disk is as it was: it has each epoch up to a frame, and what it said since counts no more.
    pub fn set_back(&mut self, last: impl Fn(Epoch) -> u64) {
        for (epoch, told) in &mut self.epochs {
            told.acknowledged = Known { epoch: *epoch, ..Known::default() };
            told.excused_from = told.excused_from.min(last(*epoch).saturating_add(1));
        }
    }
}

impl Told {
    /// The first frame after which more than `samples` had been collected.
    pub fn beyond(&self, samples: u64) -> Option<u64> {
        let at = self.totals.iter().position(|total| *total > samples)?;
        Some(at as u64 + 1)
    }

    /// Whether so many had been collected after some frame.
    pub fn is_total(&self, samples: u64) -> bool {
        samples == 0 || self.totals.contains(&samples)
    }
}

/// The name of a series.
pub fn name(series: u32) -> String {
    format!("m_{series}")
}

/// The number of a series, from its name.
pub fn number(name: &str) -> Option<u32> {
    name.strip_prefix("m_")?.parse().ok()
}
