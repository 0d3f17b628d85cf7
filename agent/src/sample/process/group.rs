//! Groups of processes of one name: pure accumulators that only add what was seen to be used.
//!
//! A process is its number *and* its start time, so that a number used again is another process. What a
//! process used since the last round is added to the group that it is in now, or to `other` while that group
//! is no series. Nothing is ever subtracted: not when a process ends, changes its name, or its group becomes
//! a series or ceases to be one. Time is an argument; nothing is read here.
//!
//! ```text
//!              30 s of life, or 10 s at the top
//!   in `other` ────────────────────────────────→ a series of its own ──5 min without a process──→ forgotten
//! ```

use super::super::config::ProcessConfig;
use super::watch::Watch;
use std::collections::{BTreeMap, HashMap};

/// What all processes in no series of their own are summed up as. A program of this name is always part of
/// it.
pub(super) const OTHER: &str = "other";

/// States of processes as process-exporter names them, in the order of [`Level::states`].
pub(super) const STATES: [&str; 5] = ["Running", "Sleeping", "Waiting", "Zombie", "Other"];

/// What a process has used, or a group since it is counted. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub user_centis: u64,
    pub system_centis: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
}

/// What a group has at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub processes: u64,
    pub threads: u64,
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    /// Start of the oldest process, in hundredths of a second since boot; only if there is a process.
    pub oldest_centis: Option<u64>,
    pub states: [u64; STATES.len()],
    /// Processes whose storage traffic may be read.
    pub with_io: u64,
    /// Open descriptors of those that may be looked at.
    pub descriptors: u64,
    /// Processes whose descriptors may be counted.
    pub with_descriptors: u64,
    /// Of the process that is nearest to its limit of descriptors: how full, in ten-thousandths.
    pub fullest: Option<u64>,
}

/// One process in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub pid: u32,
    /// Hundredths of a second from boot to the start; with the number it identifies the process.
    pub start_centis: u64,
    pub group: &'a str,
    pub usage: Usage,
    /// As a group of one.
    pub level: Level,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    config: ProcessConfig,
    groups: BTreeMap<Box<str>, Group>,
    other: Group,
    known: HashMap<(u32, u64), Known>,
    /// When the last round was, in milliseconds since boot; `None` before the first.
    last_ms: Option<u64>,
    round: u64,
    ranks: Vec<u64>,
    attributed_centis: u64,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// What its processes used while it was a series.
    pub usage: Usage,
    /// What it has now.
    pub level: Level,
    is_series: bool,
    is_watched: bool,
    in_round: Usage,
    alive_since_ms: Option<u64>,
    top_since_ms: Option<u64>,
    seen_ms: u64,
}

#[derive(Debug)]
struct Known {
    usage: Usage,
    round: u64,
}

impl Groups {
    /// No groups yet but those that are watched: that one has no process is worth knowing.
    pub fn new(config: ProcessConfig) -> Groups {
        let watch = Watch::parse(&config.watch).unwrap_or_default();
        let watched = || Group { is_series: true, is_watched: true, ..Group::default() };
        Groups {
            last_ms: config.whole_life.then_some(0),
            config,
            groups: watch.groups().map(|name| (name.into(), watched())).collect(),
            other: Group::default(),
            known: HashMap::new(),
            round: 0,
            ranks: Vec::new(),
            attributed_centis: 0,
        }
    }

    /// Processor time that was attributed to all processes so far, in hundredths of a second.
    pub fn attributed_centis(&self) -> u64 {
        self.attributed_centis
    }

