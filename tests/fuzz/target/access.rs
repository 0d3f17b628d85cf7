//! What somebody shows who wants in: first bytes, requests, certificates, tokens, names.

use super::{Target, ended, texts, way};
use quorate_aggregator::identity::ca::Request;
use quorate_aggregator::serve::listen::{Limits, Listener};
use quorate_common::model::identity::Identity;
use quorate_common::model::node::{NodeName, is_name};
use quorate_common::secret::Secret;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{
    self, Credential, certificates_from_pem, peer_identity, sha256, spki_sha256, validity,
};
use quorate_common::token::{SECRET_BYTES, Token};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustix::net::sockopt;
use rustls::pki_types::CertificateDer;
use std::io::{Read, Write};
use std::net::{Shutdown as Half, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::StreamExt;

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "csr", run: csr, seeds: csr_seeds, words: DER },
        Target { name: "certificate", run: certificate, seeds: certificate_seeds, words: DER },
        Target {
            name: "pem",
            run: pem,
            seeds: pem_seeds,
            words: &[b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"],
        },
        Target { name: "token", run: token, seeds: token_seeds, words: &[b"q1.", b"agent/n1", b"admin/"] },
        Target {
            name: "name",
            run: name,
            seeds: name_seeds,
            words: &[b"spiffe://", b"/agent/", b"..", b"%2f", b"-"],
        },
        Target {
            name: "first_bytes",
            run: first_bytes,
            seeds: hello_seeds,
            words: &[b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0"],
        },
    ]
}

/// Beginnings of the things that DER is made of.
const DER: &[&[u8]] = &[
    b"\x30\x80",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x30\x82\x01\x00",
    b"\x02\x01\x00",
    b"\x03\x01\x00",
    b"\x05\x00",
    b"\x06\x03\x55\x1d\x11",
    b"\x86\x13spiffe://q/agent/n1",
    b"\xa0\x00",
    b"\x17\x0d",
    b"\x18\x0f99991231235959Z",
];

fn csr(input: &[u8]) -> u64 {
    let parsed = Request::parse(input);
    if let Err(error) = &parsed {
        assert!(error.to_string().starts_with("csr "), "{error}");
    }
    ended(&parsed, |_| 1)
}

fn csr_seeds() -> Vec<Vec<u8>> {
    let key = KeyPair::generate().unwrap();
    let named = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
    let request = |params: CertificateParams| params.serialize_request(&key).unwrap().der().to_vec();
    vec![request(CertificateParams::default()), request(named)]
}

fn certificate(input: &[u8]) -> u64 {
    let der = CertificateDer::from(input.to_vec());
    let peer = peer_identity(std::slice::from_ref(&der));
    let (shown, key) = (validity(&der), spki_sha256(&der));
    if let Ok(peer) = &peer {
        assert_eq!(key.as_ref(), Ok(&peer.spki_sha256), "one key");
        assert_eq!(peer.identity.to_string().parse().as_ref(), Ok(&peer.identity), "one spelling");
    }
    ended(&peer, |peer| peer.serial.len()) ^ ended(&shown, |shown| shown.subject.len())
}

fn certificates() -> Vec<rcgen::Certificate> {
    let key = KeyPair::generate().unwrap();
    let with = |uris: &[&str]| {
        let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        let uri = |uri: &&str| SanType::URI((*uri).try_into().unwrap());
        params.subject_alt_names.extend(uris.iter().map(uri));
        params.self_signed(&key).unwrap()
    };
    vec![with(&["spiffe://q/agent/n1"]), with(&[]), with(&["spiffe://q/agent/n1", "https://example.org"])]
}

fn certificate_seeds() -> Vec<Vec<u8>> {
    certificates().iter().map(|certificate| certificate.der().to_vec()).collect()
}

fn pem(input: &[u8]) -> u64 {
    ended(&certificates_from_pem(input, "fuzz"), Vec::len)
}

fn pem_seeds() -> Vec<Vec<u8>> {
    certificates().iter().map(|certificate| certificate.pem().into_bytes()).collect()
}

