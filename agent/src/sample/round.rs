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
    /// Slots that end. A slot is used again in a later round at the earliest, never in this one.
    pub retired: Vec<u32>,
    /// Groups that were sampled; the others have no sample at this tick.
    pub sampled: Vec<u32>,
    /// The newest cell of every slot, indexed by slot; that of a retired one means nothing.
    pub cells: Vec<i64>,
    /// All groups, indexed by group; the same in every round of one start.
    pub groups: Arc<[GroupInfo]>,
}

/// A series that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSeries {
    /// Its group.
    pub group: u32,
    /// Its slot, over the whole agent: the smallest table that holds the series that live at once. After its
    /// series has ended it may be another's.
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

/// What was sampled at one tick, for whoever follows every tick, those too that are not sent.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    /// When.
    pub at: Now,
    /// How many groups there are.
    pub groups: u32,
    /// Slots that end.
    pub retired: Vec<u32>,
    /// Series that begin; none in a slot that ends at this tick.
    pub registered: Vec<NewSeries>,
    /// Groups that were sampled.
    pub sampled: Vec<u32>,
    /// The newest cell of every slot.
    pub cells: &'a [i64],
}

/// Follows every tick, in the sampling thread.
pub trait Tap: Send {
    /// How often it wants one.
    fn interval_ms(&self) -> u32;

    /// Takes in one tick.
    fn take(&mut self, moment: &Moment<'_>);
}

/// Numbers the series of all sinks and holds their newest cells.
///
/// Two read along: rounds that are sent, and a tap that sees every tick between them too. A slot is free when
/// both have heard that its series has ended.
#[derive(Debug, Default)]
pub(super) struct Book {
    cells: Vec<i64>,
    /// Not yet in a round.
    unsent: News,
    /// Not yet in a moment.
    untold: News,
    free: Vec<u32>,
    /// Slots of series that came and went without being in a round; free after the next moment.
    passed: Vec<u32>,
}

/// What happened since somebody last looked.
#[derive(Debug, Default)]
struct News {
    registered: Vec<NewSeries>,
    retired: Vec<u32>,
    sampled: Vec<u32>,
}

/// The agent's slot of each slot of one sink; `NONE` where there is none.
#[derive(Debug, Default)]
pub(super) struct SlotMap(Vec<u32>);

const NONE: u32 = u32::MAX;

impl Book {
    /// Takes over what a collector said in a round that succeeded.
    pub fn absorb(&mut self, group: u32, sink: &mut Sink, map: &mut SlotMap) {
        // Ends come first: the sink may give out their places again from here on.
        for local in sink.take_gone() {
            let slot = std::mem::replace(&mut map.0[local as usize], NONE);
            self.untold.retire(slot);
            if !self.unsent.retire(slot) {
                self.passed.push(slot);
            }
        }
        map.0.resize(sink.cells().len(), NONE);
        for fresh in sink.take_fresh() {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.cells.push(0);
                (self.cells.len() - 1) as u32
            });
            map.0[fresh.slot as usize] = slot;
            let spec = SeriesSpec { metric: fresh.def.metric(), labels: fresh.labels };
            let new = NewSeries { group, slot, spec };
            self.untold.registered.push(new.clone());
            self.unsent.registered.push(new);
        }
        for (cell, slot) in sink.cells().iter().zip(&map.0) {
            if *slot != NONE {
                self.cells[*slot as usize] = *cell;
            }
        }
        self.untold.sampled.push(group);
        self.unsent.sampled.push(group);
    }

    /// What was absorbed since the last moment. Comes before the round of the same tick.
    pub fn moment(&mut self, at: Now, groups: u32) -> Moment<'_> {
        self.free.append(&mut self.passed);
        let News { registered, retired, sampled } = std::mem::take(&mut self.untold).sorted();
        Moment { at, groups, retired, registered, sampled, cells: &self.cells }
    }

    /// What was absorbed since the last round.
    pub fn close(&mut self, at: Now, next_due_ms: u32, groups: Arc<[GroupInfo]>) -> Round {
        let News { registered, retired, sampled } = std::mem::take(&mut self.unsent).sorted();
        // Not sooner: in one round a slot is one series, whoever reads it in whatever order.
        self.free.extend_from_slice(&retired);
        Round { at, next_due_ms, registered, retired, sampled, cells: self.cells.clone(), groups }
    }
}

