//! The newest value, and the last minutes, of every series that a selector matches.

use super::selector::{Selector, labels_of};
use crate::store::live::{Live, STALE_AFTER};
use crate::store::{Sample, Select, SeriesId};
use quorate_common::model::node::Member;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;
use std::time::Duration;

/// What a query can be asked of.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The declared nodes.
    pub members: &'a [Member],
    /// The newest values.
    pub live: &'a Live,
    /// History.
    pub store: &'a dyn Select,
    /// The time of asking.
    pub now: WallTime,
}

/// One series and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Labels as users see them, `__name__` first.
    pub labels: Vec<(String, String)>,
    /// Values, oldest first.
    pub samples: Vec<Sample>,
}

/// The series that a query found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The first of them, in the order of nodes and then of registration.
    pub series: Vec<Found>,
    /// How many more there were.
    pub left_out: u64,
}

impl Answer {
    fn push(&mut self, limit: usize, found: impl FnOnce() -> Found) {
        if self.series.len() < limit { self.series.push(found()) } else { self.left_out += 1 }
    }
}

/// The newest value of every matching series that is not stale.
pub fn latest(source: Source<'_>, selector: &Selector, limit: usize) -> Answer {
    let mut answer = Answer::default();
    let since = before(source.now, STALE_AFTER);
    for (member, series) in matching(source, selector) {
        let Some(row) = source.live.get(member.id) else { continue };
        let ids = series.iter().map(|(id, _)| *id);
        for (newest, (_, spec)) in row.newest_of(since, ids).into_iter().zip(&series) {
            let Some(newest) = newest else { continue };
            answer.push(limit, || Found {
                labels: labels_of(member, spec),
                samples: vec![Sample { at: newest.at, value: newest.value }],
            });
        }
    }
    answer
}

/// All kept samples of the last `span` of every matching series that has any.
pub fn recent(source: Source<'_>, selector: &Selector, span: Duration, limit: usize) -> Answer {
    let mut answer = Answer::default();
    let from = before(source.now, span);
    for (member, mut series) in matching(source, selector) {
        let room = limit.saturating_sub(answer.series.len());
        answer.left_out += series.len().saturating_sub(room) as u64;
        series.truncate(room);
        let ids: Vec<SeriesId> = series.iter().map(|(id, _)| *id).collect();
        let samples = source.store.samples(member.id, &ids, from, WallTime(i64::MAX));
        for ((_, spec), samples) in series.iter().zip(samples).filter(|(_, samples)| !samples.is_empty()) {
            answer.series.push(Found { labels: labels_of(member, spec), samples });
        }
    }
    answer
}

fn matching<'a>(
    source: Source<'a>,
    selector: &'a Selector,
) -> impl Iterator<Item = (&'a Member, Vec<(SeriesId, SeriesSpec)>)> {
    let nodes = source.members.iter().filter(|member| selector.matches_node(member));
    nodes.map(move |member| (member, selector.select(source.store, member)))
}

fn before(now: WallTime, span: Duration) -> WallTime {
    WallTime(now.0.saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)))
}
