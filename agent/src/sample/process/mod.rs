//! Processes: series by group of one program, and the full table for whoever asks.
//!
//! A process number is never a label: it would be a new series with each start. The table with numbers is
//! answered on request from the last round and stored nowhere.

mod descriptor;
mod group;
mod one;
mod stat;
mod table;
mod unattributed;
mod user;
mod watch;

pub(super) use self::watch::Watch;

use self::group::{Group, Groups};
use self::one::{Process as One, Traffic};
use self::table::Table;
use self::unattributed::Unattributed;
use super::config::ProcessConfig;
use super::error::SampleError;
use super::keyed::Keyed;
use super::memory;
use super::text::cell;
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::{Path, PathBuf};

/// Reads `/proc/PID`.
pub(super) struct Process {
    root: PathBuf,
    interval_ms: u32,
    table: Table,
    groups: Groups,
    unattributed: Unattributed,
    host: Host,
    series: Keyed<Series>,
    memory_bytes: Option<u64>,
    /// Wall clock at boot, in milliseconds; moves only when the clock was set, not with every jitter.
    boot_wall_ms: i64,
    last: Option<Now>,
    /// Between the last two rounds.
    elapsed_seconds: f64,
}

/// The series of one group.
struct Series {
    /// In the order of [`SERIES`].
    always: Vec<Slot>,
    /// Storage traffic, once it could be read of any process of the group: a 0 would be a lie.
    io: Option<[Slot; 2]>,
    /// Open descriptors, once they could be counted of any.
    descriptors: Option<Slot>,
    /// How near one is to its limit of descriptors, once that is known of any.
    fullest: Option<Slot>,
}

/// The series of all processes together, from when they are first known.
#[derive(Default)]
struct Host {
    unattributed: Option<Slot>,
    unread: Option<Slot>,
}

/// What every group has: metric, and the label besides the name of the group.
const SERIES: [(&MetricDef, Option<(&str, &str)>); 14] = [
    (&catalog::GROUP_NUM_PROCS, None),
    (&catalog::GROUP_NUM_THREADS, None),
    (&catalog::GROUP_CPU_SECONDS, Some(("mode", "user"))),
    (&catalog::GROUP_CPU_SECONDS, Some(("mode", "system"))),
    (&catalog::GROUP_MEMORY, Some(("memtype", "resident"))),
    (&catalog::GROUP_MEMORY, Some(("memtype", "virtual"))),
    (&catalog::GROUP_MAJOR_FAULTS, None),
    (&catalog::GROUP_MINOR_FAULTS, None),
    (&catalog::GROUP_OLDEST_START, None),
    (&catalog::GROUP_STATES, Some(("state", "Running"))),
    (&catalog::GROUP_STATES, Some(("state", "Sleeping"))),
    (&catalog::GROUP_STATES, Some(("state", "Waiting"))),
    (&catalog::GROUP_STATES, Some(("state", "Zombie"))),
    (&catalog::GROUP_STATES, Some(("state", "Other"))),
];
const KIB: u64 = 1024;

impl Process {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32, config: &ProcessConfig) -> Process {
        Process {
            root: root.to_owned(),
            interval_ms,
            table: Table::new(root, config),
            groups: Groups::new(config.clone()),
            unattributed: Unattributed::new(root, config.whole_life),
            host: Host::default(),
            series: Keyed::default(),
            memory_bytes: memory::total_bytes(root).ok(),
            boot_wall_ms: 0,
            last: None,
            elapsed_seconds: 0.0,
        }
    }

    fn keep_time(&mut self, now: Now) {
        let boot_wall_ms = now.wall.as_millis() - cell(now.boot.0 / 1_000_000);
        if boot_wall_ms.abs_diff(self.boot_wall_ms) > 1000 {
            self.boot_wall_ms = boot_wall_ms;
        }
        self.elapsed_seconds = self.last.map_or(0.0, |last| now.boot.since(last.boot).as_secs_f64());
        self.last = Some(now);
    }

    fn row(&self, one: &One, users: &user::Users) -> ProcessRow {
        let units = self.table.units();
        let reading = one.reading(units);
        let percent =
            |part: f64, whole: f64| if whole > 0.0 { (part / whole * 10_000.0).round() / 100.0 } else { 0.0 };
        let io = match one.io {
            Traffic::Known(io) => Some(io),
            Traffic::Unread | Traffic::Denied => None,
        };
        let memory_bytes = reading.level.resident_bytes;
        ProcessRow {
            pid: one.pid,
            parent_pid: one.stat.parent,
            name: one.name.to_string(),
            group: one.group.to_string(),
            user: users.of_process(self.table.root(), one.pid),
            state: char::from(one.stat.state).to_string(),
            cpu_percent: percent(units.centis(one.ticks_in_round) as f64 / 100.0, self.elapsed_seconds),
            cpu_seconds: (reading.usage.user_centis + reading.usage.system_centis) as f64 / 100.0,
            memory_bytes,
            memory_percent: percent(memory_bytes as f64, self.memory_bytes.unwrap_or(0) as f64),
            threads: u32::try_from(one.stat.threads).unwrap_or(u32::MAX),
            started_unix_seconds: (self.boot_wall_ms + cell(reading.start_centis * 10)) as f64 / 1000.0,
            read_bytes: io.map(|io| io.read_bytes),
            written_bytes: io.map(|io| io.write_bytes),
        }
    }
}

