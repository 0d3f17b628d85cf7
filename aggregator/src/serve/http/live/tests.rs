//! Listeners over both ways, in memory and over a loopback port.

use super::*;
use crate::limit::{CallLimits, Limits};
use crate::store::Commits;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use feed::RING_MAX;
use http_body_util::BodyExt;
use quorate_common::clock::SystemClock;
use quorate_common::model::time::WallTime;
use reporter::committed;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

fn updates(call: CallLimits) -> Updates {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Updates {
        feed: Feed::new(WallTime(1_000_000_000)),
        limits: Limits { call, ..Limits::default() }.fixed(),
        listeners: Slots::default(),
        refusals: Refusals::new(clock.clone()),
        clock,
        shutdown: Shutdown::new(),
    }
}

fn say(updates: &Updates, topic: Topic, node: &str) {
    let subject = Subject { cluster: Some("default".into()), node: Some(node.into()), part: "" };
    let record = serde_json::json!({ "node": node });
    updates.feed.say(topic, subject, WallTime(2_000_000_000), record, true);
}

async fn open(updates: &Updates, path: &str, last: Option<&str>) -> Response {
    let mut request = Request::get(path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    updates.clone().router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// The next event of an answer: its id, and its data.
async fn event(body: &mut Body) -> (String, Value) {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let frame = body.frame().await.expect("it goes on").unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    (field("id: ").to_owned(), serde_json::from_str(field("data: ")).unwrap())
}

#[tokio::test]
async fn the_full_state_comes_first_and_changes_follow() {
    let updates = updates(CallLimits::default());
    say(&updates, Topic::Performance, "n1");
    say(&updates, Topic::Performance, "n2");
    let answer = open(&updates, "/api/v1/events?topics=performance,performance_analysis&node=n1", None).await;
    let mut body = answer.into_body();
    let (id, state) = event(&mut body).await;
    assert_eq!(state["records"], serde_json::json!([{ "node": "n1" }]), "{state}");
    assert_eq!((&state["kind"], &state["missed"]), (&"state".into(), &0.into()));
    let (_, silent) = event(&mut body).await;
    assert_eq!(silent["records"], serde_json::json!([]), "nobody analyses yet: {silent}");
    say(&updates, Topic::Performance, "n2");
    say(&updates, Topic::Performance, "n1");
    let (later, change) = event(&mut body).await;
    assert_eq!((&change["kind"], &change["record"]["node"]), (&"change".into(), &"n1".into()));
    assert_eq!(later.parse::<u64>().unwrap(), id.parse::<u64>().unwrap() + 2, "that of n2 was not wanted");
    drop(body);
    say(&updates, Topic::Performance, "n1");
    let mut back = open(&updates, "/api/v1/events?topics=performance", Some(&later)).await.into_body();
    let (_, missed) = event(&mut back).await;
    assert_eq!(missed["kind"], "change", "what was missed is still there: {missed}");
    (0..RING_MAX + 1).for_each(|_| say(&updates, Topic::Performance, "n1"));
    let mut late = open(&updates, "/api/v1/events?topics=performance", Some(&later)).await.into_body();
    let (_, state) = event(&mut late).await;
    assert_eq!((&state["kind"], &state["missed"]), (&"state".into(), &2.into()), "{state}");
    let mut foreign = open(&updates, "/api/v1/events?topics=performance&after=7", None).await.into_body();
    let (_, state) = event(&mut foreign).await;
    assert_eq!((&state["kind"], &state["missed"]), (&"state".into(), &Value::Null), "of an earlier run");
}

#[tokio::test]
async fn only_so_many_may_listen_and_only_to_what_there_is() {
    let updates = updates(CallLimits { watchers_max: 1, ..CallLimits::default() });
    assert_eq!(open(&updates, "/api/v1/events?topics=x", None).await.status(), StatusCode::BAD_REQUEST);
    let first = open(&updates, "/api/v1/events", None).await;
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(open(&updates, "/api/v1/events", None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(updates.refusals.counted(Reason::Watchers), 1);
}

#[tokio::test]
async fn who_takes_nothing_is_cut_and_told_why() {
    let updates = updates(CallLimits { watch_stall_ms: 50, ..CallLimits::default() });
    let mut body = open(&updates, "/api/v1/events", None).await.into_body();
    let (_, first) = event(&mut body).await;
    assert_eq!(first["kind"], "state");
    let stalled = async {
        while updates.refusals.counted(Reason::SlowConsumer) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), stalled).await.expect("it is cut");
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
    }
    assert!(text.ends_with("event: end\ndata: slow consumer: nothing taken for 50ms\n\n"), "{text}");
}

/// The text of the next frame that has one.
async fn text(socket: &mut TcpStream) -> Value {
    loop {
        let [kind, short] = [socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap()];
        let length = if short == 126 { socket.read_u16().await.unwrap() } else { u16::from(short) };
        let mut bytes = vec![0; length.into()];
        socket.read_exact(&mut bytes).await.unwrap();
        if kind == 0x81 {
            return serde_json::from_slice(&bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_web_socket_hears_that_history_fails() {
    let updates = updates(CallLimits::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let router = updates.clone().router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let request = "GET /ws?topics=persistence_failure HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    assert_eq!(text(&mut socket).await["records"], serde_json::json!([]));
    let commits = Commits { done: 3, failed: 1, is_failing: true };
    committed(&updates.feed, false, commits, WallTime(3_000_000_000));
    let change = text(&mut socket).await;
    assert_eq!(change["record"]["severity"], "critical", "{change}");
    assert_eq!(change["record"]["context"]["failed_commits"], 1, "{change}");
    committed(&updates.feed, true, Commits { is_failing: false, ..commits }, WallTime(4_000_000_000));
    assert_eq!(text(&mut socket).await["record"]["severity"], "info");
    assert!(updates.feed.state(&[Topic::PersistenceFailure]).1.is_empty(), "it holds no longer");
}
