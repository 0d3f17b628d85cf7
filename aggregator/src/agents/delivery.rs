//! Delivery: which frames of a node are known, and what became of every sample it collected.
//!
//! One for each node, shared by all its connections. The law: collected = stored + dropped, the dropped ones
//! by cause. Frames are known for as long as this process lives.

use super::gap::Teller;
use quorate_common::ledger::{Ledger, LedgerError, Totals};
use quorate_common::model::backfill::{Loss, LossCause};
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
    /// The node's disk did not take them.
    Unwritten,
    /// The node's disk gave something else back, or we could not read them.
    Damaged,
    /// The node has them no more and does not say why: its disk was lost, wiped or set back.
    Node,
}

impl From<LossCause> for Cause {
    fn from(cause: LossCause) -> Cause {
        match cause {
            LossCause::Overflow => Cause::Overflow,
            LossCause::Unwritten => Cause::Unwritten,
            LossCause::Damaged => Cause::Damaged,
        }
    }
}

impl Cause {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Overflow => "overflow",
            Cause::Quota => "quota",
            Cause::Earlier => "earlier",
            Cause::Unwritten => "unwritten",
            Cause::Damaged => "damaged",
            Cause::Node => "lost_on_node",
        }
    }
}

/// What became of the samples of one node, in samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Collected by the agent, as far as it was heard, what it still holds included.
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
    /// Who watches for gaps.
    pub gaps: Teller,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    epochs: HashMap<Epoch, Heard>,
    counts: Counts,
    /// Wall time minus boot time of each boot of the host, in nanoseconds; fixed when the boot is first heard.
    offsets: HashMap<[u8; 16], i64>,
}

/// What was heard of one epoch.
#[derive(Debug)]
struct Heard {
    ledger: Ledger,
    /// The lowest number that the agent may still send. What is unknown below it is lost.
    held_from: u64,
    /// Why frames were lost that are counted only when those beside them come.
    cause: Cause,
}

impl Default for Heard {
    fn default() -> Self {
        Heard { ledger: Ledger::default(), held_from: u64::MAX, cause: Cause::Earlier }
    }
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
    /// There are too many holes below it: it updates the newest values only, and the agent keeps it.
    Unkept,
}