    /// Takes in one round: all processes there are at `now_ms` since boot.
    pub fn round<'a>(&mut self, now_ms: u64, readings: impl Iterator<Item = Reading<'a>>) {
        self.round += 1;
        self.groups.values_mut().chain([&mut self.other]).for_each(Group::begin);
        for reading in readings {
            self.add(now_ms, &reading);
        }
        let round = self.round;
        self.known.retain(|_, known| known.round == round);
        self.promote(now_ms);
        self.attribute();
        self.forget(now_ms);
        self.last_ms = Some(now_ms);
    }

    /// The groups that are series, by name, and `other`.
    pub fn series(&self) -> impl Iterator<Item = (&str, &Group)> {
        let own =
            self.groups.iter().filter(|(_, group)| group.is_series).map(|(name, group)| (&**name, group));
        own.chain([(OTHER, &self.other)])
    }

    fn add(&mut self, now_ms: u64, reading: &Reading<'_>) {
        let used = self.used(reading);
        if reading.group == OTHER {
            self.other.in_round.add(&used);
            self.other.level.add(&reading.level);
            return;
        }
        if !self.groups.contains_key(reading.group) {
            self.groups.insert(reading.group.into(), Group::default());
        }
        let Some(group) = self.groups.get_mut(reading.group) else { return };
        group.alive_since_ms.get_or_insert(now_ms);
        group.seen_ms = now_ms;
        group.in_round.add(&used);
        group.level.add(&reading.level);
    }

    /// What a process used since the last round: all of it if it began since then, nothing if it is older and
    /// was never seen, because another agent may have counted that.
    fn used(&mut self, reading: &Reading<'_>) -> Usage {
        let born_since = self.last_ms.is_some_and(|last_ms| reading.start_centis >= last_ms / 10);
        let first = if born_since { Usage::default() } else { reading.usage };
        let known =
            self.known.entry((reading.pid, reading.start_centis)).or_insert(Known { usage: first, round: 0 });
        known.round = self.round;
        let used = known.usage.advance(&reading.usage);
        self.attributed_centis =
            self.attributed_centis.saturating_add(used.user_centis).saturating_add(used.system_centis);
        used
    }

    /// A group that has just become a series begins at zero: what it used before stays in `other`.
    fn promote(&mut self, now_ms: u64) {
        let bars = RANKS.map(|rank| self.bar(rank));
        let series = self.groups.values().filter(|group| group.is_series && !group.is_watched).count();
        let mut free = self.config.groups_max.saturating_sub(series);
        for group in self.groups.values_mut() {
            if group.level.processes == 0 {
                (group.alive_since_ms, group.top_since_ms) = (None, None);
                continue;
            }
            let is_top = RANKS.iter().zip(bars).any(|(rank, bar)| rank(group) >= bar);
            group.top_since_ms = if is_top { group.top_since_ms.or(Some(now_ms)) } else { None };
            let lasted = |since: Option<u64>, least_ms: u32| {
                since.is_some_and(|since| now_ms.saturating_sub(since) >= u64::from(least_ms))
            };
            let is_due = lasted(group.alive_since_ms, self.config.enter_life_ms)
                || lasted(group.top_since_ms, self.config.enter_top_ms);
            if !group.is_series && is_due && free > 0 {
                (group.is_series, free) = (true, free - 1);
            }
        }
    }

    /// The least value that is among the top N; more than any value if N is 0. What is zero is never at the
    /// top.
    fn bar(&mut self, rank: fn(&Group) -> u64) -> u64 {
        self.ranks.clear();
        self.ranks.extend(self.groups.values().map(rank).filter(|value| *value > 0));
        match self.config.top {
            0 => u64::MAX,
            top if self.ranks.len() <= top => 1,
            top => *self.ranks.select_nth_unstable_by(top - 1, |a, b| b.cmp(a)).1,
        }
    }

    fn forget(&mut self, now_ms: u64) {
        let leave_ms = u64::from(self.config.leave_ms);
        self.groups.retain(|_, group| {
            group.level.processes > 0
                || group.is_watched
                || (group.is_series && now_ms.saturating_sub(group.seen_ms) < leave_ms)
        });
    }

    /// Adds what was used in this round to the group itself or to `other`, for good.
    fn attribute(&mut self) {
        for group in self.groups.values_mut() {
            if group.is_series {
                group.usage.add(&group.in_round);
            } else {
                self.other.in_round.add(&group.in_round);
                self.other.level.add(&group.level);
            }
        }
        self.other.usage.add(&self.other.in_round);
    }
}

/// What groups are ranked by: processor time, memory, storage traffic, descriptors.
const RANKS: [fn(&Group) -> u64; 4] = [
    |group| group.in_round.user_centis.saturating_add(group.in_round.system_centis),
    |group| group.level.resident_bytes,
    |group| group.in_round.read_bytes.saturating_add(group.in_round.write_bytes),
    |group| group.level.descriptors,
];

