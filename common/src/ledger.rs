//! Which frames of one epoch are known, and what became of their samples: a watermark and a few ranges above it. Pure,
//! and bounded: a peer cannot make it grow by sending frames with holes between them.
//!
//! ```text
//!  known            hole      known     hole     known
//!  1 ── watermark ┄┄┄┄┄┄┄┄ first─last ┄┄┄┄┄┄ first─last
//!          └ after      before ┘    └ after
//! ```
//!
//! Each piece remembers `collected_total` of its node before its first and after its last frame. Where two pieces
//! meet, the difference of the two totals is what was lost between them: nothing between frames that arrived,
//! and exactly the lost samples where a hole was closed as lost; they are tallied under the cause that closed it. So
//! the tally of a piece is the difference of its totals, always. It refuses totals that run backwards, and to learn a
//! frame twice.

use crate::model::session::SeqRange;
use crate::tally::{Cause, Tally};

/// Most ranges above the watermark.
pub const RANGES_MAX: usize = 64;

/// `collected_total` at the edges of a range, in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Before its first frame.
    pub before: u64,
    /// After its last frame.
    pub after: u64,
}

/// Frames that are known, without a hole between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Their numbers.
    pub range: SeqRange,
    /// `None` while nothing in it arrived.
    pub totals: Option<Totals>,
    /// What became of the samples between the totals.
    pub tally: Tally,
    /// Why the first frames were lost, if they were and nobody could count them yet.
    pub below: Option<Cause>,
    /// Why the last frames were lost, if they were and nobody could count them yet.
    pub above: Option<Cause>,
}

impl Piece {
    /// Frames that arrived.
    pub fn arrived(range: SeqRange, totals: Totals, tally: Tally) -> Piece {
        Piece { range, totals: Some(totals), tally, below: None, above: None }
    }

    /// Frames that will not come. What had been collected after them says something only if it is above 0.
    pub fn lost(range: SeqRange, cause: Cause, collected_total: u64) -> Piece {
        let totals = Totals { before: collected_total, after: collected_total };
        let (totals, above) = if collected_total > 0 { (Some(totals), None) } else { (None, Some(cause)) };
        Piece { range, totals, tally: Tally::default(), below: Some(cause), above }
    }

    /// Goes on with the piece that begins where this one ends.
    fn extend(&mut self, next: &Piece) {
        self.range.last = next.range.last;
        self.tally.add(&next.tally);
        match (&mut self.totals, next.totals) {
            (Some(mine), Some(theirs)) => {
                let cause = self.above.or(next.below).unwrap_or(Cause::Node);
                self.tally.drop(cause, theirs.before - mine.after);
                mine.after = theirs.after;
                self.above = next.above;
            }
            (Some(_), None) => self.above = self.above.or(next.above),
            (None, theirs) => {
                self.totals = theirs;
                self.above = next.above;
            }
        }
    }
}

/// What a ledger says to frames that want in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// None is known; all can be inserted.
    New,
    /// Some are known; these parts are not and can be inserted.
    Partly(Vec<SeqRange>),
    /// All are known, or the range is empty. There is no frame 0.
    Known,
    /// None is known, but it would be one range too many until a hole is filled.
    Full,
}

/// Why a range was not inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It would be one range too many.
    #[error("frames {first} to {last} would be range {} above the watermark", RANGES_MAX + 1)]
    Full {
        /// As given.
        first: u64,
        /// As given.
        last: u64,
    },
    /// It is empty, holds frame 0, or holds a frame that is known.
    #[error("frames {first} to {last} are not all new")]
    Overlap {
        /// As given.
        first: u64,
        /// As given.
        last: u64,
    },
    /// Collected totals fall from one frame to a later one.
    #[error("collected total falls from {before} to {after} around frames {first} to {last}")]
    Totals {
        /// As given.
        first: u64,
        /// As given.
        last: u64,
        /// Of the earlier frame.
        before: u64,
        /// Of the later frame.
        after: u64,
    },
}

/// The known frames of one epoch of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Ascending, with holes between them. The first ends at the watermark, be it 0.
    pieces: Vec<Piece>,
}

impl Default for Ledger {
    fn default() -> Self {
        let none = SeqRange { first: 1, last: 0 };
        Ledger { pieces: vec![Piece::arrived(none, Totals::default(), Tally::default())] }
    }
}

impl Ledger {
    /// A ledger that knows no frame.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// All frames up to this one are known; 0 if not even the first is.
    pub fn watermark(&self) -> u64 {
        self.pieces.first().map_or(0, |base| base.range.last)
    }