impl Sampler for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::Process
    }

    fn sample(&mut self, now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let units = self.table.units();
        // Before the processes: what they use meanwhile is then made up for in the next round.
        let busy = self.unattributed.busy_centis(units.ticks_per_second);
        self.table.refresh(now.boot)?;
        self.keep_time(now);
        self.groups.round(now.boot.0 / 1_000_000, self.table.processes().map(|one| one.reading(units)));
        for (name, group) in self.groups.series() {
            let series = self.series.entry(name.as_bytes(), || Series::begin(name, out))?;
            series.set(name, group, self.boot_wall_ms, out)?;
        }
        self.series.finish(|series| series.end(out));
        // Without the host's own count there is nothing to compare with; the collector `cpu` says why.
        if let Ok(busy) = busy {
            let centis = self.unattributed.advance(busy, self.groups.attributed_centis());
            set_late(&mut self.host.unattributed, &catalog::UNATTRIBUTED_CPU_SECONDS, cell(centis), out);
        }
        set_late(&mut self.host.unread, &catalog::PROCESSES_UNREAD, cell(self.table.unread()), out);
        Ok(())
    }

    /// All processes of the last round, by number.
    fn process_table(&self) -> Option<Vec<ProcessRow>> {
        let users = user::Users::load(&self.root);
        let mut rows: Vec<ProcessRow> = self.table.processes().map(|one| self.row(one, &users)).collect();
        rows.sort_unstable_by_key(|row| row.pid);
        Some(rows)
    }
}

impl Series {
    fn begin(name: &str, out: &mut Sink) -> Result<Series, SampleError> {
        let mut always = Vec::with_capacity(SERIES.len());
        for (def, label) in SERIES {
            let labels = Labels::new([("groupname", name)].into_iter().chain(label))?;
            always.push(out.slot(def, labels));
        }
        Ok(Series { always, io: None, descriptors: None, fullest: None })
    }

    fn set(
        &mut self,
        name: &str,
        group: &Group,
        boot_wall_ms: i64,
        out: &mut Sink,
    ) -> Result<(), SampleError> {
        let (usage, level) = (&group.usage, &group.level);
        let started = |centis: u64| (boot_wall_ms + cell(centis.saturating_mul(10))).div_euclid(1000);
        let [running, sleeping, waiting, zombie, other] = level.states.map(cell);
        let cells: [i64; SERIES.len()] = [
            cell(level.processes),
            cell(level.threads),
            cell(usage.user_centis),
            cell(usage.system_centis),
            cell(level.resident_bytes / KIB),
            cell(level.virtual_bytes / KIB),
            cell(usage.major_faults),
            cell(usage.minor_faults),
            level.oldest_centis.map_or(0, started),
            running,
            sleeping,
            waiting,
            zombie,
            other,
        ];
        self.always.iter().zip(cells).for_each(|(slot, cell)| out.set(*slot, cell));
        let labels = || Labels::new([("groupname", name)]);
        if level.with_io > 0 && self.io.is_none() {
            let [read, write] = [&catalog::GROUP_READ_BYTES, &catalog::GROUP_WRITE_BYTES];
            self.io = Some([out.slot(read, labels()?), out.slot(write, labels()?)]);
        }
        if let Some([read, write]) = self.io {
            out.set(read, cell(usage.read_bytes));
            out.set(write, cell(usage.write_bytes));
        }
        if level.with_descriptors > 0 && self.descriptors.is_none() {
            self.descriptors = Some(out.slot(&catalog::GROUP_OPEN_FILES, labels()?));
        }
        if level.fullest.is_some() && self.fullest.is_none() {
            self.fullest = Some(out.slot(&catalog::GROUP_WORST_FILES, labels()?));
        }
        let late = [(self.descriptors, level.descriptors), (self.fullest, level.fullest.unwrap_or(0))];
        late.into_iter()
            .for_each(|(slot, value)| slot.into_iter().for_each(|slot| out.set(slot, cell(value))));
        Ok(())
    }

