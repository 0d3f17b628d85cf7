//! The series of one node and their numbers.
//!
//! ```text
//!   series ── hash ──→ number ── place in the list ──→ series          each series is held once
//! ```
//!
//! Every live series of a cluster stands here, so what an entry takes counts: the list is in order of numbers, and
//! the table has hashes instead of series. Two series of one hash stand at keys that follow one another.

use super::SeriesId;
use super::names::Names;
use super::pool::Pool;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Series to number and back.
#[derive(Debug, Default)]
pub struct Dictionary {
    hasher: RandomState,
    numbers: HashMap<u64, SeriesId>,
    /// By number.
    series: Vec<(SeriesId, Known)>,
    /// Of the first of these; of all when someone asks for a name.
    names: Names,
    /// A series may have two numbers.
    has_twins: bool,
    next: u32,
    /// Whatever has a lower number belongs to an earlier node of this number.
    floor: u32,
}

/// A series that has a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The series.
    pub spec: SeriesSpec,
    /// A sample of it may be as new as this.
    pub seen: WallTime,
}

impl Dictionary {
    /// The number of a series, and whether it was given anew.
    pub fn intern(&mut self, spec: &SeriesSpec, now: WallTime, pool: &Pool) -> (SeriesId, bool) {
        let (key, known) = self.look_up(spec);
        if let Some(id) = known {
            return (id, false);
        }
        let id = SeriesId(self.next);
        self.next = self.next.saturating_add(1);
        self.numbers.insert(key, id);
        self.series.push((id, Known { spec: pool.share(spec.clone()), seen: now }));
        (id, true)
    }

    /// So many series will be restored.
    pub fn reserve(&mut self, count: usize) {
        self.numbers.reserve(count);
        self.series.reserve_exact(count);
    }

    /// A series as it was known before.
    pub fn restore(&mut self, id: SeriesId, known: Known) {
        self.next = self.next.max(id.0.saturating_add(1));
        if id.0 < self.floor {
            return;
        }
        self.names.clear();
        let (key, other) = self.look_up(&known.spec);
        self.has_twins |= other.is_some_and(|other| other != id);
        match self.place(id) {
            Ok(at) => {
                if let Some((_, old)) = self.series.get_mut(at) {
                    *old = Known { seen: old.seen.max(known.seen), ..known };
                }
            }
            Err(at) => self.series.insert(at, (id, known)),
        }
        self.numbers.insert(key, id);
    }

    /// Forgets all series below `floor`, and gives no such number any more: samples with them may still lie about.
    pub fn forget(&mut self, floor: SeriesId) {
        self.floor = self.floor.max(floor.0);
        self.next = self.next.max(floor.0);
        let floor = self.floor;
        self.retain(|id, _| id.0 >= floor);
    }

    /// The number that a new series would get.
    pub fn next(&self) -> SeriesId {
        SeriesId(self.next)
    }

    /// Whatever has a lower number is forgotten.
    pub fn floor(&self) -> SeriesId {
        SeriesId(self.floor)
    }

    /// All series that match, by number.
    pub fn find(&self, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        let matching = self.series.iter().filter(|(_, known)| matches(&known.spec));
        self.newest(matching.map(|(id, known)| (*id, &known.spec)))
    }

    /// All series of a name that match, by number.
    pub fn named(
        &mut self,
        name: &str,
        matches: &dyn Fn(&SeriesSpec) -> bool,
    ) -> Vec<(SeriesId, SeriesSpec)> {
        let unnamed = self.series.get(self.names.len()..).unwrap_or_default();
        self.names.add(unnamed.iter().map(|(_, known)| &*known.spec.metric.name));
        let called = self.names.called(name).filter_map(|place| self.series.get(place));
        let called = called.map(|(id, known)| (*id, &known.spec));
        self.newest(called.filter(|(_, spec)| *spec.metric.name == *name && matches(spec)))
    }

    /// Of two numbers of one series, the newer one counts.
    fn newest<'a>(
        &self,
        series: impl Iterator<Item = (SeriesId, &'a SeriesSpec)>,
    ) -> Vec<(SeriesId, SeriesSpec)> {
        let newest = series.filter(|(id, spec)| !self.has_twins || self.look_up(spec).1 == Some(*id));
        newest.map(|(id, spec)| (id, spec.clone())).collect()
    }

    /// A series by its number.
    pub fn get(&self, id: SeriesId) -> Option<&SeriesSpec> {
        let (_, known) = self.series.get(self.place(id).ok()?)?;
        Some(&known.spec)
    }

    /// All series, by number.
    pub fn all(&self) -> impl Iterator<Item = (SeriesId, &Known)> {
        self.series.iter().map(|(id, known)| (*id, known))
    }

    /// Series have samples as new as this.
    pub fn seen(&mut self, ids: impl Iterator<Item = SeriesId>, at: WallTime) {
        for id in ids {
            if let Some((_, known)) = self.place(id).ok().and_then(|place| self.series.get_mut(place)) {
                known.seen = known.seen.max(at);
            }
        }
    }

    /// Forgets what has no samples since `before` and is not among `kept`; says how many.
    pub fn expire(&mut self, before: WallTime, kept: &HashSet<SeriesId>) -> usize {
        self.retain(|id, known| known.seen >= before || kept.contains(&id))
    }

    fn retain(&mut self, keep: impl Fn(SeriesId, &Known) -> bool) -> usize {
        let before = self.series.len();
        self.series.retain(|(id, known)| keep(*id, known));
        let gone = before - self.series.len();
        if gone > 0 {
            self.renumber();
        }
        gone
    }

