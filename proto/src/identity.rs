//! The identity of a node or a person on its own disk: a key, a certificate, roots, and where to go with them.
//!
//! ```text
//!   make key ──→ pending.key ──asked──→ roots, addresses, pending.crt ──→ rename key ──→ rename chain
//!                    ↑                             │                            │
//!                    └──── again, same key ────────┘      from here on finished at the next look
//! ```
//!
//! Each step would survive a power cut before the next one begins, so that key and chain always fit one another,
//! and a key that was certified is never lost. Once `pending.crt` is there, nothing leads back to the old key.

use crate::v1;
use quorate_common::durable;
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_common::tls::{self, TlsError, certificates_from_pem, peer_identity};
use rcgen::{CertificateParams, KeyPair};
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

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
    /// Where to rejoin, one `host:port` on each line.
    pub enrolment: PathBuf,
    /// The key that is not certified yet.
    pub pending_key: PathBuf,
    /// Its chain, until both have taken their places.
    pub pending_chain: PathBuf,
}

/// A key that waits for a certificate, and the request for one.
pub struct Pending {
    /// PKCS#10 in DER.
    pub csr: Vec<u8>,
    spki_sha256: [u8; 32],
}

/// What the server gave, checked; nothing of it is on disk yet.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The name in the certificate.
    pub name: String,
    /// Where to connect to, `host:port`, in this order; at least one.
    pub aggregators: Vec<String>,
    /// Where to rejoin, `host:port`.
    pub enrolment: Vec<String>,
    /// When the certificate expires.
    pub not_after: WallTime,
    chain_pem: String,
    roots_pem: String,
}

/// Why there is no identity, or no other one.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
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
    /// The answer holds no certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The answer is not what was asked for.
    #[error("enrolment server sent {0}")]
    Answer(&'static str),
}

impl IdentityPaths {
    /// Below `dir`: key and chain named after the `program`, and `aggregators`.
    pub fn below(dir: &Path, program: &str, aggregators: &str) -> IdentityPaths {
        IdentityPaths {
            key: dir.join(format!("{program}.key")),
            chain: dir.join(format!("{program}.crt")),
            roots: dir.join("ca.crt"),
            aggregators: dir.join(aggregators),
            enrolment: dir.join("enrolment"),
            pending_key: dir.join("pending.key"),
            pending_chain: dir.join("pending.crt"),
        }
    }

    /// Finishes what was cut off after a certificate had come: it takes its place.
    pub fn finish(&self) -> Result<(), IdentityError> {
        if !is_there(&self.pending_chain)? {
            return Ok(());
        }
        if is_there(&self.pending_key)? {
            durable::rename(&self.pending_key, &self.key).map_err(|source| written(&self.key, source))?;
        }
        durable::rename(&self.pending_chain, &self.chain).map_err(|source| written(&self.chain, source))
    }
}

impl Pending {
    /// The key of an attempt before this one, or a new one, on disk.
    pub fn make(paths: &IdentityPaths) -> Result<Pending, IdentityError> {
        paths.finish()?;
        let path = &paths.pending_key;
        if let Some(dir) = path.parent() {
            durable::create_directory(dir).map_err(|source| written(dir, source))?;
        }
        let key = if is_there(path)? {
            KeyPair::try_from(&tls::load_key(path).map_err(IdentityError::PendingKey)?)
                .map_err(IdentityError::Request)?
        } else {
            let key = KeyPair::generate().map_err(IdentityError::Request)?;
            let pem = Zeroizing::new(key.serialize_pem());
            // Under another name until it is whole: half a key would be in the way of every later attempt.
            durable::replace(path, pem.as_bytes(), durable::PRIVATE)
                .map_err(|source| written(path, source))?;
            key
        };
        let csr = CertificateParams::default().serialize_request(&key).map_err(IdentityError::Request)?;
        let own = rcgen::PublicKeyData::subject_public_key_info(&key);
        Ok(Pending { csr: csr.der().to_vec(), spki_sha256: tls::sha256(&own) })
    }
}

impl Issued {
    /// Whether an answer is for this name and key.
    pub fn check(
        answer: v1::Issued,
        pending: &Pending,
        (role, name): (Role, &str),
        now: WallTime,
    ) -> Result<Issued, IdentityError> {
        let v1::Issued { certificate_chain_pem: chain_pem, roots_pem, aggregators, enrolment, .. } = answer;
        let refuse = |what| Err(IdentityError::Answer(what));
        let chain = certificates_from_pem(chain_pem.as_bytes(), "answer")?;
        certificates_from_pem(roots_pem.as_bytes(), "answer")?;
        let nobody = |_| IdentityError::Answer("a certificate without an identity");
        let peer = peer_identity(&chain).map_err(nobody)?;
        if peer.identity.role != role || *peer.identity.name != *name || answer.name != name {
            return refuse("a certificate for another name or role");
        }
        if peer.spki_sha256 != pending.spki_sha256 {
            return refuse("a certificate for another key");
        }
        if peer.not_after <= now {
            return refuse("a certificate that has expired: is this machine's clock right?");
        }
        let mut addresses = aggregators.iter().chain(&enrolment);
        if aggregators.is_empty() || addresses.any(|address| address.contains(char::is_whitespace)) {
            return refuse("no usable address of an aggregator");
        }
        let (name, not_after) = (answer.name, peer.not_after);
        Ok(Issued { name, aggregators, enrolment, not_after, chain_pem, roots_pem })
    }

    /// Writes everything, the certificate last, and returns once all of it would survive a power cut.
    /// `aggregators` is the content of the file of that name.
    pub fn save(&self, paths: &IdentityPaths, aggregators: &str) -> Result<(), IdentityError> {
        let enrolment: String = self.enrolment.iter().map(|address| format!("{address}\n")).collect();
        let texts = [
            (&paths.roots, &*self.roots_pem),
            (&paths.aggregators, aggregators),
            (&paths.enrolment, &*enrolment),
            (&paths.pending_chain, &self.chain_pem),
        ];
        // People have nowhere to rejoin.
        for (path, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            durable::replace(path, text.as_bytes(), durable::PRIVATE)
                .map_err(|source| written(path, source))?;
        }
        paths.finish()
    }
}

fn is_there(path: &Path) -> Result<bool, IdentityError> {
    path.try_exists().map_err(|source| written(path, source))
}

fn written(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::File { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `finish` makes of files that hold their own names.
    fn check(there: &[&str], expect: &[(&str, &str)]) {
        let dir = tempfile::tempdir().unwrap();
        there.iter().for_each(|name| std::fs::write(dir.path().join(name), name).unwrap());
        IdentityPaths::below(dir.path(), "agent", "aggregators").finish().unwrap();
        let mut found: Vec<(String, String)> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        found.sort();
        let found: Vec<_> = found.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(found, expect, "{there:?}");
    }

    #[test]
    fn cut_off_anywhere_key_and_chain_fit_in_the_end() {
        let old = [("agent.crt", "agent.crt"), ("agent.key", "agent.key")];
        let new = [("agent.crt", "pending.crt"), ("agent.key", "pending.key")];
        check(&["agent.key", "agent.crt"], &old);
        check(
            &["agent.key", "agent.crt", "pending.key"],
            &[&old[..], &[("pending.key", "pending.key")]].concat(),
        );
        check(&["agent.key", "agent.crt", "pending.key", "pending.crt"], &new);
        check(&["pending.key", "pending.crt"], &new);
        check(&["agent.key", "agent.crt", "pending.crt"], &[new[0], old[1]]);
    }
}
