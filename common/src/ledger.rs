//! Which frames of one epoch are known: a watermark and a few ranges above it. Pure, and bounded: a peer cannot
//! make it grow by sending frames with holes between them.
//!
//! ```text
//!  known            hole      known     hole     known
//!  1 ── watermark ┄┄┄┄┄┄┄┄ first─last ┄┄┄┄┄┄ first─last
//!          └ after      before ┘    └ after
//! ```
//!
//! Each piece remembers `collected_total` of its node before its first and after its last frame. Where two pieces
//! meet, the difference of the two totals is what was lost between them: nothing between frames that arrived,
//! and exactly the lost samples where a hole was closed as lost. It refuses totals that run backwards, and to
//! learn a frame twice.

use crate::model::session::SeqRange;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    watermark: u64,
    /// `collected_total` after the watermark; of the last frame that arrived, if those after it were lost.
    total: u64,
    /// Ascending, with holes between them and above the watermark.
    ranges: Vec<SeqRange>,
    /// One for each range; `None` while nothing in it arrived.
    totals: Vec<Option<Totals>>,
}

impl Ledger {
    /// A ledger that knows no frame.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// All frames up to this one are known; 0 if not even the first is.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// What is known above the watermark, ascending.
    pub fn above(&self) -> &[SeqRange] {
        &self.ranges
    }

    /// Whether a frame is known.
    pub fn contains(&self, seq: u64) -> bool {
        let above = self.ranges.get(self.after(seq)).is_some_and(|range| range.first <= seq);
        seq != 0 && (seq <= self.watermark || above)
    }

    /// The unknown stretches between known frames, ascending. What lies above the last range is none.
    pub fn holes(&self) -> impl Iterator<Item = SeqRange> {
        let ends = std::iter::once(self.watermark).chain(self.ranges.iter().map(|range| range.last));
        ends.zip(&self.ranges).map(|(end, range)| SeqRange { first: end + 1, last: range.first - 1 })
    }

    /// How many samples were collected in a hole, and in lost frames next to it that no one could count yet.
    /// `None` if this is not exactly a hole, or a total at its edges is unknown.
    pub fn hole_samples(&self, first: u64, last: u64) -> Option<u64> {
        let at = self.holes().position(|hole| hole == SeqRange { first, last })?;
        let after = match at.checked_sub(1) {
            None => self.total,
            Some(below) => (*self.totals.get(below)?)?.after,
        };
        (*self.totals.get(at)?)?.before.checked_sub(after)
    }

