//! Who is let in.

use crate::token;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_proto::v1;
use quorate_tests::cluster::{Cluster, now};
use quorate_tests::http::{ask, get, post};
use quorate_tests::programs;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn only_probes_are_answered_without_a_credential() {
    let cluster = Cluster::start(programs!()).await;
    let address = &cluster.doors.http;
    for (path, status, body) in [("/-/healthy", 200, "healthy"), ("/-/ready", 200, "ready")] {
        let answer = ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}"), "").await;
        assert_eq!((answer.status, answer.body.trim().to_lowercase().as_str()), (status, body), "{answer:?}");
    }
    for path in ["/", "/metrics", "/api/v1/query?query=1", "/api/openapi.json", "/nothing", "/ws"] {
        let answer = ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}"), "").await;
        assert_eq!(answer.status, 401, "{path}: {answer:?}");
        assert_eq!(answer.json()["status"], "error");
        assert!(answer.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{answer:?}");
        assert!(answer.header("x-content-type-options").is_some_and(|it| it == "nosniff"), "{answer:?}");
    }
    let answer = get(address, "/metrics", "qrt_nobody-knows-this").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_role_may_what_it_may_until_its_token_is_revoked() {
    let cluster = Cluster::start(programs!()).await;
    let address = &cluster.doors.http;
    let viewer = token(&cluster, "grafana", v1::Role::Viewer).await;
    assert_eq!(get(address, "/api/v1/query?query=1", &viewer.token).await.status, 200);
    let collect = ("application/json", "{}");
    let answer = post(address, "/api/v1/metrics/collect", &viewer.token, collect).await;
    assert_eq!((answer.status, &answer.json()["errorType"]), (403, &"forbidden".into()), "{answer:?}");
    let operator = token(&cluster, "script", v1::Role::Operator).await;
    let answer = post(address, "/api/v1/metrics/collect", &operator.token, collect).await;
    assert_ne!(answer.status, 403, "{answer:?}");
    assert_eq!(get(address, "/api/v1/audit", &operator.token).await.status, 403);

    let listed = cluster.admin_service().list_tokens(v1::ListTokensRequest {}).await.unwrap().into_inner();
    let mine = listed.tokens.iter().find(|token| token.token_id == viewer.token_id).unwrap();
    assert_eq!((mine.subject.as_str(), mine.kind.as_str()), ("grafana", "http"));

    // A stream ends with its token, too.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /api/v1/events?topics=cluster_health HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n",
        viewer.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    stream.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let request = v1::RevokeTokenRequest { token_id: viewer.token_id.clone() };
    cluster.admin_service().revoke_token(request).await.unwrap();
    let begin = now();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("it ends").ok();
    assert!(now().since(begin) < Duration::from_secs(5));
    assert_eq!(get(address, "/api/v1/query?query=1", &viewer.token).await.status, 401);
}

#[tokio::test]
async fn browsers_of_other_pages_get_nothing() {
    let cluster = Cluster::start(programs!()).await;
    let address = &cluster.doors.http;
    let viewer = token(&cluster, "grafana", v1::Role::Viewer).await.token;
    let basic = STANDARD.encode(format!("anybody:{viewer}"));
    let head = |lines: &str| format!("GET /metrics HTTP/1.0\r\n{lines}");
    let host = format!("Host: {address}");
    for (lines, status) in [
        (format!("{host}\r\nAuthorization: Basic {basic}"), 200),
        (format!("{host}\r\nAuthorization: Basic {basic}\r\nOrigin: http://{address}"), 401),
        (format!("{host}\r\nAuthorization: Basic {basic}\r\nSec-Fetch-Site: same-origin"), 401),
        (format!("{host}\r\nAuthorization: Bearer {viewer}\r\nOrigin: http://evil.example"), 403),
        (format!("Host: evil.example\r\nAuthorization: Bearer {viewer}"), 421),
        (format!("{host}\r\nAuthorization: Bearer {viewer}\r\nAuthorization: Bearer {viewer}"), 401),
        (format!("{host}\r\nAuthorization: Digest {viewer}"), 401),
    ] {
        let answer = ask(address, &head(&lines), "").await;
        assert_eq!(answer.status, status, "{lines}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_or_too_slow_is_refused() {
    let cluster =
        Cluster::start_with(programs!(), &[("QUORATE_LIMITS__HTTP__HEADER_DEADLINE_MS", "1000")]).await;
    let address = &cluster.doors.http;
    let viewer = token(&cluster, "grafana", v1::Role::Viewer).await.token;
    let head = format!(
        "GET /metrics HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {viewer}\r\nX-Large: {}",
        "x".repeat(1 << 20)
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.ok();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.ok();
    assert!(
        said.is_empty() || said.starts_with(b"HTTP/1.0 431") || said.starts_with(b"HTTP/1.1 431"),
        "{said:?}"
    );

    let form = ("application/x-www-form-urlencoded", "x".repeat(64 << 20));
    let head = format!(
        "POST /api/v1/query HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {viewer}\r\nContent-Type: {}\r\nContent-Length: {}",
        form.0,
        form.1.len()
    );
    let answer = ask(address, &head, "").await;
    assert_eq!(answer.status, 413, "{answer:?}");

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    let mut said = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "a head that never ends is waited for");
}
