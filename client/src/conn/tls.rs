//! The client's half of mutual TLS: TLS 1.3, HTTP/2, aws-lc-rs, no resumption.
//!
//! Stands in for `quorate_common::tls` and has its names, so that it can be deleted for it.

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Why a file cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file could not be read.
    #[error("failed to read `{}`", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// Others than the owner may read a private key.
    #[error("private key `{}` has mode {:04o}, expected 0600: others may read it", .0.display(), .1)]
    Exposed(PathBuf, u32),
    /// The file is no PEM, or holds nothing of what was looked for.
    #[error("no {} in `{}`", .1, .0.display())]
    Pem(PathBuf, &'static str),
    /// The parts do not fit one another, such as a key that is not the certificate's.
    #[error("certificate and key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// A certificate chain, leaf first, and the leaf's key.
#[derive(Debug)]
pub struct Credential {
    /// Leaf, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl Credential {
    /// Reads both from PEM files.
    pub fn load(chain: &Path, key: &Path) -> Result<Credential, TlsError> {
        let chain = load_roots(chain)?;
        let pem = read(key, true)?;
        let key =
            PrivateKeyDer::from_pem_slice(&pem).map_err(|_| TlsError::Pem(key.to_owned(), "private key"))?;
        Ok(Credential { chain, key })
    }
}

/// All certificates of a PEM file, in order; at least one.
pub fn load_roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::Pem(path.to_owned(), "certificate");
    let pem = read(path, false)?;
    let all: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| none())?;
    if all.is_empty() { Err(none()) } else { Ok(all) }
}

/// Trusts `roots` and shows `own`.
pub fn client_config(roots: &[CertificateDer<'static>], own: Credential) -> Result<ClientConfig, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).map_err(TlsError::Unusable)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(TlsError::Unusable)?
        .with_root_certificates(store)
        .with_client_auth_cert(own.chain, own.key)
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn read(path: &Path, private: bool) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::Read(path.to_owned(), source);
    let file = File::open(path).map_err(fail)?;
    // Asked of the open file, so that it cannot be another one by the time it is read.
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o7777;
    if private && mode & 0o077 != 0 {
        return Err(TlsError::Exposed(path.to_owned(), mode));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}
