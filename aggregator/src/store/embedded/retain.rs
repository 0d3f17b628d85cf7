//! Retention: which volumes go, and why. Whole files only; nothing is read, and nothing deleted here.
//!
//! ```text
//!   too old, and rolled up ──→ goes
//!   all together too large ──→ the oldest goes: process ─→ other ─→ system ─→ minutes ─→ hours
//! ```

use super::config::Config;
use super::rollup::{Shelved, rolled_into};
use super::volume::{Contents, Volume};
use crate::store::Resolution;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::WallTime;
use quorate_common::quantity::Period;
use std::sync::Arc;

/// Why a volume goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is older than its class is kept.
    Age,
    /// Everything together is larger than allowed.
    Size,
}

/// Files of one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub files: u64,
    /// Their bytes, without those of their indices.
    pub bytes: u64,
}

/// What was let go since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    /// What was older than it is kept.
    pub aged: Tally,
    /// What had to go for want of room before its time.
    pub crowded: Tally,
}

impl Deletions {
    /// A volume went.
    pub fn add(&mut self, volume: &Volume, reason: Reason) {
        let tally = match reason {
            Reason::Age => &mut self.aged,
            Reason::Size => &mut self.crowded,
        };
        tally.files += 1;
        tally.bytes += volume.bytes;
    }
}

/// The volumes that go now, in the order in which they go. `beside` are bytes of everything else on the disk.
pub fn doomed(config: &Config, shelved: &Shelved, beside: u64, now: WallTime) -> Vec<(Arc<Volume>, Reason)> {
    let mut volumes = shelved.volumes.clone();
    // What is still to be rolled up waits for that, but takes no room that there is not.
    let pending = shelved.pending(config, now);
    let is_pending =
        |volume: &Volume| rolled_into(volume.contents).is_some_and(|period| pending.contains_key(&period));
    volumes.sort_by_key(|volume| (rank(volume.contents), volume.contents.end(), volume.order));
    let is_aged = |volume: &Arc<Volume>| is_old(config, volume.contents, now) && !is_pending(volume);
    let (old, rest): (Vec<_>, Vec<_>) = volumes.into_iter().partition(is_aged);
    let mut bytes = rest.iter().fold(beside, |bytes, volume| bytes.saturating_add(volume.size()));
    let mut doomed: Vec<_> = old.into_iter().map(|volume| (volume, Reason::Age)).collect();
    for volume in rest {
        if bytes <= config.size_max.bytes() {
            break;
        }
        bytes = bytes.saturating_sub(volume.size());
        doomed.push((volume, Reason::Size));
    }
    doomed
}

/// How long something is kept.
fn kept(config: &Config, contents: Contents) -> Period {
    match contents {
        Contents::Raw(_, class) => config.raw(class),
        Contents::Rolled(period) => match period.resolution {
            Resolution::Minute => config.minutes,
            Resolution::Hour => config.hours,
        },
    }
}

/// Whether it is older than it is kept.
pub fn is_old(config: &Config, contents: Contents, now: WallTime) -> bool {
    let length = i64::try_from(kept(config, contents).duration().as_nanos()).unwrap_or(i64::MAX);
    contents.end() <= WallTime(now.0.saturating_sub(length))
}

/// What goes first when there is no room.
fn rank(contents: Contents) -> u8 {
    match contents {
        Contents::Raw(_, SeriesClass::Process) => 0,
        Contents::Raw(_, SeriesClass::Other) => 1,
        Contents::Raw(_, SeriesClass::System) => 2,
        Contents::Rolled(period) if period.resolution == Resolution::Minute => 3,
        Contents::Rolled(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::period;
    use super::super::window::Span;
    use super::*;
    use quorate_common::model::series::Window;
    use quorate_common::quantity::Size;

    const HOUR: i64 = 3_600 * 1_000_000_000;

    fn volume(contents: Contents, order: u64) -> Arc<Volume> {
        let (path, index) = Default::default();
        Arc::new(Volume { contents, order, bytes: 90, index_bytes: 10, salt: 0, index, path })
    }

    fn raw(hour: i64, class: SeriesClass) -> Arc<Volume> {
        volume(Contents::Raw(Span::of(Window::Medium, WallTime(hour * HOUR)), class), 1)
    }

    fn rolled(resolution: Resolution) -> Arc<Volume> {
        volume(Contents::Rolled(period::Period::of(resolution, WallTime(0))), 2)
    }

    /// Four hours of each class, and their roll-ups.
    fn shelved() -> Shelved {
        let all = |class: &SeriesClass| (0..4).map(|hour| raw(hour, *class)).collect::<Vec<_>>();
        let rolled = [Resolution::Hour, Resolution::Minute].map(rolled);
        Shelved::new(SeriesClass::ALL.iter().flat_map(all).chain(rolled).collect())
    }

    fn names(doomed: &[(Arc<Volume>, Reason)]) -> Vec<String> {
        let name = |(volume, reason): &(Arc<Volume>, Reason)| match volume.contents {
            Contents::Raw(span, class) => format!("{class} {} {reason:?}", span.start().0 / HOUR),
            Contents::Rolled(period) => format!("{:?} {reason:?}", period.resolution),
        };
        doomed.iter().map(name).collect()
    }

    #[test]
    fn each_class_has_its_own_age() {
        let hours = |hours: u64| Period::from_secs(hours * 3_600);
        let config = Config { system: hours(4), process: hours(1), other: hours(3), ..Config::default() };
        let found = doomed(&config, &shelved(), 0, WallTime(4 * HOUR));
        assert_eq!(names(&found), ["process 0 Age", "process 1 Age", "process 2 Age", "other 0 Age"]);
        let all = doomed(&config, &shelved(), u64::MAX, WallTime(0));
        assert_eq!(
            (all.len(), &names(&all)[12..]),
            (14, &["Minute Size".to_owned(), "Hour Size".to_owned()][..])
        );
    }

    #[test]
    fn what_is_to_be_rolled_up_waits_but_not_for_room() {
        let hours = |hours: u64| Period::from_secs(hours * 3_600);
        let config = Config { process: hours(1), minutes: hours(48), ..Config::default() };
        let unrolled = Shelved::new(vec![raw(0, SeriesClass::Process)]);
        assert_eq!(names(&doomed(&config, &unrolled, 0, WallTime(24 * HOUR))), Vec::<String>::new());
        assert_eq!(names(&doomed(&config, &unrolled, u64::MAX, WallTime(24 * HOUR))), ["process 0 Size"]);
        assert_eq!(names(&doomed(&config, &unrolled, 0, WallTime(54 * HOUR))), ["process 0 Age"]);
    }

    #[test]
    fn without_room_processes_go_first() {
        for (size_max, beside, expect) in [
            (1_400, 0, vec![]),
            (1_399, 0, vec!["process 0 Size"]),
            (1_400, 101, vec!["process 0 Size", "process 1 Size"]),
            (850, 0, vec!["process 0", "process 1", "process 2", "process 3", "other 0", "other 1"]),
        ] {
            let config = Config { size_max: Size::from_bytes(size_max), ..Config::default() };
            let found = names(&doomed(&config, &shelved(), beside, WallTime(0)));
            assert_eq!(found.len(), expect.len(), "{size_max}: {found:?}");
            assert!(found.iter().zip(&expect).all(|(name, expect)| name.starts_with(expect)), "{found:?}");
        }
        let mut deletions = Deletions::default();
        deletions.add(&raw(0, SeriesClass::Other), Reason::Size);
        assert_eq!((deletions.aged, deletions.crowded), (Tally::default(), Tally { files: 1, bytes: 90 }));
    }
}
