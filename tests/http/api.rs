//! What is found behind the door, of a node that is really there.

use crate::token;
use quorate_proto::v1;
use quorate_tests::cluster::Cluster;
use quorate_tests::http::{Answer, get, post};
use quorate_tests::programs;
use serde_json::Value;
use std::time::Duration;

/// Asks until the answer has something.
async fn until(address: &str, path: &str, token: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
    let asked = async {
        let mut period = tokio::time::interval(Duration::from_millis(100));
        loop {
            period.tick().await;
            let answer = get(address, path, token).await;
            if holds(&answer) {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asked)
        .await
        .unwrap_or_else(|_| panic!("{path} stays empty"))
}

#[tokio::test]
async fn every_api_tells_of_a_real_node() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let address = &cluster.doors.http;
    let token = token(&cluster, "tool", v1::Role::Operator).await.token;
    let found = |answer: &Answer| answer.json()["data"]["result"].as_array().is_some_and(|it| !it.is_empty());
    let path = "/api/v1/query?query=node_load1";
    let answer = until(address, path, &token, found).await.json();
    let labels = &answer["data"]["result"][0]["metric"];
    for (name, value) in [("__name__", "node_load1"), ("instance", "n1"), ("job", "quorate"), ("node", "n1")]
    {
        assert_eq!(labels[name], value, "{answer}");
    }
    let path = "/api/v1/query?query=sum(rate(node_cpu_seconds_total[10s]))";
    let answer = until(address, path, &token, found).await.json();
    let cores: f64 = answer["data"]["result"][0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!(cores > 0.0, "{answer}");
    let form = ("application/x-www-form-urlencoded", "query=1%2B1&time=4");
    let answer = post(address, "/prometheus/api/v1/query", &token, form).await;
    let expect = r#"{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}"#;
    assert_eq!(answer.body, expect);

    let text =
        until(address, "/metrics", &token, |answer| answer.body.contains("quorate_healthy_nodes")).await;
    assert!(text.body.contains("quorate_samples_stored_total"), "{}", text.body);
    let text = get(address, "/federate?match[]=node_load1", &token).await;
    assert!(text.body.contains("node_load1{"), "{text:?}");

    let health = until(address, "/health", &token, |answer| answer.status == 200).await.json();
    assert_eq!(health["cluster"]["default"]["healthy_nodes"], 1, "{health}");
    let nodes = get(address, "/api/v1/nodes", &token).await.json();
    assert!(nodes.to_string().contains("\"n1\""), "{nodes}");
    let known = |answer: &Answer| answer.status == 200 && answer.body.contains("cpu_usage_percent");
    until(address, "/api/v1/metrics/latest/n1", &token, known).await;
    let answer = post(address, "/api/v1/metrics/collect", &token, ("application/json", "")).await;
    assert_eq!(answer.status, 200, "{answer:?}");

    let document = get(address, "/api/openapi.json", &token).await.json();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    for path in paths.iter().filter(|path| !path.contains('{')) {
        let asked: &Value = &document["paths"][path.as_str()];
        if asked.get("get").is_some() {
            let answer = get(address, path, &token).await;
            assert!(matches!(answer.status, 200 | 400), "{path}: {answer:?}");
        }
    }
    let answer = get(address, "/api/v1/nothing", &token).await;
    assert_eq!((answer.status, &answer.json()["errorType"]), (404, &"not_found".into()));
}
