//! Rows 17 and 18: whoever tries tokens, and whoever asks for another certificate than its own.

use crate::forge::Stolen;
use crate::raw::{Raw, from};
use crate::siege::Siege;
use prost::Message;
use quorate_common::token::Token;
use quorate_proto::v1;
use quorate_proto::v1::create_token_request::Subject;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};
use std::time::Duration;

const ENROL: &str = "/quorate.v1.EnrolmentService/Enrol";
const REJOIN: &str = "/quorate.v1.EnrolmentService/Rejoin";
const REFUSED: &str = "token was not accepted";

async fn token(siege: &Siege, name: &str, seconds: Option<i64>) -> Token {
    let node = v1::NodeDeclaration { name: name.into(), ..v1::NodeDeclaration::default() };
    let lifetime = seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 });
    let request = v1::CreateTokenRequest { subject: Some(Subject::Node(node)), lifetime };
    let made = siege.cluster.admin_service().create_token(request).await.unwrap().into_inner();
    Token::parse(&made.token).unwrap()
}

fn csr(params: CertificateParams, key: &KeyPair) -> Vec<u8> {
    params.serialize_request(key).unwrap().der().to_vec()
}

fn good_csr() -> Vec<u8> {
    csr(CertificateParams::default(), &KeyPair::generate().unwrap())
}

fn request(token: &Token, csr: Vec<u8>) -> v1::EnrolRequest {
    v1::EnrolRequest { token_id: token.id.clone(), token_secret: token.secret.expose().to_vec(), csr }
}

async fn raw(siege: &Siege, stolen: &Stolen, last: u8) -> Raw {
    Raw::open(from(last), siege.enrol(), &stolen.anonymous()).await.unwrap()
}

/// Another authority's hash stands in the token for the node alone, which does not even ask then; and the name is
/// the token's, so that nobody can give another.
async fn row_17_tokens_that_are_not_good(siege: &Siege, stolen: &Stolen) {
    let (used, short, other) = (
        token(siege, "used", None).await,
        token(siege, "short", Some(60)).await,
        token(siege, "o", None).await,
    );
    let mut once = raw(siege, stolen, 171).await;
    let good = request(&used, good_csr());
    assert_eq!(once.call(1, ENROL, &good.encode_to_vec()).await.status().0, 0);
    siege
        .cluster
        .admin_service()
        .revoke_token(v1::RevokeTokenRequest { token_id: short.id.clone() })
        .await
        .unwrap();
    let mut changed = request(&other, good_csr());
    changed.token_secret[7] ^= 1;
    let mut elsewhere = request(&other, good_csr());
    elsewhere.token_id = used.id.clone();
    let cases = [
        ("reused with another key", request(&used, good_csr())),
        ("withdrawn", request(&short, good_csr())),
        ("a bit changed", changed),
        ("another's name", elsewhere),
        ("nothing", v1::EnrolRequest { csr: good_csr(), ..v1::EnrolRequest::default() }),
    ];
    let mut raw = raw(siege, stolen, 172).await;
    for (stream, (what, request)) in (1..).step_by(2).zip(cases) {
        let answer = raw.call(stream, ENROL, &request.encode_to_vec()).await;
        assert_eq!(answer.status(), (16, REFUSED.to_owned()), "{what}");
    }
    // One text for all of them, and the sixth is not even looked at, good or not.
    let sixth = raw.call(99, ENROL, &request(&other, good_csr()).encode_to_vec()).await;
    assert_eq!(sixth.status().0, 8, "{sixth:?}");
    siege.until_refused("tries", 0).await;
}

async fn row_17_guesses(siege: &Siege, stolen: &Stolen) {
    let victim = token(siege, "victim", None).await;
    let mut raw = raw(siege, stolen, 173).await;
    let mut guess = request(&victim, good_csr());
    let mut codes = [0_u32; 17];
    for stream in (1..2001).step_by(2) {
        guess.token_secret[..4].copy_from_slice(&u32::to_be_bytes(stream));
        let (code, _) = raw.call(stream, ENROL, &guess.encode_to_vec()).await.status();
        codes[usize::try_from(code).unwrap()] += 1;
    }
    assert_eq!((codes[16], codes[8]), (5, 995), "five tries in a minute");
    // Whoever comes from elsewhere is not kept from a good token.
    let mut honest = crate::token::raw(siege, stolen, 174).await;
    let good = request(&victim, good_csr()).encode_to_vec();
    assert_eq!(honest.call(1, ENROL, &good).await.status().0, 0);
}

