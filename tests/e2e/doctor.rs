//! Both doctors on a cluster that is well, and on one whose aggregator is gone.

use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use serde_json::Value;
use std::ffi::OsStr;

/// The level of one check, and the exit code.
fn level<'a>(report: &'a Value, ends_with: &str) -> &'a str {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|one| one["check"].as_str().unwrap().ends_with(ends_with));
    found.unwrap_or_else(|| panic!("no {ends_with}: {report}"))["level"].as_str().unwrap()
}

async fn of_agent(cluster: &Cluster, name: &str) -> (Option<i32>, Value) {
    let dir = cluster.dir().join("agents").join(name);
    let args = [OsStr::new("doctor"), OsStr::new("--json"), OsStr::new("--dir"), dir.as_os_str()];
    let ended = cluster.run_agent(&format!("doctor-{name}"), &args).await;
    (ended.code, serde_json::from_str(&ended.stdout).unwrap())
}

#[tokio::test]
async fn they_find_nothing_wrong_and_then_what_is() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let (code, report) = of_agent(&cluster, "n1").await;
    // Where tests run is not known: a container is a warning.
    assert!(matches!(code, Some(0 | 1)), "{report}");
    for check in ["configuration", "state directory", "root", " tcp", " tls", " certificate", " clock"] {
        assert_eq!(level(&report, check), "ok", "{check}: {report}");
    }
    let ended = cluster.run_client(&["doctor", "-o", "json"]).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    for check in ["credential", " tls", " certificate", "api, list nodes", "api, administer"] {
        assert_eq!(level(&report, check), "ok", "{check}: {report}");
    }
    assert!(matches!(level(&report, "node n1"), "ok" | "warning"), "{report}");
    cluster
        .until_all("still up", &["n1"], quorate_proto::v1::Liveness::Up, std::time::Duration::from_secs(5))
        .await;

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let hosts = cluster.dir().join("agents/n1/aggregators");
    std::fs::write(hosts, format!("{nobody}\n")).unwrap();
    let (code, report) = of_agent(&cluster, "n1").await;
    assert_eq!((code, level(&report, " tcp")), (Some(2), "failed"));
}
