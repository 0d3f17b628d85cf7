//! Rows 27 and 30 to 37: calls that are wrong, and readers that do not read.

use crate::forge::client;
use crate::honest;
use crate::raw::{Raw, from};
use crate::siege::Siege;
use crate::wire::{self, frame, head, message};
use prost::Message;
use quorate_common::model::session::{AgentMessage, Hello};
use quorate_proto::convert::SessionWriter;
use quorate_proto::v1;
use std::time::Duration;

const NODES: &str = "/quorate.v1.ClusterService/ListNodes";
const HEALTH: &str = "/quorate.v1.ClusterService/GetHealth";
const SESSION: &str = "/quorate.v1.IngestService/Session";
const WATCH: &str = "/quorate.v1.ClusterService/Watch";

/// A call with these bytes as its body.
async fn body(raw: &mut Raw, stream: u32, path: &str, bytes: &[u8]) -> (i32, String) {
    raw.send(&[wire::call(stream, path, &[]), wire::last(stream, bytes)].concat()).await.unwrap();
    raw.answer(stream).await.status()
}

/// Changes that every reader is told of.
async fn changes(siege: &Siege, count: usize) {
    for at in 0..count {
        let maintenance = at % 2 == 0;
        let request = v1::SetMaintenanceRequest {
            name: "honest-0".into(),
            maintenance,
            ..v1::SetMaintenanceRequest::default()
        };
        siege.cluster.admin_service().set_maintenance(request).await.unwrap();
        // Two changes within one sweep are one.
        siege.until_told(at % 2 == 0).await;
    }
}

/// A reader of changes that has no room for a byte.
async fn reader(siege: &Siege, last: u8) -> Raw {
    let mut raw = Raw::silent(from(last), siege.grpc(), &siege.admin()).await.unwrap();
    let settings = wire::settings(&[(wire::INITIAL_WINDOW_SIZE, 0)]);
    let call = [wire::call(1, WATCH, &[]), wire::last(1, &message(b""))].concat();
    raw.send(&[wire::PREFACE, &settings, &call].concat()).await.unwrap();
    raw
}

/// While it reads nothing, the newest state is kept for it and it is told how much it missed; after its time (two
/// seconds here, thirty by default) it has to go.
async fn row_27_a_reader_that_reads_nothing(siege: &Siege) {
    let (mut late, mut dead) = (reader(siege, 27).await, reader(siege, 28).await);
    changes(siege, 12).await;
    siege.until_counted("slow_consumer", 2).await;
    // One of them wakes up: it is given what was kept, and the reason.
    late.send(&frame(wire::WINDOW_UPDATE, 0, 1, &0x00ff_ffff_u32.to_be_bytes())).await.unwrap();
    let (code, text) = late.answer(1).await.status();
    assert_eq!(code, 8, "{text}");
    let dropped: u64 = text.strip_prefix("slow consumer: dropped ").unwrap().parse().unwrap();
    assert!(dropped >= 1, "{text}");
    // The other does not even take that.
    dead.closed().await;
    siege.until_counted("updates_missed", 1).await;
}

async fn row_30_a_message_that_is_too_large(siege: &Siege, agent: &mut Raw, admin: &mut Raw) {
    let expect = |found: u32, limit: u32| {
        let text = format!(
            "Error, decoded message length too large: found {found} bytes, the limit is: {limit} bytes"
        );
        (11, text)
    };
    let five = 5 << 20;
    assert_eq!(body(agent, 1, SESSION, &head(0, five)).await, expect(five, 1 << 20));
    assert_eq!(body(admin, 1, HEALTH, &head(0, five)).await, expect(five, 64 << 10));
    siege.until_refused("message_bytes", 1).await;
}

/// No compression is offered, so that there is no bomb to be unpacked.
async fn rows_31_and_32_compressed(siege: &Siege, raw: &mut Raw) {
    let flagged = [&head(1, 1)[..], &[0]].concat();
    let text = "protocol error: received message with compressed-flag but no grpc-encoding was specified";
    assert_eq!(body(raw, 31, HEALTH, &flagged).await, (13, text.to_owned()));
    let (code, text) = body(raw, 33, HEALTH, &[&head(7, 1)[..], &[0]].concat()).await;
    assert!(code == 13 && text.contains("invalid compression flag: 7"), "{code} {text}");
    for (stream, encoding) in [(35, "gzip"), (37, "zstd"), (39, "nonsense")] {
        let call = wire::call(stream, HEALTH, &[("grpc-encoding", encoding)]);
        raw.send(&[call, wire::last(stream, &flagged)].concat()).await.unwrap();
        let (code, text) = raw.answer(stream).await.status();
        assert!(code == 12 && text.contains(encoding), "{encoding}: {code} {text}");
    }
    siege.until_refused("decode", 1).await;
}

