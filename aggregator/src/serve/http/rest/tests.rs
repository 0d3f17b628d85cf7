use super::*;
use crate::agents::gap::Gaps;
use crate::store::embedded::Embedded;
use axum::body::Body;
use http_body_util::BodyExt;
use quorate_common::model::cluster::NodeVerdict;
use quorate_common::model::node::{Health, HostFacts, Liveness, Member, MemberRole, NodeId};
use quorate_common::model::time::{Now, WallTime};
use serde_json::Value;
use tower::ServiceExt;

const AT: WallTime = WallTime(1_795_201_565_000_000_000);

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Now {
        Now { boot: BootTime(9_000_000_000), wall: AT }
    }
}

fn node(name: &str, hostname: &str) -> NodeVerdict {
    let member = Member {
        id: NodeId(1),
        name: name.parse().unwrap(),
        cluster: "main".into(),
        role: MemberRole::Voter,
        zone: None,
        weight: 1,
        maintenance: None,
        barred: None,
    };
    let facts = HostFacts { hostname: hostname.into(), ..HostFacts::default() };
    NodeVerdict {
        member,
        liveness: Liveness::Up,
        health: Health::Healthy,
        reasons: Vec::new(),
        since: AT,
        last_heard: Some(AT),
        flapping: false,
        facts: Some(Arc::new(facts)),
    }
}

struct Rig {
    rest: Rest,
    snapshots: watch::Sender<Arc<Snapshot>>,
    commits: watch::Sender<Commits>,
}

fn rig() -> Rig {
    let nodes = vec![node("a", "alone"), node("b", "twin"), node("c", "twin")];
    let snapshot = Snapshot { revision: 1, at: AT, nodes, ..Snapshot::empty() };
    let (snapshots, watched) = watch::channel(Arc::new(snapshot));
    let (commits, committed) = watch::channel(Commits::default());
    let store = Arc::new(Embedded::default());
    let (agents, task) = Agents::new(store.clone(), Gaps::default());
    drop(tokio::spawn(task));
    let rest = Rest {
        snapshots: watched,
        live: Arc::new(Live::default()),
        store,
        commits: committed,
        agents,
        clock: Arc::new(Stopped),
        started: BootTime(0),
        slots: Slots::default(),
    };
    Rig { rest, snapshots, commits }
}

async fn call(rest: &Rest, method: &str, path: &str) -> (u16, http::HeaderMap, Value) {
    let request = http::Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = close(rest.clone().router()).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    (parts.status.as_u16(), parts.headers, json)
}

#[tokio::test]
async fn every_path_is_in_the_document_and_no_other() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut told: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        told.extend(methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
    }
    let mut routed: Vec<_> =
        routes().paths().iter().map(|(m, p)| ((*m).to_owned(), (*p).to_owned())).collect();
    told.sort();
    routed.sort();
    assert_eq!(told, routed);
}

#[tokio::test]
async fn health_is_by_its_own_status_only() {
    let rig = rig();
    let (status, _, body) = call(&rig.rest, "GET", "/health").await;
    assert_eq!((status, &body["status"], &body["uptime_seconds"]), (200, &"healthy".into(), &9.0.into()));
    assert!(body["services"].is_object() && body["cluster"].is_object());
    rig.commits.send_modify(|commits| commits.is_failing = true);
    let (status, _, body) = call(&rig.rest, "GET", "/status").await;
    assert_eq!((status, &body["status"]), (503, &"unhealthy".into()));
    assert!(body["system"]["kernel"].is_string());
    rig.commits.send_modify(|commits| commits.is_failing = false);
    rig.snapshots
        .send_modify(|it| *it = Arc::new(Snapshot { at: WallTime(AT.0 - 6_000_000_000), ..(**it).clone() }));
    assert_eq!(call(&rig.rest, "GET", "/health").await.0, 503, "nobody judges");
}

