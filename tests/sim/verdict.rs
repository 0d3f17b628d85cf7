//! Whether everything that was collected is stored once, or declared.

use super::aggregator::{Aggregator, NODE};
use super::mishap::End;
use super::truth::{Told, number};
use super::world::World;
use quorate_aggregator::store::{Append, Select};
use quorate_common::ledger::Ledger;
use quorate_common::model::session::{ACK_EVERY, Epoch};
use quorate_common::model::time::WallTime;
use quorate_common::rng::Rng;
use quorate_common::tally::{Cause, Tally};
use std::collections::{BTreeMap, BTreeSet};

/// What the store has of one start of the agent.
#[derive(Default)]
struct Stored {
    samples: u64,
    /// Of each frame.
    frames: BTreeMap<u64, u64>,
}

impl World {
    /// What was promised is there after a start.
    pub(super) fn check_recovered(&mut self) {
        if std::mem::take(&mut self.has_set_back) {
            self.excuse();
        }
        let Some(aggregator) = &self.aggregator else { return };
        let store = &aggregator.store;
        let mut problem = None;
        for (epoch, told) in self.truth.epochs() {
            let ledger = store.durable(NODE, *epoch);
            let promised = &told.acknowledged;
            let is_there = ledger.watermark() >= promised.durable
                && promised
                    .above
                    .iter()
                    .all(|range| (range.first..=range.last).all(|seq| ledger.contains(seq)));
            if !is_there {
                problem = Some(format!(
                    "{epoch:?}: acknowledged up to {} and {:?}, recovered up to {} and {:?}",
                    promised.durable,
                    promised.above,
                    ledger.watermark(),
                    ledger.above()
                ));
            }
        }
        problem.into_iter().for_each(|problem| self.fail(problem));
    }

    /// Whether all that the agent has is known, but for the newest frames: they wait for those that come after them.
    pub(super) fn is_settled(&self) -> bool {
        let waits = self.agent.spool.after(0).next();
        let is_new = |at| self.time.agent().boot.since(at) < ACK_EVERY;
        let open =
            |aggregator: &Aggregator| aggregator.is_waiting() || aggregator.delivery.counts().open() > 0;
        self.link.is_some()
            && waits.is_none_or(|tick| is_new(tick.at.boot))
            && !self.agent.log.has_due()
            && !self.aggregator.as_ref().is_none_or(open)
    }

    /// What it waits for.
    pub(super) fn waits(&self) -> String {
        let waits = self.agent.spool.after(0).next().map(|tick| tick.seq);
        let known = self.aggregator.as_ref().map(|aggregator| aggregator.store.known(NODE));
        format!(
            "frame {waits:?} of {:?}, held {:?}, due {}, ledgers {:?}",
            self.agent.epoch,
            self.agent.log.held(),
            self.agent.log.has_due(),
            known.map(|all| all
                .into_iter()
                .map(|(epoch, one)| (epoch, one.watermark(), one.above()))
                .collect::<Vec<_>>())
        )
    }

    /// Whether every sample was stored once, with its value and time, or was declared lost.
    pub(super) fn verdict(&mut self) -> Result<(), String> {
        self.commit();
        if let Some(aggregator) = &self.aggregator {
            let counts = aggregator.delivery.counts();
            if counts.open() != 0 {
                return Err(format!("the law does not hold: {counts:?}"));
            }
        }
        // What only memory has is no history.
        let end = if self.rng.below(2) == 0 { End::Kill } else { End::PowerCut };
        self.met.seals += self.count_seals() as u64;
        self.aggregator = None;
        if end == End::PowerCut {
            self.aggregator_disk.cut_power(&mut self.rng);
        }
        self.open_aggregator(false);
        if let Some(problem) = self.problem.take() {
            return Err(problem);
        }
        let Some(aggregator) = &self.aggregator else { return Err("the store does not open".into()) };
        let stored = self.stored(aggregator)?;
        let ledgers: BTreeMap<Epoch, Ledger> = aggregator.store.known(NODE).into_iter().collect();
        let mut undeclared = 0;
        for (epoch, told) in self.truth.epochs() {
            let ledger = ledgers.get(epoch).cloned().unwrap_or_default();
            let none = Stored::default();
            let stored = stored.get(epoch).unwrap_or(&none);
            self.judge(*epoch, told, &ledger, stored).map_err(|problem| format!("{epoch:?}: {problem}"))?;
            undeclared += dropped(&ledger.tally(), Cause::Node);
        }
        self.met.undeclared_holes += undeclared;
        Ok(())
    }

    /// Every sample that is stored, checked against what was collected.
    fn stored(&self, aggregator: &Aggregator) -> Result<BTreeMap<Epoch, Stored>, String> {
        let store = &aggregator.store;
        let series = store.find(NODE, &|_| true);
        let ids: Vec<_> = series.iter().map(|(id, _)| *id).collect();
        let lists = store.samples(NODE, &ids, WallTime(0), WallTime(i64::MAX));
        let mut all: BTreeMap<Epoch, Stored> = BTreeMap::new();
        for ((_, spec), list) in series.iter().zip(lists) {
            let name = &spec.metric.name;
            let number = number(name).ok_or("a name that nobody has given")?;
            let mut seconds = BTreeSet::new();
            for sample in list {
                let second = self.time.second_of(sample.at);
                let collected = second.and_then(|second| self.truth.sampled(number, second));
                let Some(collected) = collected.filter(|one| one.cell as f64 == sample.value) else {
                    return Err(format!(
                        "{name} is {} at {:?} ({second:?}), collected {collected:?}",
                        sample.value, sample.at
                    ));
                };
                if !seconds.insert(second) {
                    return Err(format!("{name} is there twice for second {second:?}"));
                }
                let stored = all.entry(collected.epoch).or_default();
                stored.samples += 1;
                *stored.frames.entry(collected.seq).or_default() += 1;
            }
        }
        Ok(all)
    }

    /// The law, for one start of the agent: what was collected up to some frame is stored or dropped, and nobody can be
    /// asked for what comes after it.
    fn judge(&self, epoch: Epoch, told: &Told, ledger: &Ledger, stored: &Stored) -> Result<(), String> {
        let tally = ledger.tally();
        if tally.stored != stored.samples {
            let missing = self.truth.missing(epoch, &stored.frames);
            return Err(format!(
                "{} samples are stored, {} counted; not stored: {missing:?}",
                stored.samples, tally.stored
            ));
        }
        if dropped(&tally, Cause::Damaged) > 0 {
            return Err("something is declared damaged, and nothing was".into());
        }
        if !told.is_total(tally.all()) {
            return Err(format!("{} samples are accounted for, which is no total", tally.all()));
        }
        let is_now = epoch == self.agent.epoch;
        match told.beyond(tally.all()) {
            Some(seq) if is_now && self.is_new(told, seq) => Ok(()),
            Some(seq) if !is_now && seq >= told.excused_from => Ok(()),
            Some(seq) => Err(format!(
                "frame {seq} of {} is neither stored nor declared, excused from {}",
                told.totals.len(),
                told.excused_from
            )),
            None => Ok(()),
        }
    }

    /// Whether a frame is so new that it may still be under way.
    fn is_new(&self, told: &Told, seq: u64) -> bool {
        told.totals.len() as u64 - seq < 6
    }
}

fn dropped(tally: &Tally, cause: Cause) -> u64 {
    tally.dropped().find(|(of, _)| *of == cause).map_or(0, |(_, samples)| samples)
}
