//! The histograms of one query, by the marks that stand for them in a matrix.

use super::super::cell::{self, ABSENT};
use super::super::source::Source;
use super::NativeHistogram;
use std::collections::HashMap;
use std::sync::Arc;

/// Those of the source, and those that were made. What was made stays until the query ends; its size is to be
/// asked for and paid.
pub struct Pool<'a> {
    source: &'a dyn Source,
    made: Vec<Arc<NativeHistogram>>,
    unpaid_bytes: usize,
}

impl<'a> Pool<'a> {
    /// Only what the source has.
    pub fn new(source: &'a dyn Source) -> Pool<'a> {
        Pool { source, made: Vec::new(), unpaid_bytes: 0 }
    }

    /// The histogram that a value marks, if it marks one.
    pub fn get(&self, value: f64) -> Option<Arc<NativeHistogram>> {
        match cell::mark_of(value)? {
            cell::Mark::Read(id) => self.source.histogram(id),
            cell::Mark::Made(at) => self.made.get(usize::try_from(at).ok()?).cloned(),
        }
    }

    /// Takes a histogram; its mark.
    pub fn put(&mut self, histogram: NativeHistogram) -> f64 {
        self.unpaid_bytes += histogram.bytes();
        self.made.push(Arc::new(histogram));
        cell::made_histogram(self.made.len() as u64 - 1)
    }

    /// The mark of a histogram that is made from another; nothing if that is not there.
    pub fn map(&mut self, value: f64, change: impl FnOnce(&mut NativeHistogram)) -> f64 {
        let Some(histogram) = self.get(value) else { return ABSENT };
        let mut own = Arc::unwrap_or_clone(histogram);
        change(&mut own);
        self.put(own)
    }

    /// Whether two marks stand for the same.
    pub fn is_same(&self, left: f64, right: f64) -> bool {
        left.to_bits() == right.to_bits() || self.get(left) == self.get(right)
    }

    /// How much memory has been taken since this was last asked.
    pub fn take_bytes(&mut self) -> usize {
        std::mem::take(&mut self.unpaid_bytes)
    }
}

/// The histograms of an answer.
#[derive(Debug, Clone, Default)]
pub struct Histograms(HashMap<u64, Arc<NativeHistogram>>);

impl Histograms {
    /// The histogram that a value of the answer marks; `None` for a number.
    pub fn get(&self, value: f64) -> Option<&NativeHistogram> {
        self.0.get(&value.to_bits()).map(|histogram| &**histogram)
    }

    /// Those that are marked by some values.
    pub(in super::super) fn of(values: impl Iterator<Item = f64>, pool: &Pool<'_>) -> Histograms {
        let marked = values.filter(|value| cell::is_histogram(*value));
        Histograms(marked.filter_map(|value| Some((value.to_bits(), pool.get(value)?))).collect())
    }
}
