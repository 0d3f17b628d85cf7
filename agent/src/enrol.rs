//! Enrolment: a token becomes this node's own key and certificate.
//!
//! ```text
//!   nothing ──make key──→ pending.key ──Enrol──→ ca.crt, aggregators, agent.crt ──→ agent.key (enrolled)
//!                              ↑                                   │
//!                              └──── run again, same key ──────────┘
//! ```
//!
//! The key never leaves this machine. It is on disk before the token is spent, and the rename of the key is
//! the last step: whatever is cut off in between, the same command finishes it. The server proves to hold
//! the root that the token names before it is told the secret.

use quorate_common::clock::Clock;
use quorate_common::durable;
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_common::tls::{self, TlsError, certificates_from_pem, peer_identity, spki_sha256};
use quorate_common::token::{InvalidToken, Token};
use quorate_proto::connect::{self, ConnectError};
use quorate_proto::v1::enrolment_service_client::EnrolmentServiceClient;
use quorate_proto::v1::{EnrolRequest, EnrolResponse};
use rcgen::{CertificateParams, KeyPair};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// For one call of the server, connection excluded.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A chain, roots and a few addresses.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Where the identity of a node lies in its state directory.
#[derive(Clone, Debug)]
pub struct IdentityPaths {
    /// The private key. Only there once enrolment is finished.
    pub key: PathBuf,
    /// The chain: leaf, intermediate.
    pub chain: PathBuf,
    /// The roots to trust.
    pub roots: PathBuf,
    /// The aggregators, `host:port`, one per line.
    pub aggregators: PathBuf,
    /// The key of an enrolment that is not finished.
    pub pending_key: PathBuf,
}

impl IdentityPaths {
    /// The file names below `state_dir`.
    pub fn below(state_dir: &Path) -> IdentityPaths {
        IdentityPaths {
            key: state_dir.join("agent.key"),
            chain: state_dir.join("agent.crt"),
            roots: state_dir.join("ca.crt"),
            aggregators: state_dir.join("aggregators"),
            pending_key: state_dir.join("pending.key"),
        }
    }
}

impl IdentityPaths {
    /// The aggregators that enrolment named, in order; at least one.
    pub fn read_aggregators(&self) -> Result<Vec<String>, EnrolError> {
        let failed = |source| EnrolError::Read { path: self.aggregators.clone(), source };
        let text = std::fs::read_to_string(&self.aggregators).map_err(failed)?;
        let lines: Vec<String> =
            text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
        if lines.is_empty() { Err(failed(io::Error::other("it names no aggregator"))) } else { Ok(lines) }
    }
}

/// What this node is now.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its name, from the certificate.
    pub name: String,
    /// Where to connect to, `host:port`, in this order.
    pub aggregators: Vec<String>,
    /// When its certificate expires.
    pub not_after: WallTime,
    /// Where everything lies.
    pub paths: IdentityPaths,
}

