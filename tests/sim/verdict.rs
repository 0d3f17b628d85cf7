//! Whether everything that was collected is stored once, or declared.

use super::world::{NODE, World};
use quorate_aggregator::store::{Sample, Select};
use quorate_common::model::session::ACK_EVERY;
use quorate_common::model::time::WallTime;
use std::collections::BTreeMap;

impl World {
    /// Name and time of every sample that is stored, and its cell.
    pub(super) fn stored(&self) -> BTreeMap<(String, i64), i64> {
        let store = &self.aggregator.store;
        let series = store.find(NODE, &|_| true);
        let ids: Vec<_> = series.iter().map(|(id, _)| *id).collect();
        let samples = store.samples(NODE, &ids, WallTime(0), WallTime(i64::MAX));
        let named = |(name, samples): (String, Vec<Sample>)| {
            samples.into_iter().map(move |sample| ((name.clone(), sample.at.0), sample.value as i64))
        };
        series
            .into_iter()
            .map(|(_, spec)| spec.metric.name.to_string())
            .zip(samples)
            .flat_map(named)
            .collect()
    }

    /// Whether every sample was stored once, with its value and time, or was declared lost.
    pub fn verdict(&self) -> Result<(), String> {
        let stored = self.stored();
        let counts = self.aggregator.node.delivery.counts();
        for (key, value) in &stored {
            match self.collected.get(key) {
                Some(collected) if collected.cell == *value => {}
                other => {
                    let collected = other.map(|one| one.cell);
                    return Err(format!("stored {key:?} = {value}, collected {collected:?}"));
                }
            }
        }
        let dropped: u64 = counts.dropped.values().sum();
        let missing = self.collected.len() - stored.len();
        if counts.open() != 0 {
            return Err(format!("the law does not hold: {counts:?}"));
        }
        if counts.stored != stored.len() as u64 {
            return Err(format!("{} counted as stored, {} are there", counts.stored, stored.len()));
        }
        if (missing as u64) > dropped {
            return Err(format!("{missing} samples are missing, {dropped} declared"));
        }
        // The newest frames may wait for those that come after them.
        match self.agent.spool.after(0).next() {
            Some(tick) if self.now().boot.since(tick.at.boot) >= ACK_EVERY => {
                Err(format!("frame {} was never acknowledged", tick.seq))
            }
            _ => Ok(()),
        }
    }
}
