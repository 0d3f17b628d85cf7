//! A watcher is told what it asked for, and only when something changed.

use quorate_proto::v1;
use quorate_proto::v1::Liveness;
use quorate_proto::v1::watch_response::Event;
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::programs;
use std::time::Duration;

#[tokio::test]
async fn a_watcher_of_one_cluster_hears_of_no_other_and_nothing_when_nothing_changes() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    cluster
        .enrol_as(v1::NodeDeclaration { name: "m1".into(), cluster: "other".into(), ..Default::default() })
        .await;
    let other = cluster.start_agent("m1");
    cluster.until_all("are up", &["n1", "m1"], Liveness::Up, UP_MAX).await;
    let request = v1::WatchRequest { cluster: "default".into() };
    let mut stream = cluster.cluster_service().watch(request).await.unwrap().into_inner();
    let Some(Event::Full(full)) = stream.message().await.unwrap().unwrap().event else {
        panic!("no full state")
    };
    assert_eq!(full.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["n1"]);
    assert_eq!(full.clusters.iter().map(|cluster| cluster.cluster.as_str()).collect::<Vec<_>>(), ["default"]);
    other.kill();
    cluster.until_all("is down", &["m1"], Liveness::Down, UP_MAX).await;
    let more = tokio::time::timeout(Duration::from_secs(3), stream.message()).await;
    assert!(more.is_err(), "told of another cluster: {more:?}");
    let maintenance =
        v1::SetMaintenanceRequest { name: "n1".into(), maintenance: true, ..Default::default() };
    cluster.admin_service().set_maintenance(maintenance).await.unwrap();
    let told =
        tokio::time::timeout(Duration::from_secs(3), stream.message()).await.expect("it is still told");
    let Some(Event::Changes(changes)) = told.unwrap().unwrap().event else { panic!("no changes") };
    assert!(changes.nodes.iter().any(|node| node.name == "n1" && node.maintenance), "{changes:?}");
    let unknown =
        cluster.cluster_service().watch(v1::WatchRequest { cluster: "nope".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}
