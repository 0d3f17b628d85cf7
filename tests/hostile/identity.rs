//! Rows 6, 11, 14 to 16 and 47: agents with a good certificate that go too far, or whose time is over.

use crate::forge::{Leaf, Stolen, client};
use crate::honest::{Session, group};
use crate::raw::{Raw, from};
use crate::siege::Siege;
use quorate_common::model::session::{AgentMessage, Register};
use quorate_proto::v1;
use quorate_tests::cluster::Cluster;
use std::time::Duration;
use tonic::Code;

/// Whatever has to end has ended by then.
const ENDED_MAX: Duration = Duration::from_secs(60);

async fn end(session: &mut Session) -> (Code, String) {
    let status = tokio::time::timeout(ENDED_MAX, session.end()).await.expect("the stream has to end");
    (status.code(), status.message().to_owned())
}

async fn row_6_expired_while_it_streams(siege: &Siege, stolen: &Stolen) {
    let files = siege.node("expiring").await;
    let leaf = Leaf { not_after: 4, ..Leaf::like(&files) };
    let mut session = Session::open(siege.grpc(), stolen.client(leaf), 600).await.unwrap();
    let (code, text) = end(&mut session).await;
    assert_eq!(code, Code::Unauthenticated, "{text}");
    assert!(text.starts_with("certificate expired at 2") && text.ends_with(", renew"), "{text}");
}

async fn row_11_revoked_while_it_streams(siege: &Siege) {
    let files = siege.node("stolen").await;
    let mut session = Session::open(siege.grpc(), client(&files), 1100).await.unwrap();
    let (name, reason) = ("stolen".to_owned(), "lost".to_owned());
    siege.cluster.admin_service().revoke_node(v1::RevokeNodeRequest { name, reason }).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), end(&mut session)).await.expect("within 5 s");
    assert_eq!(ended.0, Code::Unauthenticated, "{}", ended.1);
    assert!(ended.1.contains("revoked"), "{}", ended.1);
    let mut raw = Raw::open(from(11), siege.grpc(), &client(&files)).await.unwrap();
    let (code, text) = raw.call(1, "/quorate.v1.IngestService/Session", b"").await.status();
    assert!(code == 16 && text.starts_with("node stolen revoked at 2"), "{code} {text}");
}

async fn row_14_an_agent_gives_orders(siege: &Siege) {
    let files = siege.node("curious").await;
    let mut raw = Raw::open(from(14), siege.grpc(), &client(&files)).await.unwrap();
    let methods = ["AdminService/RevokeNode", "QueryService/QueryLatest", "DiagnosticService/GetStatus"];
    for (stream, method) in (1..).step_by(2).zip(methods) {
        let path = format!("/quorate.v1.{method}");
        let expect = (7, format!("role agent may not call {path}"));
        assert_eq!(raw.call(stream, &path, b"").await.status(), expect);
    }
    siege.until_refused("forbidden", 2).await;
}

/// No message of ours has a place for a node's name, so that none can claim another's. What can be claimed, a host
/// name, is shown and decides nothing.
async fn row_15_another_name(siege: &Siege) {
    let files = siege.node("claimant").await;
    let mut session = Session::open(siege.grpc(), client(&files), 1500).await.unwrap();
    let frame = session.frame();
    session.outbox.send(frame).await.unwrap();
    siege.cluster.until_all("up", &["claimant"], v1::Liveness::Up, Duration::from_secs(10)).await;
    let node = siege.cluster.node("claimant").await;
    assert_eq!(node.delivery.unwrap().stored, crate::honest::SERIES as u64);
}

async fn row_16_two_hosts_with_one_certificate(siege: &Siege) {
    let files = siege.node("twin").await;
    let mut older = Session::open(siege.grpc(), client(&files), 1600).await.unwrap();
    for swap in 1..=4 {
        let newer = Session::open(siege.grpc(), client(&files), 1600 + swap).await.unwrap();
        let (code, text) = end(&mut older).await;
        assert_eq!(code, Code::Aborted, "{text}");
        assert!(text.starts_with("superseded by connection from 127.0.0.1:"), "{text}");
        assert_eq!(siege.refused("identity_flapping").await, u64::from(swap == 4), "swap {swap}");
        older = newer;
    }
    siege.until_refused("identity_flapping", 0).await;
    siege.until_logged("do two hosts share its credential?").await;
}

/// Series beyond the quota are decoded and dropped, each counted, and those within it go on. Only when twice the
/// quota was named is the session ended.
async fn row_47_a_flood_of_series(siege: &Siege) {
    let files = siege.node("explosive").await;
    let mut session = Session::open(siege.grpc(), client(&files), 4700).await.unwrap();
    let already = crate::honest::SERIES;
    let register = |session: &mut Session, at: u32| {
        let groups = vec![group(at + 1, already as u32 + at * 2000, 2000)];
        session.writer.write(AgentMessage::Register(Register { groups, retire: Vec::new() }))
    };
    for at in 0..11 {
        let message = register(&mut session, at);
        session.outbox.send(message).await.unwrap();
    }
    let frame = session.frame();
    session.outbox.send(frame).await.unwrap();
    let over = 11 * 2000 + already as u64 - 20_000;
    siege.until_counted("series", over).await;
    siege.cluster.until_all("up", &["explosive"], v1::Liveness::Up, Duration::from_secs(10)).await;
    let node = siege.cluster.node("explosive").await.delivery.unwrap();
    assert_eq!(node.stored, already as u64, "what was there goes on");
    for at in 11..20 {
        let message = register(&mut session, at);
        session.outbox.send(message).await.unwrap();
    }
    let (code, text) = end(&mut session).await;
    assert_eq!(code, Code::InvalidArgument, "{text}");
    assert!(text.starts_with("failed to decode the registration of group 20"), "{text}");
}

#[tokio::test]
async fn rows_6_to_16_and_47() {
    let siege = Siege::begin(50, &[]).await;
    let stolen = Stolen::of(&siege);
    tokio::join!(row_6_expired_while_it_streams(&siege, &stolen), async {
        row_11_revoked_while_it_streams(&siege).await;
        row_14_an_agent_gives_orders(&siege).await;
        row_15_another_name(&siege).await;
        row_16_two_hosts_with_one_certificate(&siege).await;
        row_47_a_flood_of_series(&siege).await;
    });
    siege.end("identities").await;
}

#[tokio::test]
async fn row_11_revoked_stays_revoked() {
    let siege = Siege::begin(0, &[]).await;
    let files = siege.node("gone").await;
    let (name, reason) = ("gone".to_owned(), "lost".to_owned());
    siege.cluster.admin_service().revoke_node(v1::RevokeNodeRequest { name, reason }).await.unwrap();
    let cluster: Cluster = siege.release().await.restart_aggregator().await;
    let error = Session::open(&cluster.doors.grpc, client(&files), 1).await.err().unwrap();
    assert_eq!(error.code(), Code::Unauthenticated, "{error}");
    assert!(error.message().starts_with("node gone revoked at 2"), "{error}");
}
