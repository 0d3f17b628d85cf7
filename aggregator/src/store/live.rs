//! The newest value of every series: the one shared map.
//!
//! A row belongs to one node and is written by that node's session only. No guard of the map and no lock of
//! a row ever leaves this file: readers get copies.

use super::{Column, NewColumns, SeriesId};
use dashmap::DashMap;
use quorate_common::cell::{GroupId, Index};
use quorate_common::model::node::{NodeId, NodeName};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A value older than this is no longer the newest: it is gone.
pub const STALE_AFTER: Duration = Duration::from_secs(300);

/// All rows.
#[derive(Debug, Default)]
pub struct Live {
    rows: DashMap<NodeId, Arc<NodeRow>>,
}

impl Live {
    /// The row of a node, made if there is none.
    pub fn row(&self, id: NodeId, name: &NodeName) -> Arc<NodeRow> {
        self.rows.entry(id).or_insert_with(|| Arc::new(NodeRow::new(name.clone()))).clone()
    }

    /// The row of a node, if it was ever heard.
    pub fn get(&self, id: NodeId) -> Option<Arc<NodeRow>> {
        self.rows.get(&id).map(|row| row.clone())
    }

    /// Drops the row of a node.
    pub fn forget(&self, id: NodeId) {
        self.rows.remove(&id);
    }
}

/// One newest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Newest {
    /// Which series.
    pub id: SeriesId,
    /// When it was sampled.
    pub at: WallTime,
    /// Its value.
    pub value: f64,
}

/// What is known of one node right now.
#[derive(Debug)]
pub struct NodeRow {
    /// Whose row it is.
    pub name: NodeName,
    columns: RwLock<Columns>,
    frames: AtomicU64,
    last_boot: AtomicU64,
    last_wall: AtomicI64,
    next_due_ms: AtomicU32,
    skew_ms: AtomicI64,
}

#[derive(Debug, Default)]
struct Columns {
    columns: Vec<Column>,
    /// Where each series stands, in order of numbers; where it began again, more than once.
    places: Vec<(SeriesId, Index)>,
    cells: Vec<i64>,
    retired: Vec<bool>,
    /// When each group was last sampled in this session.
    sampled: Vec<Option<WallTime>>,
    /// Values of the session before, or of the group before, until this one has newer ones.
    before: Vec<Newest>,
    /// Values of columns that ended since the last frame: gone with the next one, unless they began again.
    leaving: Vec<Newest>,
    collectors: Vec<Collector>,
}

/// The column in which a collector says whether it succeeded.
#[derive(Clone, Debug)]
struct Collector {
    index: Index,
    group: GroupId,
    name: String,
    failed_rounds: u32,
}

/// What the judge reads of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When the last frame was accepted, on the aggregator's clocks.
    pub last_frame: Option<Now>,
    /// When the next was announced for.
    pub next_due_ms: u32,
    /// Frames accepted so far.
    pub frames: u64,
    /// The node's wall clock minus ours.
    pub skew_ms: i64,
    /// Collectors that fail, and for how many rounds they have.
    pub failing: Vec<(String, u32)>,
}

impl NodeRow {
    fn new(name: NodeName) -> NodeRow {
        NodeRow {
            name,
            columns: RwLock::default(),
            frames: AtomicU64::new(0),
            last_boot: AtomicU64::new(0),
            last_wall: AtomicI64::new(0),
            next_due_ms: AtomicU32::new(0),
            skew_ms: AtomicI64::new(0),
        }
    }

    /// A new session: indices count from zero again. What was newest stays until something newer comes.
    pub fn begin(&self) {
        self.write(|columns| {
            let before = columns.newest(&|_| true);
            *columns = Columns { before, ..Columns::default() };
        });
    }

