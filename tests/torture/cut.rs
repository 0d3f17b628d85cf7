//! Power cuts of the aggregator's disk, one after another: what was acknowledged as durable is there after each.

use crate::fleet::{Fleet, Wrong};
use crate::verdict::{is_long, verdict};
use crate::volume::Volume;
use quorate_common::rng::{Rng, SeededRng};
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::time::Duration;

const SEED: u64 = 11;

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test that skips itself says so")]
async fn what_is_acknowledged_is_there_after_a_power_cut() {
    let mut volume = match Volume::ext4() {
        Ok(volume) => volume,
        Err(error) => {
            println!("SKIPPED what_is_acknowledged_is_there_after_a_power_cut: {error}");
            return;
        }
    };
    let cuts = if is_long() { 20 } else { 2 };
    let mut rng = SeededRng::new(SEED);
    let mut cluster = Cluster::start_in(programs!(), &volume.state()).await;
    let fleet = Fleet::start(&cluster, (20, 50), 1).await;
    let mut acknowledged = 0;
    for cut in 0..cuts {
        tokio::time::sleep(rng.jitter(Duration::from_millis(1_000), Duration::from_millis(2_000))).await;
        acknowledged = fleet.durable().max(acknowledged);
        volume.cut();
        // It may notice, and must not acknowledge what never reached the disk.
        tokio::time::sleep(rng.jitter(Duration::ZERO, Duration::from_millis(1_500))).await;
        cluster.aggregator.kill();
        cluster.aggregator.ended().await;
        volume.restore();
        cluster = cluster.revive_aggregator().await;
        fleet.until_up(&cluster).await;
        assert_eq!(fleet.forgotten(), 0, "cut {cut}, seed {SEED}: acknowledged, and not there");
    }
    assert!(acknowledged > 0, "nothing was acknowledged");
    fleet.until_durable(Duration::from_secs(30)).await;
    let wrong = fleet.judge(&cluster, &(0..50).step_by(10).collect::<Vec<_>>()).await;
    assert_eq!(wrong, Wrong::default(), "seed {SEED}");
    let Wrong { missing, duplicate, .. } = &wrong;
    verdict("P1", &[("cuts", &cuts), ("missing", missing), ("duplicate", duplicate)]);
}
