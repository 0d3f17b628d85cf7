//! Rows 20 to 22: whoever is slow, or silent, at each step of the way in.

use crate::forge::{Stolen, client};
use crate::raw::{Closed, PATIENCE, Raw, from, plain, rest};
use crate::siege::Siege;
use crate::wire;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const HEALTH: &str = "/quorate.v1.ClusterService/GetHealth";
const SECOND: Duration = Duration::from_secs(1);

/// Closed after so many seconds, with as many more for a machine that has other things to do.
fn within(what: &str, after: Duration, seconds: u64) {
    let (least, most) = (Duration::from_secs(seconds) - SECOND, Duration::from_secs(seconds + 5));
    assert!((least..=most).contains(&after), "{what}: closed after {after:?}, expected {seconds} s");
}

async fn row_20_nothing_after_tls(siege: &Siege) {
    // It would answer the settings that a server begins with.
    let mut raw = Raw::silent(from(20), siege.grpc(), &siege.admin()).await.unwrap().rude();
    let Closed { after, .. } = raw.closed().await;
    within("no preface", after, 10);
    siege.until_refused("preface_timeout", 0).await;
}

async fn row_21_nothing_after_the_preface(siege: &Siege) {
    let mut raw = Raw::open(from(21), siege.grpc(), &siege.admin()).await.unwrap();
    let Closed { after, .. } = raw.closed().await;
    within("no request", after, 10);
    siege.until_refused("request_timeout", 0).await;
}

async fn row_21_no_answer_to_a_ping(siege: &Siege) {
    let mut raw = Raw::open(from(21), siege.grpc(), &siege.admin()).await.unwrap();
    assert_eq!(raw.call(1, HEALTH, b"").await.status().0, 0);
    let mut raw = raw.rude();
    let Closed { after, .. } = raw.closed().await;
    within("no pong", after, 15);
    siege.until_refused("ping_timeout", 0).await;
}

async fn row_22_tls_a_byte_a_second(siege: &Siege) {
    let mut stream = plain(from(22), siege.grpc()).await.unwrap();
    let mut second = tokio::time::interval(SECOND);
    // The record of a ClientHello of 512 bytes.
    let hello = [&[0x16, 3, 1, 2, 0, 1][..], &[0; 506]].concat();
    let mut sent = 0_u64;
    for byte in hello {
        second.tick().await;
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        sent += 1;
        assert!(sent < 20, "the server did not close");
    }
    let (_, _) = rest(&mut stream).await;
    within("a handshake", Duration::from_secs(sent), 6);
    siege.until_refused("handshake_timeout", 0).await;
}

/// The first request has a deadline; of later ones it is the ping that cannot be answered within a frame.
async fn row_22_headers_a_byte_a_second(siege: &Siege, first: bool) {
    let mut raw = Raw::open(from(23), siege.grpc(), &siege.admin()).await.unwrap();
    if !first {
        assert_eq!(raw.call(1, HEALTH, b"").await.status().0, 0);
    }
    let mut raw = raw.rude();
    let headers = wire::call(if first { 1 } else { 3 }, HEALTH, &[]);
    let mut second = tokio::time::interval(SECOND);
    let dripped = async {
        for (sent, byte) in headers.into_iter().enumerate() {
            second.tick().await;
            if raw.send(&[byte]).await.is_err() {
                return sent as u64;
            }
        }
        panic!("the server did not close")
    };
    let sent = tokio::time::timeout(PATIENCE, dripped).await.expect("an end");
    within("headers", Duration::from_secs(sent), if first { 11 } else { 16 });
}

async fn row_22_a_message_a_byte_a_second(siege: &Siege) {
    let files = siege.node("dripping").await;
    let agent = client(&files);
    for (config, path) in [(&siege.admin(), HEALTH), (&agent, "/quorate.v1.IngestService/Answer")] {
        let mut raw = Raw::open(from(24), siege.grpc(), config).await.unwrap();
        raw.send(&[wire::call(1, path, &[]), wire::data(1, &wire::head(0, 1000))].concat()).await.unwrap();
        let mut second = tokio::time::interval(SECOND);
        let answer = loop {
            tokio::select! {
                answer = raw_answer(&mut raw) => break answer,
                _ = second.tick() => {}
            }
            // It may have answered meanwhile.
            raw.send(&wire::data(1, &[0])).await.ok();
        };
        assert_eq!(answer, (4, "a message was begun and not ended within 10s".to_owned()), "{path}");
    }
}

async fn raw_answer(raw: &mut Raw) -> (i32, String) {
    raw.answer(1).await.status()
}

/// A session whose agent says nothing is none.
async fn row_22_a_session_without_a_hello(siege: &Siege) {
    let files = siege.node("mute").await;
    let mut raw = Raw::open(from(25), siege.grpc(), &client(&files)).await.unwrap();
    raw.send(&wire::call(1, "/quorate.v1.IngestService/Session", &[])).await.unwrap();
    assert_eq!(raw.answer(1).await.status(), (4, "no hello within 10s".to_owned()));
    siege.until_refused("hello_timeout", 0).await;
}

/// A minute is the life of a caller without a certificate; here it is cut to ten seconds and two.
async fn row_3_an_anonymous_caller_that_stays(siege: &Siege, stolen: &Stolen) {
    let mut raw = Raw::open(from(26), siege.enrol(), &stolen.anonymous()).await.unwrap();
    assert_eq!(raw.call(1, "/quorate.v1.EnrolmentService/Enrol", b"").await.status().0, 3);
    let Closed { after, .. } = raw.closed().await;
    within("an anonymous caller", after, 12);
    siege.until_refused("anonymous_life", 0).await;
}

#[tokio::test]
async fn rows_20_to_22() {
    let siege = Siege::begin(50, &[("QUORATE_LIMITS__DOOR__ANONYMOUS_LIFE_MS", "12000")]).await;
    let stolen = Stolen::of(&siege);
    tokio::join!(
        row_20_nothing_after_tls(&siege),
        row_21_nothing_after_the_preface(&siege),
        row_21_no_answer_to_a_ping(&siege),
        row_22_tls_a_byte_a_second(&siege),
        row_22_headers_a_byte_a_second(&siege, true),
        row_22_headers_a_byte_a_second(&siege, false),
        row_22_a_message_a_byte_a_second(&siege),
        row_22_a_session_without_a_hello(&siege),
        row_3_an_anonymous_caller_that_stays(&siege, &stolen),
    );
    siege.end("slow").await;
}
