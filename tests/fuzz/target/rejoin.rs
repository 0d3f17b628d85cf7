//! What a node says that was away until its certificate expired, and what stands in certificates of nodes.

use super::{Target, directory, ended, then, way};
use prost::Message;
use quorate_aggregator::identity::ca::Authority;
use quorate_aggregator::identity::generation::{Keys, Shown, Standing, grace};
use quorate_aggregator::identity::init::{Initialised, Options, init};
use quorate_aggregator::identity::registry::{Declaration, Registry, Subject};
use quorate_aggregator::limit::{Limits, RejoinLimits};
use quorate_aggregator::peer::Peer;
use quorate_aggregator::serve::enrol::Enrolment;
use quorate_aggregator::serve::issue::Issuer;
use quorate_aggregator::serve::refusal::Refusals;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::identity::Generation;
use quorate_common::model::node::MemberRole;
use quorate_common::model::time::WallTime;
use quorate_common::rejoin::signed_bytes;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{certificates_from_pem, peer_identity};
use quorate_proto::v1;
use quorate_proto::v1::enrolment_service_server::EnrolmentService;
use rcgen::{CertificateParams, DnType, KeyPair, SanType, SigningKey};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::{Code, Request};

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "rejoin", run: rejoin, seeds: rejoin_seeds, words: REJOIN },
        Target { name: "generation", run: generation, seeds: generation_seeds, words: GENERATION },
    ]
}

// ── the service as it is, behind no port ──

const REJOIN: &[&[u8]] = &[
    b"-----BEGIN CERTIFICATE-----\n",
    b"-----END CERTIFICATE-----\n",
    b"\x12\x38",
    b"\x0a\x00",
    b"\x1a\x00",
    b"\x22\x00",
    b"\x30\x80",
];

struct World {
    runtime: tokio::runtime::Runtime,
    enrolment: Enrolment,
    key: KeyPair,
    chain_pem: String,
    // Keep what the service needs alive.
    _directory: TempDir,
    _shutdown: Shutdown,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (directory, shutdown) = (directory(), Shutdown::new());
    let (enrolment, key, chain_pem) = runtime.block_on(async {
        let options = Options {
            dir: directory.path().join("state"),
            name: "agg".into(),
            hosts: vec!["127.0.0.1".into()],
            trust_domain: "quorate".into(),
        };
        let made = init(&options, SystemClock.now().wall).await.unwrap();
        let registry = Registry::open(&made.paths.registry, "quorate").await.unwrap();
        let enrolment = service(&made, &registry, &shutdown);
        let key = KeyPair::generate().unwrap();
        let chain_pem = enrolled(&enrolment, &registry, &key).await;
        (enrolment, key, chain_pem)
    });
    World { runtime, enrolment, key, chain_pem, _directory: directory, _shutdown: shutdown }
});

fn service(made: &Initialised, registry: &Registry, shutdown: &Shutdown) -> Enrolment {
    let authority = Arc::new(Authority::load(&made.paths.authority).unwrap());
    let nowhere = || watch::channel(Arc::from(["127.0.0.1:1".to_owned()])).1;
    let issuer =
        Issuer { authority: watch::channel(authority).1, aggregators: nowhere(), enrolment: nowhere() };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let refusals = Refusals::start(registry.clone(), clock.clone(), shutdown);
    // One node asks many times.
    let rejoin = RejoinLimits { attempts_max: u32::MAX, ..RejoinLimits::default() };
    let limits = Limits { rejoin, ..Limits::default() }.fixed();
    Enrolment::new(registry.clone(), issuer, (clock, refusals)).unwrap().under(limits)
}

async fn enrolled(enrolment: &Enrolment, registry: &Registry, key: &KeyPair) -> String {
    let declared = Declaration {
        cluster: "default".into(),
        role: MemberRole::Voter,
        zone: None,
        weight: 1,
        replace: false,
    };
    let subject = Subject::Node("n1".into(), declared);
    let token = registry.create_token("fuzz", &subject, None, SystemClock.now().wall).await.unwrap();
    let asked = v1::EnrolRequest {
        token_id: token.id.clone(),
        token_secret: token.secret.expose().to_vec(),
        csr: csr(key),
    };
    let answer = enrolment.enrol(called(asked)).await.unwrap().into_inner();
    answer.issued.unwrap().certificate_chain_pem
}

fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

/// A call as the port hands it on.
fn called<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Arc::new(Peer::new(1, ([127, 0, 0, 1], 1).into(), None)));
    request
}

/// The message as it is; with a challenge that is fresh; and signed by the key of the node as well: else nobody gets
/// past either.
fn rejoin(input: &[u8]) -> u64 {
    let asked = match v1::RejoinRequest::decode(input) {
        Ok(asked) => asked,
        Err(error) => return way(&error.to_string()),
    };
    let (first, same) = (signed_bytes(&asked.nonce, &asked.csr), signed_bytes(&asked.nonce, &asked.csr));
    assert_eq!(first, same, "both sides sign the same");
    let plain = answered(asked.clone());
    let nonce = WORLD.runtime.block_on(WORLD.enrolment.challenge(called(v1::ChallengeRequest {})));
    let nonce = nonce.expect("whoever asks is challenged").into_inner().nonce;
    let fresh = answered(v1::RejoinRequest { nonce: nonce.clone(), ..asked.clone() });
    let signature = WORLD.key.sign(&signed_bytes(&nonce, &asked.csr)).unwrap();
    let signed = answered(v1::RejoinRequest { nonce, signature, ..asked });
    then(then(plain, fresh), signed)
}

