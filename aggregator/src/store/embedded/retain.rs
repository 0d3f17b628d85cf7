//! Retention: which volumes go, and why. Whole files only; nothing is read, and nothing deleted here.
//!
//! ```text
//!   too old for its class ──→ goes              all together too large ──→ oldest of process ─→ other ─→ system
//! ```

use super::config::Config;
use super::volume::{Contents, Volume};
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
pub fn doomed(
    config: &Config,
    mut volumes: Vec<Arc<Volume>>,
    beside: u64,
    now: WallTime,
) -> Vec<(Arc<Volume>, Reason)> {
    volumes.sort_by_key(|volume| (rank(volume.contents), volume.contents.end(), volume.order));
    let is_old = |volume: &Arc<Volume>| volume.contents.end() <= before(now, kept(config, volume.contents));
    let (old, rest): (Vec<_>, Vec<_>) = volumes.into_iter().partition(is_old);
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
    }
}

/// What goes first when there is no room.
fn rank(contents: Contents) -> u8 {
    match contents {
        Contents::Raw(_, SeriesClass::Process) => 0,
        Contents::Raw(_, SeriesClass::Other) => 1,
        Contents::Raw(_, SeriesClass::System) => 2,
    }
}

fn before(now: WallTime, period: Period) -> WallTime {
    let length = i64::try_from(period.duration().as_nanos()).unwrap_or(i64::MAX);
    WallTime(now.0.saturating_sub(length))
}

#[cfg(test)]
mod tests {
    use super::super::window::Span;
    use super::*;
    use quorate_common::model::series::Window;
    use quorate_common::quantity::Size;

    const HOUR: i64 = 3_600 * 1_000_000_000;

    fn volume(hour: i64, class: SeriesClass) -> Arc<Volume> {
        let contents = Contents::Raw(Span::of(Window::Medium, WallTime(hour * HOUR)), class);
        let (path, index) = Default::default();
        Arc::new(Volume { contents, order: 0, bytes: 90, index_bytes: 10, salt: 0, index, path })
    }

    fn volumes() -> Vec<Arc<Volume>> {
        let all = |class: &SeriesClass| (0..4).map(|hour| volume(hour, *class)).collect::<Vec<_>>();
        SeriesClass::ALL.iter().flat_map(all).collect()
    }

    fn names(doomed: &[(Arc<Volume>, Reason)]) -> Vec<String> {
        let name = |(volume, reason): &(Arc<Volume>, Reason)| {
            let Contents::Raw(span, class) = volume.contents;
            format!("{class} {} {reason:?}", span.start().0 / HOUR)
        };
        doomed.iter().map(name).collect()
    }

    #[test]
    fn each_class_has_its_own_age() {
        let hours = |hours: u64| Period::from_secs(hours * 3_600);
        let config = Config { system: hours(4), process: hours(1), other: hours(3), ..Config::default() };
        let found = doomed(&config, volumes(), 0, WallTime(4 * HOUR));
        assert_eq!(names(&found), ["process 0 Age", "process 1 Age", "process 2 Age", "other 0 Age"]);
        assert_eq!(doomed(&config, volumes(), u64::MAX, WallTime(0)).len(), 12, "all, and no more");
    }

    #[test]
    fn without_room_processes_go_first() {
        for (size_max, beside, expect) in [
            (1_200, 0, vec![]),
            (1_199, 0, vec!["process 0 Size"]),
            (1_200, 101, vec!["process 0 Size", "process 1 Size"]),
            (650, 0, vec!["process 0", "process 1", "process 2", "process 3", "other 0", "other 1"]),
        ] {
            let config = Config { size_max: Size::from_bytes(size_max), ..Config::default() };
            let found = names(&doomed(&config, volumes(), beside, WallTime(0)));
            assert_eq!(found.len(), expect.len(), "{size_max}: {found:?}");
            assert!(found.iter().zip(&expect).all(|(name, expect)| name.starts_with(expect)), "{found:?}");
        }
        let mut deletions = Deletions::default();
        deletions.add(&volumes()[0], Reason::Size);
        assert_eq!((deletions.aged, deletions.crowded), (Tally::default(), Tally { files: 1, bytes: 90 }));
    }
}