impl Group {
    fn begin(&mut self) {
        self.level = Level::default();
        self.in_round = Usage::default();
    }
}

impl Usage {
    fn fields(&mut self) -> [&mut u64; 6] {
        [
            &mut self.user_centis,
            &mut self.system_centis,
            &mut self.read_bytes,
            &mut self.write_bytes,
            &mut self.minor_faults,
            &mut self.major_faults,
        ]
    }

    fn add(&mut self, more: &Usage) {
        let mut more = *more;
        self.fields().into_iter().zip(more.fields()).for_each(|(sum, more)| *sum = sum.saturating_add(*more));
    }

    /// Moves on to `newer` and returns the difference. A field that fell stays and adds nothing.
    fn advance(&mut self, newer: &Usage) -> Usage {
        let mut difference = *newer;
        for (known, newer) in self.fields().into_iter().zip(difference.fields()) {
            let last = *known;
            *known = last.max(*newer);
            *newer = newer.saturating_sub(last);
        }
        difference
    }
}

impl Level {
    fn add(&mut self, more: &Level) {
        self.processes += more.processes;
        self.threads = self.threads.saturating_add(more.threads);
        self.resident_bytes = self.resident_bytes.saturating_add(more.resident_bytes);
        self.virtual_bytes = self.virtual_bytes.saturating_add(more.virtual_bytes);
        self.oldest_centis = [self.oldest_centis, more.oldest_centis].into_iter().flatten().min();
        self.states.iter_mut().zip(more.states).for_each(|(sum, more)| *sum += more);
        self.with_io += more.with_io;
        self.descriptors = self.descriptors.saturating_add(more.descriptors);
        self.with_descriptors += more.with_descriptors;
        self.fullest = self.fullest.max(more.fullest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scripted process: number, start in centis, name, centis used, resident bytes.
    type Fake = (u32, u64, &'static str, u64, u64);

    fn reading(&(pid, start_centis, group, user_centis, resident_bytes): &Fake) -> Reading<'_> {
        let usage = Usage { user_centis, ..Usage::default() };
        let oldest_centis = Some(start_centis);
        let level = Level { processes: 1, threads: 2, resident_bytes, oldest_centis, ..Level::default() };
        Reading { pid, start_centis, group, usage, level }
    }

    fn round(groups: &mut Groups, second: u64, table: &[Fake]) -> String {
        groups.round(second * 1000, table.iter().map(reading));
        let said = |(name, group): (&str, &Group)| {
            format!("{name} {} {}", group.level.processes, group.usage.user_centis)
        };
        groups.series().map(said).collect::<Vec<_>>().join(", ")
    }

    fn centis_in_all(groups: &Groups) -> u64 {
        groups.series().map(|(_, group)| group.usage.user_centis).sum()
    }

    #[test]
    fn a_group_becomes_a_series_after_its_time_and_begins_at_zero() {
        let mut groups = Groups::new(ProcessConfig { top: 0, ..ProcessConfig::default() });
        let table = |used| [(7, 1, "db", 1000 + used, 0)];
        assert_eq!(round(&mut groups, 100, &table(0)), "other 1 0");
        for second in 1..30 {
            assert_eq!(round(&mut groups, 100 + second, &table(second)), format!("other 1 {second}"));
        }
        assert_eq!(round(&mut groups, 130, &table(40)), "db 1 11, other 0 29");
        assert_eq!(round(&mut groups, 131, &[]), "db 0 11, other 0 29");
        assert_eq!(round(&mut groups, 429, &[]), "db 0 11, other 0 29");
        assert_eq!(round(&mut groups, 430, &[]), "other 0 29");
        assert!(groups.groups.is_empty() && groups.known.is_empty());
    }

    #[test]
    fn the_top_enters_sooner() {
        let mut groups = Groups::new(ProcessConfig { top: 1, ..ProcessConfig::default() });
        for second in 0..=10 {
            let table =
                [(1, 1, "busy", second, 5), (2, 1, "fat", 0, 9), (3, 1, "idle", 0, 5), (4, 1, "none", 0, 0)];
            let text = round(&mut groups, 100 + second, &table);
            match second {
                // In the first round nobody is known to have used anything.
                10 => assert_eq!(text, "fat 1 0, other 3 10"),
                _ => assert_eq!(text, format!("other 4 {second}")),
            }
        }
        let table = [(1, 1, "busy", 11, 5), (2, 1, "fat", 0, 9)];
        assert_eq!(round(&mut groups, 111, &table), "busy 1 1, fat 1 0, other 0 10");
    }

    #[test]
    fn a_number_used_again_is_another_process() {
        let mut groups = Groups::new(ProcessConfig { enter_life_ms: 0, ..ProcessConfig::default() });
        assert_eq!(round(&mut groups, 100, &[(7, 50, "sh", 500, 0)]), "sh 1 0, other 0 0");
        assert_eq!(round(&mut groups, 101, &[(7, 50, "sh", 510, 0)]), "sh 1 10, other 0 0");
        assert_eq!(round(&mut groups, 102, &[(7, 10_150, "sh", 3, 0)]), "sh 1 13, other 0 0");
        assert_eq!(round(&mut groups, 103, &[(7, 10_150, "sh", 4, 0)]), "sh 1 14, other 0 0");
        // Older than the last round and never seen: what it used so far is nobody's.
        assert_eq!(round(&mut groups, 104, &[(7, 9_000, "sh", 800, 0)]), "sh 1 14, other 0 0");
        // The kernel's rounding lets a value fall by a tick.
        assert_eq!(round(&mut groups, 105, &[(7, 9_000, "sh", 799, 0)]), "sh 1 14, other 0 0");
        assert_eq!(round(&mut groups, 106, &[(7, 9_000, "sh", 801, 0)]), "sh 1 15, other 0 0");
    }

    #[test]
    fn a_new_name_moves_the_process_and_not_what_it_used() {
        let mut groups = Groups::new(ProcessConfig { enter_life_ms: 0, ..ProcessConfig::default() });
        round(&mut groups, 100, &[(7, 50, "sh", 0, 0)]);
        round(&mut groups, 101, &[(7, 50, "sh", 10, 0)]);
        assert_eq!(round(&mut groups, 102, &[(7, 50, "java", 15, 0)]), "java 1 5, sh 0 10, other 0 0");
        assert_eq!(round(&mut groups, 103, &[(7, 50, "other", 16, 0)]), "java 0 5, sh 0 10, other 1 1");
    }

    #[test]
    fn ten_thousand_processes_leave_few_series() {
        let mut groups = Groups::new(ProcessConfig::default());
        let names: Vec<&'static str> = (0..10_000).map(|n| &*format!("job-{n}").leak()).collect();
        let (mut begun, mut known) = (std::collections::BTreeSet::new(), 0);
        for second in 0..100u64 {
            // A hundred are born each second and live three; each uses a centi a second.
            let born = |second: u64| {
                names[second as usize * 100..][..100]
                    .iter()
                    .enumerate()
                    .map(move |(n, name)| (second, n, *name))
            };
            let living = (second.saturating_sub(2)..=second).flat_map(born);
            let mut table: Vec<Fake> = living
                .map(|(birth, n, name)| {
                    (
                        (birth * 100) as u32 + n as u32 + 10,
                        (1000 + birth) * 100,
                        name,
                        second - birth,
                        1 << 20,
                    )
                })
                .collect();
            table.push((1, 1, "init", 0, 1));
            round(&mut groups, 1000 + second, &table);
            begun.extend(groups.series().map(|(name, _)| name.to_owned()));
            known = known.max(groups.groups.len());
        }
        assert_eq!(begun.into_iter().collect::<Vec<_>>(), ["init", "other"]);
        assert!(known <= 301, "{known}");
        // All but the last two hundred used 2 centis, those 1 and 0.
        assert_eq!(centis_in_all(&groups), 9_800 * 2 + 100);
    }

    #[test]
    fn there_is_a_limit() {
        let config = ProcessConfig { groups_max: 2, enter_life_ms: 0, ..ProcessConfig::default() };
        let mut groups = Groups::new(config);
        let table = [(1, 1, "a", 0, 0), (2, 1, "b", 0, 0), (3, 1, "c", 0, 0)];
        assert_eq!(round(&mut groups, 100, &table), "a 1 0, b 1 0, other 1 0");
        assert_eq!(round(&mut groups, 101, &table[1..]), "a 0 0, b 1 0, other 1 0");
        assert_eq!(round(&mut groups, 500, &table[1..]), "b 1 0, other 1 0");
        assert_eq!(round(&mut groups, 501, &table[1..]), "b 1 0, c 1 0, other 0 0");
    }

    #[test]
    fn watched_groups_are_series_at_once_and_for_good() {
        let watch = vec!["db".to_owned(), "web:nginx".to_owned()];
        let config = ProcessConfig { watch, groups_max: 0, ..ProcessConfig::default() };
        let mut groups = Groups::new(config);
        assert_eq!(round(&mut groups, 100, &[(7, 1, "db", 50, 0)]), "db 1 0, web 0 0, other 0 0");
        assert_eq!(round(&mut groups, 101, &[(7, 1, "db", 55, 0)]), "db 1 5, web 0 0, other 0 0");
        assert_eq!(round(&mut groups, 9000, &[]), "db 0 5, web 0 0, other 0 0");
        assert_eq!(groups.attributed_centis(), 5);
    }

    #[test]
    fn the_top_by_traffic_and_by_descriptors_enters_too() {
        let mut groups = Groups::new(ProcessConfig { top: 1, enter_top_ms: 0, ..ProcessConfig::default() });
        for (second, bytes) in [(100, 0), (101, 4096)] {
            let plain = |fake: &'static Fake| reading(fake);
            let mut readings =
                [plain(&(1, 1, "fat", 9, 9)), plain(&(2, 1, "disk", 0, 0)), plain(&(3, 1, "files", 0, 0))];
            readings[1].usage.write_bytes = bytes;
            readings[2].level.descriptors = 3;
            groups.round(second * 1000, readings.into_iter());
        }
        let names: Vec<&str> = groups.series().map(|(name, _)| name).collect();
        assert_eq!(names, ["disk", "fat", "files", "other"]);
    }

    proptest::proptest! {
        /// Whatever comes, goes, renames itself or is hidden: no counter ever falls while its series lives,
        /// and what was attributed in all is what was used.
        #[test]
        fn nothing_is_ever_subtracted(
            script in proptest::collection::vec((0u32..6, 0usize..4, 0u64..50), 1..200)
        ) {
            let config = ProcessConfig {
                enter_life_ms: 3000,
                enter_top_ms: 2000,
                leave_ms: 4000,
                top: 1,
                groups_max: 2,
                ..ProcessConfig::default()
            };
            let mut groups = Groups::new(config);
            let (mut table, mut used, mut second) = (BTreeMap::<u32, Fake>::new(), 0, 100);
            let mut last: BTreeMap<String, u64> = BTreeMap::new();
            round(&mut groups, second, &[]);
            for (pid, name, centis) in script {
                second += 1;
                let name = ["a", "b", "c", "other"][name];
                if centis == 0 {
                    table.remove(&pid);
                } else {
                    let row = table.entry(pid).or_insert((pid, second * 100 - 1, name, 0, 0));
                    (row.2, row.3, row.4) = (name, row.3 + centis, centis);
                    used += centis;
                }
                round(&mut groups, second, &table.values().copied().collect::<Vec<_>>());
                let next: BTreeMap<String, u64> =
                    groups.series().map(|(name, group)| (name.to_owned(), group.usage.user_centis)).collect();
                for (name, centis) in &next {
                    proptest::prop_assert!(*centis >= last.get(name).copied().unwrap_or(0), "{name}");
                }
                // What belonged to a series that was forgotten has been reported, and is no part of the sum
                // any more.
                let is_gone = |(name, _): &(&String, &u64)| !next.contains_key(*name);
                used -= last.iter().filter(is_gone).map(|(_, centis)| centis).sum::<u64>();
                proptest::prop_assert_eq!(next.values().sum::<u64>(), used);
                last = next;
            }
        }
    }
}