/// The text as it is; and as the inner part, under a checksum that fits: else nothing gets past it.
fn token(input: &[u8]) -> u64 {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = String::from_utf8_lossy(input);
    let sealed = [input, &sha256(input)[..4]].concat();
    let sealed = format!("q1.{}", URL_SAFE_NO_PAD.encode(sealed));
    let mut ways = 0;
    for text in [&*text, &sealed] {
        let parsed = Token::parse(text);
        if let Ok(token) = &parsed {
            let again = token.format().and_then(|text| Token::parse(&text)).expect("it reads what it prints");
            assert_eq!(
                (&again.id, &again.name, &again.addresses),
                (&token.id, &token.name, &token.addresses)
            );
            assert!(is_name(&token.name) && token.secret.expose().len() == SECRET_BYTES);
        }
        ways ^= ended(&parsed, |token| token.addresses.len());
    }
    ways
}

fn token_seeds() -> Vec<Vec<u8>> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = Token {
        id: "0123456789abcdef".into(),
        secret: Secret::new(vec![7; SECRET_BYTES]),
        root_spki_sha256: [9; 32],
        role: quorate_common::model::identity::Role::Agent,
        name: "n1".into(),
        addresses: vec!["agg.example:7442".into(), "[::1]:7442".into()],
    };
    let text = token.format().unwrap();
    let inner = URL_SAFE_NO_PAD.decode(&text[3..]).unwrap();
    vec![text.as_bytes().to_vec(), inner[..inner.len() - 4].to_vec()]
}

fn name(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let identity = text.parse::<Identity>();
    if let Ok(identity) = &identity {
        assert_eq!(identity.to_string(), text, "one spelling");
    }
    let node = text.parse::<NodeName>();
    assert_eq!(node.is_ok(), is_name(&text));
    assert!(node.is_err() || text.len() <= 63 && !text.contains(['/', '.', '\0', '\n']));
    ended(&identity, |identity| identity.name.len()) ^ ended(&node, |node| node.as_str().len())
}

fn name_seeds() -> Vec<Vec<u8>> {
    texts(&["spiffe://quorate.example/agent/n1", "spiffe://q/operator/otto", "db-3", "n1"])
}

// ── the door: whatever the first bytes are, the next caller is let in ──

struct Door {
    address: SocketAddr,
    // Keep what the listener needs alive.
    _runtime: tokio::runtime::Runtime,
    _config: watch::Sender<Arc<rustls::ServerConfig>>,
    _shutdown: Shutdown,
}

static DOOR: LazyLock<Door> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let shutdown = Shutdown::new();
    let (config, address) = runtime.block_on(async {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let chain = vec![certificate.der().clone()];
        let own = Credential { chain: chain.clone(), key: key.serialize_der().try_into().unwrap() };
        let config = watch::Sender::new(Arc::new(tls::server_config(own, &chain).unwrap()));
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let mut incoming = Listener::new("fuzz", tcp, config.subscribe(), Limits::default()).start(&shutdown);
        tokio::spawn(async move { while incoming.next().await.is_some() {} });
        (config, address)
    });
    Door { address, _runtime: runtime, _config: config, _shutdown: shutdown }
});

fn first_bytes(input: &[u8]) -> u64 {
    let mut stream = TcpStream::connect(DOOR.address).expect("the listener lives");
    // Closing must leave no trace: ports are few.
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A listener that has seen enough closes before it has read all.
    stream.write_all(input).ok();
    stream.shutdown(Half::Write).ok();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert!(error.kind() == std::io::ErrorKind::ConnectionReset, "not closed: {error}"),
    }
    // The kind of its record, and of its alert.
    said.first().map_or(0, |first| u64::from(*first)) << 8 | said.get(6).map_or(0, |alert| u64::from(*alert))
}

fn hello_seeds() -> Vec<Vec<u8>> {
    let config = Arc::new(tls::pinned_config([0; 32]).unwrap());
    let mut client = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    assert!(way("x") != 0 && !hello.is_empty());
    [vec![hello], texts(&["GET / HTTP/1.1\r\n\r\n", "\x16", "\x16\x03\x01\x02\x00"])].concat()
}
