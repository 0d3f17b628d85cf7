//! Delivery: which frames of a node are known, and what became of every sample it collected.
//!
//! One for each node, shared by all its connections. The law: collected = stored + dropped, the dropped ones
//! by cause. Frames are known for as long as this process lives.

use quorate_common::ledger::{Ledger, LedgerError, Totals};
use quorate_common::model::session::{Epoch, Held, SeqRange};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Why samples were not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The agent had no room for them any more.
    Overflow,
    /// The node has more series than it may.
    Quota,
    /// Collected before this process first heard of this start of the agent: acknowledged to an earlier run of
    /// ours, whose memory is gone, or pushed out on the node meanwhile.
    Earlier,
}

impl Cause {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Overflow => "overflow",
            Cause::Quota => "quota",
            Cause::Earlier => "earlier",
        }
    }
}

/// What became of the samples of one node, in samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Collected by the agent, as far as it was heard.
    pub collected: u64,
    /// Kept.
    pub stored: u64,
    /// Not kept, and why.
    pub dropped: BTreeMap<Cause, u64>,
}

impl Counts {
    /// Collected, but neither kept nor declared lost yet.
    pub fn open(&self) -> u64 {
        self.collected.saturating_sub(self.stored).saturating_sub(self.dropped.values().sum())
    }
}

/// The ledgers of one node.
#[derive(Debug, Default)]
pub struct Delivery {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    epochs: HashMap<Epoch, Ledger>,
    counts: Counts,
    /// Wall time minus boot time of each boot of the host, in nanoseconds; fixed when the boot is first heard.
    offsets: HashMap<[u8; 16], i64>,
}

/// How much later than the fastest a message may come without being worth a correction.
const DELAY_NS: i64 = 50_000_000;
/// Boots whose offset is remembered.
const BOOTS_MAX: usize = 16;

/// One frame as it is counted, in samples.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Its number.
    pub seq: u64,
    /// Collected in its epoch, itself included.
    pub collected_total: u64,
    /// In it.
    pub sampled: u64,
    /// Of these, those of series that are kept.
    pub admitted: u64,
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Not seen before.
    New,
    /// Known already: it is decoded for its chain and not kept again.
    Known,
}

impl Delivery {
    /// A session of an epoch begins; answers what is known of it. Epochs that the agent no longer holds end.
    pub fn begin(&self, epoch: Epoch, held: &[Held]) -> (u64, Vec<SeqRange>) {
        self.with(|inner| {
            inner.epochs.retain(|known, _| *known == epoch || held.iter().any(|held| held.epoch == *known));
            let ledger = inner.epochs.entry(epoch).or_default();
            (ledger.watermark(), ledger.above().to_vec())
        })
    }

    /// The offset that turns boot time of this boot into our time line, given what a message says of it.
    ///
    /// A message that was under way for long makes the offset look larger than it is, never smaller: so the
    /// first one counts until another says much less.
    pub fn offset(&self, boot_id: [u8; 16], measured: i64) -> i64 {
        self.with(|inner| {
            if inner.offsets.len() >= BOOTS_MAX && !inner.offsets.contains_key(&boot_id) {
                inner.offsets.clear();
            }
            let offset = inner.offsets.entry(boot_id).or_insert(measured);
            if measured < offset.saturating_sub(DELAY_NS) {
                *offset = measured;
            }
            *offset
        })
    }

    /// A frame arrived: it sampled so many, of which so many were admitted. A known one is not counted again.
    ///
    /// Frames of a session come in order, so whatever was collected between the newest known frame and this
    /// one, and is not in this one, is gone on the node: the agent sends the oldest that it has first.
    ///
    /// # Errors
    /// The running total of the agent contradicts itself; nothing is counted then.
    pub fn stored(&self, epoch: Epoch, frame: Counted) -> Result<Arrival, LedgerError> {
        self.with(|inner| {
            let ledger = &mut inner.epochs.entry(epoch).or_default();
            if ledger.contains(frame.seq) {
                return Ok(Arrival::Known);
            }
            let totals = Totals {
                before: frame.collected_total.saturating_sub(frame.sampled),
                after: frame.collected_total,
            };
            let unheard = ledger.watermark() == 0 && ledger.above().is_empty();
            let mut lost = ledger.insert(frame.seq, frame.seq, totals)?;
            let first = ledger.watermark() + 1;
            if frame.seq > first {
                lost += ledger.close(first, frame.seq - 1)?;
            }
            let counts = &mut inner.counts;
            counts.collected += lost + frame.sampled;
            counts.stored += frame.admitted;
            let over_quota = frame.sampled.saturating_sub(frame.admitted);
            let before = if unheard { Cause::Earlier } else { Cause::Overflow };
            for (cause, count) in [(before, lost), (Cause::Quota, over_quota)] {
                if count > 0 {
                    *counts.dropped.entry(cause).or_default() += count;
                }
            }
            Ok(Arrival::New)
        })
    }