    fn end(self, out: &mut Sink) {
        let late = self.io.into_iter().flatten().chain(self.descriptors).chain(self.fullest);
        self.always.into_iter().chain(late).for_each(|slot| out.retire(slot));
    }
}

/// Sets a series without labels that begins when it is first known.
fn set_late(slot: &mut Option<Slot>, def: &'static MetricDef, cell: i64, out: &mut Sink) {
    let slot = *slot.get_or_insert_with(|| out.slot(def, Labels::default()));
    out.set(slot, cell);
}

#[cfg(test)]
mod tests {
    use super::super::golden::{AT, Board, Tree, show};
    use super::*;
    use std::time::Duration;

    fn write(tree: &Tree, pid: u32, name: &str, (start, ticks): (u64, u64)) {
        let text = format!("{pid} ({name}) S 1 0 0 0 -1 0 5 0 1 0 {ticks} 7 0 0 20 0 3 0 {start} 8192 2 0\n");
        tree.write(&format!("proc/{pid}/stat"), &text);
        tree.write(&format!("proc/{pid}/io"), &format!("read_bytes: {ticks}\nwrite_bytes: 4096\n"));
    }

    fn after(seconds: u64) -> Now {
        let wall = quorate_common::model::time::WallTime(AT.wall.0 + seconds as i64 * 1_000_000_000);
        Now { boot: AT.boot + Duration::from_secs(seconds), wall }
    }

    #[test]
    fn series_and_table_of_a_small_host() {
        let (tree, mut sink) = (Tree::empty(), Board::default());
        tree.write("proc/meminfo", "MemTotal: 32 kB\n");
        tree.write("etc/passwd", "root:x:0:0::/:/bin/sh\n");
        let config = ProcessConfig { enter_life_ms: 1000, ..ProcessConfig::default() };
        let mut process = Process::new(tree.root(), 1000, &config);
        write(&tree, 7, "db", (1500, 100));
        process.sample(after(0), &mut sink.sink).unwrap();
        assert!(show(&mut sink).contains("namedprocess_namegroup_num_procs{groupname=\"other\"} 1\n"));
        write(&tree, 7, "db", (1500, 150));
        process.sample(after(1), &mut sink.sink).unwrap();
        let text = show(&mut sink);
        for line in [
            "cpu_seconds_total{groupname=\"db\",mode=\"user\"} 0.5",
            "memory_bytes{groupname=\"db\",memtype=\"resident\"} 8192",
            "num_threads{groupname=\"db\"} 3",
            "states{groupname=\"db\",state=\"Sleeping\"} 1",
            "read_bytes_total{groupname=\"db\"} 50",
            "num_procs{groupname=\"other\"} 0",
            "oldest_start_time_seconds{groupname=\"db\"} 1795202015",
        ] {
            assert!(text.contains(&format!("namedprocess_namegroup_{line}\n")), "{line} in\n{text}");
        }
        assert!(!text.contains("pid"));

        let row = process.process_table().unwrap().remove(0);
        let known = (row.pid, row.name.as_str(), row.group.as_str(), row.state.as_str(), row.parent_pid);
        assert_eq!(known, (7, "db", "db", "S", 1));
        assert_eq!((row.cpu_percent, row.cpu_seconds), (50.0, 1.57));
        assert_eq!((row.memory_bytes, row.memory_percent), (8192, 25.0));
        assert_eq!((row.threads, row.started_unix_seconds), (3, 1_795_202_015.125));
        assert_eq!((row.read_bytes, row.written_bytes), (Some(150), Some(4096)));
        assert!(!row.user.is_empty());

        std::fs::remove_dir_all(tree.root().join("proc/7")).unwrap();
        process.sample(after(302), &mut sink.sink).unwrap();
        assert!(!show(&mut sink).contains("\"db\""));
        assert_eq!(process.process_table().unwrap(), []);
    }

    #[test]
    fn states_are_named_in_one_order() {
        let named: Vec<&str> = SERIES
            .iter()
            .filter_map(|(_, label)| *label)
            .filter(|(key, _)| *key == "state")
            .map(|(_, word)| word)
            .collect();
        assert_eq!(named, group::STATES);
        assert_eq!(Groups::new(ProcessConfig::default()).series().next().unwrap().0, group::OTHER);
    }
}
