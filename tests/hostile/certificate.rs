//! Rows 1 to 13: whoever does not speak TLS as we do, or shows a certificate that is not right.

use crate::forge::{Leaf, Stolen, client};
use crate::raw::{self, Raw, from, plain, rest};
use crate::siege::Siege;
use crate::weak;
use quorate_proto::v1::MemberRole;
use quorate_tests::door::Files;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ClientConfig;
use rustls::client::Resumption;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const HEALTH: &str = "/quorate.v1.ClusterService/GetHealth";
const NOBODY: &str = "certificate has no single valid spiffe id";

/// How the server refuses a handshake; TLS 1.3 tells a client after its own part is done.
async fn alert(siege: &Siege, last: u8, config: &Arc<ClientConfig>) -> String {
    let mut stream = match raw::tls(from(last), siege.grpc(), config).await {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    match tokio::time::timeout(raw::PATIENCE, stream.read(&mut [0])).await.expect("an answer") {
        Ok(0) => "closed".to_owned(),
        Ok(_) => "let in".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// The answer to a call, with a certificate that TLS lets in.
async fn answer(siege: &Siege, last: u8, config: &Arc<ClientConfig>) -> (i32, String) {
    let mut raw = Raw::open(from(last), siege.grpc(), config).await.unwrap();
    raw.call(1, HEALTH, b"").await.status()
}

/// A ClientHello as it was written before TLS 1.3.
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3];
    let extensions = [&[0, 16][..], &groups, &signatures].concat();
    let hello = [&version[..], &[7; 32], &[0], &[0, 2, 0xc0, 0x2b], &[1, 0], &extensions].concat();
    let length = u16::try_from(hello.len()).unwrap().to_be_bytes();
    let handshake = [&[1, 0][..], &length, &hello].concat();
    let length = u16::try_from(handshake.len()).unwrap().to_be_bytes();
    [&[0x16, 3, 1][..], &length, &handshake].concat()
}

async fn row_1_plain_text(siege: &Siege) {
    let before = siege.refused("not_tls").await;
    let mut stream = plain(from(1), siege.grpc()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let (_, after) = rest(&mut stream).await;
    assert!(after <= Duration::from_secs(10), "{after:?}");
    siege.until_refused("not_tls", before).await;
    siege.until_logged(r#"not a TLS client (first bytes \"GET / HT\")"#).await;
}

/// We speak TLS 1.3 only, so that there is no option to allow an older one.
async fn row_2_older_tls(siege: &Siege) {
    for version in [[3, 3], [3, 1]] {
        let mut stream = plain(from(2), siege.grpc()).await.unwrap();
        stream.write_all(&client_hello(version)).await.unwrap();
        let (bytes, _) = rest(&mut stream).await;
        // A fatal alert: protocol_version.
        assert_eq!((bytes.first(), &bytes[5..]), (Some(&21), &[2, 70][..]), "{version:?}");
    }
}

/// The enrolment port serves enrolment alone: a method of another service is unknown there, whoever asks.
async fn row_3_no_certificate(siege: &Siege, stolen: &Stolen) {
    let text = alert(siege, 3, &stolen.anonymous()).await;
    assert!(text.contains("CertificateRequired"), "{text}");
    let mut raw = Raw::open(from(3), siege.enrol(), &stolen.anonymous()).await.unwrap();
    assert_eq!(raw.call(1, HEALTH, b"").await.status().0, 12);
    assert_eq!(raw.call(3, "/quorate.v1.EnrolmentService/Enrol", b"").await.status().0, 3, "it is served");
}

/// Of a namesake the signature does not fit; that it is no authority of ours is found out that way.
async fn rows_4_and_5_foreign_authorities(siege: &Siege, stolen: &Stolen) {
    let before = siege.refused("tls").await;
    let uri = "spiffe://quorate/agent/honest-0";
    let text = alert(siege, 4, &stolen.self_signed(uri)).await;
    assert!(text.contains("UnknownCA"), "row 4: {text}");
    let text = alert(siege, 5, &stolen.namesake(uri)).await;
    assert!(text.contains("DecryptError") || text.contains("UnknownCA"), "row 5: {text}");
    siege.until_refused("tls", before + 1).await;
}

async fn rows_6_to_8_dates_and_purpose(siege: &Siege, stolen: &Stolen) {
    let uri = "spiffe://quorate/agent/honest-0";
    let expired = stolen.client(Leaf { not_before: -7200, not_after: -3600, ..Leaf::of(uri) });
    let text = alert(siege, 6, &expired).await;
    assert!(text.contains("CertificateExpired"), "row 6: {text}");
    // There is no alert for it that says more.
    let early = stolen.client(Leaf { not_before: 3600, ..Leaf::of(uri) });
    let text = alert(siege, 7, &early).await;
    assert!(text.contains("BadCertificate") || text.contains("CertificateExpired"), "row 7: {text}");
    let server = stolen.client(Leaf { purpose: ExtendedKeyUsagePurpose::ServerAuth, ..Leaf::of(uri) });
    let text = alert(siege, 8, &server).await;
    assert!(text.contains("BadCertificate") || text.contains("UnsupportedCertificate"), "row 8: {text}");
    for part in ["certificate expired:", "certificate not valid yet:", "extended key usage"] {
        siege.until_logged(part).await;
    }
}

/// An agent whose certificate is not valid yet, by the clock here, which both programs have: it doubts the clocks,
/// and its doctor tells how far they are apart.
async fn row_7_an_agent_doubts_the_clocks(siege: &Siege, stolen: &Stolen) {
    let cluster = &siege.cluster;
    cluster.enrol("early", MemberRole::Observer, "").await;
    let Files { cert, key, .. } = cluster.node_files("early");
    let leaf = Leaf { not_before: 3600, not_after: 7200, ..Leaf::of("spiffe://quorate/agent/early") };
    let (chain_pem, key_pem) = stolen.sign_pem(&leaf);
    std::fs::write(cert, chain_pem).unwrap();
    std::fs::write(key, key_pem).unwrap();
    let agent = cluster.start_agent("early");
    let doubts = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let log = agent.log();
            if let Some(line) = log.lines().find(|line| line.contains("clock skew?")) {
                return line.to_owned();
            }
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(20), doubts).await.expect("it doubts the clocks");
    for part in ["our certificate was refused for its dates: valid from 20", " until 20", ", local time 20"] {
        assert!(line.contains(part), "{line}");
    }
    drop(agent);
    let dir = cluster.agent_dir("early");
    let args = [OsStr::new("doctor"), OsStr::new("--json"), OsStr::new("--dir"), dir.as_os_str()];
    let ended = cluster.run_agent("doctor-early", &args).await;
    for part in ["is not valid before 20", "check the clocks of both machines", " the aggregator, within "] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
}

async fn row_9_names(siege: &Siege, stolen: &Stolen) {
    let long = format!("spiffe://quorate/agent/{}", "a".repeat(4096));
    let cases: [&[&str]; 9] = [
        &[],
        &["spiffe://quorate/agent/honest-0", "spiffe://quorate/agent/honest-1"],
        &["spiffe://elsewhere/agent/honest-0"],
        &["spiffe://quorate/agent/../operator/x"],
        &["spiffe://quorate/agent/honest%2D0"],
        &["spiffe://quorate/AGENT/honest-0"],
        &["spiffe://quorate/agent/honest-0/"],
        &[&long],
        &["https://quorate/agent/honest-0"],
    ];
    for uris in cases {
        let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        let shown = format!("{uris:?}");
        let config = stolen.client(Leaf { uris, ..Leaf::of("") });
        assert_eq!(answer(siege, 9, &config).await, (16, NOBODY.to_owned()), "{shown}");
    }
}

async fn row_10_names_that_are_no_text(siege: &Siege, stolen: &Stolen) {
    for name in [&b"spiffe://quorate/agent/honest-0\0"[..], b"spiffe://quorate/agent/\xff\xfe"] {
        // A sequence of one name, which is a URI.
        let length = u8::try_from(name.len()).unwrap();
        let raw_names = Some([&[0x30, length + 2, 0x86, length][..], name].concat());
        let config = stolen.client(Leaf { raw_names, ..Leaf::of("") });
        assert_eq!(answer(siege, 10, &config).await, (16, NOBODY.to_owned()), "{name:?}");
    }
}

/// A ticket would bring back a certificate without judging it again: there is none.
async fn row_11_no_resumption(siege: &Siege) {
    let mut config = (*siege.admin()).clone();
    config.resumption = Resumption::in_memory_sessions(8);
    let config = Arc::new(config);
    for round in 0..2 {
        let mut raw = Raw::open(from(11), siege.grpc(), &config).await.unwrap();
        assert_eq!(raw.call(1, HEALTH, b"").await.status().0, 0, "all that could be a ticket has come");
        assert_eq!(raw.handshake(), rustls::HandshakeKind::Full, "round {round}");
    }
}

/// Certificates that stand in a chain twice cost nothing and prove nothing: they are passed over.
async fn row_12_chains(siege: &Siege, stolen: &Stolen) {
    let text = alert(siege, 12, &stolen.deep(10)).await;
    assert!(text.starts_with("received fatal alert"), "ten deep: {text}");
    let files = siege.node("chained").await;
    let own = quorate_common::tls::Credential::load(&files.cert, &files.key).unwrap();
    let chain = |copies: usize| {
        let mut chain = own.chain.clone();
        chain.extend(std::iter::repeat_n(stolen.intermediate().clone(), copies));
        stolen.showing(chain, own.key.clone_key())
    };
    let refused = (7, format!("role agent may not call {HEALTH}"));
    assert_eq!(answer(siege, 12, &chain(4)).await, refused, "duplicates");
    let text = alert(siege, 12, &chain(400)).await;
    assert_ne!(text, "let in", "64 KiB and more");
}

/// Our authority certifies P-256 alone. Another kind of key that it signed all the same is not the one that the
/// registry has, which is what counts; certificates of one's own making may have any that TLS allows.
async fn row_13_other_keys(siege: &Siege, stolen: &Stolen) {
    for algorithm in [&rcgen::PKCS_ECDSA_P521_SHA512, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let config = stolen.client(Leaf { algorithm, ..Leaf::of("spiffe://quorate/agent/honest-0") });
        let expect = (16, "node honest-0 was enrolled again with another key".to_owned());
        assert_eq!(answer(siege, 13, &config).await, expect, "{algorithm:?}");
    }
    // With the key that the registry has, and as its generation, a leaf is good, whoever made it.
    let files = Files::below(&siege.cluster.dir().join("nodes/honest-0"), "honest-0");
    assert_eq!(answer(siege, 13, &stolen.client(Leaf::like(&files))).await.0, 7);
    assert_eq!(answer(siege, 13, &client(&files)).await.0, 7);
    let (code, text) =
        answer(siege, 13, &stolen.client(Leaf { generation: None, ..Leaf::like(&files) })).await;
    assert_eq!(code, 16, "without its generation: {text}");
}

#[tokio::test]
async fn rows_1_to_13() {
    let siege = Siege::begin(50, &[]).await;
    let stolen = Stolen::of(&siege);
    row_1_plain_text(&siege).await;
    row_2_older_tls(&siege).await;
    row_3_no_certificate(&siege, &stolen).await;
    rows_4_and_5_foreign_authorities(&siege, &stolen).await;
    rows_6_to_8_dates_and_purpose(&siege, &stolen).await;
    row_7_an_agent_doubts_the_clocks(&siege, &stolen).await;
    row_9_names(&siege, &stolen).await;
    row_10_names_that_are_no_text(&siege, &stolen).await;
    row_11_no_resumption(&siege).await;
    row_12_chains(&siege, &stolen).await;
    row_13_other_keys(&siege, &stolen).await;
    weak::row_13_weak_signatures_and_keys(&siege).await;
    siege.end("certificates").await;
}
