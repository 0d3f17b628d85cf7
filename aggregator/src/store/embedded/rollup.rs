//! Roll-ups: when a period is rolled up, from what, and what of it must still be read from finer history.
//!
//! ```text
//!   samples ──6 h over, quiet──→ minutes ──30 d over, quiet──→ hours
//!       └─ a late file with a higher order: its nodes are rolled up again, into a file that goes before
//! ```
//!
//! Orders of volumes count up, and nothing is sealed while something is rolled up: a rolled volume has everything
//! that any volume of its period with a lower order has. So nothing else needs to be remembered. Nothing is read or
//! written here.

use super::config::Config;
use super::period::Period;
use super::retain::is_old;
use super::volume::{Contents, Volume};
use crate::store::Resolution;
use quorate_common::model::time::WallTime;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A period is over for so long before it is rolled up: its last windows are sealed by then.
const CLOSE: Duration = Duration::from_secs(120);

/// All volumes, with the order of the newest roll-up of each period.
pub struct Shelved {
    pub volumes: Vec<Arc<Volume>>,
    newest: HashMap<Period, u64>,
}

/// Which part of a resolution's time must be read from what is finer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fresh {
    /// All that a volume may have: nothing of its period is rolled up.
    Whole(Arc<Volume>),
    /// What a volume says that it has of a node: it came after the roll-up.
    Late(Arc<Volume>),
}

impl Shelved {
    /// These volumes.
    pub fn new(volumes: Vec<Arc<Volume>>) -> Shelved {
        let mut newest = HashMap::new();
        for volume in &volumes {
            if let Contents::Rolled(period) = volume.contents {
                let order = newest.entry(period).or_insert(volume.order);
                *order = volume.order.max(*order);
            }
        }
        Shelved { volumes, newest }
    }

    /// The order of the newest roll-up of a period.
    pub fn newest(&self, period: Period) -> Option<u64> {
        self.newest.get(&period).copied()
    }

    /// Whether something of a volume is not in the roll-up of a period.
    pub fn is_fresh(&self, volume: &Volume, period: Period) -> bool {
        self.newest(period).is_none_or(|order| volume.order > order)
    }

    /// Periods that are not rolled up as they stand, how many volumes are missing in each, minutes first.
    pub fn pending(&self, config: &Config, now: WallTime) -> BTreeMap<Period, usize> {
        let mut pending = BTreeMap::new();
        for volume in &self.volumes {
            let Some(period) = rolled_into(volume.contents) else { continue };
            // Once a roll-up is too old to be kept, none is made.
            if self.is_fresh(volume, period) && !is_old(config, Contents::Rolled(period), now) {
                *pending.entry(period).or_default() += 1;
            }
        }
        pending
    }

    /// The volumes that a period is rolled up from, oldest first.
    pub fn sources(&self, period: Period) -> impl Iterator<Item = &Arc<Volume>> {
        self.volumes.iter().filter(move |volume| rolled_into(volume.contents) == Some(period))
    }

    /// The rolled volumes of a resolution between two moments; of the same period the newest last.
    pub fn rolled(
        &self,
        resolution: Resolution,
        from: WallTime,
        to: WallTime,
    ) -> impl Iterator<Item = &Volume> {
        let is_asked = move |volume: &&Volume| match volume.contents {
            Contents::Rolled(period) => period.resolution == resolution && volume.contents.touches(from, to),
            Contents::Raw(..) => false,
        };
        self.volumes.iter().map(|volume| &**volume).filter(is_asked)
    }

    /// What is finer than a resolution and not in its roll-ups, between two moments.
    pub fn fresh(&self, resolution: Resolution, from: WallTime, to: WallTime) -> Vec<Fresh> {
        let finer = self.volumes.iter().filter(|volume| match volume.contents {
            Contents::Raw(..) => true,
            Contents::Rolled(period) => period.resolution < resolution,
        });
        let mut fresh = Vec::new();
        for volume in finer.filter(|volume| volume.contents.touches(from, to)) {
            let period = Period::of(resolution, volume.contents.start());
            match self.newest(period) {
                None => fresh.push(Fresh::Whole(volume.clone())),
                Some(order) if volume.order > order => fresh.push(Fresh::Late(volume.clone())),
                Some(_) => {}
            }
        }
        fresh
    }
}

/// Whether a period was over long enough ago.
pub fn is_closed(period: Period, now: WallTime) -> bool {
    period.end().0.saturating_add(CLOSE.as_nanos() as i64) <= now.0
}

/// The period that a volume becomes part of.
pub fn rolled_into(contents: Contents) -> Option<Period> {
    match contents {
        Contents::Raw(span, _) => Some(Period::of(Resolution::Minute, span.start())),
        Contents::Rolled(period) if period.resolution == Resolution::Minute => {
            Some(Period::of(Resolution::Hour, period.start()))
        }
        Contents::Rolled(_) => None,
    }
}

