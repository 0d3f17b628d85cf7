//! Trust in one root of which only a hash is known.
//!
//! The server sends its root behind its chain; the one with the right hash becomes the only trust anchor,
//! and from there on the ordinary checks apply: signatures, dates, purpose, host name.

use super::spki_sha256;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// Accepts a server whose chain ends in the root with this hash.
#[derive(Debug)]
pub struct PinnedRoot {
    spki_sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl PinnedRoot {
    /// `spki_sha256` is the SHA-256 of the root's SubjectPublicKeyInfo in DER.
    pub fn new(spki_sha256: [u8; 32], provider: Arc<CryptoProvider>) -> PinnedRoot {
        PinnedRoot { spki_sha256, provider }
    }

    fn anchor(&self, sent: &[CertificateDer<'_>]) -> Result<RootCertStore, Error> {
        let root = sent
            .iter()
            .find(|certificate| spki_sha256(certificate).is_ok_and(|hash| hash == self.spki_sha256))
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut store = RootCertStore::empty();
        store.add(root.clone().into_owned())?;
        Ok(store)
    }
}

impl ServerCertVerifier for PinnedRoot {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let anchor = self.anchor(intermediates)?;
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &anchor, intermediates, now, algorithms)?;
        verify_server_name(&leaf, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
