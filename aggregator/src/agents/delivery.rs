//! Delivery: which frames of a node are known, and what became of every sample it collected.
//!
//! One for each node, shared by all its connections. The law: collected = stored + dropped, the dropped ones by cause.
//! What is known here is known of the frames that were received; what is durable the store says, and only that is
//! acknowledged. Under one lock a frame is counted and handed to the store, so both know the same: after a failure of
//! the disk what is known is set back to what the store will still make durable, and what was lost comes again.

mod heard;
mod offset;

use super::gap::Teller;
use crate::store::{Append, Boot, ENDED_MAX, FrameRecord, Lane, Lost, Origin};
use heard::Heard;
use offset::Offset;
use quorate_common::cell::{Decoder, FrameHead};
use quorate_common::ledger::{Admission, LedgerError, Totals};
use quorate_common::model::backfill::Loss;
use quorate_common::model::node::NodeId;
use quorate_common::model::session::{Epoch, Held, SeqRange};
use quorate_common::model::time::{Now, WallTime};
use quorate_common::tally::Tally;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub use quorate_common::tally::Cause;

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
pub struct Delivery {
    /// Who watches for gaps.
    pub gaps: Teller,
    node: NodeId,
    store: Arc<dyn Append>,
    inner: Mutex<Inner>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("node", &self.node).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Inner {
    epochs: BTreeMap<Epoch, Heard>,
    /// Of epochs that ended and are not remembered any more.
    past: Tally,
    /// Each boot of the host that was heard live, and the offset that is written down.
    offsets: BTreeMap<[u8; 16], (Offset, i64)>,
}

/// Boots whose offset is remembered: an agent that names ever new ones must not fill the memory.
const BOOTS_MAX: usize = 16;
/// An offset that has changed by so much is written down again.
const NOTED_NS: i64 = 20_000_000;

impl Inner {
    fn forget_oldest(&mut self) {
        let closed = self.epochs.iter().filter(|(_, heard)| heard.ledger.is_closed());
        let mut closed: Vec<Epoch> = closed.map(|(epoch, _)| *epoch).collect();
        closed.truncate(closed.len().saturating_sub(ENDED_MAX));
        for heard in closed.iter().filter_map(|epoch| self.epochs.remove(epoch)) {
            self.past.add(&heard.ledger.tally());
        }
    }
}

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
    /// Why it cannot be kept at all.
    pub outside: Option<Cause>,
}

impl Counted {
    fn origin(&self, epoch: Epoch) -> Origin {
        let before = self.collected_total.saturating_sub(self.sampled);
        Origin { epoch, totals: Totals { before, after: self.collected_total }, admitted: self.admitted }
    }
}

