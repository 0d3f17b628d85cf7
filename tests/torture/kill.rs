//! The kill loop: aggregator, agents, or both, without warning, whatever they are doing.

use crate::fleet::{Fleet, Wrong};
use crate::verdict::{is_long, verdict};
use quorate_common::rng::{Rng, SeededRng};
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::time::Duration;

const SEED: u64 = 9;
const REAL: usize = 2;
/// What runs undisturbed between two kills.
const LEAST: Duration = Duration::from_millis(50);
const MOST: Duration = Duration::from_millis(1_450);

/// Whom a kill hits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Victim {
    Aggregator,
    Agent,
    Both,
}

const VICTIMS: [Victim; 3] = [Victim::Aggregator, Victim::Agent, Victim::Both];

#[tokio::test]
async fn kills_lose_nothing_and_leave_nothing_twice() {
    let (kills, slots) = if is_long() { (100, 10) } else { (6, 25) };
    let mut rng = SeededRng::new(SEED);
    let mut cluster = Cluster::start(programs!()).await;
    let mut fleet = Fleet::start(&cluster, (50, 100), REAL).await;
    for kill in 0..kills {
        tokio::time::sleep(rng.jitter(LEAST, MOST)).await;
        // Each kind comes even in a short run.
        let victim = VICTIMS[(kill + rng.below(2) as usize) % VICTIMS.len()];
        if victim != Victim::Agent {
            cluster.aggregator.kill();
        }
        if victim != Victim::Aggregator {
            fleet.kill_agent(&cluster, rng.below(REAL as u64) as usize).await;
        }
        if victim != Victim::Agent {
            cluster = cluster.revive_aggregator().await;
        }
    }
    fleet.until_up(&cluster).await;
    fleet.until_durable(Duration::from_secs(30)).await;
    let slots: Vec<usize> = (0..100).step_by(slots).collect();
    let wrong = fleet.judge(&cluster, &slots).await;
    assert_eq!(wrong, Wrong::default(), "seed {SEED}");
    verdict("P1", &[("kills", &kills), ("missing", &wrong.missing), ("duplicate", &wrong.duplicate)]);
    verdict("P2", &[("kills", &kills), ("duplicate", &wrong.duplicate)]);
}
