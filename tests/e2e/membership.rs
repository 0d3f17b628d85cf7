//! Who belongs is declared: revoked, forgotten and muted nodes are so at once.

use quorate_proto::v1;
use quorate_proto::v1::Liveness;
use quorate_tests::cluster::{Cluster, now};
use quorate_tests::figure::at_most;
use quorate_tests::programs;
use std::time::Duration;
use tonic::Code;

const PATIENCE: Duration = Duration::from_secs(15);

/// Asks again, ten times a second, until there is an answer. For what no stream tells.
pub async fn until<T>(what: &str, limit: Duration, ask: impl AsyncFn() -> Option<T>) -> T {
    let asked = async {
        let mut again = tokio::time::interval(Duration::from_millis(100));
        loop {
            again.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}

#[tokio::test]
async fn a_revoked_node_is_out_within_5_s_and_stays_out() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &["n1", "n2", "n3"]).await;
    let begin = now();
    let request = v1::RevokeNodeRequest { name: "n2".into(), reason: "test".into() };
    cluster.admin_service().revoke_node(request).await.unwrap();
    let ended = until("the session has ended", PATIENCE, async || {
        agents[1].log().contains("session ended").then_some(())
    });
    ended.await;
    at_most("revoke.session_ended_ms", &[now().since(begin)], Duration::from_secs(5));
    cluster.until_became("n2", Liveness::Down, begin, PATIENCE).await;
    let down = now();
    // Nor does a new start help.
    agents.remove(1).stop().await;
    let again = cluster.start_agent("n2");
    let record = cluster.recorder.observe(Duration::from_secs(6)).await;
    assert_eq!(record.became("n2", Liveness::Up, down), None, "{}", record.story());
    assert!(record.all(&["n1", "n3"], Liveness::Up), "{}", record.story());
    assert!(again.log().contains("revoked"), "it is told why: {}", again.log());
    let error = cluster.node_files("n2").open(&cluster.doors.grpc).await;
    if let Ok(channel) = error {
        let mut client = v1::cluster_service_client::ClusterServiceClient::new(channel);
        client.get_health(v1::GetHealthRequest::default()).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_forgotten_node_is_gone_with_its_data() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let begin = now();
    cluster.admin_service().forget_node(v1::ForgetNodeRequest { name: "n2".into() }).await.unwrap();
    let gone = |record: &quorate_tests::watch::Record| !record.nodes.contains_key("n2");
    cluster.until("n2 is no member", PATIENCE, gone).await;
    at_most("forget.told_ms", &[now().since(begin)], Duration::from_secs(2));
    let names: Vec<String> = cluster.list().await.into_iter().map(|node| node.name).collect();
    assert_eq!(names, ["n1"]);
    let error =
        cluster.cluster_service().get_node(v1::GetNodeRequest { name: "n2".into() }).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound, "{error}");
    let request = v1::QueryLatestRequest { selector: "node_load1".into(), limit: 0 };
    let answer = cluster.query_service().query_latest(request).await.unwrap().into_inner();
    assert!(
        answer.series.iter().all(|series| series.labels.iter().all(|label| label.value != "n2")),
        "{answer:?}"
    );
    let record = cluster.recorder.observe(Duration::from_secs(3)).await;
    assert!(gone(&record) && record.all(&["n1"], Liveness::Up), "{}", record.story());
    assert_eq!(record.clusters["default"].total_nodes, 1);
}

#[tokio::test]
async fn maintenance_is_a_flag_beside_what_is_measured() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let set = async |name: &str, maintenance: bool| {
        let request = v1::SetMaintenanceRequest { name: name.into(), maintenance, ..Default::default() };
        cluster.admin_service().set_maintenance(request).await
    };
    set("n1", true).await.unwrap();
    cluster
        .until("n1 is in maintenance", PATIENCE, |r| r.nodes["n1"].maintenance && !r.nodes["n2"].maintenance)
        .await;
    assert!(cluster.node("n1").await.node.unwrap().maintenance);
    agents[0].kill();
    cluster.until_all("is down", &["n1"], Liveness::Down, PATIENCE).await;
    assert!(cluster.recorder.record().nodes["n1"].maintenance);
    set("n1", false).await.unwrap();
    cluster.until("the flag is gone", PATIENCE, |record| !record.nodes["n1"].maintenance).await;
    assert_eq!(set("nobody", true).await.unwrap_err().code(), Code::NotFound);
}
