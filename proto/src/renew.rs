//! The next certificate of a node: by the one that is good, or, when it has expired, by the proof that its key is
//! still held.
//!
//! ```text
//!   certificate good     Renew on the port with mutual TLS
//!   certificate expired  Challenge, Rejoin on the enrolment port; the server is trusted by our roots
//! ```

use crate::connect::{self, ConnectError, tls_error};
use crate::enrol::{ANSWER_BYTES_MAX, CALL_TIMEOUT};
use crate::identity::{IdentityError, IdentityPaths, Issued, Pending};
use crate::status::reason;
use crate::v1;
use crate::v1::enrolment_service_client::EnrolmentServiceClient;
use crate::v1::renewal_service_client::RenewalServiceClient;
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_common::rejoin::signed_bytes;
use quorate_common::tls::{self, TlsError, load_certificates, load_key, peer_identity};
use rcgen::{KeyPair, SigningKey};
use rustls::ClientConfig;
use std::io;
use std::sync::Arc;
use tonic::{Response, Status};

/// Why there is no other certificate.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The server could not be reached.
    #[error("no aggregator could be reached")]
    Connect(#[from] ConnectError),
    /// It was reached and said no, or the connection failed.
    #[error("the aggregator answered: {}", reason(.0))]
    Status(Box<Status>),
    /// It did not answer in time.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Silent,
    /// Key, request, files or answer.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The identity that is there cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The chain cannot be read again.
    #[error("failed to read `{0}`")]
    Read(String, #[source] io::Error),
    /// The key signs nothing.
    #[error("the key of this node cannot sign")]
    Key,
}

impl RenewError {
    /// Whether the reason is that our certificate has expired, by the server's clock: it must rejoin.
    pub fn says_expired(&self) -> bool {
        match self {
            RenewError::Status(status) => is_expired(&**status),
            RenewError::Connect(error) => is_expired(error),
            _ => false,
        }
    }

    /// Whether asking again will not help before somebody has done something.
    pub fn is_final(&self) -> bool {
        use tonic::Code::{FailedPrecondition, PermissionDenied, Unauthenticated};
        matches!(self, RenewError::Status(status)
            if matches!(status.code(), FailedPrecondition | PermissionDenied | Unauthenticated))
    }
}

/// Whether TLS ended because the other side holds our certificate for expired.
pub fn is_expired(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::AlertDescription::CertificateExpired;
    matches!(tls_error(error), Some(rustls::Error::AlertReceived(CertificateExpired)))
}

/// Asks for the certificate that follows the one in `tls`, which is that of `name`.
pub async fn renew(
    address: &str,
    tls: Arc<ClientConfig>,
    (paths, name): (&IdentityPaths, &str),
    now: WallTime,
) -> Result<Issued, RenewError> {
    let pending = Pending::make(paths)?;
    let channel = connect::channel(address, tls, connect::Options::CALL).await?;
    let mut client = RenewalServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let answer = in_time(client.renew(v1::RenewRequest { csr: pending.csr.clone() })).await?;
    let issued = answer.issued.ok_or(IdentityError::Answer("nothing"))?;
    Ok(Issued::check(issued, &pending, (Role::Agent, name), now)?)
}

/// Proves to still hold the key of the certificate that expired, and gets the one that follows.
pub async fn rejoin(address: &str, paths: &IdentityPaths, now: WallTime) -> Result<Issued, RenewError> {
    let pending = Pending::make(paths)?;
    let roots = load_certificates(&paths.roots)?;
    let nobody = |_| RenewError::Key;
    let name = peer_identity(&load_certificates(&paths.chain)?).map_err(nobody)?.identity.name;
    let key = KeyPair::try_from(&load_key(&paths.key)?).map_err(|_| RenewError::Key)?;
    let chain_pem = std::fs::read_to_string(&paths.chain)
        .map_err(|source| RenewError::Read(paths.chain.display().to_string(), source))?;

    let config = Arc::new(tls::client_config(&roots, None)?);
    let channel = connect::channel(address, config, connect::Options::CALL).await?;
    let mut client = EnrolmentServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let nonce = in_time(client.challenge(v1::ChallengeRequest {})).await?.nonce;
    let text = signed_bytes(&nonce, &pending.csr);
    let signature = key.sign(&text).map_err(|_| RenewError::Key)?;
    let request =
        v1::RejoinRequest { certificate_chain_pem: chain_pem, nonce, csr: pending.csr.clone(), signature };
    let answer = in_time(client.rejoin(request)).await?;
    let issued = answer.issued.ok_or(IdentityError::Answer("nothing"))?;
    Ok(Issued::check(issued, &pending, (Role::Agent, &name), now)?)
}

async fn in_time<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, RenewError> {
    let answer = tokio::time::timeout(CALL_TIMEOUT, call).await.map_err(|_| RenewError::Silent)?;
    answer.map(Response::into_inner).map_err(|status| RenewError::Status(Box::new(status)))
}
