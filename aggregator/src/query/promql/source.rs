//! Where samples come from, which is all that the evaluator knows of a store.

use super::budget::Budget;
use super::error::Error;
use super::labels::{LabelSet, NAME};
use super::native::NativeHistogram;
use promql_parser::label::{Matcher, Matchers};
use promql_parser::parser::VectorSelector;
use std::sync::Arc;

/// One sample. A stale one has the value [`super::cell::STALE`], a native histogram the mark
/// [`super::cell::histogram`] of an id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
}

/// The samples of one series, in order of time, no time twice.
pub type SourceSeries = (LabelSet, Vec<Sample>);

/// A failure of the store, passed on as it is.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Something that has series.
pub trait Source {
    /// The series that match, with their samples at `from_ms` to `to_ms`, both included. May block. A series has
    /// to come once; the order does not matter. What is read is paid for before more is.
    fn select(
        &self,
        selection: &Selection,
        from_ms: i64,
        to_ms: i64,
        budget: &mut Budget<'_>,
    ) -> Result<Vec<SourceSeries>, Error>;

    /// The native histogram of an id that is marked in a sample. A source without any has nothing to say.
    fn histogram(&self, _id: u64) -> Option<Arc<NativeHistogram>> {
        None
    }
}

/// Which series an expression asks for.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The name of the metric, if it is given as such.
    pub name: Option<String>,
    /// What else has to match; `__name__` can be among it.
    pub matchers: Matchers,
}

impl Selection {
    /// What a selector selects.
    pub fn of(selector: &VectorSelector) -> Selection {
        Selection { name: selector.name.clone(), matchers: selector.matchers.clone() }
    }

    /// Whether a series matches.
    pub fn matches(&self, labels: &LabelSet) -> bool {
        self.name.as_deref().is_none_or(|name| name == labels.get(NAME))
            && self.all(|matcher| matcher.is_match(labels.get(&matcher.name)))
    }

    /// One list of matchers, or several of which one must hold as a whole.
    pub fn all(&self, is_match: impl Fn(&Matcher) -> bool) -> bool {
        self.matchers.matchers.iter().all(&is_match)
            && (self.matchers.or_matchers.is_empty()
                || self.matchers.or_matchers.iter().any(|list| list.iter().all(&is_match)))
    }
}
