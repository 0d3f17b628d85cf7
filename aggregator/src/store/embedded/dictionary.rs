//! The series of one node and their numbers.

use super::SeriesId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;
use std::collections::{HashMap, HashSet};

/// Series to number and back.
#[derive(Debug, Default)]
pub struct Dictionary {
    numbers: HashMap<SeriesSpec, SeriesId>,
    specs: HashMap<SeriesId, Known>,
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
    pub fn intern(&mut self, spec: &SeriesSpec, now: WallTime) -> (SeriesId, bool) {
        if let Some(&id) = self.numbers.get(spec) {
            return (id, false);
        }
        let id = SeriesId(self.next);
        self.restore(id, Known { spec: spec.clone(), seen: now });
        (id, true)
    }

    /// A series as it was known before.
    pub fn restore(&mut self, id: SeriesId, known: Known) {
        self.next = self.next.max(id.0.saturating_add(1));
        if id.0 < self.floor {
            return;
        }
        let seen = self.specs.get(&id).map_or(known.seen, |old| old.seen.max(known.seen));
        self.numbers.insert(known.spec.clone(), id);
        self.specs.insert(id, Known { seen, ..known });
    }

    /// Forgets all series below `floor`, and gives no such number any more: samples with them may still lie about.
    pub fn forget(&mut self, floor: SeriesId) {
        self.floor = self.floor.max(floor.0);
        self.next = self.next.max(floor.0);
        self.specs.retain(|id, _| id.0 >= self.floor);
        self.numbers.retain(|_, id| id.0 >= self.floor);
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
        let matching = self.numbers.iter().filter(|(spec, _)| matches(spec));
        let mut found: Vec<_> = matching.map(|(spec, id)| (*id, spec.clone())).collect();
        found.sort_by_key(|(id, _)| *id);
        found
    }

    /// A series by its number.
    pub fn get(&self, id: SeriesId) -> Option<&SeriesSpec> {
        self.specs.get(&id).map(|known| &known.spec)
    }

    /// All series, by number.
    pub fn all(&self) -> impl Iterator<Item = (SeriesId, &Known)> {
        self.specs.iter().map(|(id, known)| (*id, known))
    }

    /// Series have samples as new as this.
    pub fn seen(&mut self, ids: impl Iterator<Item = SeriesId>, at: WallTime) {
        for id in ids {
            if let Some(known) = self.specs.get_mut(&id) {
                known.seen = known.seen.max(at);
            }
        }
    }

    /// Forgets what has no samples since `before` and is not among `kept`; says how many.
    pub fn expire(&mut self, before: WallTime, kept: &HashSet<SeriesId>) -> usize {
        let known = self.specs.len();
        self.specs.retain(|id, known| known.seen >= before || kept.contains(id));
        self.numbers.retain(|_, id| self.specs.contains_key(id));
        known - self.specs.len()
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
        assert_eq!(dictionary.intern(&spec("a"), WallTime(1)), (SeriesId(0), true));
        assert_eq!(dictionary.intern(&spec("b"), WallTime(1)), (SeriesId(1), true));
        assert_eq!(dictionary.intern(&spec("a"), WallTime(9)), (SeriesId(0), false));
        dictionary.forget(dictionary.next());
        assert_eq!(dictionary.find(&|_| true), []);
        dictionary.restore(SeriesId(1), Known { spec: spec("b"), seen: WallTime(1) });
        assert_eq!(dictionary.get(SeriesId(1)), None, "another file still names it");
        assert_eq!(dictionary.intern(&spec("a"), WallTime(9)), (SeriesId(2), true));
    }

    #[test]
    fn what_has_no_samples_goes() {
        let mut dictionary = Dictionary::default();
        for name in ["a", "b", "c", "d"] {
            dictionary.intern(&spec(name), WallTime(1));
        }
        dictionary.seen([SeriesId(1), SeriesId(9)].into_iter(), WallTime(5));
        assert_eq!(dictionary.expire(WallTime(5), &HashSet::from([SeriesId(2)])), 2);
        let left: Vec<_> = dictionary.find(&|_| true).into_iter().map(|(id, _)| id.0).collect();
        assert_eq!(left, [1, 2]);
        assert_eq!(dictionary.all().count(), 2);
    }
}