    /// Columns begin; `collector` names the one whose success a column tells.
    pub fn register(&self, new: &NewColumns, collector: &dyn Fn(usize) -> Option<String>) {
        self.write(|columns| {
            let first = columns.columns.len();
            columns.columns.extend_from_slice(&new.columns);
            columns.place(first, &new.columns);
            columns.cells.resize(columns.columns.len(), 0);
            columns.retired.resize(columns.columns.len(), false);
            let groups = columns.sampled.len().max(new.group as usize + 1);
            columns.sampled.resize(groups, None);
            for at in 0..new.columns.len() {
                if let Some(name) = collector(at) {
                    let index = (first + at) as Index;
                    columns.collectors.push(Collector { index, group: new.group, name, failed_rounds: 0 });
                }
            }
        });
    }

    /// Columns end. Their values stay until the next frame, and longer if they begin again in another group.
    pub fn retire(&self, indices: &[Index]) {
        self.write(|columns| {
            let leaving = columns.of(indices);
            columns.leaving.extend(leaving);
            let ended: HashSet<SeriesId> =
                indices.iter().filter_map(|index| columns.columns.get(*index as usize)?.id).collect();
            for index in indices {
                if let Some(retired) = columns.retired.get_mut(*index as usize) {
                    *retired = true;
                }
            }
            columns.before.retain(|newest| !ended.contains(&newest.id));
            columns.collectors.retain(|collector| !indices.contains(&collector.index));
        });
    }

    /// A frame was accepted: these groups were sampled, and these cells are new.
    pub fn apply(&self, at: WallTime, groups: &[GroupId], changed: &[(Index, i64)]) {
        self.write(|columns| columns.apply(at, groups, changed));
    }

    /// The node was heard.
    pub fn heard(&self, now: Now, next_due_ms: u32, skew_ms: i64) {
        self.next_due_ms.store(next_due_ms, Ordering::Relaxed);
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
        self.last_wall.store(now.wall.0, Ordering::Relaxed);
        self.last_boot.store(now.boot.0, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Release);
    }

    /// What the judge wants to know.
    pub fn facts(&self) -> Heard {
        let frames = self.frames.load(Ordering::Acquire);
        let boot = BootTime(self.last_boot.load(Ordering::Relaxed));
        let wall = WallTime(self.last_wall.load(Ordering::Relaxed));
        Heard {
            last_frame: (frames > 0).then_some(Now { boot, wall }),
            next_due_ms: self.next_due_ms.load(Ordering::Relaxed),
            frames,
            skew_ms: self.skew_ms.load(Ordering::Relaxed),
            failing: self.read(|columns| {
                let failing = columns.collectors.iter().filter(|collector| collector.failed_rounds > 0);
                failing.map(|collector| (collector.name.clone(), collector.failed_rounds)).collect()
            }),
        }
    }

    /// The newest value of every wanted series that was sampled after `since`.
    pub fn newest(&self, since: WallTime, wanted: &dyn Fn(SeriesId) -> bool) -> Vec<Newest> {
        let mut newest = self.read(|columns| columns.newest(wanted));
        newest.retain(|newest| newest.at >= since);
        newest
    }

    /// The newest value of each of some series, of those that were sampled after `since`.
    pub fn newest_of(&self, since: WallTime, ids: impl Iterator<Item = SeriesId>) -> Vec<Option<Newest>> {
        let is_new = |newest: &Newest| newest.at >= since;
        self.read(|columns| ids.map(|id| columns.newest_of(id).filter(is_new)).collect())
    }