fn answered(asked: v1::RejoinRequest) -> u64 {
    let answer = WORLD.runtime.block_on(WORLD.enrolment.rejoin(called(asked)));
    match answer {
        Ok(answer) => {
            let issued = answer.into_inner().issued.expect("what was issued");
            let chain = certificates_from_pem(issued.certificate_chain_pem.as_bytes(), "answer").unwrap();
            let certificate = peer_identity(&chain).unwrap();
            assert_eq!((&*certificate.identity.name, issued.name.as_str()), ("n1", "n1"), "nobody else");
            assert_eq!(certificate.generation.map(|generation| generation.number), Some(2), "never used");
            1
        }
        Err(status) => {
            let ours = [Code::Internal, Code::Unknown, Code::Unavailable];
            assert!(!ours.contains(&status.code()), "the fault is not ours: {status:?}");
            way(status.message())
        }
    }
}

/// The way of a request that is right in all.
fn grants(new: &KeyPair) -> u64 {
    let challenge = WORLD.runtime.block_on(WORLD.enrolment.challenge(called(v1::ChallengeRequest {})));
    let (nonce, csr) = (challenge.unwrap().into_inner().nonce, csr(new));
    let signature = WORLD.key.sign(&signed_bytes(&nonce, &csr)).unwrap();
    let certificate_chain_pem = WORLD.chain_pem.clone();
    answered(v1::RejoinRequest { nonce, csr, signature, certificate_chain_pem })
}

fn rejoin_seeds() -> Vec<Vec<u8>> {
    let (own, other) = (&WORLD.key, KeyPair::generate().unwrap());
    assert_eq!(grants(&other), 1, "the right answer lets a node back in");
    let certificate_chain_pem = WORLD.chain_pem.clone();
    let request = |csr: Vec<u8>| v1::RejoinRequest {
        nonce: vec![7; 56],
        csr,
        certificate_chain_pem: certificate_chain_pem.clone(),
        signature: vec![0x30; 70],
    };
    let bare = v1::RejoinRequest { csr: csr(&other), ..v1::RejoinRequest::default() };
    [request(csr(own)), request(csr(&other)), bare].iter().map(Message::encode_to_vec).collect()
}

// ── which key of its node a certificate is for ──

const GENERATION: &[&[u8]] = &[b"enrolment ", b" generation ", b"\n", b"-", b"0", b"9223372036854775807"];

/// Two lines: what a certificate says, and what the registry has. The first as text, and in a certificate.
fn generation(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let (line, known) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let read = line.parse::<Generation>();
    if let Ok(generation) = &read {
        assert_eq!(generation.to_string(), line, "one spelling");
        assert!(generation.number > 0);
    }
    // An empty unit is left out by some, and means nothing to us.
    if !line.is_empty() {
        assert_eq!(in_certificate(line), read.ok());
    }
    let (Ok(shown), Ok(own)) = (read, known.parse::<Generation>()) else {
        return way(line) & 7 | u64::from(read.is_ok()) << 3;
    };
    // The registry keeps what its column can.
    let own = Generation { number: own.number.min(i64::MAX as u64), ..own };
    stood(shown, own)
}

fn in_certificate(unit: &str) -> Option<Generation> {
    static KEY: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate().unwrap());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
    params.subject_alt_names = vec![SanType::URI("spiffe://q/agent/n1".try_into().unwrap())];
    let certificate = params.self_signed(&*KEY).unwrap();
    peer_identity(&[certificate.der().clone()]).unwrap().generation
}

/// Every key at every time: nobody but the owner of the current key goes on from it.
fn stood(generation: Generation, own: Generation) -> u64 {
    let (current, other) = ([1; 32], [2; 32]);
    let mut ways = 0;
    for (pending, advanced) in [(None, None), (Some([3; 32]), Some(WallTime(0)))] {
        let previous = advanced.map(|_| [4; 32]);
        let grace = grace(Duration::from_secs(3600));
        let keys = Keys { generation: own, current, previous, pending, advanced, grace };
        for key in [current, other, [3; 32], [4; 32]] {
            for opened in [WallTime(i64::MIN), WallTime(0), WallTime(i64::MAX)] {
                let shown = Shown { generation, key, opened, now: WallTime(i64::MAX) };
                let standing = keys.standing(&shown);
                assert!(standing != Standing::Current || (generation, key) == (own, current));
                let next = keys.renew(standing, &[9; 32]);
                assert!(next.is_err() || standing == Standing::Current, "{standing:?}");
                assert!(next.is_err() || next == Ok(own.number + 1));
                ways = then(ways, standing as u64);
            }
        }
    }
    ways ^ ended(&Ok::<_, std::fmt::Error>(generation), |_| 1)
}

fn generation_seeds() -> Vec<Vec<u8>> {
    super::texts(&[
        "enrolment 1795000000123 generation 7\nenrolment 1795000000123 generation 7",
        "enrolment 1795000000123 generation 8\nenrolment 1795000000123 generation 7",
        "enrolment 1 generation 1\nenrolment 2 generation 3",
        "enrolment -5 generation 1",
        "Engineering",
    ])
}
