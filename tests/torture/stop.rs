//! Processes that stand still for a while: no sample twice, none missing that the aggregator slept through, and no
//! burst of what an agent slept through. Row 77 of the bad inputs.

use crate::fleet::{Fleet, Wrong};
use crate::verdict::{is_long, verdict};
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::time::Duration;

#[tokio::test]
async fn who_stands_still_loses_nothing_and_repeats_nothing() {
    let still = Duration::from_secs(if is_long() { 60 } else { 12 });
    let cluster = Cluster::start(programs!()).await;
    let mut fleet = Fleet::start(&cluster, (10, 50), 2).await;
    cluster.aggregator.freeze();
    tokio::time::sleep(still).await;
    cluster.aggregator.thaw();
    fleet.until_up(&cluster).await;
    fleet.agents[1].freeze();
    tokio::time::sleep(still).await;
    fleet.agents[1].thaw();
    let name = fleet.agents[1].name.clone();
    fleet.stood_still(&name);
    fleet.until_up(&cluster).await;
    fleet.until_durable(Duration::from_secs(30)).await;
    let wrong = fleet.judge(&cluster, &[0, 7, 49]).await;
    assert_eq!(wrong, Wrong::default());
    verdict(
        "P14",
        &[("stopped_s", &still.as_secs()), ("missing", &wrong.missing), ("duplicate", &wrong.duplicate)],
    );
}