#[tokio::test]
async fn a_hostname_is_a_name_or_one_that_a_node_alone_has() {
    let rig = rig();
    for (name, expect) in
        [("a", 200), ("alone", 200), ("b", 200), ("twin", 409), ("gone", 404), ("%2e%2e", 404)]
    {
        for path in ["/api/v1/nodes/", "/api/v1/metrics/latest/"] {
            let (status, _, body) = call(&rig.rest, "GET", &format!("{path}{name}")).await;
            assert_eq!(status, expect, "{path}{name}: {body}");
        }
    }
    let (_, _, body) = call(&rig.rest, "GET", "/api/v1/nodes/twin").await;
    assert_eq!(body["error"], "hostname `twin` is that of nodes b, c");
}

#[tokio::test]
async fn what_is_not_known_is_absent() {
    let rig = rig();
    let (_, _, body) = call(&rig.rest, "GET", "/api/v1/system/overview").await;
    assert_eq!(body["data"]["nodes"]["total"], 3);
    assert_eq!(body["data"]["systems"][0]["hostname"], "alone");
    assert!(body["data"]["systems"][0].get("cpu_usage_percent").is_none());
    let (_, _, body) = call(&rig.rest, "GET", "/api/v1/dashboard/metrics/summary").await;
    assert_eq!(body["data"], serde_json::json!([]));
    let (_, _, body) = call(&rig.rest, "GET", "/api/v1/metrics/system").await;
    assert_eq!(body["data"], serde_json::json!([]));
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let rig = rig();
    for (path, field) in [
        ("/api/v1/nodes?limit=0", "limit"),
        ("/api/v1/nodes?limit=10001", "limit"),
        ("/api/v1/nodes?limit=-1", "limit"),
        ("/api/v1/nodes?limit=99999999999999999999", "limit"),
        ("/api/v1/nodes?limit=", "limit"),
        ("/api/v1/nodes?limit=1&limit=2", "limit"),
        ("/api/v1/nodes?lim%C3%AFt=1", "limït"),
        ("/api/v1/nodes?cluster=%ff", "cluster"),
        ("/api/v1/nodes/%ff", "node"),
        ("/api/v1/metrics/system?metric_type=cpu", "metric_type"),
        ("/api/v1/metrics/system?from=NaN", "from"),
        ("/api/v1/metrics/system?from=2&to=1", "from"),
        ("/api/v1/metrics/system?to=1e300", "to"),
        ("/health?x=1", "x"),
    ] {
        let (status, _, body) = call(&rig.rest, "GET", path).await;
        assert_eq!((status, &body["errorType"]), (400, &"bad_data".into()), "{path}: {body}");
        assert!(body["error"].as_str().unwrap().contains(field), "{path}: {body}");
    }
}

#[tokio::test]
async fn wrong_paths_and_methods_are_told_in_the_envelope() {
    let rig = rig();
    let (status, _, body) = call(&rig.rest, "GET", "/api/v1/nothing").await;
    assert_eq!((status, &body["errorType"]), (404, &"not_found".into()));
    let (status, headers, body) = call(&rig.rest, "DELETE", "/api/v1/nodes").await;
    assert_eq!(
        (status, &body["status"], &headers["allow"]),
        (405, &"error".into(), &"GET,HEAD".parse().unwrap())
    );
    let (status, headers, _) = call(&rig.rest, "OPTIONS", "/api/v1/metrics/collect").await;
    assert_eq!((status, &headers["allow"]), (204, &"POST".parse().unwrap()));
    let (status, _, body) = call(&rig.rest, "HEAD", "/health").await;
    assert_eq!((status, body), (200, Value::Null));
}

#[tokio::test]
async fn who_cannot_be_asked_is_named() {
    let rig = rig();
    let (status, _, body) = call(&rig.rest, "POST", "/api/v1/metrics/collect").await;
    assert_eq!((status, &body["data"]["failed"]), (200, &serde_json::json!(["a", "b", "c"])));
    assert_eq!(body["warnings"].as_array().unwrap().len(), 3);
    for (method, path) in [("POST", "/api/v1/metrics/collect"), ("GET", "/api/v1/metrics/processes")] {
        let (status, _, body) = call(&rig.rest, method, &format!("{path}?hostname=alone")).await;
        assert_eq!((status, &body["error"]), (503, &"node `a` has no session".into()));
    }
}