/// Why this node is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// The token is for a person.
    #[error("token is for {role} {name}, not for a node")]
    Person {
        /// Which role.
        role: Role,
        /// Whose.
        name: String,
    },
    /// A file could not be read or written.
    #[error("failed to write `{}`", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of the identity cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The pending key cannot be used.
    #[error("pending key cannot be used, remove it and try again")]
    PendingKey(#[source] TlsError),
    /// Key or request could not be made.
    #[error("failed to make key and request")]
    Request(#[source] rcgen::Error),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// None of the token's addresses answered as it should; this is the last one's reason.
    #[error("no enrolment server could be reached")]
    Unreachable(#[source] ConnectError),
    /// The server was reached and said no.
    #[error("enrolment at `{address}` was refused: {}", status.message())]
    Refused {
        /// Which server.
        address: String,
        /// What it said.
        status: Box<tonic::Status>,
    },
    /// The server did not answer in time.
    #[error("`{0}` did not answer within 10 s")]
    Silent(String),
    /// The answer is not what was asked for.
    #[error("enrolment server sent {0}")]
    Answer(&'static str),
}

/// Enrols this node with a token, and returns once everything would survive a power cut.
///
/// Running it again with the same token before it finished gives the same result. File calls block for
/// short; this is a command, not part of a running agent.
pub async fn enrol(token: &str, state_dir: &Path, clock: &dyn Clock) -> Result<Enrolled, EnrolError> {
    let token = Token::parse(token)?;
    if token.role != Role::Agent {
        return Err(EnrolError::Person { role: token.role, name: token.name });
    }
    let paths = IdentityPaths::below(state_dir);
    durable::create_directory(state_dir)
        .map_err(|source| EnrolError::File { path: state_dir.to_owned(), source })?;
    let key = pending_key(&paths)?;
    let csr = CertificateParams::default().serialize_request(&key).map_err(EnrolError::Request)?;
    let answer = ask(&token, csr.der().to_vec()).await?;
    let not_after = check(&answer, &token, &key, clock.now().wall)?;
    save(&answer, &paths)?;
    Ok(Enrolled { name: answer.name, aggregators: answer.aggregators, not_after, paths })
}

/// The key of an attempt before this one, or a new one.
fn pending_key(paths: &IdentityPaths) -> Result<KeyPair, EnrolError> {
    let path = &paths.pending_key;
    let fail = |source| EnrolError::File { path: path.clone(), source };
    if path.try_exists().map_err(fail)? {
        let key = tls::load_key(path).map_err(EnrolError::PendingKey)?;
        return KeyPair::try_from(&key).map_err(EnrolError::Request);
    }
    let key = KeyPair::generate().map_err(EnrolError::Request)?;
    let pem = Zeroizing::new(key.serialize_pem());
    // Under another name until it is whole: half a key would be in the way of every later attempt.
    durable::replace(path, pem.as_bytes(), durable::PRIVATE).map_err(fail)?;
    Ok(key)
}

/// Asks the addresses in turn. A refusal is final: the others are the same aggregator by another name.
async fn ask(token: &Token, csr: Vec<u8>) -> Result<EnrolResponse, EnrolError> {
    let config = Arc::new(tls::pinned_config(token.root_spki_sha256)?);
    let mut unreachable = EnrolError::Token(InvalidToken::Part("address"));
    for address in &token.addresses {
        let channel = match connect::channel(address, config.clone(), connect::Options::CALL).await {
            Ok(channel) => channel,
            Err(error) => {
                unreachable = EnrolError::Unreachable(error);
                continue;
            }
        };
        let request = EnrolRequest {
            token_id: token.id.clone(),
            token_secret: token.secret.expose().to_vec(),
            csr: csr.clone(),
        };
        let mut client = EnrolmentServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        let answer = tokio::time::timeout(CALL_TIMEOUT, client.enrol(request)).await;
        return match answer.map_err(|_| EnrolError::Silent(address.clone()))? {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) => Err(EnrolError::Refused { address: address.clone(), status: Box::new(status) }),
        };
    }
    Err(unreachable)
}

/// Whether the answer is for our name and key, under the root that the token names.
fn check(
    answer: &EnrolResponse,
    token: &Token,
    key: &KeyPair,
    now: WallTime,
) -> Result<WallTime, EnrolError> {
    let chain = certificates_from_pem(answer.certificate_chain_pem.as_bytes(), "answer")?;
    let roots = certificates_from_pem(answer.roots_pem.as_bytes(), "answer")?;
    let peer = peer_identity(&chain).map_err(|_| EnrolError::Answer("a certificate without an identity"))?;
    if peer.identity.role != Role::Agent || *peer.identity.name != *token.name || answer.name != token.name {
        return Err(EnrolError::Answer("a certificate for another name"));
    }
    let own = rcgen::PublicKeyData::subject_public_key_info(key);
    if peer.spki_sha256 != tls::sha256(&own) {
        return Err(EnrolError::Answer("a certificate for another key"));
    }
    if !roots.iter().all(|root| spki_sha256(root) == Ok(token.root_spki_sha256)) {
        return Err(EnrolError::Answer("another root than the one it proved to hold"));
    }
    if peer.not_after <= now {
        return Err(EnrolError::Answer("a certificate that has expired: is this machine's clock right?"));
    }
    if answer.aggregators.is_empty() || answer.aggregators.iter().any(|a| a.contains(char::is_whitespace)) {
        return Err(EnrolError::Answer("no usable address of an aggregator"));
    }
    Ok(peer.not_after)
}

fn save(answer: &EnrolResponse, paths: &IdentityPaths) -> Result<(), EnrolError> {
    let write = |path: &PathBuf, text: &str| {
        durable::replace(path, text.as_bytes(), durable::PRIVATE)
            .map_err(|source| EnrolError::File { path: path.clone(), source })
    };
    write(&paths.roots, &answer.roots_pem)?;
    write(&paths.aggregators, &(answer.aggregators.join("\n") + "\n"))?;
    write(&paths.chain, &answer.certificate_chain_pem)?;
    durable::rename(&paths.pending_key, &paths.key)
        .map_err(|source| EnrolError::File { path: paths.key.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::clock::SystemClock;
    use quorate_common::error::chain;
    use quorate_common::secret::Secret;

    fn token(role: Role) -> String {
        let token = Token {
            id: "0123456789abcdef".into(),
            secret: Secret::new(vec![1; 32]),
            root_spki_sha256: [1; 32],
            role,
            name: "n1".into(),
            // Port 1 of loopback: nobody listens there.
            addresses: vec!["127.0.0.1:1".into()],
        };
        token.format().unwrap().to_string()
    }

    #[tokio::test]
    async fn the_key_is_kept_for_the_next_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let paths = IdentityPaths::below(dir.path());
        let error = enrol(&token(Role::Agent), dir.path(), &SystemClock).await.unwrap_err();
        assert!(chain(&error).contains("failed to connect to `127.0.0.1:1`"), "{}", chain(&error));
        let first = std::fs::read(&paths.pending_key).unwrap();
        enrol(&token(Role::Agent), dir.path(), &SystemClock).await.unwrap_err();
        assert_eq!(std::fs::read(&paths.pending_key).unwrap(), first);
        assert!(!paths.key.try_exists().unwrap());
        std::fs::write(&paths.pending_key, "rubbish").unwrap();
        let error = enrol(&token(Role::Agent), dir.path(), &SystemClock).await.unwrap_err();
        assert!(chain(&error).contains("no private key in"), "{}", chain(&error));
    }

    #[tokio::test]
    async fn other_texts_and_other_peoples_tokens_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refuse = async |text: &str, expect: &str| {
            let error = enrol(text, dir.path(), &SystemClock).await.unwrap_err();
            assert_eq!(error.to_string(), expect);
        };
        refuse("", "token does not begin with `q1.`").await;
        refuse("q1.AAAA", "token is damaged: copy the whole line again").await;
        refuse(&token(Role::Viewer), "token is for viewer n1, not for a node").await;
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
    }
}
