//! A node that is sampled slowly is sampled fast while somebody asks, and slowly again after.

use quorate_proto::v1::{Liveness, MemberRole, QueryRecentRequest, SetRateRequest};
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::process::Process;
use quorate_tests::programs;
use std::ffi::OsStr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Distances between the samples of a series that is in every frame, oldest first, in milliseconds.
async fn distances(cluster: &Cluster) -> Vec<i64> {
    let request = QueryRecentRequest { selector: "node_load1{node=\"n1\"}".into(), seconds: 300, limit: 1 };
    let answer = cluster.query_service().query_recent(request).await.unwrap().into_inner();
    let stamp = |sample: &quorate_proto::v1::Sample| {
        sample.timestamp.map(|at| at.seconds * 1000 + i64::from(at.nanos) / 1_000_000).unwrap()
    };
    let stamps: Vec<i64> = answer.series.iter().flat_map(|series| &series.samples).map(stamp).collect();
    stamps.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// Looks until the distances are as wanted. The newest value is there at every look.
async fn until(cluster: &Cluster, what: &str, holds: impl Fn(&[i64]) -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let looking = async {
        loop {
            look.tick().await;
            let request = quorate_proto::v1::QueryLatestRequest { selector: "node_load1".into(), limit: 0 };
            let newest = cluster.query_service().query_latest(request).await.unwrap().into_inner();
            assert!(newest.series.iter().any(|series| series.sample.is_some()), "{what}: no newest value");
            if holds(&distances(cluster).await) {
                return;
            }
        }
    };
    let done = tokio::time::timeout(PATIENCE, looking).await.is_ok();
    assert!(done, "{what}: {:?}", distances(cluster).await);
}

#[tokio::test]
async fn faster_on_demand_and_back() {
    let cluster = Cluster::start(programs!()).await;
    cluster.enrol("n1", MemberRole::Voter, "").await;
    let config = cluster.dir().join("slow.toml");
    std::fs::write(&config, "[sample]\ninterval_ms = 10000\n").unwrap();
    let dir = cluster.dir().join("agents/n1");
    let flags = ["run", "--stop-on-stdin-eof", "--config"].map(OsStr::new);
    let args = [&flags[..], &[config.as_os_str(), OsStr::new("--dir"), dir.as_os_str()]].concat();
    let _agent = Process::start(cluster.dir(), "n1", &programs!().agent, &args);
    cluster.until_all("up", &["n1"], Liveness::Up, UP_MAX).await;
    let since = now();

    let wrong = SetRateRequest { node: "n1".into(), interval_ms: 1, ..SetRateRequest::default() };
    let refused = cluster.admin_service().set_rate(wrong).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let gpu = SetRateRequest { node: "n1".into(), collector: "gpu".into(), ..SetRateRequest::default() };
    let refused = cluster.admin_service().set_rate(gpu).await.unwrap_err();
    assert!(refused.message().contains("no collector `gpu` runs here"), "{refused}");

    let rate =
        SetRateRequest { node: "n1".into(), interval_ms: 1000, seconds: 10, ..SetRateRequest::default() };
    cluster.admin_service().set_rate(rate).await.unwrap();
    let fast = |distance: &&i64| (500..=1500).contains(*distance);
    until(&cluster, "fast", |all| all.iter().filter(fast).count() >= 6).await;
    until(&cluster, "slow again", |all| {
        let last_fast = all.iter().rposition(|distance| distance <= &1500).unwrap_or(0);
        all[last_fast..].iter().filter(|distance| **distance >= 9000).count() >= 2
    })
    .await;
    // Going back to a longer interval was announced in time.
    let record = cluster.recorder.record();
    for lost in [Liveness::Suspect, Liveness::Down] {
        record.assert_never(lost, &["n1"], since);
    }
}