impl Delivery {
    /// A session of an epoch begins; answers what is known of it. What the agent no longer holds is lost, and epochs
    /// of which it holds nothing end.
    pub fn begin(&self, epoch: Epoch, held: &[Held]) -> (u64, Vec<SeqRange>) {
        self.with(|inner| {
            inner.epochs.entry(epoch).or_default();
            for one in held {
                inner.epochs.entry(one.epoch).or_default();
            }
            for (known, heard) in &mut inner.epochs {
                let ranges =
                    held.iter().filter(|held| held.epoch == *known).map(|held| (held.first, held.last));
                heard.hold(ranges.collect(), &mut inner.counts);
            }
            inner.epochs.retain(|known, _| *known == epoch || held.iter().any(|held| held.epoch == *known));
            inner.known(epoch)
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

    /// The offset of a boot that was heard live; `None` for others.
    pub fn known_offset(&self, boot_id: [u8; 16]) -> Option<i64> {
        self.with(|inner| inner.offsets.get(&boot_id).copied())
    }

    /// A frame arrived: it sampled so many, of which so many were admitted. A known one is not counted again.
    ///
    /// # Errors
    /// The running total of the agent contradicts itself; nothing is counted then.
    pub fn stored(&self, epoch: Epoch, frame: Counted) -> Result<Arrival, LedgerError> {
        self.with(|inner| {
            let heard = inner.epochs.entry(epoch).or_default();
            if heard.ledger.contains(frame.seq) {
                return Ok(Arrival::Known);
            }
            let before = frame.collected_total.saturating_sub(frame.sampled);
            let totals = Totals { before, after: frame.collected_total };
            let lost = match heard.ledger.insert(frame.seq, frame.seq, totals) {
                Err(LedgerError::Full { .. }) => return Ok(Arrival::Unkept),
                lost => lost?,
            };
            inner.counts.lose((heard.cause, lost));
            // An agent that holds nothing older sends the oldest that it has first.
            heard.held_from = heard.held_from.min(frame.seq);
            inner.counts.lose(heard.close(1, heard.held_from - 1));
            inner.counts.collected += frame.sampled;
            inner.counts.stored += frame.admitted;
            inner.counts.drop(Cause::Quota, frame.sampled.saturating_sub(frame.admitted));
            Ok(Arrival::New)
        })
    }

    /// The agent says that it will not send some frames any more. What is known stays known.
    pub fn lost(&self, loss: Loss) -> (u64, Vec<SeqRange>) {
        self.with(|inner| {
            let heard = inner.epochs.entry(loss.epoch).or_default();
            heard.cause = loss.cause.into();
            let lost = heard.lose(loss);
            inner.counts.lose(lost);
            inner.known(loss.epoch)
        })
    }

    /// What is known of an epoch: the watermark and the ranges above it.
    pub fn known(&self, epoch: Epoch) -> (u64, Vec<SeqRange>) {
        self.with(|inner| inner.known(epoch))
    }

    /// What became of the samples.
    pub fn counts(&self) -> Counts {
        self.with(|inner| {
            let mut counts = inner.counts.clone();
            counts.collected += inner.epochs.values().map(Heard::waiting).sum::<u64>();
            counts
        })
    }

    fn with<T>(&self, call: impl FnOnce(&mut Inner) -> T) -> T {
        call(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn known(&self, epoch: Epoch) -> (u64, Vec<SeqRange>) {
        let heard = self.epochs.get(&epoch);
        heard.map_or_else(Default::default, |heard| (heard.ledger.watermark(), heard.ledger.above().to_vec()))
    }
}

impl Heard {
    /// The first number above all that is known.
    fn next(&self) -> u64 {
        self.ledger.above().last().map_or(self.ledger.watermark(), |range| range.last).saturating_add(1)
    }

    /// What the agent has; everything else that is unknown, up to the newest that is known, is lost.
    fn hold(&mut self, mut ranges: Vec<(u64, u64)>, counts: &mut Counts) {
        ranges.sort_unstable();
        self.held_from = ranges.first().map_or(u64::MAX, |range| range.0);
        self.cause = if self.next() > 1 { Cause::Node } else { Cause::Earlier };
        let mut next = 1;
        for (first, last) in ranges {
            counts.lose(self.close(next, first - 1));
            next = next.max(last.saturating_add(1));
        }
        counts.lose(self.close(next, self.next() - 1));
    }

    /// Declares what is unknown from `first` to `last` as lost; how many samples that settles, and why they are lost.
    fn close(&mut self, first: u64, last: u64) -> (Cause, u64) {
        // Too many holes: it is closed with what is around it, when the agent says so again.
        (self.cause, self.ledger.close(first, last).unwrap_or(0))
    }

    /// Declares frames as lost of which somebody may know how many samples had been collected after them.
    fn lose(&mut self, Loss { first, last, collected_total, .. }: Loss) -> (Cause, u64) {
        let top = self.next();
        let (cause, mut lost) = self.close(first, last.min(top - 1));
        if last >= top {
            let totals = Totals { before: collected_total, after: collected_total };
            // A total that contradicts what is known says nothing.
            let told = if collected_total > 0 {
                self.ledger.insert(first.max(top), last, totals).ok()
            } else {
                None
            };
            lost += told.unwrap_or_else(|| self.close(first.max(top), last).1);
        }
        (cause, lost)
    }

    /// Samples that were collected between frames that are known.
    fn waiting(&self) -> u64 {
        self.ledger.holes().filter_map(|hole| self.ledger.hole_samples(hole.first, hole.last)).sum()
    }
}

impl Counts {
    /// Samples that never came.
    fn lose(&mut self, (cause, samples): (Cause, u64)) {
        self.collected += samples;
        self.drop(cause, samples);
    }

    fn drop(&mut self, cause: Cause, samples: u64) {
        if samples > 0 {
            *self.dropped.entry(cause).or_default() += samples;
        }
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
    fn what_the_agent_still_holds_is_waited_for_and_what_it_does_not_is_lost() {
        let delivery = Delivery::default();
        delivery.begin(EPOCH, &[]);
        store(&delivery, 1, 10, 10);
        store(&delivery, 2, 20, 7);
        store(&delivery, 5, 50, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (50, 27, 20), "3 and 4 may come yet");
        assert_eq!(delivery.known(EPOCH), (2, vec![SeqRange { first: 5, last: 5 }]));
        let held = |first| [Held { epoch: EPOCH, first, last: 5 }];
        delivery.begin(EPOCH, &held(4));
        assert_eq!((delivery.counts().open(), delivery.known(EPOCH).0), (20, 3), "3 is lost, uncounted");
        delivery.begin(EPOCH, &held(5));
        let counts = delivery.counts();
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::Node, 20), (Cause::Quota, 3)]));
        assert_eq!((counts.open(), delivery.known(EPOCH)), (0, (5, Vec::new())));
    }

    #[test]
    fn an_epoch_that_nobody_holds_ends_with_its_holes() {
        let delivery = Delivery::default();
        let next = Epoch { order: 2, nonce: 2 };
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 9 }]);
        store(&delivery, 4, 40, 10);
        delivery.begin(next, &[Held { epoch: EPOCH, first: 1, last: 4 }]);
        assert_eq!(delivery.counts().open(), 30);
        let loss = Loss { epoch: EPOCH, first: 1, last: 2, collected_total: 0, cause: LossCause::Overflow };
        assert_eq!(delivery.lost(loss), (2, vec![SeqRange { first: 4, last: 4 }]));
        delivery.begin(next, &[]);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (40, 10, 0));
        assert_eq!(delivery.known(EPOCH), (0, Vec::new()));
    }

    #[test]
    fn what_is_lost_at_the_end_is_counted_if_the_agent_can_tell() {
        let delivery = Delivery::default();
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 20 }]);
        store(&delivery, 1, 10, 10);
        let loss = |first, last, collected_total| Loss {
            epoch: EPOCH,
            first,
            last,
            collected_total,
            cause: LossCause::Overflow,
        };
        assert_eq!(delivery.lost(loss(1, 5, 50)).0, 5);
        assert_eq!(delivery.counts().dropped[&Cause::Overflow], 40);
        assert_eq!(delivery.lost(loss(3, 7, 20)).0, 7, "a total that falls is none");
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.dropped[&Cause::Overflow], counts.open()), (50, 40, 0));
    }

    #[test]
    fn too_many_holes_are_not_kept() {
        let delivery = Delivery::default();
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 999 }]);
        let arrive = |seq: u64| {
            let frame = Counted { seq, collected_total: seq * 10, sampled: 10, admitted: 10 };
            delivery.stored(EPOCH, frame).unwrap()
        };
        assert!((1..=64).all(|n| arrive(2 * n) == Arrival::New));
        assert_eq!((arrive(130), arrive(129)), (Arrival::Unkept, Arrival::New), "129 touches 128");
        assert_eq!((arrive(1), arrive(131)), (Arrival::New, Arrival::New), "there is room again");
    }

    #[test]
    fn what_an_earlier_run_was_told_is_not_the_agents_fault() {
        let delivery = Delivery::default();
        delivery.begin(EPOCH, &[]);
        store(&delivery, 8, 80, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (80, 10, 0));
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::Earlier, 70)]));
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
