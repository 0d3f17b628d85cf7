//! The four ways in which TLS is spoken here.
//!
//! ```text
//!   agents and clients ── client_config ──→ server_config     both sides show a certificate
//!   whoever has a token ── pinned_config ──→ enrolment_config  the server shows its root as well
//! ```

use super::pin::PinnedRoot;
use super::{Credential, TlsError, provider};
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

/// For the port where every caller shows a certificate that `roots` vouch for.
pub fn server_config(own: Credential, roots: &[CertificateDer<'static>]) -> Result<ServerConfig, TlsError> {
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(store(roots)?), provider())
        .build()
        .map_err(TlsError::Roots)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_client_cert_verifier(clients)
        .with_single_cert(own.chain, own.key)
        .map_err(TlsError::Unusable)?;
    Ok(without_resumption(config))
}

/// For the port where callers have no certificate yet. `roots` are sent along, so that a caller who knows
/// only a root's hash can check the chain.
pub fn enrolment_config(
    own: Credential,
    roots: &[CertificateDer<'static>],
) -> Result<ServerConfig, TlsError> {
    let chain = own.chain.into_iter().chain(roots.iter().cloned()).collect();
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, own.key)
        .map_err(TlsError::Unusable)?;
    Ok(without_resumption(config))
}

/// For HTTP: callers show tokens, not certificates.
pub fn web_config(own: Credential) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_no_client_auth()
        .with_single_cert(own.chain, own.key)
        .map_err(TlsError::Unusable)?;
    let mut config = without_resumption(config);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// For agents and clients: trusts `roots` and, where it has one, shows a certificate.
pub fn client_config(
    roots: &[CertificateDer<'static>],
    own: Option<Credential>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_root_certificates(store(roots)?);
    let config = match own {
        Some(own) => builder.with_client_auth_cert(own.chain, own.key).map_err(TlsError::Unusable)?,
        None => builder.with_no_client_auth(),
    };
    Ok(for_http2(config))
}

/// For enrolment: trusts only the root whose public key (SPKI in DER) has this SHA-256.
pub fn pinned_config(root_spki_sha256: [u8; 32]) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedRoot::new(root_spki_sha256, provider())))
        .with_no_client_auth();
    Ok(for_http2(config))
}

fn store(roots: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(TlsError::Unusable)?;
    }
    Ok(store)
}

fn without_resumption(mut config: ServerConfig) -> ServerConfig {
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

fn for_http2(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