/// What a frame says, and the state of its chain behind it.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// Of which of the node's two streams.
    pub lane: Lane,
    /// When it was sampled, on our time line.
    pub at: WallTime,
    /// Its place in its chain.
    pub head: FrameHead,
    /// Bitmap of the sampled groups, as received.
    pub groups: &'a [u8],
    /// Changed cells, as received.
    pub cells: &'a [u8],
    /// The state behind it.
    pub decoder: &'a Decoder,
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
    /// Goes on where the store is.
    pub fn new(node: NodeId, store: Arc<dyn Append>) -> Delivery {
        let known = |boot: Boot| (boot.id, (Offset::known(boot.offset_ns), boot.offset_ns));
        let offsets = store.boots(node).into_iter().map(known).collect();
        let inner = Mutex::new(Inner { offsets, ..Inner::default() });
        let delivery = Delivery { node, gaps: Teller::default(), store, inner };
        delivery.set_back();
        delivery
    }

    /// A session of an epoch begins. What the agent no longer holds is lost, and epochs of which it holds nothing end.
    pub fn begin(&self, epoch: Epoch, held: &[Held]) {
        self.with(|inner| {
            inner.epochs.entry(epoch).or_default();
            for one in held {
                inner.epochs.entry(one.epoch).or_default();
            }
            for (known, heard) in inner.epochs.iter_mut().filter(|(_, heard)| !heard.ledger.is_closed()) {
                let ranges = held.iter().filter(|held| held.epoch == *known);
                let lost = heard.hold(ranges.map(|held| (held.first, held.last)).collect());
                lost.into_iter().for_each(|range| self.lose((*known, heard.cause), heard, range, 0));
            }
            let is_held = |known: &Epoch| *known == epoch || held.iter().any(|held| held.epoch == *known);
            let ended = inner.epochs.iter_mut().filter(|(known, _)| !is_held(known));
            ended.for_each(|(known, heard)| self.end(*known, heard));
            inner.forget_oldest();
        });
    }

    fn end(&self, epoch: Epoch, heard: &mut Heard) {
        if !heard.ledger.is_closed() {
            heard.is_over = true;
            heard.ledger.close(heard.cause);
            self.store.end(self.node, epoch);
        }
    }

    /// The offset that turns boot time of this boot into our time line, in nanoseconds, given a message that was sent
    /// at `boot_ns` of the host and came now.
    pub fn offset(&self, boot_id: [u8; 16], boot_ns: u64, now: Now) -> i64 {
        self.measure(boot_id, (boot_ns, now), false)
    }

    /// The same of a message that a session begins with.
    pub fn greet(&self, boot_id: [u8; 16], boot_ns: u64, now: Now) -> i64 {
        self.measure(boot_id, (boot_ns, now), true)
    }

    fn measure(&self, boot_id: [u8; 16], (boot_ns, now): (u64, Now), is_greeting: bool) -> i64 {
        let measured = now.wall.0.saturating_sub_unsigned(boot_ns);
        self.with(|inner| {
            let is_new = !inner.offsets.contains_key(&boot_id);
            if is_new && inner.offsets.len() >= BOOTS_MAX {
                inner.offsets.clear();
            }
            let new = || (Offset::measured(measured, boot_ns, now.boot), measured);
            let (offset, noted) = inner.offsets.entry(boot_id).or_insert_with(new);
            if is_greeting {
                offset.greet(measured, boot_ns, now.boot);
            }
            let ns = offset.follow(measured, boot_ns, now.boot);
            if is_new || noted.abs_diff(ns) >= NOTED_NS.unsigned_abs() {
                *noted = ns;
                self.store.boot(self.node, Boot { id: boot_id, offset_ns: ns, at: now.wall });
            }
            ns
        })
    }

    /// The offset of a boot that was heard live; `None` for others.
    pub fn known_offset(&self, boot_id: [u8; 16]) -> Option<i64> {
        self.with(|inner| Some(inner.offsets.get(&boot_id)?.0.ns()))
    }

    /// A frame arrived, and goes to the store; one without content is a heartbeat. A known one is not counted again.
    ///
    /// # Errors
    /// The running total of the agent contradicts itself; nothing is counted or stored then.
    pub fn arrive(
        &self,
        epoch: Epoch,
        frame: Counted,
        content: Option<Content<'_>>,
    ) -> Result<Arrival, LedgerError> {
        self.with(|inner| {
            let heard = inner.epochs.entry(epoch).or_default();
            if let Some(cause) = frame.outside {
                if let Some(content) = content {
                    self.keep(content, None);
                }
                let range = SeqRange { first: frame.seq, last: frame.seq };
                self.lose((epoch, cause), heard, range, frame.collected_total);
                return Ok(Arrival::Known);
            }
            let (arrival, lost) = heard.arrive(frame.seq, &frame.origin(epoch))?;
            let origin = (arrival == Arrival::New).then(|| frame.origin(epoch));
            let is_taken = match (content, origin) {
                (Some(content), origin) => self.keep(content, origin),
                (None, Some(origin)) => self.store.beat(self.node, frame.seq, origin),
                (None, None) => true,
            };
            lost.into_iter().for_each(|range| self.lose((epoch, heard.cause), heard, range, 0));
            if origin.is_some() && !is_taken {
                self.set_back_to_store(inner);
                return Ok(Arrival::Unkept);
            }
            Ok(arrival)
        })
    }

    fn keep(&self, content: Content<'_>, origin: Option<Origin>) -> bool {
        let Content { lane, at, head, groups, cells, decoder } = content;
        let record = FrameRecord { at, head, groups, cells, again: origin.is_none() };
        self.store.keep((self.node, lane), origin, record, decoder)
    }

    /// The agent says that it will not send some frames any more. What is known stays known.
    pub fn lost(&self, loss: Loss) {
        let Loss { epoch, first, last, collected_total, cause } = loss;
        self.with(|inner| {
            let heard = inner.epochs.entry(epoch).or_default();
            heard.cause = cause.into();
            self.lose((epoch, heard.cause), heard, SeqRange { first, last }, collected_total);
        });
    }

    fn lose(&self, (epoch, cause): (Epoch, Cause), heard: &mut Heard, range: SeqRange, collected_total: u64) {
        // Too many holes: it is closed with what is around it, when the agent says so again.
        if range.first <= range.last && heard.ledger.lose(range, cause, collected_total).is_ok() {
            self.store.close(self.node, Lost { epoch, range, cause, collected_total });
        }
    }

    /// What is durable of an epoch: the watermark and the ranges above it.
    pub fn durable(&self, epoch: Epoch) -> (u64, Vec<SeqRange>) {
        let ledger = self.store.durable(self.node, epoch);
        (ledger.watermark(), ledger.above())
    }

    /// What became of the samples.
    pub fn counts(&self) -> Counts {
        self.with(|inner| {
            let mut all = inner.past;
            inner.epochs.values().for_each(|heard| all.add(&heard.ledger.tally()));
            let waiting: u64 = inner.epochs.values().map(|heard| heard.ledger.waiting()).sum();
            Counts { collected: all.all() + waiting, stored: all.stored, dropped: all.dropped().collect() }
        })
    }

    /// A disk failed: what the store forgot is unknown again.
    pub fn set_back(&self) {
        self.with(|inner| self.set_back_to_store(inner));
    }

    fn set_back_to_store(&self, inner: &mut Inner) {
        inner.epochs.values_mut().for_each(|heard| heard.ledger = Default::default());
        for (epoch, ledger) in self.store.known(self.node) {
            inner.epochs.entry(epoch).or_default().ledger = ledger;
        }
        // What a Hello has said it does not say again.
        for (epoch, heard) in &mut inner.epochs {
            for range in heard.unheld.clone() {
                if heard.ledger.admit(range.first, range.last) != Admission::Known {
                    self.lose((*epoch, heard.cause), heard, range, 0);
                }
            }
            if heard.is_over {
                self.end(*epoch, heard);
            }
        }
    }

    fn with<T>(&self, call: impl FnOnce(&mut Inner) -> T) -> T {
        call(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::Embedded;
    use quorate_common::model::backfill::LossCause;
    use quorate_common::model::time::BootTime;

    const EPOCH: Epoch = Epoch { order: 1, nonce: 1 };

    fn delivery() -> Delivery {
        Delivery::new(NodeId(1), Arc::new(Embedded::default()))
    }

    fn store(delivery: &Delivery, seq: u64, collected_total: u64, admitted: u64) {
        delivery
            .arrive(EPOCH, Counted { seq, collected_total, sampled: 10, admitted, outside: None }, None)
            .unwrap();
    }

    #[test]
    fn what_the_agent_still_holds_is_waited_for_and_what_it_does_not_is_lost() {
        let delivery = delivery();
        delivery.begin(EPOCH, &[]);
        store(&delivery, 1, 10, 10);
        store(&delivery, 2, 20, 7);
        store(&delivery, 5, 50, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (50, 27, 20), "3 and 4 may come yet");
        assert_eq!(delivery.durable(EPOCH), (2, vec![SeqRange { first: 5, last: 5 }]));
        let held = |first| [Held { epoch: EPOCH, first, last: 5 }];
        delivery.begin(EPOCH, &held(4));
        assert_eq!((delivery.counts().open(), delivery.durable(EPOCH).0), (20, 3), "3 is lost, uncounted");
        delivery.begin(EPOCH, &held(5));
        let counts = delivery.counts();
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::Node, 20), (Cause::Quota, 3)]));
        assert_eq!((counts.open(), delivery.durable(EPOCH)), (0, (5, Vec::new())));
    }

    #[test]
    fn an_epoch_that_nobody_holds_ends_with_its_holes() {
        let delivery = delivery();
        let next = Epoch { order: 2, nonce: 2 };
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 9 }]);
        store(&delivery, 4, 40, 10);
        delivery.begin(next, &[Held { epoch: EPOCH, first: 1, last: 4 }]);
        assert_eq!(delivery.counts().open(), 30);
        let loss = Loss { epoch: EPOCH, first: 1, last: 2, collected_total: 0, cause: LossCause::Overflow };
        delivery.lost(loss);
        assert_eq!(delivery.durable(EPOCH), (2, vec![SeqRange { first: 4, last: 4 }]));
        delivery.begin(next, &[]);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (40, 10, 0));
        assert_eq!(delivery.durable(EPOCH), (u64::MAX, Vec::new()), "whatever may come of it is known");
        delivery.begin(next, &[Held { epoch: EPOCH, first: 1, last: 5 }]);
        let again = Counted { seq: 5, collected_total: 50, sampled: 10, admitted: 10, outside: None };
        assert_eq!(
            delivery.arrive(EPOCH, again, None),
            Ok(Arrival::Known),
            "from a copy of the agent's disk"
        );
        assert_eq!(delivery.counts(), counts);
    }

    #[test]
    fn what_is_lost_at_the_end_is_counted_if_the_agent_can_tell() {
        let delivery = delivery();
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 20 }]);
        store(&delivery, 1, 10, 10);
        let loss = |first, last, collected_total| Loss {
            epoch: EPOCH,
            first,
            last,
            collected_total,
            cause: LossCause::Overflow,
        };
        delivery.lost(loss(1, 5, 50));
        assert_eq!(delivery.durable(EPOCH).0, 5);
        assert_eq!(delivery.counts().dropped[&Cause::Overflow], 40);
        delivery.lost(loss(3, 7, 20));
        assert_eq!(delivery.durable(EPOCH).0, 7, "a total that falls is none");
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.dropped[&Cause::Overflow], counts.open()), (50, 40, 0));
    }

    #[test]
    fn too_many_holes_are_not_kept() {
        let delivery = delivery();
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 999 }]);
        let arrive = |seq: u64| {
            let frame = Counted { seq, collected_total: seq * 10, sampled: 10, admitted: 10, outside: None };
            delivery.arrive(EPOCH, frame, None).unwrap()
        };
        assert!((1..=64).all(|n| arrive(2 * n) == Arrival::New));
        assert_eq!((arrive(130), arrive(129)), (Arrival::Unkept, Arrival::New), "129 touches 128");
        assert_eq!((arrive(1), arrive(131)), (Arrival::New, Arrival::New), "there is room again");
    }

    #[test]
    fn what_an_earlier_run_was_told_is_not_the_agents_fault() {
        let delivery = delivery();
        delivery.begin(EPOCH, &[]);
        store(&delivery, 8, 80, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (80, 10, 0));
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::Earlier, 70)]));
    }

    #[test]
    fn what_lies_outside_all_time_is_counted_and_not_kept() {
        let delivery = delivery();
        delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 20 }]);
        store(&delivery, 1, 10, 10);
        let outside = Some(Cause::New);
        let frame = Counted { seq: 2, collected_total: 20, sampled: 10, admitted: 10, outside };
        for _ in 0..2 {
            assert_eq!(delivery.arrive(EPOCH, frame, None), Ok(Arrival::Known));
        }
        store(&delivery, 3, 30, 10);
        let counts = delivery.counts();
        assert_eq!((counts.collected, counts.stored, delivery.durable(EPOCH).0), (30, 20, 3));
        assert_eq!(counts.dropped, BTreeMap::from([(Cause::New, 10)]));
    }

    #[test]
    fn a_total_that_falls_is_refused() {
        let delivery = delivery();
        store(&delivery, 1, 100, 10);
        let falling = Counted { seq: 2, collected_total: 50, sampled: 10, admitted: 10, outside: None };
        assert!(delivery.arrive(EPOCH, falling, None).is_err());
        assert_eq!(delivery.counts().stored, 10);
    }

    #[test]
    fn counts_a_frame_once() {
        let delivery = delivery();
        let first = Counted { seq: 1, collected_total: 10, sampled: 10, admitted: 10, outside: None };
        let second = Counted { seq: 2, collected_total: 20, ..first };
        delivery.begin(EPOCH, &[]);
        for (frame, expect) in [(first, Arrival::New), (first, Arrival::Known), (second, Arrival::New)] {
            assert_eq!(delivery.arrive(EPOCH, frame, None), Ok(expect));
        }
        assert_eq!((delivery.counts().collected, delivery.counts().stored), (20, 20));
        let next = Epoch { order: 2, nonce: 9 };
        delivery.begin(next, &[]);
        assert_eq!(delivery.durable(next), (0, Vec::new()));
        assert_eq!(
            delivery.arrive(EPOCH, first, None),
            Ok(Arrival::Known),
            "an epoch that nobody holds has ended: what comes of it is known"
        );
    }

    #[test]
    fn ever_new_boots_do_not_fill_the_memory() {
        let delivery = delivery();
        let now = Now { boot: BootTime(0), wall: WallTime(1_000) };
        for boot in 0..1_000_u128 {
            delivery.greet(boot.to_le_bytes(), 100, now);
        }
        assert!(delivery.with(|inner| inner.offsets.len()) <= BOOTS_MAX);
        assert_eq!(delivery.known_offset(999_u128.to_le_bytes()), Some(900), "the newest is there");
    }

    #[test]
    fn a_boot_keeps_its_offset_when_we_start_anew() {
        let store = Arc::new(Embedded::default());
        let at = |boot: u64, wall: i64| Now { boot: BootTime(boot), wall: WallTime(wall) };
        let delivery = Delivery::new(NodeId(1), store.clone());
        assert_eq!(delivery.known_offset([1; 16]), None);
        assert_eq!(delivery.offset([1; 16], 100, at(0, 1_100)), 1_000);
        assert_eq!(delivery.offset([2; 16], 100, at(0, 200)), 100);
        let delivery = Delivery::new(NodeId(1), store);
        let late = at(0, 3_000_000_000);
        assert_eq!((delivery.offset([1; 16], 300, late), delivery.known_offset([2; 16])), (1_000, Some(100)));
    }
}
