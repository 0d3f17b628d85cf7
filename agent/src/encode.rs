//! Encode: cuts a round of samples into numbered ticks, one for each window class that was sampled.
//!
//! Numbers and the running total of collected samples are given here, once, before anything can be
//! lost; how a tick becomes bytes depends on the [`Stretch`] that it is in.

mod stretch;

pub use crate::sample::{GroupInfo, NewSeries, Round};
pub use stretch::Stretch;

use quorate_common::model::series::Window;
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::collections::BTreeSet;
use std::sync::Arc;

const US_NS: u64 = 1_000;
/// Clocks that drifted apart by less are taken as they were.
const DRIFT_NS: u64 = 100_000;

/// One frame to be: what was sampled, of one window class, at one moment.
#[derive(Clone, Debug)]
pub struct Tick {
    /// Number in the epoch, from 1.
    pub seq: u64,
    /// When it was sampled.
    pub at: Now,
    /// When the next tick is due.
    pub next_due_ms: u32,
    /// The delta chain that it belongs to; `None` for a bare heartbeat.
    pub window: Option<Window>,
    /// Groups that were sampled.
    pub sampled: Vec<u32>,
    /// Samples collected in this epoch, this tick included.
    pub collected_total: u64,
    /// What began and ended just before it.
    pub changes: Arc<Changes>,
    /// The newest cell of every slot.
    pub cells: Arc<[i64]>,
}

/// Groups and series that began, and series that ended.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// New groups.
    pub groups: Vec<GroupInfo>,
    /// New series.
    pub registered: Vec<NewSeries>,
    /// Slots that ended.
    pub retired: Vec<u32>,
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.registered.is_empty() && self.retired.is_empty()
    }
}

/// Gives ticks their numbers.
#[derive(Debug, Default)]
pub struct Cutter {
    seq: u64,
    collected_total: u64,
    windows: Vec<Window>,
    /// The group of every slot; `None` once it has ended.
    group_of: Vec<Option<u32>>,
    /// Live series of every group.
    live: Vec<u64>,
    /// How far the wall clock was ahead of the boot clock when that was last taken over, in nanoseconds.
    ahead_ns: Option<i64>,
}

impl Cutter {
    /// Cuts one round. At least one tick comes out of it: a round without samples is a heartbeat.
    pub fn cut(&mut self, round: Round) -> Vec<Tick> {
        let groups = self.apply(&round);
        let mut changes = Changes { groups, registered: round.registered, retired: round.retired };
        let cells: Arc<[i64]> = round.cells.into();
        let sampled: Vec<u32> = round.sampled.into_iter().filter(|group| self.live_of(*group) > 0).collect();
        let windows: BTreeSet<Window> = sampled.iter().filter_map(|group| self.window_of(*group)).collect();
        let mut chains: Vec<Option<Window>> = windows.into_iter().map(Some).collect();
        if chains.is_empty() {
            chains.push(None);
        }
        let at = self.whole_us(round.at);
        let mut ticks = Vec::with_capacity(chains.len());
        for window in chains {
            let sampled: Vec<u32> = match window {
                Some(_) => sampled.iter().copied().filter(|group| self.window_of(*group) == window).collect(),
                None => Vec::new(),
            };
            self.seq += 1;
            self.collected_total += sampled.iter().map(|group| self.live_of(*group)).sum::<u64>();
            ticks.push(Tick {
                seq: self.seq,
                at,
                next_due_ms: round.next_due_ms,
                window,
                sampled,
                collected_total: self.collected_total,
                changes: Arc::new(std::mem::take(&mut changes)),
                cells: cells.clone(),
            });
        }
        ticks
    }

    /// Takes in what began and ended; gives the groups that are new.
    fn apply(&mut self, round: &Round) -> Vec<GroupInfo> {
        let new: Vec<GroupInfo> = round.groups.iter().skip(self.windows.len()).cloned().collect();
        for group in &new {
            self.windows.push(Window::of_interval_ms(group.interval_ms));
            self.live.push(0);
        }
        for slot in &round.retired {
            if let Some(group) = self.group_of.get_mut(*slot as usize).and_then(Option::take) {
                self.live[group as usize] -= 1;
            }
        }
        for series in &round.registered {
            let slot = series.slot as usize;
            self.group_of.resize(self.group_of.len().max(slot + 1), None);
            self.group_of[slot] = Some(series.group);
            self.live[series.group as usize] += 1;
        }
        new
    }

    /// The clocks as they are kept and sent: in whole microseconds, and as far apart as before if they drifted by less
    /// than anybody can tell. So a tick like the one before says nothing of its clocks.
    fn whole_us(&mut self, at: Now) -> Now {
        let boot_ns = at.boot.0 - at.boot.0 % US_NS;
        let ahead_ns = at.wall.0.saturating_sub_unsigned(at.boot.0);
        let ahead_ns = match self.ahead_ns {
            Some(before) if before.abs_diff(ahead_ns) < DRIFT_NS => before,
            _ => ahead_ns - ahead_ns.rem_euclid(US_NS.cast_signed()),
        };
        self.ahead_ns = Some(ahead_ns);
        Now { boot: BootTime(boot_ns), wall: WallTime(ahead_ns.saturating_add_unsigned(boot_ns)) }
    }