async fn row_33_bytes_that_are_no_message(siege: &Siege, raw: &mut Raw, agent: &mut Raw) {
    // ListNodesRequest: cluster = 1 (text), page_size = 2 (number), page_token = 3 (text).
    let cases: [(&str, Vec<u8>); 7] = [
        ("groups 200 deep", [vec![0x7b; 200], vec![0x7c; 200]].concat()),
        ("a group's end alone", vec![0x7c]),
        ("another wire type", vec![0x0d, 1, 2, 3, 4]),
        ("a number without end", vec![0x10, 0xff]),
        ("a number that is too long", [vec![0x10], vec![0xff; 11]].concat()),
        ("a field that is too large", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("no text", vec![0x0a, 2, 0xff, 0xfe]),
    ];
    for (stream, (what, bytes)) in (41..).step_by(2).zip(cases) {
        let (code, text) = body(raw, stream, NODES, &message(&bytes)).await;
        assert_eq!(code, 13, "{what}: {text}");
        assert!(text.starts_with("failed to decode Protobuf message"), "{what}: {text}");
    }
    let (code, text) = body(raw, 59, NODES, &[0, 0, 0, 0, 9, 1]).await;
    assert!(code == 13 && text.contains("Unexpected EOF"), "cut off: {code} {text}");
    // An agent's session ends, and says why.
    let (code, text) = body(agent, 3, SESSION, &message(&[0x0a, 0xff])).await;
    assert!(code == 13 && text.starts_with("failed to decode"), "{code} {text}");
    siege.until_refused("decode", 3).await;
}

/// Minor versions are fields that we do not know: nobody counts them.
async fn row_34_what_we_do_not_know(raw: &mut Raw) {
    // Field 99 as text, and field 100 as a number.
    let unknown = [&[0x9a, 0x06, 3][..], b"new", &[0xa0, 0x06, 7]].concat();
    assert_eq!(body(raw, 61, NODES, &message(&unknown)).await.0, 0);
    let wanted = v1::NodeDeclaration { name: "n".into(), role: 77, ..v1::NodeDeclaration::default() };
    let subject = Some(v1::create_token_request::Subject::Node(wanted));
    let request = v1::CreateTokenRequest { subject, lifetime: None }.encode_to_vec();
    let path = "/quorate.v1.AdminService/CreateToken";
    let expect = (3, "field `node.role`: voter or observer".to_owned());
    assert_eq!(
        body(raw, 63, path, &message(&request)).await,
        expect,
        "where a word decides, it has to be known"
    );
}

async fn row_35_another_protocol(siege: &Siege, agent: &mut Raw) {
    for (stream, protocol, who) in [(5, 0, "agent"), (7, 99, "aggregator")] {
        let hello = Hello { protocol, ..honest::hello(3500) };
        let hello = SessionWriter::default().write(AgentMessage::Hello(hello)).encode_to_vec();
        agent
            .send(&[wire::call(stream, SESSION, &[]), wire::data(stream, &message(&hello))].concat())
            .await
            .unwrap();
        let (code, text) = agent.answer(stream).await.status();
        let expect = format!("agent protocol {protocol} is not supported, need 2, upgrade the {who}");
        assert_eq!((code, text), (9, expect));
    }
    siege.until_refused("protocol", 1).await;
}

async fn row_36_unknown_methods(siege: &Siege, raw: &mut Raw) {
    let before = siege.refused("unknown_method").await;
    let long = format!("/{}", "x".repeat(5000));
    let paths = ["/quorate.v1.ClusterService/Nothing", "/nothing.Nothing/Nothing", "/", "/%2e%2e/x", &long];
    for (stream, path) in (71..).step_by(2).zip(paths) {
        let (code, text) = body(raw, stream, path, &message(b"")).await;
        assert_eq!(code, 12, "{path}: {text}");
        assert!(text.len() < 300, "{}", text.len());
    }
    siege.until_refused("unknown_method", before + 4).await;
}

/// That a caller's time is cut to a minute is seen in the unit tests of the guard: here it would take one.
async fn row_37_timeouts(raw: &mut Raw) {
    let cases =
        [("99999999H", 0), ("5S", 0), ("0n", 4), ("0S", 4), ("-1S", 3), ("abc", 3), ("", 3), ("1", 3)];
    for (stream, (timeout, expect)) in (91..).step_by(2).zip(cases) {
        let call = wire::call(stream, HEALTH, &[("grpc-timeout", timeout)]);
        raw.send(&[call, wire::last(stream, &message(b""))].concat()).await.unwrap();
        let (code, text) = raw.answer(stream).await.status();
        assert_eq!(code, expect, "`{timeout}`: {text}");
        assert!(expect != 3 || text.contains("expected 1 to 8 digits"), "{text}");
    }
}

#[tokio::test]
async fn rows_27_and_30_to_37() {
    let siege = Siege::begin(50, &[("QUORATE_LIMITS__CALL__WATCH_STALL_MS", "2000")]).await;
    let files = siege.node("babbling").await;
    let mut agent = Raw::open(from(33), siege.grpc(), &client(&files)).await.unwrap();
    let mut admin = siege.raw(34).await;
    row_30_a_message_that_is_too_large(&siege, &mut agent, &mut admin).await;
    rows_31_and_32_compressed(&siege, &mut admin).await;
    row_33_bytes_that_are_no_message(&siege, &mut admin, &mut agent).await;
    row_34_what_we_do_not_know(&mut admin).await;
    row_35_another_protocol(&siege, &mut agent).await;
    row_36_unknown_methods(&siege, &mut admin).await;
    row_37_timeouts(&mut admin).await;
    let reading = tokio::time::timeout(Duration::from_secs(40), row_27_a_reader_that_reads_nothing(&siege));
    reading.await.expect("readers are sent away");
    siege.end("calls").await;
}
