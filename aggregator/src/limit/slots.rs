//! So many at once and no more; nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One of some slots, given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<AtomicU64>);

/// Slots whose number may change while some are taken. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct Slots(Arc<AtomicU64>);

impl Slots {
    /// A slot, if fewer than `max` are taken.
    pub fn take(&self, max: u32) -> Option<Slot> {
        let more = |taken: u64| (taken < u64::from(max)).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Slot(self.0.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_slots_may_change() {
        let slots = Slots::default();
        let (first, second) = (slots.take(2).unwrap(), slots.take(2).unwrap());
        assert!(slots.take(2).is_none());
        let third = slots.take(3).unwrap();
        drop((first, second));
        assert!(slots.take(1).is_none(), "one is still taken");
        drop(third);
        assert!(slots.take(1).is_some());
    }
}