/// Stretches of whole buckets inside `first` and `last`, put together where they meet or overlap, oldest first.
pub fn merged(
    resolution: Resolution,
    stretches: Vec<(WallTime, WallTime)>,
    (first, last): (WallTime, WallTime),
) -> Vec<(WallTime, WallTime)> {
    let whole =
        |(from, to)| (resolution.floor(from).max(first), resolution.last(resolution.floor(to)).min(last));
    let mut stretches: Vec<_> = stretches.into_iter().map(whole).filter(|(from, to)| from <= to).collect();
    stretches.sort();
    let mut merged: Vec<(WallTime, WallTime)> = Vec::new();
    for (from, to) in stretches {
        match merged.last_mut().filter(|(_, end)| from.0 <= end.0.saturating_add(1)) {
            Some((_, end)) => *end = to.max(*end),
            None => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::super::window::Span;
    use super::*;
    use quorate_common::model::series::{SeriesClass, Window};

    const HOUR: i64 = 3_600 * 1_000_000_000;
    const MINUTES: Resolution = Resolution::Minute;

    fn at(hour: i64) -> WallTime {
        WallTime(hour * HOUR)
    }

    fn raw(hour: i64, order: u64) -> Arc<Volume> {
        volume(Contents::Raw(Span::of(Window::Medium, at(hour)), SeriesClass::Other), order)
    }

    fn rolled(resolution: Resolution, hour: i64, order: u64) -> Arc<Volume> {
        volume(Contents::Rolled(Period::of(resolution, at(hour))), order)
    }

    fn volume(contents: Contents, order: u64) -> Arc<Volume> {
        let (bytes, index_bytes, salt, index, path) = Default::default();
        Arc::new(Volume { contents, order, bytes, index_bytes, salt, index, path })
    }

    #[test]
    fn what_came_after_a_roll_up_is_pending_and_fresh() {
        let (first, second) = (Period::of(MINUTES, at(0)), Period::of(MINUTES, at(6)));
        let hours = Period::of(Resolution::Hour, at(0));
        let mut volumes = vec![raw(0, 1), raw(5, 2), raw(6, 4), rolled(MINUTES, 0, 3)];
        let config = Config::default();
        let shelved = Shelved::new(volumes.clone());
        assert_eq!(shelved.pending(&config, at(24)), BTreeMap::from([(second, 1), (hours, 1)]));
        assert_eq!(shelved.fresh(MINUTES, at(0), at(24)), [Fresh::Whole(raw(6, 4))]);
        assert_eq!(shelved.fresh(MINUTES, at(0), at(5)), []);
        volumes.extend([raw(0, 5), rolled(Resolution::Hour, 0, 6), rolled(MINUTES, 6, 7)]);
        let shelved = Shelved::new(volumes);
        assert_eq!(shelved.pending(&config, at(24)), BTreeMap::from([(first, 1), (hours, 1)]));
        assert_eq!(shelved.fresh(MINUTES, at(0), at(24)), [Fresh::Late(raw(0, 5))]);
        let late = Fresh::Late(rolled(MINUTES, 6, 7));
        assert_eq!(shelved.fresh(Resolution::Hour, at(0), at(24)), [late]);
        assert_eq!(shelved.sources(first).map(|volume| volume.order).collect::<Vec<_>>(), [1, 2, 5]);
        assert_eq!(shelved.rolled(MINUTES, at(6), at(9)).map(|volume| volume.order).collect::<Vec<_>>(), [7]);
        assert!(shelved.pending(&config, at(91 * 24)).keys().all(|period| *period == hours), "too old");
    }

    #[test]
    fn a_period_closes_and_stretches_become_whole_buckets() {
        let period = Period::of(MINUTES, at(0));
        assert!(!is_closed(period, at(6)));
        assert!(is_closed(period, WallTime(at(6).0 + 120_000_000_000)));
        let minute = |minute: i64| WallTime(minute * HOUR / 60);
        let inside = |at: i64| WallTime(minute(at).0 + 7);
        let end = |at: i64| WallTime(minute(at).0 - 1);
        let stretches = vec![(inside(5), inside(6)), (inside(0), inside(1)), (minute(2), end(3))];
        let all = (WallTime(0), WallTime(i64::MAX));
        assert_eq!(merged(MINUTES, stretches.clone(), all), [(minute(0), end(3)), (minute(5), end(7))]);
        assert_eq!(merged(MINUTES, stretches, (minute(1), end(5))), [(minute(1), end(3))]);
    }
}
