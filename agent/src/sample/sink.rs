//! Where a collector puts its values: slots that are made once per series, then only set.
//!
//! Each collector has a sink of its own, so that a collector in another thread, or one that fails half-way,
//! touches nothing of the others. The book maps the slots of a sink to those of the agent.

use quorate_common::catalog::MetricDef;
use quorate_common::model::label::Labels;

/// Most series of one collector at once.
pub const SERIES_MAX: usize = 50_000;

/// The place of one series in its sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u32);

impl Slot {
    /// A series that was refused because there are too many: setting it does nothing.
    const REFUSED: Slot = Slot(u32::MAX);
}

/// What one group says in one round. Keys are stable slots.
#[derive(Debug, Default)]
pub struct Sink {
    cells: Vec<i64>,
    fresh: Vec<Fresh>,
    gone: Vec<u32>,
    free: Vec<u32>,
    refused: u64,
}

/// A series that began since the book last looked.
#[derive(Debug)]
pub(super) struct Fresh {
    pub slot: u32,
    pub def: &'static MetricDef,
    pub labels: Labels,
}

impl Sink {
    /// Begins a series. Call it once for each, not once for each round.
    pub fn slot(&mut self, def: &'static MetricDef, labels: Labels) -> Slot {
        if self.cells.len() - self.free.len() >= SERIES_MAX {
            self.refused += 1;
            return Slot::REFUSED;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.cells.push(0);
            (self.cells.len() - 1) as u32
        });
        self.cells[slot as usize] = 0;
        self.fresh.push(Fresh { slot, def, labels });
        Slot(slot)
    }

    /// Sets the newest value of a series.
    pub fn set(&mut self, slot: Slot, cell: i64) {
        if let Some(place) = self.cells.get_mut(slot.0 as usize) {
            *place = cell;
        }
    }

    /// Ends a series. Its slot must not be used again.
    pub fn retire(&mut self, slot: Slot) {
        if slot == Slot::REFUSED {
            return;
        }
        // What the book never saw needs no farewell.
        match self.fresh.iter().position(|fresh| fresh.slot == slot.0) {
            Some(at) => {
                self.fresh.remove(at);
                self.free.push(slot.0);
            }
            None => self.gone.push(slot.0),
        }
    }

    /// How many series were refused since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn cells(&self) -> &[i64] {
        &self.cells
    }

    pub(super) fn take_fresh(&mut self) -> std::vec::Drain<'_, Fresh> {
        self.fresh.drain(..)
    }

    /// Series that ended; their slots may be made anew.
    pub(super) fn take_gone(&mut self) -> Vec<u32> {
        self.free.extend_from_slice(&self.gone);
        std::mem::take(&mut self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::catalog::LOAD1;

    #[test]
    fn what_was_never_seen_is_not_retired() {
        let mut sink = Sink::default();
        let slot = sink.slot(&LOAD1, Labels::default());
        sink.retire(slot);
        assert_eq!(sink.take_fresh().len(), 0);
        assert_eq!(sink.take_gone().len(), 0);
        assert_eq!(sink.slot(&LOAD1, Labels::default()), slot);
    }

    #[test]
    fn too_many_series_are_refused_and_counted() {
        let mut sink = Sink::default();
        let slots: Vec<Slot> = (0..SERIES_MAX + 3).map(|_| sink.slot(&LOAD1, Labels::default())).collect();
        sink.set(slots[SERIES_MAX], 7);
        sink.retire(slots[SERIES_MAX]);
        assert_eq!((sink.refused(), sink.cells().len()), (3, SERIES_MAX));
    }
}
