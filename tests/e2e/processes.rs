//! A program that burns a second of a processor is in the process table, with what it used, whenever it began; and
//! thousands of processes that come and go leave next to nothing behind.

use quorate_agent::sample::{Config, Round, Sampling, start};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::process::ProcessRow;
use quorate_common::model::time::BootTime;
use quorate_common::shutdown::Shutdown;
use quorate_proto::v1::{LatestSeries, Liveness, MemberRole, QueryLatestRequest};
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::figure::figure;
use quorate_tests::programs;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Burns one second, says so, and waits for the end of its input.
const BURN: &str = "$| = 1; 1 while (times)[0] + (times)[1] < 1; print qq(done\\n); <STDIN>";
const TRIALS: usize = 5;

/// Processes that come and go within a minute, and the names that they have.
const SHORT_LIVES: usize = 10_000;
const NAMES: usize = 2_500;
const PREFIX: &str = "brief";
/// How many of them live at once, and how long each does: long enough for the agent to see nearly all.
const AT_ONCE_MAX: usize = 500;
const LIFE_SECONDS: &str = "0.7";
const NEW_SERIES_MAX: usize = 50;

struct Watcher {
    sampling: Sampling,
    rounds: mpsc::Receiver<Round>,
    last: BootTime,
}

/// What the table said of the burner.
struct Seen {
    row: ProcessRow,
    /// Shares of a processor times the rounds that they are of, summed up.
    seconds: f64,
    /// From the end of its work to the round that has all of it.
    late_seconds: f64,
}

