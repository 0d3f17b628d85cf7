//! Chains, keys and roots from PEM files. A private key that others may read is refused.

use super::TlsError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

const FILE_BYTES_MAX: u64 = 256 * 1024;

/// A certificate chain, leaf first, and the leaf's key.
pub struct Credential {
    /// Leaf, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the leaf.
    pub key: PrivateKeyDer<'static>,
}

impl Credential {
    /// Reads both from PEM files.
    pub fn load(chain: &Path, key: &Path) -> Result<Credential, TlsError> {
        Ok(Credential { chain: load_certificates(chain)?, key: load_key(key)? })
    }
}

impl Clone for Credential {
    fn clone(&self) -> Self {
        Credential { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

/// The private key of a PEM file that only its owner may read.
pub fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = Zeroizing::new(read(path, true)?);
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| TlsError::Pem { what: "private key", origin: path.display().to_string() })
}

/// All certificates of a PEM file, in order; at least one.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_from_pem(&read(path, false)?, &path.display().to_string())
}

/// All certificates of a PEM text, in order; at least one. `origin` names the text in errors.
pub fn certificates_from_pem(pem: &[u8], origin: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = || TlsError::Pem { what: "certificate", origin: origin.to_owned() };
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| none())?;
    if all.is_empty() { Err(none()) } else { Ok(all) }
}

fn read(path: &Path, private: bool) -> Result<Vec<u8>, TlsError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    // Asked of the open file, so that it cannot be another one by the time it is read.
    let mode = file.metadata().map_err(fail)?.permissions().mode() & 0o7777;
    if private && mode & 0o077 != 0 {
        return Err(TlsError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::TooLarge { path: path.to_owned(), limit: FILE_BYTES_MAX });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable;
    use crate::error::chain;

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let pem = pair.cert.pem();
        durable::create(&path("good.crt"), pem.as_bytes(), durable::PUBLIC).unwrap();
        durable::create(&path("good.key"), pair.signing_key.serialize_pem().as_bytes(), 0o600).unwrap();
        durable::create(&path("open.key"), pair.signing_key.serialize_pem().as_bytes(), 0o640).unwrap();
        durable::create(&path("empty"), b"", 0o600).unwrap();
        durable::create(&path("cut"), &pem.as_bytes()[..pem.len() / 2], 0o600).unwrap();
        durable::create(&path("huge"), &vec![b'x'; 300_000], 0o600).unwrap();
        assert_eq!(Credential::load(&path("good.crt"), &path("good.key")).unwrap().chain.len(), 1);
        for (crt, key, expect) in [
            ("absent", "good.key", "absent`: No such file"),
            ("empty", "good.key", "no certificate in"),
            ("cut", "good.key", "no certificate in"),
            ("huge", "good.key", "huge` is larger than 262144 bytes"),
            ("good.crt", "open.key", "open.key` has mode 0640, expected 0600"),
            ("good.crt", "good.crt", "good.crt` has mode 0644"),
            ("good.crt", "empty", "no private key in"),
        ] {
            let error = Credential::load(&path(crt), &path(key)).err().unwrap();
            assert!(chain(&error).contains(expect), "{crt} {key}: {}", chain(&error));
        }
    }
}
