//! Every change leaves a line: who, what, when. Done by the programs, read by `quorate audit`.

use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1;
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::create_token_request::Subject;
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use rustix::process::Signal;
use serde_json::Value;
use std::ffi::OsStr;
use std::time::Duration;
use tonic::{Code, Request};

const PATIENCE: Duration = Duration::from_secs(30);

/// What `quorate audit` says, oldest first, without times and numbers that nobody knows beforehand.
async fn told(cluster: &Cluster, args: &[&str]) -> Vec<String> {
    let ended = cluster.run_client(&[&["audit", "-n", "1000", "-o", "json"], args].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let now = SystemClock.now().wall.to_string();
    let mut lines = Vec::new();
    for line in json["lines"].as_array().unwrap().iter().rev() {
        let text = |field: &str| line[field].as_str().unwrap();
        assert!(text("at") > "2026" && text("at") <= now.as_str(), "{line}");
        let detail = text("detail").split([',', ':']).next().unwrap();
        let detail = detail.split(" 202").next().unwrap();
        lines.push(format!("{} {} {} {detail}", text("actor"), text("action"), text("subject")));
    }
    lines
}

/// Waits for a line with this action.
async fn until_told(cluster: &Cluster, action: &str) {
    let look = async {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            let request = v1::ListAuditRequest { action: action.into(), ..Default::default() };
            let lines = cluster.admin_service().list_audit(request).await.unwrap().into_inner().lines;
            if !lines.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no line of {action}"));
}

#[tokio::test]
async fn every_change_leaves_a_line() {
    let cluster = Cluster::start(programs!()).await;
    let client = async |args: &[&str]| {
        let ended = cluster.run_client(args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    };
    cluster.enrol("n1", v1::MemberRole::Voter, "").await;
    let node = v1::NodeDeclaration { name: "n2".into(), ..Default::default() };
    let unused = cluster.token(Subject::Node(node)).await.token_id;
    client(&["token", "revoke", &unused]).await;
    client(&["nodes", "maintenance", "n1", "on", "--reason", "disk", "--for", "1s"]).await;
    until_told(&cluster, "end_maintenance").await;
    client(&["nodes", "maintenance", "n1", "on"]).await;
    client(&["nodes", "maintenance", "n1", "off"]).await;
    let rate = v1::SetRateRequest { node: "n1".into(), interval_ms: 1000, seconds: 60, ..Default::default() };
    let away = cluster.admin_service().set_rate(rate).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "asked for, though nobody was there");
    client(&["nodes", "revoke", "n1", "--reason", "stolen", "--yes"]).await;
    let vera = cluster.person("vera", v1::Role::Viewer).await.open(&cluster.doors.grpc).await.unwrap();
    for _ in 0..3 {
        let request = Request::new(v1::ForgetNodeRequest { name: "n1".into() });
        let refused = AdminServiceClient::new(vera.clone()).forget_node(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    client(&["nodes", "forget", "n1", "-y"]).await;
    let expect = [
        "local init admin admin",
        "admin create_token n1 agent",
        "n1 enrol n1 agent",
        "admin create_token n2 agent",
        &format!("admin revoke_token {unused} "),
        "admin set_maintenance n1 on until",
        "aggregator end_maintenance n1 its time is over",
        "admin set_maintenance n1 on",
        "admin set_maintenance n1 off",
        "admin set_rate n1 all every 1000 ms for 60000 ms",
        "admin revoke_node n1 stolen",
        "admin create_token vera viewer",
        "vera enrol vera viewer",
        "vera refused /quorate.v1.AdminService/ForgetNode role viewer",
        "admin forget_node n1 ",
    ];
    assert_eq!(told(&cluster, &[]).await, expect);
    assert_eq!(told(&cluster, &["--actor", "vera"]).await, [expect[12], expect[13]]);
    assert_eq!(told(&cluster, &["--subject", "n1", "--action", "enrol"]).await, [expect[2]]);
    assert_eq!(told(&cluster, &["--since", "1h"]).await, expect);
    assert!(told(&cluster, &["--until", "1h"]).await.is_empty());

    // A restart tells what was only counted, and a recovery leaves a line of its own.
    let cluster = cluster.restart_aggregator().await;
    let counted = "vera refused /quorate.v1.AdminService/ForgetNode 2 times more within 10 min";
    assert_eq!(told(&cluster, &[]).await.last().unwrap(), counted);
    let state = cluster.dir().join("aggregator");
    let args = ["init", "--recover", "--dir"].map(OsStr::new);
    let args = [&args, &[state.as_os_str()][..]].concat();
    let program = programs!().aggregator;
    let ended = quorate_tests::process::Process::run(cluster.dir(), "recover", &program, &args).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    cluster.aggregator.signal(Signal::HUP);
    let again = cluster.restart_aggregator().await;
    // The reload may have left a line of its own, if it came before the end.
    assert_eq!(told(&again, &["--action", "recover"]).await, ["local recover admin admin"]);
}

#[tokio::test]
async fn a_stolen_token_is_told() {
    let cluster = Cluster::start(programs!()).await;
    let node = v1::NodeDeclaration { name: "n1".into(), ..Default::default() };
    let token = cluster.token(Subject::Node(node)).await.token;
    quorate_tests::door::enrol_person(&token, &cluster.dir().join("first")).await;
    let dir = cluster.dir().join("thief");
    let args = ["enroll", "--token", &token, "--dir"].map(OsStr::new);
    let thief = cluster.run_agent("thief", &[&args, &[dir.as_os_str()][..]].concat()).await;
    assert_ne!(thief.code, Some(0));
    let lines = told(&cluster, &["--action", "refused"]).await;
    assert_eq!(lines, ["127.0.0.1 refused n1 enrolment"]);
}

#[tokio::test]
async fn only_admins_read_it_and_nobody_changes_it() {
    let cluster = Cluster::start(programs!()).await;
    let otto = cluster.person("otto", v1::Role::Operator).await.open(&cluster.doors.grpc).await.unwrap();
    let refused =
        AdminServiceClient::new(otto).list_audit(v1::ListAuditRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let methods = crate::rows::ROWS.iter().map(|row| row.path).filter(|path| path.contains("Audit"));
    assert_eq!(methods.collect::<Vec<_>>(), ["/quorate.v1.AdminService/ListAudit"]);
}