    /// What is known of an epoch: the watermark and the ranges above it.
    pub fn known(&self, epoch: Epoch) -> (u64, Vec<SeqRange>) {
        self.with(|inner| match inner.epochs.get(&epoch) {
            Some(ledger) => (ledger.watermark(), ledger.above().to_vec()),
            None => (0, Vec::new()),
        })
    }

    /// What became of the samples.
    pub fn counts(&self) -> Counts {
        self.with(|inner| inner.counts.clone())
    }

    fn with<T>(&self, call: impl FnOnce(&mut Inner) -> T) -> T {
        call(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch { order: 1, nonce: 1 };

    fn store(delivery: &Delivery, seq: u64, collected_total: u64, admitted: u64) {
        delivery.stored(EPOCH, Counted { seq, collected_total, sampled: 10, admitted }).unwrap();
    }

    #[test]
    fn every_sample_is_kept_or_declared() {
        let delivery = Delivery::default();
        delivery.begin(EPOCH, &[]);
        store(&delivery, 1, 10, 10);
        store(&delivery, 2, 20, 7);
        store(&delivery, 5, 50, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored), (50, 27));
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::Overflow, 20), (Cause::Quota, 3)]));
        assert_eq!(counts.open(), 0);
        assert_eq!(delivery.known(EPOCH), (5, Vec::new()));
    }

    #[test]
    fn what_an_earlier_run_was_told_is_not_the_agents_fault() {
        let delivery = Delivery::default();
        store(&delivery, 8, 80, 10);
        store(&delivery, 10, 100, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (100, 20, 0));
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::Overflow, 10), (Cause::Earlier, 70)]));
    }

    #[test]
    fn a_total_that_falls_is_refused() {
        let delivery = Delivery::default();
        store(&delivery, 1, 100, 10);
        let falling = Counted { seq: 2, collected_total: 50, sampled: 10, admitted: 10 };
        assert!(delivery.stored(EPOCH, falling).is_err());
        assert_eq!(delivery.counts().stored, 10);
    }

    #[test]
    fn counts_a_frame_once() {
        let delivery = Delivery::default();
        let first = Counted { seq: 1, collected_total: 10, sampled: 10, admitted: 10 };
        let second = Counted { seq: 2, collected_total: 20, ..first };
        delivery.begin(EPOCH, &[]);
        for (frame, expect) in [(first, Arrival::New), (first, Arrival::Known), (second, Arrival::New)] {
            assert_eq!(delivery.stored(EPOCH, frame), Ok(expect));
        }
        assert_eq!((delivery.counts().collected, delivery.counts().stored), (20, 20));
        let next = Epoch { order: 2, nonce: 9 };
        assert_eq!(delivery.begin(next, &[]), (0, Vec::new()));
        assert_eq!(delivery.stored(EPOCH, first), Ok(Arrival::New), "an epoch that nobody holds has ended");
    }

    #[test]
    fn one_boot_has_one_offset() {
        let delivery = Delivery::default();
        assert_eq!(delivery.offset([1; 16], 100), 100);
        assert_eq!(delivery.offset([1; 16], 130), 100);
        assert_eq!(delivery.offset([2; 16], 130), 130);
        let late = 3_000_000_000;
        assert_eq!(delivery.offset([3; 16], late), late);
        assert_eq!(delivery.offset([3; 16], 0), 0, "the first message had been under way for long");
    }
}