    /// What is known above the watermark, ascending.
    pub fn above(&self) -> Vec<SeqRange> {
        self.pieces.iter().skip(1).map(|piece| piece.range).collect()
    }

    /// The highest number that is known; 0 if none is.
    pub fn last(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.range.last)
    }

    /// Whether a frame is known.
    pub fn contains(&self, seq: u64) -> bool {
        seq != 0 && self.pieces.get(self.after(seq)).is_some_and(|piece| piece.range.first <= seq)
    }

    /// The unknown stretches between known frames, ascending. What lies above the last range is none.
    pub fn holes(&self) -> impl Iterator<Item = SeqRange> {
        let between = |(lower, upper): (&Piece, &Piece)| SeqRange {
            first: lower.range.last + 1,
            last: upper.range.first - 1,
        };
        self.pieces.iter().zip(self.pieces.iter().skip(1)).map(between)
    }

    /// How many samples were collected in a hole, and in lost frames next to it that no one could count yet.
    /// `None` if this is not exactly a hole, or a total at its edges is unknown.
    pub fn hole_samples(&self, first: u64, last: u64) -> Option<u64> {
        let at = self.holes().position(|hole| hole == SeqRange { first, last })?;
        let (lower, upper) = (self.pieces.get(at)?.totals?, self.pieces.get(at + 1)?.totals?);
        upper.before.checked_sub(lower.after)
    }

    /// Samples that were collected in holes, as far as their edges tell.
    pub fn waiting(&self) -> u64 {
        self.holes().filter_map(|hole| self.hole_samples(hole.first, hole.last)).sum()
    }

    /// What became of the samples of all known frames, those that nobody can count yet left out.
    pub fn tally(&self) -> Tally {
        self.pieces.iter().fold(Tally::default(), |mut all, piece| {
            all.add(&piece.tally);
            all
        })
    }

    /// Everything known, ascending, the part below the watermark first. [`Ledger::restore`] makes an equal one of it.
    pub fn pieces(&self) -> &[Piece] {
        match self.pieces.split_first() {
            Some((base, rest)) if base.range.last == 0 => rest,
            _ => &self.pieces,
        }
    }

    /// Whether the frames from `first` to `last` are new.
    pub fn admit(&self, first: u64, last: u64) -> Admission {
        let parts = self.unknown(first, last);
        match parts.as_slice() {
            [] => Admission::Known,
            [all] if *all == SeqRange { first, last } => {
                if self.fits(*all) {
                    Admission::New
                } else {
                    Admission::Full
                }
            }
            // Each part touches a known range, so inserting them makes no further one.
            _ => Admission::Partly(parts),
        }
    }

    /// Learns frames that arrived, none of which is known. Their tally is the difference of their totals.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing has changed then.
    pub fn insert(&mut self, first: u64, last: u64, totals: Totals, tally: Tally) -> Result<(), LedgerError> {
        self.learn(Piece::arrived(SeqRange { first, last }, totals, tally))
    }

    /// Learns a piece of another ledger of this epoch, of which nothing is known.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing has changed then.
    pub fn restore(&mut self, piece: Piece) -> Result<(), LedgerError> {
        self.learn(piece)
    }

    /// Declares whatever is unknown from `first` to `last` as lost. Samples of every hole that is closed in whole are
    /// tallied; what is closed in part is counted with the rest of its hole. What had been collected after `last`, if
    /// anybody knows (0 if not), counts what lies above all that is known.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing has changed then.
    pub fn lose(
        &mut self,
        SeqRange { first, last }: SeqRange,
        cause: Cause,
        collected_total: u64,
    ) -> Result<(), LedgerError> {
        let (mut next, top) = (self.clone(), self.last());
        for part in self.unknown(first, last) {
            let total = if part.first > top { collected_total } else { 0 };
            // A total that contradicts what is known says nothing.
            let told = next.learn(Piece::lost(part, cause, total));
            if matches!(told, Err(LedgerError::Totals { .. })) {
                next.learn(Piece::lost(part, cause, 0))?;
            } else {
                told?;
            }
        }
        *self = next;
        Ok(())
    }

    /// Nothing more will come: whatever is unknown is lost, and whatever comes all the same is known. Nobody can count
    /// what was collected after the last frame.
    pub fn close(&mut self, cause: Cause) {
        // Every part of all numbers touches a known range, and no total is said: there is nothing to refuse.
        self.lose(SeqRange { first: 1, last: u64::MAX }, cause, 0).ok();
    }

    /// Whether nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.watermark() == u64::MAX
    }

    /// Position of the first piece that ends at or after `seq`.
    fn after(&self, seq: u64) -> usize {
        self.pieces.partition_point(|piece| piece.range.last < seq)
    }

    /// The parts of `first` to `last` that are not known.
    fn unknown(&self, first: u64, last: u64) -> Vec<SeqRange> {
        let mut parts = Vec::new();
        let mut next = Some(first.max(self.watermark().saturating_add(1)));
        let ranges = self.pieces.iter().map(|piece| piece.range);
        for range in ranges.skip(self.after(first).max(1)).take_while(|range| range.first <= last) {
            if let Some(first) = next.filter(|&first| first < range.first) {
                parts.push(SeqRange { first, last: range.first - 1 });
            }
            next = range.last.checked_add(1);
        }
        if let Some(first) = next.filter(|&first| first <= last && !self.contains(first)) {
            parts.push(SeqRange { first, last });
        }
        parts
    }

    /// Whether a new range touches a known one or has a place of its own.
    fn fits(&self, SeqRange { first, last }: SeqRange) -> bool {
        self.pieces.len() <= RANGES_MAX
            || self.contains(first - 1)
            || first - 1 == self.watermark()
            || last.checked_add(1).is_some_and(|next| self.contains(next))
    }

    fn learn(&mut self, piece: Piece) -> Result<(), LedgerError> {
        let SeqRange { first, last } = piece.range;
        if self.unknown(first, last).as_slice() != [piece.range] {
            return Err(LedgerError::Overlap { first, last });
        }
        if !self.fits(piece.range) {
            return Err(LedgerError::Full { first, last });
        }
        self.check_totals(&piece)?;
        let at = self.after(first).max(1);
        self.pieces.insert(at, piece);
        self.join(at + 1);
        self.join(at);
        Ok(())
    }

    /// Totals must not fall, from the nearest that are known below to the nearest above.
    fn check_totals(&self, Piece { range, totals, .. }: &Piece) -> Result<(), LedgerError> {
        let Some(totals) = totals else { return Ok(()) };
        let at = self.after(range.first).max(1);
        let (below, above) = self.pieces.split_at_checked(at).unwrap_or_default();
        let below = below.iter().rev().find_map(|piece| piece.totals).map_or(0, |totals| totals.after);
        let above = above.iter().find_map(|piece| piece.totals).map_or(u64::MAX, |totals| totals.before);
        let steps = [(below, totals.before), (totals.before, totals.after), (totals.after, above)];
        match steps.into_iter().find(|(before, after)| before > after) {
            None => Ok(()),
            Some((before, after)) => {
                Err(LedgerError::Totals { first: range.first, last: range.last, before, after })
            }
        }
    }

    /// Joins the piece at `at` to the one below it, if they touch.
    fn join(&mut self, at: usize) {
        let (Some(upper), Some(lower)) = (self.pieces.get(at).copied(), self.pieces.get_mut(at - 1)) else {
            return;
        };
        if lower.range.last + 1 == upper.range.first {
            lower.extend(&upper);
            self.pieces.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Frame `n` holds `n` samples.
    fn total(seq: u64) -> u64 {
        seq * (seq + 1) / 2
    }

    fn totals(first: u64, last: u64) -> Totals {
        Totals { before: total(first - 1), after: total(last) }
    }

    fn tally(first: u64, last: u64) -> Tally {
        Tally::stored(total(last) - total(first - 1))
    }

    fn close(ledger: &mut Ledger, first: u64, last: u64) -> Result<u64, LedgerError> {
        let before = ledger.tally().all() - ledger.tally().stored;
        ledger.lose(SeqRange { first, last }, Cause::Overflow, 0)?;
        Ok(ledger.tally().all() - ledger.tally().stored - before)
    }

    fn arrive(ledger: &mut Ledger, first: u64, last: u64) -> Result<u64, LedgerError> {
        let before = ledger.tally().all() - ledger.tally().stored;
        ledger.insert(first, last, totals(first, last), tally(first, last))?;
        Ok(ledger.tally().all() - ledger.tally().stored - before)
    }

    fn ranges(set: &BTreeSet<u64>) -> Vec<SeqRange> {
        let mut ranges: Vec<SeqRange> = Vec::new();
        for &seq in set {
            match ranges.last_mut() {
                Some(range) if range.last + 1 == seq => range.last = seq,
                _ => ranges.push(SeqRange { first: seq, last: seq }),
            }
        }
        ranges
    }

    #[test]
    fn a_closed_ledger_knows_everything() {
        let mut ledger = Ledger::new();
        arrive(&mut ledger, 1, 2).unwrap();
        arrive(&mut ledger, 5, 6).unwrap();
        ledger.close(Cause::Node);
        let (tally, dropped) = (ledger.tally(), total(4) - total(2));
        assert_eq!(
            (tally.all(), tally.dropped().collect::<Vec<_>>()),
            (total(6), vec![(Cause::Node, dropped)])
        );
        assert!(ledger.is_closed() && ledger.contains(7) && ledger.contains(u64::MAX));
        assert_eq!((ledger.watermark(), ledger.above(), ledger.holes().count()), (u64::MAX, Vec::new(), 0));
        assert!(arrive(&mut ledger, 7, 7).is_err());
        ledger.close(Cause::Node);
        let mut restored = Ledger::new();
        ledger.pieces().iter().for_each(|piece| restored.restore(*piece).unwrap());
        assert_eq!(restored, ledger);
        let mut empty = Ledger::new();
        empty.close(Cause::Node);
        assert!(empty.is_closed() && empty.tally().all() == 0);
    }

    fn check(ledger: &Ledger, known: &BTreeSet<u64>, max: u64) {
        let mut all = ranges(known);
        let watermark = if known.contains(&1) { all.remove(0).last } else { 0 };
        assert_eq!(ledger.watermark(), watermark);
        assert_eq!(ledger.above(), all);
        assert!((0..=max).all(|seq| ledger.contains(seq) == known.contains(&seq)));
        let end = known.last().copied().unwrap_or(0);
        let holes: BTreeSet<u64> = (1..end).filter(|seq| !known.contains(seq)).collect();
        assert_eq!(ledger.holes().collect::<Vec<_>>(), ranges(&holes));
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec((1u64..300, 0u64..9, 0u8..5), 1..150)) {
            let (mut ledger, mut known, mut lost) = (Ledger::new(), BTreeSet::new(), 0);
            let mut closed = BTreeSet::new();
            for (first, length, kind) in steps {
                let last = first + length;
                let new: BTreeSet<u64> = (first..=last).filter(|seq| !known.contains(seq)).collect();
                let parts = ranges(&new);
                let before = ledger.clone();
                match ledger.admit(first, last) {
                    Admission::Full => {
                        prop_assert_eq!(ledger.above().len(), RANGES_MAX);
                        prop_assert!(arrive(&mut ledger, first, last).is_err());
                        prop_assert_eq!(&ledger, &before);
                        continue;
                    }
                    Admission::New => prop_assert_eq!(&parts, &[SeqRange { first, last }]),
                    Admission::Known => prop_assert!(parts.is_empty()),
                    Admission::Partly(found) => prop_assert_eq!(&parts, &found),
                }
                if kind == 0 {
                    lost += close(&mut ledger, first, last).unwrap();
                    closed.extend(&new);
                } else {
                    for part in parts {
                        lost += arrive(&mut ledger, part.first, part.last).unwrap();
                    }
                }
                known.extend(new);
                check(&ledger, &known, 310);
            }
            // Fill every hole and one frame above: all that was closed is counted then, exactly.
            for hole in ledger.holes().collect::<Vec<_>>() {
                lost += arrive(&mut ledger, hole.first, hole.last).unwrap();
            }
            let end = ledger.watermark() + 1;
            lost += arrive(&mut ledger, end, end).unwrap();
            prop_assert_eq!(lost, closed.iter().sum::<u64>());
            prop_assert_eq!(ledger.watermark(), end);
        }
    }

    #[test]
    fn a_hole_counts_the_difference_at_its_edges() {
        let mut ledger = Ledger::new();
        assert_eq!(arrive(&mut ledger, 1, 10), Ok(0));
        assert_eq!(arrive(&mut ledger, 21, 30), Ok(0));
        let expect = total(20) - total(10);
        assert_eq!(ledger.hole_samples(11, 20), Some(expect));
        assert_eq!(ledger.hole_samples(12, 20), None, "not the whole hole");
        assert_eq!(ledger.hole_samples(31, 40), None, "not a hole");
        assert_eq!(close(&mut ledger.clone(), 5, 25), Ok(expect), "known frames are not closed");
        assert_eq!(close(&mut ledger, 13, 14), Ok(0));
        assert_eq!(ledger.hole_samples(11, 12), None, "the total between is unknown");
        assert_eq!(arrive(&mut ledger, 11, 12), Ok(0));
        assert_eq!(arrive(&mut ledger, 15, 20), Ok(13 + 14));
        assert_eq!((ledger.watermark(), ledger.above()), (30, vec![]));
    }

    #[test]
    fn only_a_range_too_many_is_refused() {
        let mut ledger = Ledger::new();
        for n in 1..=RANGES_MAX as u64 {
            arrive(&mut ledger, n * 10, n * 10 + 4).unwrap();
        }
        for (first, last, expect) in [
            (700, 700, Admission::Full),
            (17, 18, Admission::Full),
            (u64::MAX, u64::MAX, Admission::Full),
            (1, 1, Admission::New),
            (15, 15, Admission::New),
            (19, 19, Admission::New),
            (645, u64::MAX, Admission::New),
            (12, 13, Admission::Known),
            (0, 0, Admission::Known),
            (8, 3, Admission::Known),
            (13, 21, Admission::Partly(vec![SeqRange { first: 15, last: 19 }])),
        ] {
            assert_eq!(ledger.admit(first, last), expect, "{first} to {last}");
        }
        let before = ledger.clone();
        assert_eq!(close(&mut ledger, 700, 701), Err(LedgerError::Full { first: 700, last: 701 }));
        assert_eq!(ledger, before);
        assert_eq!(close(&mut ledger, 1, 9), Ok(total(9)));
        assert_eq!(ledger.watermark(), 14);
    }

    #[test]
    fn bad_ranges_and_totals_change_nothing() {
        let mut ledger = Ledger::new();
        ledger.insert(5, 6, Totals { before: 50, after: 60 }, Tally::stored(10)).unwrap();
        let known = ledger.clone();
        for (first, last, before, after, overlap) in [
            (0, 1, 0, 1, true),
            (3, 2, 0, 1, true),
            (4, 5, 0, 1, true),
            (6, 9, 60, 70, true),
            (1, 2, 2, 1, false),
            (1, 2, 0, 51, false),
            (8, 9, 59, 70, false),
        ] {
            let error = ledger.insert(first, last, Totals { before, after }, Tally::default()).unwrap_err();
            assert_eq!(matches!(error, LedgerError::Overlap { .. }), overlap, "{error}");
            assert_eq!(matches!(error, LedgerError::Totals { .. }), !overlap, "{error}");
            assert_eq!(ledger, known);
        }
    }

    #[test]
    fn losses_are_tallied_under_the_cause_that_closed_them() {
        let range = |first, last| SeqRange { first, last };
        let mut ledger = Ledger::new();
        ledger.lose(range(1, 2), Cause::Earlier, 0).unwrap();
        arrive(&mut ledger, 5, 5).unwrap();
        ledger.lose(range(7, 8), Cause::Overflow, 0).unwrap();
        ledger.lose(range(3, 4), Cause::Damaged, 0).unwrap();
        assert_eq!(ledger.tally().dropped().collect::<Vec<_>>(), [(Cause::Earlier, total(4))]);
        arrive(&mut ledger, 6, 6).unwrap();
        ledger.lose(range(9, 12), Cause::Node, total(12)).unwrap();
        let dropped: Vec<_> = ledger.tally().dropped().collect();
        assert_eq!(dropped, [(Cause::Overflow, total(12) - total(6)), (Cause::Earlier, total(4))]);
        ledger.lose(range(13, 13), Cause::Node, 1).unwrap();
        assert_eq!((ledger.watermark(), ledger.tally().all()), (13, total(12)), "a total that falls is none");
        arrive(&mut ledger, 14, 14).unwrap();
        assert_eq!(ledger.tally().dropped().last(), Some((Cause::Node, 13)));
        assert_eq!(ledger.tally().all(), total(14));
    }

    #[test]
    fn entries_make_an_equal_ledger() {
        let mut ledger = Ledger::new();
        arrive(&mut ledger, 2, 5).unwrap();
        close(&mut ledger, 1, 1).unwrap();
        arrive(&mut ledger, 9, 12).unwrap();
        close(&mut ledger, 20, 22).unwrap();
        close(&mut ledger, 6, 6).unwrap();
        let mut copy = Ledger::new();
        ledger.pieces().iter().for_each(|piece| copy.restore(*piece).unwrap());
        assert_eq!(copy, ledger);
        assert!(Ledger::new().pieces().is_empty());
    }

    #[test]
    fn the_last_number_is_no_edge_case() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.insert(u64::MAX, u64::MAX, Totals::default(), Tally::default()), Ok(()));
        assert!(ledger.contains(u64::MAX));
        assert_eq!(close(&mut ledger, 0, u64::MAX), Ok(0));
        assert_eq!(ledger.watermark(), u64::MAX);
        assert_eq!(ledger.admit(1, u64::MAX), Admission::Known);
    }
}
