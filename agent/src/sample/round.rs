//! One round of all collectors that were due, and the book that numbers their series.

use super::sink::Sink;
use quorate_common::model::series::{SeriesClass, SeriesSpec};
use quorate_common::model::time::Now;
use std::sync::Arc;

/// What was sampled at one tick.
#[derive(Clone, Debug)]
pub struct Round {
    /// When.
    pub at: Now,
    /// How long until the next tick.
    pub next_due_ms: u32,
    /// Series that begin, in the order of their slots.
    pub registered: Vec<NewSeries>,
    /// Slots that end. A slot is never used again.
    pub retired: Vec<u32>,
    /// Groups that were sampled; the others have no sample at this tick.
    pub sampled: Vec<u32>,
    /// The newest cell of every slot that ever was, indexed by slot; of a retired one the last.
    pub cells: Vec<i64>,
    /// All groups so far, indexed by group; none ever changes.
    pub groups: Arc<[GroupInfo]>,
}

/// A series that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSeries {
    /// Its group.
    pub group: u32,
    /// Its slot: dense, counted up over the whole agent, never reused within one start.
    pub slot: u32,
    /// What it is.
    pub spec: SeriesSpec,
}

/// One group: the series of one collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Its number, from 0.
    pub group: u32,
    /// The name of the collector.
    pub collector: String,
    /// How often it is sampled.
    pub interval_ms: u32,
    /// Which retention its series fall under.
    pub class: SeriesClass,
}

/// Numbers the series of all sinks and holds their newest cells.
#[derive(Debug, Default)]
pub(super) struct Book {
    cells: Vec<i64>,
    registered: Vec<NewSeries>,
    retired: Vec<u32>,
    sampled: Vec<u32>,
}

/// The agent's slot of each slot of one sink, and what it is; `NONE` where there is none.
#[derive(Debug, Default)]
pub(super) struct SlotMap {
    slots: Vec<u32>,
    specs: Vec<Option<SeriesSpec>>,
}

const NONE: u32 = u32::MAX;

impl Book {
    /// Takes over what a collector said in a round that succeeded.
    pub fn absorb(&mut self, group: u32, sink: &mut Sink, map: &mut SlotMap) {
        // Ends come first: the sink may give out their places again from here on.
        for local in sink.take_gone() {
            self.retired.push(std::mem::replace(&mut map.slots[local as usize], NONE));
        }
        map.slots.resize(sink.cells().len(), NONE);
        map.specs.resize(sink.cells().len(), None);
        for fresh in sink.take_fresh() {
            let spec = SeriesSpec { metric: fresh.def.metric(), labels: fresh.labels };
            map.slots[fresh.slot as usize] = self.begin(group, spec.clone(), 0);
            map.specs[fresh.slot as usize] = Some(spec);
        }
        for (cell, slot) in sink.cells().iter().zip(&map.slots) {
            if *slot != NONE {
                self.cells[*slot as usize] = *cell;
            }
        }
        self.sampled.push(group);
    }

    /// Ends all series of a map and begins them again, with their newest cells, in another group.
    pub fn regroup(&mut self, group: u32, map: &mut SlotMap) {
        let live = map.slots.iter_mut().zip(&map.specs).filter(|(slot, _)| **slot != NONE);
        for (slot, spec) in live.filter_map(|(slot, spec)| Some((slot, spec.as_ref()?))) {
            let cell = self.cells[*slot as usize];
            self.retired.push(*slot);
            *slot = self.begin(group, spec.clone(), cell);
        }
    }

    fn begin(&mut self, group: u32, spec: SeriesSpec, cell: i64) -> u32 {
        let slot = self.cells.len() as u32;
        self.cells.push(cell);
        self.registered.push(NewSeries { group, slot, spec });
        slot
    }

    /// What was absorbed since the last round.
    pub fn close(&mut self, at: Now, next_due_ms: u32, groups: Arc<[GroupInfo]>) -> Round {
        let mut sampled = std::mem::take(&mut self.sampled);
        sampled.sort_unstable();
        Round {
            at,
            next_due_ms,
            registered: std::mem::take(&mut self.registered),
            retired: std::mem::take(&mut self.retired),
            sampled,
            cells: self.cells.clone(),
            groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::catalog::{LOAD1, LOAD5};
    use quorate_common::model::label::Labels;

    #[test]
    fn slots_are_dense_and_never_reused() {
        let (mut book, mut maps) = (Book::default(), [SlotMap::default(), SlotMap::default()]);
        let mut sinks = [Sink::default(), Sink::default()];
        let first = sinks[0].slot(&LOAD1, Labels::default());
        let second = sinks[1].slot(&LOAD5, Labels::default());
        sinks[0].set(first, 10);
        sinks[1].set(second, 20);
        for (group, (sink, map)) in sinks.iter_mut().zip(&mut maps).enumerate() {
            book.absorb(group as u32, sink, map);
        }
        let round = book.close(Now::default(), 1000, Arc::new([]));
        assert_eq!((round.cells, round.sampled), (vec![10, 20], vec![0, 1]));
        assert_eq!(
            round.registered.iter().map(|new| (new.group, new.slot)).collect::<Vec<_>>(),
            [(0, 0), (1, 1)]
        );

        book.regroup(5, &mut maps[1]);
        let round = book.close(Now::default(), 1000, Arc::new([]));
        assert_eq!((round.retired, round.cells), (vec![1], vec![10, 20, 20]), "its value comes along");
        assert_eq!(
            round.registered.iter().map(|new| (new.group, new.slot)).collect::<Vec<_>>(),
            [(5, 2)],
            "a new slot in the new group"
        );

        sinks[0].retire(first);
        book.absorb(0, &mut sinks[0], &mut maps[0]);
        let again = sinks[0].slot(&LOAD1, Labels::default());
        sinks[0].set(again, 30);
        book.absorb(0, &mut sinks[0], &mut maps[0]);
        let round = book.close(Now::default(), 1000, Arc::new([]));
        assert_eq!((round.retired, round.cells), (vec![0], vec![10, 20, 20, 30]));
        assert_eq!(round.registered[0].slot, 3);
    }
}