/// Authority cannot be asked for in a request that our tools make; it would be an extension like the others.
async fn row_18_requests_that_ask_for_more(siege: &Siege, stolen: &Stolen) {
    let token = token(siege, "modest", None).await;
    let key = KeyPair::generate().unwrap();
    let mut named = CertificateParams::default();
    let uri = "spiffe://quorate/admin/admin".to_owned().try_into().unwrap();
    named.subject_alt_names = vec![SanType::URI(uri)];
    let mut server = CertificateParams::default();
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let mut broken = good_csr();
    *broken.last_mut().unwrap() ^= 1;
    let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let extensions = "csr asks for extensions, only its key is used: send one without";
    let cases = [
        ("another name", csr(named, &key), extensions),
        ("another purpose", csr(server, &key), extensions),
        ("broken", broken, "csr has a wrong signature"),
        (
            "another key",
            csr(CertificateParams::default(), &other),
            "csr has an unsupported key, expected ECDSA P-256",
        ),
    ];
    let mut first = raw(siege, stolen, 181).await;
    for (stream, (what, csr, expect)) in (1..).step_by(2).zip(cases) {
        let answer = first.call(stream, ENROL, &request(&token, csr).encode_to_vec()).await;
        assert_eq!(answer.status(), (3, expect.to_owned()), "{what}");
    }
    let mut second = raw(siege, stolen, 182).await;
    let huge = request(&token, vec![0x30; 16 * 1024]);
    let expect = (3, "csr is larger than 8192 bytes".to_owned());
    assert_eq!(second.call(1, ENROL, &huge.encode_to_vec()).await.status(), expect);
    let answer = second.call(3, ENROL, &request(&token, good_csr()).encode_to_vec()).await;
    assert_eq!(answer.status().0, 0, "the token was not spent");
}

/// A challenge that nobody made, and a good one that is answered with nothing.
async fn rejoining_without_proof(siege: &Siege, stolen: &Stolen) {
    let mut raw = raw(siege, stolen, 183).await;
    let made_up = v1::RejoinRequest { nonce: vec![7; 56], csr: good_csr(), ..v1::RejoinRequest::default() };
    let expect = (3, "nonce is not of this aggregator, or older than 60s".to_owned());
    assert_eq!(raw.call(1, REJOIN, &made_up.encode_to_vec()).await.status(), expect);
    siege.until_refused("rejoin_challenge", 0).await;
    let before = siege.refused("unauthenticated").await;
    let challenge = raw.call(3, "/quorate.v1.EnrolmentService/Challenge", b"").await;
    let nonce = v1::ChallengeResponse::decode(&challenge.content[5..]).unwrap().nonce;
    let bare = v1::RejoinRequest { nonce, csr: good_csr(), ..v1::RejoinRequest::default() };
    let expect = (16, "the old certificate or its signature was not accepted".to_owned());
    assert_eq!(raw.call(5, REJOIN, &bare.encode_to_vec()).await.status(), expect);
    siege.until_refused("unauthenticated", before).await;
}

#[tokio::test]
async fn rows_17_and_18() {
    let siege = Siege::begin(50, &[]).await;
    let stolen = Stolen::of(&siege);
    row_17_tokens_that_are_not_good(&siege, &stolen).await;
    row_17_guesses(&siege, &stolen).await;
    row_18_requests_that_ask_for_more(&siege, &stolen).await;
    rejoining_without_proof(&siege, &stolen).await;
    siege.end("tokens").await;
}

/// A second on the clock, after which a token is over: nobody tells when that is.
#[tokio::test]
async fn row_17_a_token_whose_time_is_over() {
    let siege = Siege::begin(0, &[]).await;
    let stolen = Stolen::of(&siege);
    let late = token(&siege, "late", Some(1)).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut raw = raw(&siege, &stolen, 175).await;
    let answer = raw.call(1, ENROL, &request(&late, good_csr()).encode_to_vec()).await;
    assert_eq!(answer.status(), (16, REFUSED.to_owned()));
}