    /// Everything known, ascending, the part below the watermark first. Inserted into a new ledger (closed,
    /// where there are no totals) it makes an equal one.
    pub fn entries(&self) -> impl Iterator<Item = (SeqRange, Option<Totals>)> {
        let base = SeqRange { first: 1, last: self.watermark };
        let base = (self.watermark > 0).then_some((base, Some(Totals { before: 0, after: self.total })));
        base.into_iter().chain(self.ranges.iter().copied().zip(self.totals.iter().copied()))
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

    /// Learns frames, none of which is known, and returns how many samples turn out to have been lost next to
    /// them, in frames that were closed when nobody could count them; nearly always 0.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing has changed then.
    pub fn insert(&mut self, first: u64, last: u64, totals: Totals) -> Result<u64, LedgerError> {
        self.learn(SeqRange { first, last }, Some(totals))
    }

    /// Declares whatever is unknown from `first` to `last` as lost, and returns how many samples that settles:
    /// those of every hole that is closed in whole. What is closed in part is counted with the rest of its hole.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing has changed then.
    pub fn close(&mut self, first: u64, last: u64) -> Result<u64, LedgerError> {
        let mut next = self.clone();
        let mut lost = 0;
        for part in self.unknown(first, last) {
            lost += next.learn(part, None)?;
        }
        *self = next;
        Ok(lost)
    }

    /// Position of the first range that ends at or after `seq`.
    fn after(&self, seq: u64) -> usize {
        self.ranges.partition_point(|range| range.last < seq)
    }

    /// The parts of `first` to `last` that are not known.
    fn unknown(&self, first: u64, last: u64) -> Vec<SeqRange> {
        let mut parts = Vec::new();
        let mut next = Some(first.max(self.watermark.saturating_add(1)));
        for range in self.ranges.iter().skip(self.after(first)).take_while(|range| range.first <= last) {
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
        self.ranges.len() < RANGES_MAX
            || self.contains(first - 1)
            || first - 1 == self.watermark
            || last.checked_add(1).is_some_and(|next| self.contains(next))
    }

    fn learn(&mut self, range: SeqRange, totals: Option<Totals>) -> Result<u64, LedgerError> {
        let SeqRange { first, last } = range;
        if self.unknown(first, last).as_slice() != [range] {
            return Err(LedgerError::Overlap { first, last });
        }
        if !self.fits(range) {
            return Err(LedgerError::Full { first, last });
        }
        self.check_totals(range, totals)?;
        let at = self.after(first);
        self.ranges.insert(at, range);
        self.totals.insert(at, totals);
        let above = self.join(at + 1);
        Ok(above + self.join(at))
    }

    /// Totals must not fall, from the nearest that are known below to the nearest above.
    fn check_totals(&self, range: SeqRange, totals: Option<Totals>) -> Result<(), LedgerError> {
        let Some(totals) = totals else { return Ok(()) };
        let at = self.after(range.first);
        let (below, above) = self.totals.split_at_checked(at).unwrap_or_default();
        let below = below.iter().rev().flatten().next().map_or(self.total, |totals| totals.after);
        let above = above.iter().flatten().next().map_or(u64::MAX, |totals| totals.before);
        let steps = [(below, totals.before), (totals.before, totals.after), (totals.after, above)];
        match steps.into_iter().find(|(before, after)| before > after) {
            None => Ok(()),
            Some((before, after)) => {
                Err(LedgerError::Totals { first: range.first, last: range.last, before, after })
            }
        }
    }

    /// Joins the range at `at` to what is below it, if they touch; returns the samples lost between.
    fn join(&mut self, at: usize) -> u64 {
        let Some((&range, &totals)) = self.ranges.get(at).zip(self.totals.get(at)) else { return 0 };
        let end = match at.checked_sub(1).and_then(|below| self.ranges.get(below)) {
            Some(below) => below.last,
            None => self.watermark,
        };
        if end + 1 != range.first {
            return 0;
        }
        self.ranges.remove(at);
        self.totals.remove(at);
        let Some(below) = at.checked_sub(1) else {
            self.watermark = range.last;
            return totals.map_or(0, |totals| {
                let lost = totals.before - self.total;
                self.total = totals.after;
                lost
            });
        };
        if let Some(lower) = self.ranges.get_mut(below) {
            lower.last = range.last;
        }
        self.totals.get_mut(below).map_or(0, |lower| merge(lower, totals))
    }
}

/// Extends the totals of a range by those of the one above it; returns the samples lost between.
fn merge(lower: &mut Option<Totals>, upper: Option<Totals>) -> u64 {
    match (lower.as_mut(), upper) {
        (Some(lower), Some(upper)) => {
            let lost = upper.before - lower.after;
            lower.after = upper.after;
            lost
        }
        (None, upper) => {
            *lower = upper;
            0
        }
        (Some(_), None) => 0,
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
                        prop_assert!(ledger.insert(first, last, totals(first, last)).is_err());
                        prop_assert_eq!(&ledger, &before);
                        continue;
                    }
                    Admission::New => prop_assert_eq!(&parts, &[SeqRange { first, last }]),
                    Admission::Known => prop_assert!(parts.is_empty()),
                    Admission::Partly(found) => prop_assert_eq!(&parts, &found),
                }
                if kind == 0 {
                    lost += ledger.close(first, last).unwrap();
                    closed.extend(&new);
                } else {
                    for part in parts {
                        lost += ledger.insert(part.first, part.last, totals(part.first, part.last)).unwrap();
                    }
                }
                known.extend(new);
                check(&ledger, &known, 310);
            }
            // Fill every hole and one frame above: all that was closed is counted then, exactly.
            for hole in ledger.holes().collect::<Vec<_>>() {
                lost += ledger.insert(hole.first, hole.last, totals(hole.first, hole.last)).unwrap();
            }
            let end = ledger.watermark() + 1;
            lost += ledger.insert(end, end, totals(end, end)).unwrap();
            prop_assert_eq!(lost, closed.iter().sum::<u64>());
            prop_assert_eq!(ledger.watermark(), end);
        }
    }

    #[test]
    fn a_hole_counts_the_difference_at_its_edges() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.insert(1, 10, totals(1, 10)), Ok(0));
        assert_eq!(ledger.insert(21, 30, totals(21, 30)), Ok(0));
        let expect = total(20) - total(10);
        assert_eq!(ledger.hole_samples(11, 20), Some(expect));
        assert_eq!(ledger.hole_samples(12, 20), None, "not the whole hole");
        assert_eq!(ledger.hole_samples(31, 40), None, "not a hole");
        assert_eq!(ledger.clone().close(5, 25), Ok(expect), "known frames are not closed");
        assert_eq!(ledger.close(13, 14), Ok(0));
        assert_eq!(ledger.hole_samples(11, 12), None, "the total between is unknown");
        assert_eq!(ledger.insert(11, 12, totals(11, 12)), Ok(0));
        assert_eq!(ledger.insert(15, 20, totals(15, 20)), Ok(13 + 14));
        assert_eq!((ledger.watermark(), ledger.above()), (30, [].as_slice()));
    }

    #[test]
    fn only_a_range_too_many_is_refused() {
        let mut ledger = Ledger::new();
        for n in 1..=RANGES_MAX as u64 {
            ledger.insert(n * 10, n * 10 + 4, totals(n * 10, n * 10 + 4)).unwrap();
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
        assert_eq!(ledger.close(700, 701), Err(LedgerError::Full { first: 700, last: 701 }));
        assert_eq!(ledger, before);
        assert_eq!(ledger.close(1, 9), Ok(total(9)));
        assert_eq!(ledger.watermark(), 14);
    }

    #[test]
    fn bad_ranges_and_totals_change_nothing() {
        let mut ledger = Ledger::new();
        ledger.insert(5, 6, Totals { before: 50, after: 60 }).unwrap();
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
            let error = ledger.insert(first, last, Totals { before, after }).unwrap_err();
            assert_eq!(matches!(error, LedgerError::Overlap { .. }), overlap, "{error}");
            assert_eq!(matches!(error, LedgerError::Totals { .. }), !overlap, "{error}");
            assert_eq!(ledger, known);
        }
    }

    #[test]
    fn entries_make_an_equal_ledger() {
        let mut ledger = Ledger::new();
        ledger.insert(2, 5, totals(2, 5)).unwrap();
        ledger.close(1, 1).unwrap();
        ledger.insert(9, 12, totals(9, 12)).unwrap();
        ledger.close(20, 22).unwrap();
        ledger.close(6, 6).unwrap();
        let mut copy = Ledger::new();
        for (range, totals) in ledger.entries() {
            match totals {
                Some(totals) => copy.insert(range.first, range.last, totals).unwrap(),
                None => copy.close(range.first, range.last).unwrap(),
            };
        }
        assert_eq!(copy, ledger);
    }

    #[test]
    fn the_last_number_is_no_edge_case() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.insert(u64::MAX, u64::MAX, Totals::default()), Ok(0));
        assert!(ledger.contains(u64::MAX));
        assert_eq!(ledger.close(0, u64::MAX), Ok(0));
        assert_eq!(ledger.watermark(), u64::MAX);
        assert_eq!(ledger.admit(1, u64::MAX), Admission::Known);
    }
}