fn burn() -> (Child, oneshot::Receiver<BootTime>) {
    let mut perl = Command::new("perl");
    let mut child = perl.args(["-e", BURN]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let (told, done) = oneshot::channel();
    drop(std::thread::spawn(move || {
        if let Some(Ok(_)) = said.next() {
            told.send(SystemClock.now().boot).ok();
        }
    }));
    (child, done)
}

impl Watcher {
    async fn watch(&mut self, pid: u32, mut done: oneshot::Receiver<BootTime>) -> Seen {
        let (mut seconds, mut done_at) = (0.0, None);
        loop {
            let at = self.rounds.recv().await.unwrap().at.boot;
            let table = self.sampling.process_table().await.unwrap();
            let row = table.into_iter().find(|row| row.pid == pid);
            let percent = row.as_ref().map_or(0.0, |row| row.cpu_percent);
            seconds += percent / 100.0 * at.since(self.last).as_secs_f64();
            self.last = at;
            done_at = done_at.or(done.try_recv().ok());
            if let (Some(done), Some(row)) = (done_at.filter(|done| at > *done), row) {
                return Seen { row, seconds, late_seconds: at.since(done).as_secs_f64() };
            }
        }
    }
}

#[tokio::test]
async fn a_second_of_work_is_seen_as_it_was() {
    let (sender, rounds) = mpsc::channel(4);
    let shutdown = Shutdown::new();
    let config = Config { deadline_ms: 10_000, ..Config::default() };
    let sampling = start(&config, Path::new("/"), Arc::new(SystemClock), sender, &shutdown).unwrap();
    let mut watcher = Watcher { sampling, rounds, last: BootTime(0) };
    watcher.last = watcher.rounds.recv().await.unwrap().at.boot;
    for _ in 0..TRIALS {
        let (mut child, done) = burn();
        let Seen { row, seconds, late_seconds } = watcher.watch(child.id(), done).await;
        assert!(late_seconds < 2.0, "{late_seconds} s later");
        assert!((1.0..1.1).contains(&row.cpu_seconds), "{row:?}");
        assert!((0.95..1.1).contains(&seconds), "{seconds} s in {row:?}");
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    drop(watcher);
    shutdown.ask();
}

/// Runs them as fast as they come, each under one of the names below `dir`; says how long that took.
fn come_and_go(dir: &Path) -> Duration {
    let begin = SystemClock.now().boot;
    let names: Vec<_> = (0..NAMES).map(|name| dir.join(format!("{PREFIX}-{name}"))).collect();
    names.iter().for_each(|name| symlink("/bin/sleep", name).unwrap());
    let mut living = VecDeque::with_capacity(AT_ONCE_MAX);
    let end = |child: Option<Child>| child.is_none_or(|mut child| child.wait().unwrap().success());
    for name in names.iter().cycle().take(SHORT_LIVES) {
        if living.len() == AT_ONCE_MAX {
            assert!(end(living.pop_front()));
        }
        living.push_back(Command::new(name).arg0("sleep").arg(LIFE_SECONDS).spawn().unwrap());
    }
    living.into_iter().for_each(|child| assert!(end(Some(child))));
    SystemClock.now().boot.since(begin)
}

/// All series of the node that have a value now, by their labels.
async fn series(cluster: &Cluster) -> BTreeMap<BTreeMap<String, String>, f64> {
    let request = QueryLatestRequest { selector: "{node=\"n1\"}".into(), limit: 10_000 };
    let mut client = cluster.query_service().max_decoding_message_size(16 << 20);
    let answer = client.query_latest(request).await.unwrap().into_inner();
    let labels = |one: &LatestSeries| {
        one.labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect::<BTreeMap<_, _>>()
    };
    answer.series.iter().filter_map(|one| Some((labels(one), one.sample.as_ref()?.value))).collect()
}

/// The number of processes without a series of their own.
fn others(series: &BTreeMap<BTreeMap<String, String>, f64>) -> Option<f64> {
    let is_it = |labels: &BTreeMap<String, String>| {
        labels["__name__"] == "namedprocess_namegroup_num_procs" && labels["groupname"] == "other"
    };
    series.iter().find(|(labels, _)| is_it(labels)).map(|(_, value)| *value)
}

#[tokio::test]
async fn ten_thousand_short_lives_leave_no_series() {
    let cluster = Cluster::start(programs!()).await;
    cluster.enrol("n1", MemberRole::Voter, "").await;
    let _agent = cluster.start_agent("n1");
    cluster.until_all("up", &["n1"], Liveness::Up, UP_MAX).await;
    let mut look = tokio::time::interval(Duration::from_millis(500));
    let before = loop {
        look.tick().await;
        let found = series(&cluster).await;
        if others(&found).is_some() {
            break found;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut lives = tokio::task::spawn_blocking(move || come_and_go(&path));
    let (mut seen, mut most) = (BTreeSet::new(), 0.0_f64);
    let took = loop {
        tokio::select! {
            took = &mut lives => break took.unwrap(),
            _ = look.tick() => {
                let found = series(&cluster).await;
                most = most.max(others(&found).unwrap());
                seen.extend(found.into_keys());
            }
        }
    };
    // Until the agent has seen that all of them are gone.
    let after = loop {
        look.tick().await;
        let found = series(&cluster).await;
        seen.extend(found.keys().cloned());
        if others(&found).unwrap() < most - AT_ONCE_MAX as f64 / 4.0 {
            break found;
        }
    };
    let is_new = |labels: &&BTreeMap<String, String>| !before.contains_key(*labels);
    // Programs of other tests begin and end meanwhile, too.
    let is_ours = |labels: &&BTreeMap<String, String>| {
        labels.get("groupname").is_none_or(|name| name.starts_with(PREFIX))
    };
    let (new, ours) =
        (seen.iter().filter(is_new).count(), seen.iter().filter(is_new).filter(is_ours).count());
    figure("processes.short_lives_s", took.as_secs_f64());
    figure("processes.new_series", new);
    figure("processes.new_series_of_short_lives", ours);
    figure("processes.series", after.len());
    assert!(took < Duration::from_secs(60), "{SHORT_LIVES} in {took:?}");
    assert!(most > others(&before).unwrap() + AT_ONCE_MAX as f64 / 2.0, "{most} at once were hardly seen");
    assert!(ours <= NEW_SERIES_MAX, "{:?}", seen.iter().filter(is_new).filter(is_ours).collect::<Vec<_>>());
}