    /// Series that are live. What is beyond the quota is no series here, only a column that is passed over.
    pub fn series_count(&self) -> usize {
        self.read(|columns| {
            let all = columns.columns.iter().zip(&columns.retired);
            all.filter(|(column, retired)| column.id.is_some() && !**retired).count()
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Columns) -> T) -> T {
        look(&self.columns.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Columns) -> T) -> T {
        change(&mut self.columns.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Columns {
    fn apply(&mut self, at: WallTime, groups: &[GroupId], changed: &[(Index, i64)]) {
        self.part();
        for group in groups {
            if let Some(sampled) = self.sampled.get_mut(*group as usize) {
                *sampled = Some(at);
            }
        }
        for &(index, cell) in changed {
            if let Some(old) = self.cells.get_mut(index as usize) {
                *old = cell;
            }
        }
        for collector in &mut self.collectors {
            if groups.contains(&collector.group) {
                let failed = self.cells.get(collector.index as usize) == Some(&0);
                collector.failed_rounds = if failed { collector.failed_rounds + 1 } else { 0 };
            }
        }
    }

    /// A frame ends the tick: of what left, only what was registered again is kept, until it is sampled.
    fn part(&mut self) {
        if self.leaving.is_empty() {
            return;
        }
        let live = self.columns.iter().zip(&self.retired).filter(|(_, retired)| !**retired);
        let live: HashSet<SeriesId> = live.filter_map(|(column, _)| column.id).collect();
        let stays = std::mem::take(&mut self.leaving).into_iter().filter(|newest| live.contains(&newest.id));
        self.before.extend(stays);
    }

    /// Notes where the series of new columns stand.
    fn place(&mut self, first: usize, columns: &[Column]) {
        let places = (first as Index..).zip(columns).filter_map(|(index, column)| Some((column.id?, index)));
        self.places.extend(places);
        // Nearly in order as it is: numbers count up as indices do.
        self.places.sort();
    }

    /// The values of some columns, those that have one.
    fn of(&self, indices: &[Index]) -> Vec<Newest> {
        indices.iter().filter_map(|index| self.value(*index)).collect()
    }

    /// The value of a column that is live and was sampled.
    fn value(&self, index: Index) -> Option<Newest> {
        let at = index as usize;
        let column = self.columns.get(at).filter(|_| self.retired.get(at) == Some(&false))?;
        let sampled = self.sampled.get(column.group as usize).copied().flatten()?;
        let cell = self.cells.get(at)?;
        Some(Newest { id: column.id?, at: sampled, value: column.form.value(*cell) })
    }

    fn newest_of(&self, id: SeriesId) -> Option<Newest> {
        let first = self.places.partition_point(|(other, _)| *other < id);
        let places = self.places.get(first..).unwrap_or_default();
        let here = places.iter().take_while(|(other, _)| *other == id);
        let now = here.filter_map(|(_, index)| self.value(*index)).last();
        now.or_else(|| self.before.iter().chain(&self.leaving).rfind(|newest| newest.id == id).copied())
    }

    fn newest(&self, wanted: &dyn Fn(SeriesId) -> bool) -> Vec<Newest> {
        let mut all: HashMap<SeriesId, Newest> = self
            .before
            .iter()
            .chain(&self.leaving)
            .filter(|newest| wanted(newest.id))
            .map(|newest| (newest.id, *newest))
            .collect();
        for ((column, cell), retired) in self.columns.iter().zip(&self.cells).zip(&self.retired) {
            let sampled = self.sampled.get(column.group as usize).copied().flatten();
            let (Some(id), Some(at), false) = (column.id, sampled, *retired) else { continue };
            if wanted(id) {
                all.insert(id, Newest { id, at, value: column.form.value(*cell) });
            }
        }
        let mut all: Vec<Newest> = all.into_values().collect();
        all.sort_by_key(|newest| newest.id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::series::{CellForm, SeriesClass, Window};

    fn row() -> NodeRow {
        NodeRow::new("n1".parse().unwrap())
    }

    fn columns(group: GroupId, first: Index, ids: &[Option<u32>]) -> NewColumns {
        let column = |id: &Option<u32>| Column { id: id.map(SeriesId), form: CellForm::COUNT, group };
        let (window, class) = (Window::Short, SeriesClass::System);
        NewColumns { group, window, class, first, columns: ids.iter().map(column).collect() }
    }

    fn values(row: &NodeRow) -> Vec<(u32, f64)> {
        let all = row.newest(WallTime(0), &|_| true);
        let one_by_one = row.newest_of(WallTime(0), (0..10).map(SeriesId));
        assert_eq!(one_by_one.into_iter().flatten().collect::<Vec<_>>(), all);
        all.iter().map(|newest| (newest.id.0, newest.value)).collect()
    }

    #[test]
    fn holds_the_newest_of_what_was_sampled() {
        let row = row();
        row.begin();
        row.register(&columns(0, 0, &[Some(5), None]), &|_| None);
        row.register(&columns(1, 2, &[Some(6)]), &|_| None);
        row.apply(WallTime(10), &[0], &[(0, 3), (1, 9)]);
        assert_eq!(values(&row), [(5, 3.0)], "a rejected column and an unsampled group have no value");
        row.apply(WallTime(20), &[1], &[]);
        assert_eq!(
            values(&row),
            [(5, 3.0), (6, 0.0)],
            "a sampled series that was not mentioned kept its value"
        );
        row.retire(&[0]);
        row.apply(WallTime(30), &[1], &[]);
        assert_eq!(values(&row), [(6, 0.0)]);
    }

    #[test]
    fn counts_what_is_kept() {
        let row = row();
        row.begin();
        assert_eq!(row.series_count(), 0);
        row.register(&columns(0, 0, &[Some(5), None, Some(6)]), &|_| None);
        row.register(&columns(1, 3, &[None, None]), &|_| None);
        assert_eq!(row.series_count(), 2, "three are beyond the quota");
        row.retire(&[0, 1]);
        assert_eq!(row.series_count(), 1, "one that was not counted cannot leave");
    }

    #[test]
    fn a_series_that_changes_its_group_is_never_missing() {
        let row = row();
        row.begin();
        row.register(&columns(0, 0, &[Some(5), Some(6)]), &|_| None);
        row.apply(WallTime(10), &[0], &[(0, 3), (1, 4)]);
        row.retire(&[0, 1]);
        assert_eq!(values(&row), [(5, 3.0), (6, 4.0)], "the tick is not over");
        row.register(&columns(1, 2, &[Some(5)]), &|_| None);
        assert_eq!(values(&row), [(5, 3.0), (6, 4.0)]);
        row.apply(WallTime(20), &[], &[]);
        assert_eq!(values(&row), [(5, 3.0)], "what did not begin again is gone");
        row.apply(WallTime(30), &[1], &[(2, 7)]);
        assert_eq!(values(&row), [(5, 7.0)]);
        row.retire(&[2]);
        row.apply(WallTime(40), &[], &[]);
        assert_eq!(values(&row), [], "an old value does not come back");
    }

    #[test]
    fn a_new_session_does_not_forget() {
        let row = row();
        row.begin();
        row.register(&columns(0, 0, &[Some(5), Some(6)]), &|_| None);
        row.apply(WallTime(10), &[0], &[(0, 3), (1, 4)]);
        row.begin();
        row.register(&columns(0, 0, &[Some(6)]), &|_| None);
        assert_eq!(values(&row), [(5, 3.0), (6, 4.0)]);
        row.apply(WallTime(30), &[0], &[(0, 7)]);
        assert_eq!(values(&row), [(5, 3.0), (6, 7.0)]);
        assert_eq!(row.newest(WallTime(11), &|_| true).len(), 1, "old values end");
        assert_eq!(row.newest_of(WallTime(11), [SeriesId(5)].into_iter()), [None]);
    }

    #[test]
    fn counts_the_rounds_in_which_a_collector_failed() {
        let row = row();
        row.begin();
        row.register(&columns(0, 0, &[Some(1)]), &|_| Some("cpu".into()));
        for (cell, expect) in [(0, 1), (0, 2), (1, 0), (0, 1)] {
            row.apply(WallTime(1), &[0], &[(0, cell)]);
            let failing = row.facts().failing;
            assert_eq!(failing.first().map_or(0, |(_, rounds)| *rounds), expect);
        }
    }
}
