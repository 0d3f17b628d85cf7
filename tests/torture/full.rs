//! A full disk below the aggregator: it says so, goes on judging, keeps what it had, and takes all of it once there is
//! room. Rows 73 of the bad inputs.

use crate::fleet::{Fleet, Wrong};
use crate::verdict::{is_long, verdict};
use crate::volume::Volume;
use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1::create_token_request::Subject;
use quorate_proto::v1::{Liveness, MemberRole, NodeDeclaration};
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::figure::at_most;
use quorate_tests::programs;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const SAID_MAX: Duration = Duration::from_secs(10);
const RECOVERED_MAX: Duration = Duration::from_secs(30);
const SAYS: &str = "frames do not become durable";
const SAYS_AGAIN: &str = "frames become durable again";

#[tokio::test]
async fn a_full_disk_costs_nothing_once_there_is_room() {
    full("a_full_disk_costs_nothing_once_there_is_room", "size=64m,mode=700", fill_bytes).await;
}

#[allow(clippy::print_stdout, reason = "a test that skips itself says so")]
async fn full(test: &str, options: &str, fill: fn(&Path)) {
    let volume = match Volume::tmpfs(options) {
        Ok(volume) => volume,
        Err(error) => return println!("SKIPPED {test}: {error}"),
    };
    let mut cluster = Cluster::start_in(programs!(), &volume.state()).await;
    let mut fleet = Fleet::start(&cluster, (20, 100), 2).await;
    let later = NodeDeclaration {
        name: "later".into(),
        role: MemberRole::Observer.into(),
        ..NodeDeclaration::default()
    };
    let token = cluster.token(Subject::Node(later)).await.token;
    fleet.until_durable(RECOVERED_MAX).await;

    let filler = volume.place().join("filler");
    std::fs::create_dir(&filler).unwrap();
    fill(&filler);
    said(&cluster, SAYS).await;
    judges(&cluster, &mut fleet).await;
    // It can be started, too.
    cluster.aggregator.kill();
    cluster = cluster.revive_aggregator().await;
    fleet.until_up(&cluster).await;
    tokio::time::sleep(Duration::from_secs(if is_long() { 60 } else { 5 })).await;

    std::fs::remove_dir_all(&filler).unwrap();
    let begin = SystemClock.now().boot;
    fleet.until_durable(RECOVERED_MAX).await;
    let took = SystemClock.now().boot.since(begin);
    at_most("full_disk.recovered_ms", &[took], RECOVERED_MAX);
    said(&cluster, SAYS_AGAIN).await;
    enrols(&cluster, &token).await;
    assert_eq!(cluster.list().await.len(), 23, "nobody was forgotten");
    let wrong = fleet.judge(&cluster, &(0..100).step_by(20).collect::<Vec<_>>()).await;
    assert_eq!(wrong, Wrong::default());
    verdict("P13", &[("full", &1), ("recovered_ms", &took.as_millis()), ("missing", &wrong.missing)]);
}

/// The log says what is wrong in time.
async fn said(cluster: &Cluster, what: &str) {
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let said = async {
        while !cluster.aggregator.log().contains(what) {
            look.tick().await;
        }
    };
    tokio::time::timeout(SAID_MAX, said).await.expect("it says that its disk is full");
}

/// A node that falls silent is down, and up again when it is back.
async fn judges(cluster: &Cluster, fleet: &mut Fleet) {
    let begin = now();
    fleet.agents[1].freeze();
    cluster.until_became("real-1", Liveness::Down, begin, Duration::from_secs(10)).await;
    fleet.agents[1].thaw();
    cluster.until_all("is up", &["real-1"], Liveness::Up, UP_MAX).await;
    let gone = fleet.agents[1].name.clone();
    fleet.stood_still(&gone);
}

/// The token of before is good.
async fn enrols(cluster: &Cluster, token: &str) {
    let dir = cluster.agent_dir("later");
    let args = ["enroll", "--token", token, "--dir"].map(OsStr::new);
    let ended = cluster.run_agent("enroll-later", &[&args, &[dir.as_os_str()][..]].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // It is known after the next sweep.
    cluster.until("`later` is known", UP_MAX, |record| record.nodes.contains_key("later")).await;
}

fn fill_bytes(filler: &Path) {
    let mut file = File::create(filler.join("bytes")).unwrap();
    for bytes in [1 << 20, 4_096, 1] {
        while file.write_all(&vec![b'x'; bytes]).is_ok() {}
    }
}
