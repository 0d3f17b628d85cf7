//! The tools themselves, from Debian's packages, with a token as their password.

use crate::token;
use quorate_proto::v1;
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::time::Duration;
use tokio::process::Command;

/// What promtool prints.
async fn promtool(args: &[&str]) -> (bool, String) {
    let output = Command::new("promtool").args(args).output().await.expect("package prometheus");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn promtool_asks_with_the_token_as_password() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let viewer = token(&cluster, "promtool", v1::Role::Viewer).await.token;
    let url = format!("http://any:{viewer}@{}", cluster.doors.http);
    let found = async {
        let mut period = tokio::time::interval(Duration::from_millis(200));
        loop {
            period.tick().await;
            let (is_done, said) = promtool(&["query", "instant", &url, "node_load1"]).await;
            assert!(is_done, "{said}");
            if said.contains("node_load1{") {
                return said;
            }
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(20), found).await.expect("a sample");
    assert!(said.contains(r#"node="n1""#), "{said}");
    for args in [
        vec!["query", "range", &url, "sum by (node) (node_load1)"],
        vec!["query", "series", "--match=node_load1", &url],
        vec!["query", "labels", &url, "node"],
    ] {
        let (is_done, said) = promtool(&args).await;
        assert!(is_done && !said.trim().is_empty(), "{args:?}: {said}");
    }
    let (is_done, said) = promtool(&["query", "instant", &url, "rate(node_load1)"]).await;
    assert!(!is_done && said.contains("bad_data"), "{said}");
    let wrong = format!("http://any:qrt_wrong@{}", cluster.doors.http);
    let (is_done, said) = promtool(&["query", "instant", &wrong, "1"]).await;
    assert!(!is_done, "{said}");
}
