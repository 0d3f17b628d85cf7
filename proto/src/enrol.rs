//! Enrolment as the one who enrols does it, node or person: a token becomes a key and a certificate.
//!
//! ```text
//!   nothing ──make key──→ pending.key ──Enrol──→ roots, aggregators, chain ──→ key (enrolled)
//!                              ↑                             │
//!                              └──── run again, same key ────┘
//! ```
//!
//! The key never leaves this machine. It is on disk before the token is spent, and the rename of the key is
//! the last step: whatever is cut off in between, the same command finishes it. The server proves to hold
//! the root that the token names before it is told the secret. Whether the token is for a node or a person,
//! and whether something may be overwritten, the caller decides before it comes here.

use crate::connect::{self, ConnectError};
use crate::v1::enrolment_service_client::EnrolmentServiceClient;
use crate::v1::{EnrolRequest, EnrolResponse};
use quorate_common::durable;
use quorate_common::model::time::WallTime;
use quorate_common::tls::{self, TlsError, certificates_from_pem, peer_identity, spki_sha256};
use quorate_common::token::{InvalidToken, Token};
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

/// Where an identity lies.
#[derive(Clone, Debug)]
pub struct IdentityPaths {
    /// The private key. Only there once enrolment is finished.
    pub key: PathBuf,
    /// The chain: leaf, intermediate.
    pub chain: PathBuf,
    /// The roots to trust.
    pub roots: PathBuf,
    /// Where the aggregators are, in a format of the program's own.
    pub aggregators: PathBuf,
    /// The key of an enrolment that is not finished.
    pub pending_key: PathBuf,
}

impl IdentityPaths {
    /// Below `dir`: `ca.crt` and `pending.key`, key and chain named after the `program`, and `aggregators`.
    pub fn below(dir: &Path, program: &str, aggregators: &str) -> IdentityPaths {
        IdentityPaths {
            key: dir.join(format!("{program}.key")),
            chain: dir.join(format!("{program}.crt")),
            roots: dir.join("ca.crt"),
            aggregators: dir.join(aggregators),
            pending_key: dir.join("pending.key"),
        }
    }
}

/// What the server gave, checked; nothing of it is on disk yet.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The name in the certificate.
    pub name: String,
    /// Where to connect to, `host:port`, in this order; at least one.
    pub aggregators: Vec<String>,
    /// When the certificate expires.
    pub not_after: WallTime,
    chain_pem: String,
    roots_pem: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// A file could not be written.
    #[error("failed to write `{}`", path.display())]
    File {
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

/// Makes or finds the pending key and has it certified; [`Issued::save`] is the other half.
///
/// Running it again with the same token before it was saved gives the same identity. File calls block for
/// short; this is a command, not part of a running agent.
pub async fn exchange(token: &Token, paths: &IdentityPaths, now: WallTime) -> Result<Issued, EnrolError> {
    if let Some(dir) = paths.pending_key.parent() {
        durable::create_directory(dir).map_err(|source| written(dir, source))?;
    }
    let key = pending_key(&paths.pending_key)?;
    let csr = CertificateParams::default().serialize_request(&key).map_err(EnrolError::Request)?;
    let answer = ask(token, csr.der().to_vec()).await?;
    let not_after = check(&answer, token, &key, now)?;
    Ok(Issued {
        name: answer.name,
        aggregators: answer.aggregators,
        not_after,
        chain_pem: answer.certificate_chain_pem,
        roots_pem: answer.roots_pem,
    })
}

impl Issued {
    /// Writes everything, the key last, and returns once all of it would survive a power cut.
    /// `aggregators` is the content of the file of that name.
    pub fn save(&self, paths: &IdentityPaths, aggregators: &str) -> Result<(), EnrolError> {
        let texts = [
            (&paths.roots, &*self.roots_pem),
            (&paths.aggregators, aggregators),
            (&paths.chain, &self.chain_pem),
        ];
        for (path, text) in texts {
            durable::replace(path, text.as_bytes(), durable::PRIVATE)
                .map_err(|source| written(path, source))?;
        }
        durable::rename(&paths.pending_key, &paths.key).map_err(|source| written(&paths.key, source))
    }
}

fn written(path: &Path, source: io::Error) -> EnrolError {
    EnrolError::File { path: path.to_owned(), source }
}

/// The key of an attempt before this one, or a new one.
fn pending_key(path: &Path) -> Result<KeyPair, EnrolError> {
    if path.try_exists().map_err(|source| written(path, source))? {
        let key = tls::load_key(path).map_err(EnrolError::PendingKey)?;
        return KeyPair::try_from(&key).map_err(EnrolError::Request);
    }
    let key = KeyPair::generate().map_err(EnrolError::Request)?;
    let pem = Zeroizing::new(key.serialize_pem());
    // Under another name until it is whole: half a key would be in the way of every later attempt.
    durable::replace(path, pem.as_bytes(), durable::PRIVATE).map_err(|source| written(path, source))?;
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
    if peer.identity.role != token.role || *peer.identity.name != *token.name || answer.name != token.name {
        return Err(EnrolError::Answer("a certificate for another name or role"));
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
