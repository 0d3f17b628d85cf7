//! The texts as readers take them: promtool, and a Prometheus that scrapes over a loopback port.

use super::*;
use crate::agents::gap::Gaps;
use crate::limit::{Limits, Refusals};
use crate::serve::diagnostic::Configuration;
use crate::store::embedded::Embedded;
use crate::store::{Column, NewColumns};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use quorate_common::catalog;
use quorate_common::clock::SystemClock;
use quorate_common::model::cluster::{ClusterVerdict, NodeVerdict, Quorum, QuorumStatus};
use quorate_common::model::label::Labels;
use quorate_common::model::node::{Health, Liveness, Member, MemberRole, NodeId};
use quorate_common::model::series::{SeriesClass, SeriesSpec, Window};
use quorate_common::model::time::WallTime;
use std::io::{BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use tower::ServiceExt;

fn member() -> Member {
    Member {
        id: NodeId(1),
        name: "n1".parse().unwrap(),
        cluster: "default".into(),
        role: MemberRole::Voter,
        zone: None,
        weight: 1,
        maintenance: None,
        barred: None,
    }
}

fn snapshot(at: WallTime) -> Snapshot {
    let quorum = Quorum {
        status: QuorumStatus::Available,
        total: 1,
        need: 1,
        alive: 1,
        unknown: 0,
        margin: Some(0),
        zones: Vec::new(),
    };
    let cluster = ClusterVerdict {
        name: "default".into(),
        health: Health::Healthy,
        reasons: Vec::new(),
        quorum,
        total_nodes: 1,
        healthy_nodes: 1,
        degraded_nodes: Vec::new(),
        unhealthy_nodes: Vec::new(),
        unknown_nodes: Vec::new(),
        mass_loss: None,
        since: at,
    };
    let node = NodeVerdict {
        member: member(),
        liveness: Liveness::Up,
        health: Health::Healthy,
        reasons: Vec::new(),
        since: at,
        last_heard: Some(at),
        flapping: false,
        facts: None,
    };
    Snapshot { revision: 1, at, clusters: vec![cluster], nodes: vec![node], transitions: Vec::new() }
}

/// 4 MiB of memory, of which 1 MiB is available.
fn sampled(live: &Live, store: &Embedded, at: WallTime) {
    let row = live.row(NodeId(1), &member().name);
    let columns = [&catalog::MEMORY_MEM_TOTAL, &catalog::MEMORY_MEM_AVAILABLE].map(|def| {
        let spec = SeriesSpec { metric: def.metric(), labels: Labels::default() };
        Column { id: Some(store.intern(NodeId(1), &spec)), form: def.form, group: 0 }
    });
    let (window, class) = (Window::Short, SeriesClass::System);
    row.begin();
    row.register(&NewColumns { group: 0, window, class, first: 0, columns: columns.to_vec() }, &|_| None);
    row.apply(at, &[0], &[(0, 4096), (1, 1024)]);
}

/// A fleet of one node; the task of the agents runs until the test ends.
fn metrics() -> Metrics {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let now = clock.now().wall;
    let (live, store) = (Arc::new(Live::default()), Arc::new(Embedded::default()));
    sampled(&live, &store, now);
    let (agents, task) = Agents::new(store.clone(), Gaps::default());
    tokio::spawn(task);
    let snapshots = watch::channel(Arc::new(snapshot(now))).1;
    let own = Diagnostics {
        name: "aggregator".into(),
        started: now,
        configuration: watch::channel(Configuration::default()).1,
        certificates: watch::channel(Vec::new()).1,
        doors: Vec::new(),
        limits: Limits::default().fixed(),
        refusals: Refusals::new(clock.clone()),
        snapshots: snapshots.clone(),
        store: store.clone(),
        clock: clock.clone(),
    };
    let judged: Queue = Arc::new(|| (3, 10));
    let (append, scrapes) = (store.clone(), Slots::default());
    Metrics { snapshots, live, store, append, agents, own, judged, clock, scrapes }
}

async fn get(metrics: &Metrics, path: &str, accept: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).header("accept", accept).body(Body::empty()).unwrap();
    let answer = metrics.clone().router().oneshot(request).await.unwrap();
    let media = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, media.unwrap_or_default(), String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn promtool_finds_nothing_wrong() {
    let (status, media, text) = get(&metrics(), "/metrics", "*/*").await;
    assert_eq!((status, media.as_str()), (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8"));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[judged.stdout, judged.stderr].concat()).into_owned();
    assert!(judged.status.success() && said.is_empty(), "{said}\n{text}");
    for line in [
        "quorate_healthy_nodes{cluster=\"default\"} 1",
        "quorate_quorum_status{cluster=\"default\",status=\"available\"} 1",
        "quorate_performance{cluster=\"default\",component=\"memory\",node=\"n1\"} 25",
        "quorate_performance{cluster=\"default\",component=\"node\",node=\"n1\"} 25",
        "quorate_queue_length{queue=\"judge\"} 3",
        "quorate_history_commits_total{result=\"failed\"} 0",
        "quorate_node_series{cluster=\"default\",node=\"n1\"} 2",
    ] {
        assert!(text.lines().any(|said| said == line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("component=\"cpu\""), "what is not known is absent");
}

#[tokio::test]
async fn what_nobody_can_answer_is_refused() {
    let metrics = metrics();
    let (status, _, text) = get(&metrics, "/federate", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let (status, _, text) = get(&metrics, "/federate?match[]=rate(x[5m])", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let taken: Vec<_> = (0..SCRAPES_MAX).map(|_| metrics.scrapes.take(SCRAPES_MAX).unwrap()).collect();
    assert_eq!(get(&metrics, "/metrics", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
    drop(taken);
    assert_eq!(get(&metrics, "/metrics", "").await.0, StatusCode::OK, "slots come back");
}

#[tokio::test]
async fn a_series_that_matches_twice_is_told_once() {
    let path = "/federate?match[]=%7Bnode=%22n1%22%7D&match[]=node_memory_MemTotal_bytes";
    let (status, _, text) = get(&metrics(), path, "").await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 2, "{text}");
    let total = "node_memory_MemTotal_bytes{cluster=\"default\",instance=\"n1\",job=\"quorate\",node=\"n1\"} 4194304 ";
    assert!(lines[1].starts_with(total), "{text}");
}

/// Ended when dropped.
struct Prometheus(Child, SocketAddr);

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Prometheus {
    /// Scrapes a port every second; blocks until it says where it listens itself.
    fn start(dir: &std::path::Path, target: SocketAddr) -> Prometheus {
        let job = |name: &str, path: &str| {
            format!(
                "- job_name: {name}\n  honor_labels: true\n  metrics_path: {path}\n  params: {{'match[]': ['{{node=\"n1\"}}']}}\n  \
                 static_configs: [{{targets: ['{target}']}}]\n"
            )
        };
        let jobs = [job("own", "/metrics"), job("nodes", "/federate")].concat();
        let text = format!("global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{jobs}");
        std::fs::write(dir.join("prometheus.yml"), text).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", dir.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus is there");
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = |line: &String| {
            let said = line.split("address=").nth(1).filter(|_| line.contains("Listening on"))?;
            said.split([' ', '"']).find_map(|word| word.parse().ok())
        };
        let at = lines.by_ref().find_map(|line| address(&line)).expect("it says where it listens");
        // Whoever reads no more would stop it when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Prometheus(child, at)
    }

    fn ask(&self, query: &str) -> serde_json::Value {
        let mut socket = TcpStream::connect(self.1).unwrap();
        write!(socket, "GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<serde_json::Value>(body).unwrap()["data"]["result"].clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_both() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let (asked, mut paths) = mpsc::channel(64);
    let count =
        axum::middleware::from_fn(move |request: axum::extract::Request, next: axum::middleware::Next| {
            // What nobody waits for any more is not told.
            asked.try_send(request.uri().path().to_owned()).ok();
            next.run(request)
        });
    let router = metrics().router().layer(count);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let start = tokio::task::spawn_blocking(move || Prometheus::start(&path, target));
    let prometheus = start.await.unwrap();
    // A target is asked again when its last answer was taken.
    let (mut own, mut nodes) = (0, 0);
    while own < 3 || nodes < 3 {
        match paths.recv().await.unwrap().as_str() {
            "/metrics" => own += 1,
            _ => nodes += 1,
        }
    }
    tokio::task::spawn_blocking(move || {
        let up = prometheus.ask("min(up)");
        assert_eq!(up[0]["value"][1], "1", "{up}");
        let healthy = prometheus.ask("quorate_healthy_nodes");
        assert_eq!(healthy[0]["value"][1], "1", "{healthy}");
        let total = prometheus.ask("node_memory_MemTotal_bytes");
        assert_eq!(total[0]["value"][1], "4194304", "{total}");
        assert_eq!(total[0]["metric"]["node"], "n1", "{total}");
    })
    .await
    .unwrap();
}
