//! Names and sets of labels that many nodes share: equal machines have equal series, and each name and set is held
//! once for all of them.

use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesSpec;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Sets that nobody else holds are looked for when there are so many more than at the last time.
const SWEEP_EVERY: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub struct Pool(Mutex<Sets>);

#[derive(Debug, Default)]
struct Sets {
    sets: HashSet<Labels>,
    names: HashSet<Arc<str>>,
    sweep_at: usize,
}

impl Pool {
    /// The same series, with a name and labels that it shares with those of other nodes.
    pub fn share(&self, mut spec: SeriesSpec) -> SeriesSpec {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sets.sets.get(&spec.labels) {
            Some(labels) => spec.labels = labels.clone(),
            None => sets.add(spec.labels.clone()),
        }
        match sets.names.get(&spec.metric.name) {
            Some(name) => spec.metric.name = name.clone(),
            None => drop(sets.names.insert(spec.metric.name.clone())),
        }
        spec
    }
}

impl Sets {
    fn add(&mut self, labels: Labels) {
        self.sets.insert(labels);
        if self.sets.len() >= self.sweep_at {
            self.sets.retain(|labels| labels.holders() > 1);
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.sweep_at = self.sets.len() * 2 + SWEEP_EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::series::{CellForm, Metric, MetricKind};

    fn spec(n: usize) -> SeriesSpec {
        let metric = Metric { name: "m".into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
        SeriesSpec { metric, labels: Labels::new([("n", n.to_string())]).unwrap() }
    }

    #[test]
    fn equal_sets_are_one_and_those_of_nobody_go() {
        let pool = Pool::default();
        let held: Vec<SeriesSpec> = (0..10).map(|n| pool.share(spec(n))).collect();
        let again: Vec<SeriesSpec> = (0..10).map(|n| pool.share(spec(n))).collect();
        assert_eq!(held, again);
        assert!(held.iter().zip(&again).all(|(a, b)| Arc::ptr_eq(&a.metric.name, &b.metric.name)));
        assert!(held.iter().all(|spec| spec.labels.holders() == 3), "the pool holds it, too");
        (10..20_000).for_each(|n| drop(pool.share(spec(n))));
        let sets = pool.0.lock().unwrap().sets.len();
        assert!((10..=2 * SWEEP_EVERY).contains(&sets), "{sets}");
    }
}