    /// Makes the table anew: a key in the middle of a row of them cannot be taken out.
    fn renumber(&mut self) {
        self.numbers.clear();
        self.names.clear();
        let list = std::mem::take(&mut self.series);
        self.series.reserve_exact(list.len());
        for (id, known) in list {
            let (key, _) = self.look_up(&known.spec);
            self.numbers.insert(key, id);
            self.series.push((id, known));
        }
        self.numbers.shrink_to_fit();
    }

    fn place(&self, id: SeriesId) -> Result<usize, usize> {
        self.series.binary_search_by_key(&id, |(id, _)| *id)
    }

    /// The key that a series stands at or would stand at, and its number if it does.
    fn look_up(&self, spec: &SeriesSpec) -> (u64, Option<SeriesId>) {
        let mut key = self.hasher.hash_one(spec);
        while let Some(&id) = self.numbers.get(&key) {
            if self.get(id) == Some(spec) {
                return (key, Some(id));
            }
            key = key.wrapping_add(1);
        }
        (key, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::label::Labels;
    use quorate_common::model::series::{CellForm, Metric, MetricKind};

    fn spec(name: &str) -> SeriesSpec {
        let metric = Metric { name: name.into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
        SeriesSpec { metric, labels: Labels::default() }
    }

    #[test]
    fn numbers_are_not_used_again() {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.intern(&spec("a"), WallTime(1), &Pool::default()), (SeriesId(0), true));
        assert_eq!(dictionary.intern(&spec("b"), WallTime(1), &Pool::default()), (SeriesId(1), true));
        assert_eq!(dictionary.intern(&spec("a"), WallTime(9), &Pool::default()), (SeriesId(0), false));
        dictionary.forget(dictionary.next());
        assert_eq!(dictionary.find(&|_| true), []);
        dictionary.restore(SeriesId(1), Known { spec: spec("b"), seen: WallTime(1) });
        assert_eq!(dictionary.get(SeriesId(1)), None, "another file still names it");
        assert_eq!(dictionary.intern(&spec("a"), WallTime(9), &Pool::default()), (SeriesId(2), true));
    }

    #[test]
    fn what_has_no_samples_goes() {
        let mut dictionary = Dictionary::default();
        for name in ["a", "b", "c", "d"] {
            dictionary.intern(&spec(name), WallTime(1), &Pool::default());
        }
        dictionary.seen([SeriesId(1), SeriesId(9)].into_iter(), WallTime(5));
        assert_eq!(dictionary.expire(WallTime(5), &HashSet::from([SeriesId(2)])), 2);
        let left: Vec<_> = dictionary.find(&|_| true).into_iter().map(|(id, _)| id.0).collect();
        assert_eq!(left, [1, 2]);
        assert_eq!(dictionary.all().count(), 2);
    }

    #[test]
    fn a_name_finds_what_a_search_finds_whatever_came_and_went() {
        let mut dictionary = Dictionary::default();
        let check = |dictionary: &mut Dictionary, expect: &[u32]| {
            let found = dictionary.named("a", &|_| true);
            assert_eq!(found, dictionary.find(&|spec| &*spec.metric.name == "a"));
            assert_eq!(found.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), expect);
            assert_eq!(dictionary.named("a", &|_| false), []);
        };
        dictionary.intern(&spec("b"), WallTime(1), &Pool::default());
        check(&mut dictionary, &[]);
        dictionary.intern(&spec("a"), WallTime(1), &Pool::default());
        check(&mut dictionary, &[1]);
        dictionary.restore(SeriesId(0), Known { spec: spec("c"), seen: WallTime(1) });
        check(&mut dictionary, &[1]);
        dictionary.expire(WallTime(9), &HashSet::from([SeriesId(0)]));
        check(&mut dictionary, &[]);
        dictionary.intern(&spec("a"), WallTime(1), &Pool::default());
        check(&mut dictionary, &[2]);
    }

    #[test]
    fn two_series_of_one_hash_are_two() {
        let mut dictionary = Dictionary::default();
        let (first, _) = dictionary.intern(&spec("a"), WallTime(1), &Pool::default());
        let (key, _) = dictionary.look_up(&spec("b"));
        dictionary.numbers.insert(key, first);
        let (second, is_new) = dictionary.intern(&spec("b"), WallTime(1), &Pool::default());
        assert!(is_new && second != first);
        assert_eq!(dictionary.look_up(&spec("b")), (key.wrapping_add(1), Some(second)));
        assert_eq!(dictionary.find(&|_| true).len(), 2);
        assert_eq!(dictionary.expire(WallTime(9), &HashSet::from([second])), 1);
        assert_eq!(dictionary.look_up(&spec("b")), (key, Some(second)), "there is room again");
    }

    #[test]
    fn of_two_numbers_the_newer_one_counts() {
        let mut dictionary = Dictionary::default();
        for id in [3, 1, 8] {
            dictionary.restore(SeriesId(id), Known { spec: spec("a"), seen: WallTime(1) });
        }
        let found: Vec<_> = dictionary.find(&|_| true).into_iter().map(|(id, _)| id.0).collect();
        assert_eq!(found, [8]);
        assert_eq!(dictionary.named("a", &|_| true), [(SeriesId(8), spec("a"))]);
        assert_eq!(dictionary.get(SeriesId(1)), Some(&spec("a")), "samples of it still lie about");
        assert_eq!(dictionary.intern(&spec("b"), WallTime(1), &Pool::default()), (SeriesId(9), true));
    }
}
