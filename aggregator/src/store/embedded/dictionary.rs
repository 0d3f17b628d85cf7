//! The series of one node and their numbers.

use super::SeriesId;
use quorate_common::model::series::SeriesSpec;
use std::collections::{HashMap, HashSet};

/// Series to number and back.
#[derive(Debug, Default)]
pub struct Dictionary {
    numbers: HashMap<SeriesSpec, SeriesId>,
    next: u32,
}

impl Dictionary {
    /// The number of a series, given anew if it is not known.
    pub fn intern(&mut self, spec: &SeriesSpec) -> SeriesId {
        if let Some(&id) = self.numbers.get(spec) {
            return id;
        }
        let id = SeriesId(self.next);
        self.next = self.next.wrapping_add(1);
        self.numbers.insert(spec.clone(), id);
        id
    }

    /// All series that match, by number.
    pub fn find(&self, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)> {
        let matching = self.numbers.iter().filter(|(spec, _)| matches(spec));
        let mut found: Vec<_> = matching.map(|(spec, id)| (*id, spec.clone())).collect();
        found.sort_by_key(|(id, _)| *id);
        found
    }

    /// Forgets all but these.
    pub fn retain(&mut self, kept: &HashSet<SeriesId>) {
        self.numbers.retain(|_, id| kept.contains(id));
    }
}
