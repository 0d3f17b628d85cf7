//! The store as PromQL sees it: the series of all declared nodes, with the labels that they carry at read.
//!
//! ```text
//!   selection ─ labels of nodes ─► nodes ─ find ─► series ─ 64 at a time, some hours at a time ─► samples
//! ```
//!
//! What is read is paid for slice by slice, so that a query for too much ends when it has read too much, and not
//! when it has read everything. May block; reads no clock.

use super::promql::cell::is_stale;
use super::promql::{Budget, Error, LabelSet, Sample, Selection, Source, SourceSeries};
use super::selector::{Selector, seen};
use crate::store::{self, Select, SeriesId};
use quorate_common::model::node::Member;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;

/// Series that are read at once: as many as a chunk holds.
const TOGETHER: usize = 64;
/// How much time is read at once: of 64 series with a sample a second, a million samples.
const SLICE_MS: i64 = 4 * 3_600_000;
const MS: i64 = 1_000_000;

/// The series of some nodes.
#[derive(Clone, Copy)]
pub struct Stored<'a> {
    /// The declared nodes.
    pub members: &'a [Member],
    /// History.
    pub store: &'a dyn Select,
}

/// A series of a node that was found.
type Found = (SeriesId, SeriesSpec);

impl<'a> Stored<'a> {
    /// Shows every series that one of the selectors selects, and its node; all series if there is no selector.
    pub fn each(
        &self,
        selectors: &[Selector],
        budget: &mut Budget<'_>,
        mut show: impl FnMut(&Member, &SeriesSpec, &mut Budget<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for member in self.members {
            let of_node: Vec<&Selector> =
                selectors.iter().filter(|selector| selector.matches_node(member)).collect();
            if of_node.is_empty() && !selectors.is_empty() {
                continue;
            }
            budget.check()?;
            let is_wanted = |spec: &SeriesSpec| {
                selectors.is_empty() || of_node.iter().any(|one| one.matches_series(member, spec))
            };
            for (_, spec) in self.store.find(member.id, &is_wanted) {
                show(member, &spec, budget)?;
            }
        }
        Ok(())
    }

    /// The series of a node that match, with their samples.
    fn read(
        &self,
        (member, found): (&Member, &[Found]),
        (from_ms, to_ms): (i64, i64),
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SourceSeries>, Error> {
        let ids: Vec<SeriesId> = found.iter().map(|(id, _)| *id).collect();
        let mut lists: Vec<Vec<Sample>> = vec![Vec::new(); found.len()];
        // The last moment of all has none behind it, where this could end.
        let (mut next_ms, to_ms) = (from_ms, to_ms.min(i64::MAX - 1));
        while next_ms <= to_ms {
            let end_ms = next_ms.saturating_add(SLICE_MS - 1).min(to_ms);
            let slice = self.store.samples(member.id, &ids, begin_of(next_ms), end_of(end_ms));
            let count = slice.iter().map(Vec::len).sum::<usize>();
            budget.read(count)?;
            budget.take(count.saturating_mul(size_of::<Sample>()))?;
            lists.iter_mut().zip(slice).for_each(|(list, read)| append(list, &read));
            next_ms = end_ms.saturating_add(1);
        }
        let read = found.iter().zip(lists).filter(|(_, list)| !list.is_empty());
        Ok(read.map(|((_, spec), list)| (LabelSet::new(seen(member, spec)), list)).collect())
    }
}

impl Source for Stored<'_> {
    fn select(
        &self,
        selection: &Selection,
        from_ms: i64,
        to_ms: i64,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SourceSeries>, Error> {
        let selector = Selector::from(selection.clone());
        let mut all = Vec::new();
        for member in self.members.iter().filter(|member| selector.matches_node(member)) {
            budget.check()?;
            let found = selector.select(self.store, member);
            // A query may well ask for all of time, which has many slices with nothing in them.
            let from_ms = from_ms.max(self.store.oldest(member.id).as_millis());
            for some in found.chunks(TOGETHER) {
                budget.make(all.len() + some.len(), 0)?;
                all.extend(self.read((member, some), (from_ms, to_ms), budget)?);
            }
        }
        Ok(merged(all))
    }
}

/// The same labels are one series, though a metric that was held in another form is another to the store.
fn merged(mut series: Vec<SourceSeries>) -> Vec<SourceSeries> {
    series.sort_by(|left, right| left.0.cmp(&right.0));
    series.dedup_by(|later, kept| {
        let is_same = later.0 == kept.0;
        if is_same {
            kept.1.append(&mut later.1);
            kept.1.sort_by_key(|sample| sample.at_ms);
            kept.1.dedup_by_key(|sample| sample.at_ms);
        }
        is_same
    });
    series
}

/// Adds what was read. Of the samples of a millisecond the last one counts; a number that is none is only that.
fn append(list: &mut Vec<Sample>, read: &[store::Sample]) {
    for sample in read {
        let is_other_nan = sample.value.is_nan() && !is_stale(sample.value);
        let value = if is_other_nan { f64::NAN } else { sample.value };
        let at_ms = sample.at.as_millis();
        match list.last_mut().filter(|last| last.at_ms == at_ms) {
            Some(last) => last.value = value,
            None => list.push(Sample { at_ms, value }),
        }
    }
}

fn begin_of(ms: i64) -> WallTime {
    WallTime(ms.saturating_mul(MS))
}

/// The last nanosecond of a millisecond.
fn end_of(ms: i64) -> WallTime {
    WallTime(ms.saturating_mul(MS).saturating_add(MS - 1))
}