impl News {
    /// Ends a series. One that has not been told of yet is forgotten: then this is false.
    fn retire(&mut self, slot: u32) -> bool {
        match self.registered.iter().position(|new| new.slot == slot) {
            Some(at) => drop(self.registered.remove(at)),
            None => self.retired.push(slot),
        }
        self.retired.last() == Some(&slot)
    }

    fn sorted(mut self) -> News {
        self.sampled.sort_unstable();
        self.sampled.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::catalog::{LOAD1, LOAD5};
    use quorate_common::model::label::Labels;

    #[test]
    fn slots_are_dense_and_reused_in_a_later_round() {
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

        sinks[0].retire(first);
        book.absorb(0, &mut sinks[0], &mut maps[0]);
        let again = sinks[0].slot(&LOAD1, Labels::default());
        sinks[0].set(again, 30);
        book.absorb(0, &mut sinks[0], &mut maps[0]);
        let round = book.close(Now::default(), 1000, Arc::new([]));
        assert_eq!((round.retired, round.cells), (vec![0], vec![10, 20, 30]));
        assert_eq!((round.registered[0].slot, round.sampled), (2, vec![0]));
        let late = sinks[1].slot(&LOAD1, Labels::default());
        sinks[1].set(late, 40);
        book.absorb(1, &mut sinks[1], &mut maps[1]);
        let round = book.close(Now::default(), 1000, Arc::new([]));
        assert_eq!((round.retired, round.cells), (vec![], vec![40, 20, 30]));
        assert_eq!(round.registered.iter().map(|new| (new.group, new.slot)).collect::<Vec<_>>(), [(1, 0)]);
    }

    #[test]
    fn between_two_rounds_a_tap_sees_every_tick() {
        let (mut book, mut map, mut sink) = (Book::default(), SlotMap::default(), Sink::default());
        let mut tick = |book: &mut Book, begin: bool, end: Option<super::super::Slot>| {
            end.into_iter().for_each(|slot| sink.retire(slot));
            let begun = begin.then(|| sink.slot(&LOAD1, Labels::default()));
            book.absorb(0, &mut sink, &mut map);
            let moment = book.moment(Now::default(), 1);
            let slots: Vec<u32> = moment.registered.iter().map(|new| new.slot).collect();
            (begun, slots, moment.retired, moment.cells.len())
        };
        let (first, begun, ..) = tick(&mut book, true, None);
        assert_eq!(begun, [0]);
        book.close(Now::default(), 1000, Arc::new([]));
        // Its end has not been in a round, so its slot is not free.
        let (second, begun, ended, _) = tick(&mut book, true, first);
        assert_eq!((begun, ended), (vec![1], vec![0]));
        // This one no round ever knew: it is free for the next tick.
        let (_, begun, ended, _) = tick(&mut book, false, second);
        assert_eq!((begun, ended), (vec![], vec![1]));
        let (_, begun, _, cells) = tick(&mut book, true, None);
        assert_eq!((begun, cells), (vec![1], 2));
        let round = book.close(Now::default(), 1000, Arc::new([]));
        let slots: Vec<u32> = round.registered.iter().map(|new| new.slot).collect();
        assert_eq!((slots, round.retired, round.sampled), (vec![1], vec![0], vec![0]));
        assert_eq!(tick(&mut book, true, None).1, [0]);
    }

    #[test]
    fn ten_thousand_groups_that_come_and_go_leave_few_cells() {
        let (mut book, mut map, mut sink) = (Book::default(), SlotMap::default(), Sink::default());
        let (mut last, mut cells) = (Vec::new(), 0);
        for _ in 0..100 {
            let next: Vec<_> = (0..100 * 15).map(|_| sink.slot(&LOAD1, Labels::default())).collect();
            std::mem::replace(&mut last, next).into_iter().for_each(|slot| sink.retire(slot));
            book.absorb(0, &mut sink, &mut map);
            cells = book.close(Now::default(), 1000, Arc::new([])).cells.len();
        }
        // Those that live, and those that ended in the same round.
        assert_eq!((cells, map.0.len()), (2 * 1500, 2 * 1500));
    }
}
