//! `quorate demo`: a whole cluster with one command, and nothing left of it.

use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::{GetHealthRequest, Health};
use quorate_tests::cluster::{UP_MAX, now};
use quorate_tests::door::Files;
use quorate_tests::figure::figure;
use quorate_tests::process::Process;
use quorate_tests::programs;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The first line of a file, once it is whole.
async fn first_line(path: &Path) -> Value {
    let written = crate::membership::until("the ready line", UP_MAX, async || {
        let text = std::fs::read_to_string(path).ok()?;
        text.split_once('\n').map(|(line, _)| serde_json::from_str(line).unwrap())
    });
    written.await
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn is_alive(pid: &Value) -> bool {
    let pid = Pid::from_raw(i32::try_from(pid.as_i64().unwrap()).unwrap()).unwrap();
    test_kill_process(pid).is_ok()
}

#[tokio::test]
async fn a_demo_comes_up_is_open_to_all_tools_and_leaves_nothing() {
    let (dir, programs) = (tempfile::tempdir().unwrap(), programs!());
    let work = dir.path().join("work");
    let flags = ["demo", "--for", "8s", "--json", "--agents", "3", "--agent-program"].map(OsStr::new);
    let files =
        [programs.agent.as_os_str(), "--aggregator-program".as_ref(), programs.aggregator.as_os_str()];
    let args = [&flags[..], &files[..], &["--dir".as_ref(), work.as_os_str()]].concat();
    let begin = now();
    let mut demo = Process::start(dir.path(), "demo", &programs.client, &args);
    let ready = first_line(&dir.path().join("demo.out")).await;
    figure("demo.ready_ms", now().since(begin).as_millis());
    assert_eq!(keys(&ready), ["agents", "aggregator", "enrol", "event", "grpc", "http"]);
    assert_eq!((&ready["event"], keys(&ready["http"])), (&json!("ready"), vec!["token", "url"]));
    assert_eq!(keys(&ready["grpc"]), ["address", "ca", "cert", "key"]);
    assert_eq!((keys(&ready["enrol"]), keys(&ready["aggregator"])), (vec!["address"], vec!["pid"]));
    let agents = ready["agents"].as_array().unwrap();
    assert_eq!(
        agents.iter().map(|agent| agent["node"].as_str().unwrap()).collect::<Vec<_>>(),
        ["n1", "n2", "n3"]
    );
    assert!(agents.iter().all(|agent| keys(agent) == ["node", "pid"]));
    let pids: Vec<&Value> =
        agents.iter().chain([&ready["aggregator"]]).map(|program| &program["pid"]).collect();
    assert!(pids.iter().all(|pid| is_alive(pid)));
    assert_eq!(std::fs::metadata(&work).unwrap().permissions().mode() & 0o777, 0o700);
    ask(&ready["grpc"]).await;
    let (url, token) = (ready["http"]["url"].as_str().unwrap(), ready["http"]["token"].as_str().unwrap());
    let address = url.strip_prefix("http://").unwrap();
    let answer = quorate_tests::http::get(address, "/api/v1/query?query=count(node_load1)", token).await;
    assert_eq!(answer.json()["data"]["result"][0]["value"][1], "3", "{answer:?}");

    assert!(demo.ended().await.success());
    let out = std::fs::read_to_string(dir.path().join("demo.out")).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    let done: Value = serde_json::from_str(lines[1]).unwrap();
    assert_eq!(keys(&done), ["event", "nodes", "quorum", "samples_stored", "status"]);
    assert_eq!((&done["event"], &done["status"]), (&json!("done"), &json!("healthy")));
    assert_eq!(done["quorum"], "available");
    let nodes = json!([
        {"node": "n1", "status": "healthy"}, {"node": "n2", "status": "healthy"}, {"node": "n3", "status": "healthy"},
    ]);
    assert_eq!(done["nodes"], nodes);
    assert!(done["samples_stored"].as_u64().unwrap() > 100, "{done}");
    assert!(!pids.iter().any(|pid| is_alive(pid)), "a program is left");
    assert!(!work.try_exists().unwrap(), "the directory is left");
}

/// The credential that was printed is good for any client.
async fn ask(grpc: &Value) {
    let path = |field: &str| grpc[field].as_str().unwrap().into();
    let files = Files { ca: path("ca"), cert: path("cert"), key: path("key") };
    let channel = files.open(grpc["address"].as_str().unwrap()).await.unwrap();
    let health = ClusterServiceClient::new(channel).get_health(GetHealthRequest::default()).await.unwrap();
    assert_eq!(health.into_inner().clusters[0].status(), Health::Healthy);
}
