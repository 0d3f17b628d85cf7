//! Enrolment as the one who enrols does it, node or person: a token becomes a key and a certificate.
//!
//! The key never leaves this machine, and what is on disk when is told in [`crate::identity`]: whatever is cut off
//! in between, the same command finishes it. The server proves to hold the root that the token names before it is
//! told the secret. Whether the token is for a node or a person, and whether something may be overwritten, the
//! caller decides before it comes here.

use crate::connect::{self, ConnectError};
use crate::identity::{IdentityError, IdentityPaths, Issued, Pending};
use crate::v1;
use crate::v1::EnrolRequest;
use crate::v1::enrolment_service_client::EnrolmentServiceClient;
use quorate_common::model::time::WallTime;
use quorate_common::tls::{self, TlsError, certificates_from_pem, spki_sha256};
use quorate_common::token::{InvalidToken, Token};
use std::sync::Arc;
use std::time::Duration;

/// For one call of the server, connection excluded.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A chain, roots and a few addresses.
pub(crate) const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] InvalidToken),
    /// Key, request, files or answer.
    #[error(transparent)]
    Identity(#[from] IdentityError),
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
}

/// Makes or finds the pending key and has it certified; [`Issued::save`] is the other half.
///
/// Running it again with the same token before it was saved gives the same identity. File calls block for
/// short; this is a command, not part of a running agent.
pub async fn exchange(token: &Token, paths: &IdentityPaths, now: WallTime) -> Result<Issued, EnrolError> {
    let pending = Pending::make(paths)?;
    let answer = ask(token, pending.csr.clone()).await?;
    check_roots(&answer, token)?;
    Ok(Issued::check(answer, &pending, (token.role, &token.name), now)?)
}

/// Asks the addresses in turn. A refusal is final: the others are the same aggregator by another name.
async fn ask(token: &Token, csr: Vec<u8>) -> Result<v1::Issued, EnrolError> {
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
            Ok(answer) => Ok(answer.into_inner().issued.ok_or(IdentityError::Answer("nothing"))?),
            Err(status) => Err(EnrolError::Refused { address: address.clone(), status: Box::new(status) }),
        };
    }
    Err(unreachable)
}

/// The root that the token names must be among those that we are told to trust.
fn check_roots(answer: &v1::Issued, token: &Token) -> Result<(), EnrolError> {
    let roots = certificates_from_pem(answer.roots_pem.as_bytes(), "answer")?;
    if roots.iter().any(|root| spki_sha256(root) == Ok(token.root_spki_sha256)) {
        return Ok(());
    }
    Err(IdentityError::Answer("another root than the one it proved to hold").into())
}
