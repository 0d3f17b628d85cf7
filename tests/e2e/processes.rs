//! A program that burns a second of a processor is in the process table, with what it used, whenever it began.

use quorate_agent::sample::{Config, Round, Sampling, start};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::process::ProcessRow;
use quorate_common::model::time::BootTime;
use quorate_common::shutdown::Shutdown;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Burns one second, says so, and waits for the end of its input.
const BURN: &str = "$| = 1; 1 while (times)[0] + (times)[1] < 1; print qq(done\\n); <STDIN>";
const TRIALS: usize = 5;

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
