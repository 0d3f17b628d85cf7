//! The directory of history goes while the aggregator runs: it says so, goes on judging, and what the agents still
//! hold is there once it was started again. Row 73 of the bad inputs.

use quorate_proto::v1::Liveness;
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::programs;
use std::time::Duration;

#[tokio::test]
async fn history_that_is_removed_is_told_and_costs_no_verdict() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let history = cluster.dir().join("aggregator/history");
    std::fs::remove_dir_all(&history).unwrap();
    let said = async {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        while !cluster.aggregator.log().contains("frames do not become durable") {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), said).await.expect("it says that nothing can be written");
    let begin = now();
    agents[1].freeze();
    cluster.until_became("n2", Liveness::Down, begin, Duration::from_secs(10)).await;
    agents[1].thaw();
    cluster.until_all("is up", &["n2"], Liveness::Up, UP_MAX).await;
    let cluster = cluster.restart_aggregator().await;
    cluster.until_all("are up", &["n1", "n2"], Liveness::Up, UP_MAX).await;
    let stored = async {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        while cluster.node("n1").await.delivery.is_none_or(|delivery| delivery.stored == 0) {
            look.tick().await;
        }
    };
    tokio::time::timeout(UP_MAX, stored).await.expect("it stores again");
    assert!(history.is_dir());
}
