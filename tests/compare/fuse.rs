//! A network mount that really hangs: a FUSE server that is stopped.

use quorate_agent::sample::{Collection, Config, Due, Round, Setup, collectors};
use quorate_common::clock::{Clock, SystemClock};
use quorate_tests::process::Process;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const SERVER: &str = "/usr/bin/bindfs";
const UNMOUNT: &str = "/usr/bin/fusermount3";
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Unmounts at the end, also when the test has failed and the server stands still.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new(UNMOUNT).args(["-u", "-z"]).arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The filesystem collector alone, as the agent runs it.
struct Host {
    collection: Collection,
    /// Metric and mount point of each living slot.
    series: BTreeMap<u32, (String, String)>,
}

impl Host {
    fn new() -> Host {
        let all = collectors(&Config::default(), Path::new("/"));
        let collectors = all.into_iter().filter(|one| one.name() == "filesystem").collect();
        let setup = Setup { collectors, interval_ms: 1000, deadline_ms: 500, clock: Arc::new(SystemClock) };
        Host { collection: Collection::new(setup).unwrap(), series: BTreeMap::new() }
    }

    /// Which mount points have a size, and which are in error; the collector itself must not fail.
    fn round(&mut self) -> (Vec<String>, Vec<String>) {
        let round = self.collection.round(SystemClock.now(), 1000, Due::All);
        assert_eq!(round.sampled, [0, 1], "the collector was in time");
        for new in &round.registered {
            let point = new.spec.labels.get("mountpoint").unwrap_or_default().to_owned();
            self.series.insert(new.slot, (new.spec.metric.name.to_string(), point));
        }
        round.retired.iter().for_each(|slot| drop(self.series.remove(slot)));
        let found = |metric: &str, fits: fn(i64) -> bool| self.points(&round, metric, fits);
        (
            found("node_filesystem_size_bytes", |cell| cell > 0),
            found("node_filesystem_device_error", |cell| cell == 1),
        )
    }

    fn points(&self, round: &Round, metric: &str, fits: fn(i64) -> bool) -> Vec<String> {
        let of_metric = self.series.iter().filter(|(_, (name, _))| name == metric);
        of_metric
            .filter(|(slot, _)| fits(round.cells[**slot as usize]))
            .map(|(_, (_, point))| point.clone())
            .collect()
    }

    /// Rounds until `point` is in error or not; all the while the root has its numbers.
    fn until(&mut self, point: &str, in_error: bool) {
        let end = SystemClock.now().boot + PATIENCE;
        loop {
            let (sized, failed) = self.round();
            assert!(sized.iter().any(|one| one == "/"), "{sized:?}");
            let contains = |points: &[String]| points.iter().any(|one| one == point);
            if contains(&failed) == in_error && contains(&sized) != in_error {
                return;
            }
            assert!(SystemClock.now().boot < end, "{point}: {sized:?} {failed:?}");
        }
    }
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[tokio::test]
async fn a_stopped_fuse_server_costs_its_own_numbers_only() {
    let usable = |path: &str| Path::new(path).try_exists().unwrap_or(false);
    let device = std::fs::File::options().read(true).write(true).open("/dev/fuse");
    if device.is_err() || !usable(SERVER) || !usable(UNMOUNT) {
        println!(
            "SKIPPED a_stopped_fuse_server_costs_its_own_numbers_only: no /dev/fuse, bindfs or fusermount3"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [source, place] = ["source", "place"].map(|name| dir.path().join(name));
    [&source, &place].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
    let args = ["-f".as_ref(), source.as_os_str(), place.as_os_str()];
    let server = Process::start(dir.path(), "bindfs", Path::new(SERVER), &args);
    let point = place.to_str().unwrap();
    let is_mounted = || std::fs::read_to_string("/proc/self/mounts").unwrap().contains(point);
    for _ in 0..1000 {
        if is_mounted() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_mounted());
    let mount = Mount(place.clone());
    let mut host = Host::new();
    host.until(point, false);
    server.freeze();
    host.until(point, true);
    let before = (count("/proc/self/task"), count("/proc/self/fd"));
    for _ in 0..50 {
        host.until(point, true);
    }
    assert_eq!((count("/proc/self/task"), count("/proc/self/fd")), before, "threads and descriptors");
    server.thaw();
    host.until(point, false);
    drop(mount);
}
