//! The client's program against a cluster that is well, and against one that is not.

use quorate_proto::v1::{Liveness, QuorumStatus};
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::process::Process;
use quorate_tests::programs;
use serde_json::Value;
use std::ffi::OsStr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(15);

/// The answer in JSON, as a program reads it.
async fn json(cluster: &Cluster, args: &[&str]) -> Value {
    let ended = cluster.run_client(&[args, &["-o", "json"]].concat()).await;
    assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {}", ended.stdout))
}

#[tokio::test]
async fn it_shows_what_the_aggregator_says() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2", "n3"]).await;
    cluster.until("quorum is available", PATIENCE, |r| r.quorum() == QuorumStatus::Available).await;
    for (args, expect) in [
        (&["status"][..], "3 of 3 votes, 2 needed, margin 1"),
        (&["nodes"], "n2"),
        (&["node", "n1"], "samples"),
        (&["query", "latest", "node_load1"], "node=\"n3\""),
        (&["query", "recent", "node_load1{node=\"n1\"}"], "node=\"n1\""),
        (&["ps", "n1"], "PID"),
        (&["token", "list"], "used"),
    ] {
        let ended = cluster.run_client(args).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        assert!(ended.stdout.contains(expect), "{args:?}: {}", ended.stdout);
        assert!(!ended.stdout.contains('\x1b') && ended.stderr.is_empty(), "{args:?}: {ended:?}");
    }
    let coloured = cluster.run_client(&["status", "--color", "always"]).await;
    assert!(coloured.stdout.contains('\x1b'), "{coloured:?}");
}

#[tokio::test]
async fn json_is_for_programs() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    assert_eq!(json(&cluster, &["status"]).await["clusters"][0]["total_nodes"], 1);
    assert_eq!(json(&cluster, &["nodes"]).await["nodes"][0]["liveness"], "up");
    let node = json(&cluster, &["node", "n1"]).await;
    assert_eq!(node["node"]["name"], "n1");
    assert!(node["delivery"]["stored"].as_u64().unwrap() <= node["delivery"]["collected"].as_u64().unwrap());
    let load = json(&cluster, &["query", "latest", "node_load1"]).await;
    assert_eq!(load["series"][0]["labels"]["node"], "n1");
    let rows = json(&cluster, &["ps", "n1"]).await;
    let own = rows["processes"].as_array().unwrap().iter().find(|row| row["pid"] == std::process::id());
    assert!(own.is_some(), "{rows}");
    let token = json(&cluster, &["token", "create", "--node", "n9", "--zone", "rack-b"]).await;
    assert!(token["token"].as_str().unwrap().starts_with("q1."), "{token}");
    let listed = json(&cluster, &["token", "list"]).await;
    let unused =
        listed["tokens"].as_array().unwrap().iter().find(|token| token["state"] == "unused").unwrap();
    assert_eq!(unused["subject"], "n9");
}

#[tokio::test]
async fn csv_and_yaml_are_for_everybody_else() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let said = async |args: &[&str]| {
        let ended = cluster.run_client(args).await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{args:?}");
        ended.stdout
    };
    let nodes = said(&["nodes", "-o", "csv"]).await;
    let lines: Vec<&str> = nodes.lines().collect();
    assert!(lines.len() == 3 && lines[0].starts_with("name,cluster,role,"), "{nodes}");
    assert!(lines[1].starts_with("n1,default,voter,") && lines[2].starts_with("n2,"), "{nodes}");
    let recorder = &["query", "recorder", "n1", "node_load1", "--last", "1m"][..];
    let samples = said(&[recorder, &["-o", "csv"]].concat()).await;
    let mut lines = samples.lines();
    assert_eq!(lines.next(), Some("labels.__name__,timestamp,value"));
    let first = lines.next().expect("it has been sampled");
    assert!(first.starts_with("node_load1,20"), "{samples}");
    assert!(said(recorder).await.starts_with("node_load1\n  20"));
    let status = said(&["status", "-o", "yaml"]).await;
    assert!(status.starts_with("clusters:\n  - cluster: default\n    status: "), "{status}");
    let watch = cluster.run_client(&["watch", "-o", "csv"]).await;
    let refused = "quorate: a watch is written as table or json\n";
    assert_eq!((watch.code, watch.stderr.as_str()), (Some(1), refused));
    let forget = cluster.run_client(&["nodes", "forget", "n2"]).await;
    assert_eq!(forget.code, Some(2), "nobody can be asked: {}", forget.stderr);
    assert_eq!(said(&["nodes", "-o", "csv"]).await.lines().count(), 3, "and nothing was done");
}

#[tokio::test]
async fn exit_codes_are_for_scripts() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &["n1", "n2", "n3"]).await;
    cluster.until("quorum is available", UP_MAX, |r| r.quorum() == QuorumStatus::Available).await;
    let code = async |args: &[&str]| cluster.run_client(args).await.code;
    assert_eq!(code(&["status", "--exit-code"]).await, Some(0));
    assert_eq!(code(&["nope"]).await, Some(2));
    assert_eq!(code(&["node", "n9"]).await, Some(1));
    agents[0].kill();
    cluster.until_all("is down", &["n1"], Liveness::Down, PATIENCE).await;
    assert_eq!(code(&["status", "--exit-code"]).await, Some(1));
    agents[1].kill();
    cluster.until("quorum is lost", PATIENCE, |r| r.quorum() == QuorumStatus::Lost).await;
    assert_eq!(code(&["status", "--exit-code"]).await, Some(2));
    assert_eq!(code(&["status"]).await, Some(0));
}

#[tokio::test]
async fn it_says_in_one_line_that_nobody_answers() {
    let cluster = Cluster::start(programs!()).await;
    // Bound and let go: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let files = cluster.admin();
    let args =
        [OsStr::new("status"), "--address".as_ref(), closed.as_ref(), "--ca".as_ref(), files.ca.as_ref()];
    let own = [OsStr::new("--cert"), files.cert.as_ref(), "--key".as_ref(), files.key.as_ref()];
    let ended =
        Process::run(cluster.dir(), "away", &programs!().client, &[&args[..], &own[..]].concat()).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert_eq!(ended.stderr, format!("quorate: failed to connect to {closed}: connection refused\n"));
}
