//! A disk that does not answer: whoever writes waits, and nobody else does. Afterwards nothing is missing.

use crate::fleet::{Fleet, Wrong};
use crate::verdict::{is_long, verdict};
use crate::volume::Volume;
use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1::Liveness;
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::programs;
use std::time::Duration;

/// A question that memory can answer is answered by then.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test that skips itself says so")]
async fn a_disk_that_hangs_holds_up_nobody_but_its_writer() {
    let volume = match Volume::ext4() {
        Ok(volume) => volume,
        Err(error) => return println!("SKIPPED a_disk_that_hangs_holds_up_nobody_but_its_writer: {error}"),
    };
    let cluster = Cluster::start_in(programs!(), &volume.state()).await;
    let mut fleet = Fleet::start(&cluster, (10, 50), 2).await;
    fleet.until_durable(UP_MAX).await;

    volume.freeze();
    let begin = now();
    fleet.agents[1].freeze();
    cluster.until_became("real-1", Liveness::Down, begin, Duration::from_secs(10)).await;
    fleet.agents[1].thaw();
    cluster.until_all("is up", &["real-1"], Liveness::Up, UP_MAX).await;
    fleet.stood_still("real-1");
    for _ in 0..if is_long() { 30 } else { 5 } {
        let asked = SystemClock.now().boot;
        cluster.node("swarm-00").await;
        let took = SystemClock.now().boot.since(asked);
        assert!(took < ANSWER_MAX, "an answer from memory took {took:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    volume.thaw();

    let took = fleet.until_durable(Duration::from_secs(30)).await;
    fleet.until_up(&cluster).await;
    let wrong = fleet.judge(&cluster, &[0, 7, 49]).await;
    assert_eq!(wrong, Wrong::default());
    verdict("P13", &[("hung", &1), ("recovered_ms", &took.as_millis()), ("missing", &wrong.missing)]);
}