    /// Live series of all groups.
    pub fn series(&self) -> u64 {
        self.live.iter().sum()
    }

    fn live_of(&self, group: u32) -> u64 {
        self.live.get(group as usize).copied().unwrap_or(0)
    }

    fn window_of(&self, group: u32) -> Option<Window> {
        self.windows.get(group as usize).copied()
    }
}

/// The series that are live at one point of the stream of ticks: what a session must register first.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// All groups so far.
    pub groups: Vec<GroupInfo>,
    /// Live series, in the order in which they began.
    pub series: Vec<NewSeries>,
}

impl Catalogue {
    /// Moves past one tick.
    pub fn apply(&mut self, changes: &Changes) {
        if changes.is_empty() {
            return;
        }
        self.groups.extend(changes.groups.iter().cloned());
        self.series.extend(changes.registered.iter().cloned());
        if !changes.retired.is_empty() {
            let retired: BTreeSet<u32> = changes.retired.iter().copied().collect();
            self.series.retain(|series| !retired.contains(&series.slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{group, series};

    fn round(sampled: &[u32]) -> Round {
        Round {
            at: Now::default(),
            next_due_ms: 1000,
            groups: [group(0, 1_000), group(1, 60_000), group(2, 1_000)].into(),
            registered: Vec::new(),
            retired: Vec::new(),
            sampled: sampled.to_vec(),
            cells: vec![0; 3],
        }
    }

    #[test]
    fn one_tick_for_each_window_and_a_heartbeat_for_none() {
        let mut cutter = Cutter::default();
        let registered = vec![series(0, 0), series(0, 1), series(1, 2)];
        let first = Round { registered, ..round(&[0, 1, 2]) };
        let ticks = cutter.cut(first);
        let shape: Vec<_> =
            ticks.iter().map(|t| (t.seq, t.window, t.sampled.clone(), t.collected_total)).collect();
        assert_eq!(
            shape,
            [(1, Some(Window::Short), vec![0], 2), (2, Some(Window::Long), vec![1], 3)],
            "a group without series is not sampled"
        );
        assert_eq!(cutter.series(), 3);
        assert_eq!(ticks[0].changes.registered.len(), 3, "what begins comes with the first tick");
        assert!(ticks[1].changes.is_empty());

        let heartbeat = cutter.cut(round(&[]));
        assert_eq!((heartbeat.len(), heartbeat[0].seq, heartbeat[0].window), (1, 3, None));
        assert_eq!(heartbeat[0].collected_total, 3);

        let ticks = cutter.cut(Round { retired: vec![1], ..round(&[0]) });
        assert_eq!(ticks[0].collected_total, 4, "a series that ended is no longer counted");
        let ticks = cutter.cut(Round { registered: vec![series(1, 1)], ..round(&[0, 1]) });
        let totals: Vec<u64> = ticks.iter().map(|tick| tick.collected_total).collect();
        assert_eq!(totals, [5, 7], "its slot is now one of another group");
    }

    #[test]
    fn clocks_are_whole_and_do_not_flicker() {
        let mut cutter = Cutter::default();
        let mut cut = |boot: u64, wall: i64| {
            let at = Now { boot: BootTime(boot), wall: WallTime(wall) };
            let tick = cutter.cut(Round { at, ..round(&[]) }).remove(0);
            (tick.at.boot.0, tick.at.wall.0)
        };
        assert_eq!(cut(5_001_999, 9_002_500), (5_001_000, 9_001_000));
        assert_eq!(cut(6_000_400, 10_090_000), (6_000_000, 10_000_000), "a drift of less than 0.1 ms");
        assert_eq!(cut(7_000_000, 11_100_000), (7_000_000, 11_100_000), "as much as that");
        assert_eq!(cut(8_000_000, -3), (8_000_000, -1_000), "a step");
    }

    #[test]
    fn the_catalogue_follows_the_ticks() {
        let mut catalogue = Catalogue::default();
        catalogue.apply(&Changes {
            groups: vec![group(0, 1000)],
            registered: vec![series(0, 0), series(0, 1)],
            retired: vec![],
        });
        catalogue.apply(&Changes { retired: vec![0], ..Changes::default() });
        assert_eq!(catalogue.groups.len(), 1);
        assert_eq!(catalogue.series.iter().map(|s| s.slot).collect::<Vec<_>>(), [1]);
        catalogue.apply(&Changes { registered: vec![series(0, 0)], ..Changes::default() });
        assert_eq!(catalogue.series.iter().map(|s| s.slot).collect::<Vec<_>>(), [1, 0]);
    }
}
