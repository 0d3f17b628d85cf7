//! The way back for a node that was away until its certificate expired.
//!
//! ```text
//!   Challenge ─→ nonce (a minute) ─→ Rejoin: chain (ours, expired ≤ 30 d), signature of nonce and request by its
//!                key ─→ row active, key current or pending ─→ the certificate that follows
//! ```
//!
//! Nothing is kept for a caller who has not proven a key: nonces carry their own seal. Limits are counted by
//! node, not by address: a whole fleet may come back from behind one.

use crate::identity::ca::Request as CertificateRequest;
use crate::identity::generation::Shown;
use crate::identity::registry::{Claim, Registry};
use crate::identity::roster::{Denied, Seen};
use crate::serve::issue::Issuer;
use crate::serve::renew::refused;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use quorate_common::model::identity::Role;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::rejoin::signed_bytes;
use quorate_common::secret::{NoRandomness, Secret};
use quorate_common::tls::{PeerCertificate, certificates_from_pem, peer_identity, provider, public_key};
use quorate_proto::v1;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::Status;

/// How long a challenge is good for.
const NONCE_LIFE: Duration = Duration::from_secs(60);
const NONCE_HEAD: usize = 24;
const NONCE_BYTES: usize = NONCE_HEAD + 32;
/// A node that was away for longer is enrolled again.
const EXPIRED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Proven attempts of one node within [`WINDOW`].
const ATTEMPTS_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Nodes whose attempts are remembered.
const NODES_MAX: usize = 100_000;
/// Leaf, intermediate and the same signed by an older root, with room.
const CHAIN_MAX: usize = 4;

/// Lets nodes back in.
pub(super) struct Rejoin {
    registry: Registry,
    issuer: Issuer,
    /// Seals nonces; another with each start.
    seal: hmac::Key,
    attempts: Mutex<HashMap<Arc<str>, (BootTime, u32)>>,
}

impl Rejoin {
    pub(super) fn new(registry: Registry, issuer: Issuer) -> Result<Rejoin, NoRandomness> {
        let seal = hmac::Key::new(hmac::HMAC_SHA256, Secret::random(32)?.expose());
        Ok(Rejoin { registry, issuer, seal, attempts: Mutex::default() })
    }

    /// A number that nobody could know before.
    #[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
    pub(super) fn challenge(&self, now: BootTime) -> Result<Vec<u8>, Status> {
        let random = Secret::random(NONCE_HEAD - 8).map_err(|error| Status::internal(error.to_string()))?;
        let mut nonce = now.0.to_be_bytes().to_vec();
        nonce.extend_from_slice(random.expose());
        let tag = hmac::sign(&self.seal, &nonce);
        nonce.extend_from_slice(tag.as_ref());
        Ok(nonce)
    }

    pub(super) async fn admit(
        &self,
        asked: v1::RejoinRequest,
        address: SocketAddr,
        now: Now,
    ) -> Result<v1::Issued, Status> {
        if !self.is_fresh(&asked.nonce, now.boot) {
            return Err(Status::invalid_argument("nonce is not of this aggregator, or older than 60 s"));
        }
        let request = CertificateRequest::parse(&asked.csr)
            .map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        let certificate = self.prove(&asked).map_err(|reason| {
            tracing::warn!(%address, reason, "a rejoining node proves nothing");
            Status::unauthenticated("the old certificate or its signature was not accepted")
        })?;
        self.judge(&certificate, now)?;
        let name = &certificate.identity.name;
        let generation = certificate.generation;
        let generation =
            generation.ok_or_else(|| Status::failed_precondition("certificate has no generation"))?;
        let shown = Shown { generation, key: certificate.spki_sha256, opened: now.wall, now: now.wall };
        let claim = Claim { name, shown, address };
        let renewed = self.registry.renew(claim, &request.spki_sha256, "rejoin").await;
        let generation = renewed.map_err(refused)?;
        tracing::info!(class = "success", node = &**name, %address, "node rejoined");
        self.issuer.issue(&request, (Role::Agent, name, Some(generation)), now.wall)
    }

    fn is_fresh(&self, nonce: &[u8], now: BootTime) -> bool {
        if nonce.len() != NONCE_BYTES {
            return false;
        }
        let (head, tag) = nonce.split_at(NONCE_HEAD);
        let Some(made) = head.first_chunk::<8>().map(|bytes| BootTime(u64::from_be_bytes(*bytes))) else {
            return false;
        };
        hmac::verify(&self.seal, head, tag).is_ok() && now.since(made) < NONCE_LIFE
    }

    /// The certificate, if our authority signed it and the caller holds its key. That it has expired is no matter.
    fn prove(&self, asked: &v1::RejoinRequest) -> Result<PeerCertificate, &'static str> {
        let chain = certificates_from_pem(asked.certificate_chain_pem.as_bytes(), "request");
        let chain = chain.map_err(|_| "no certificate that can be read")?;
        let (leaf, above) = chain.split_first().ok_or("no certificate")?;
        if chain.len() > CHAIN_MAX {
            return Err("too long a chain");
        }
        let certificate = peer_identity(&chain).map_err(|_| "no single spiffe id")?;
        if certificate.identity.role != Role::Agent {
            return Err("not a node");
        }
        self.is_ours(leaf, above, &certificate)?;
        let key = public_key(leaf).map_err(|_| "no key that can be read")?;
        let text = signed_bytes(&asked.nonce, &asked.csr);
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
            .verify(&text, &asked.signature)
            .map_err(|_| "a wrong signature")?;
        Ok(certificate)
    }

    /// As TLS would check it, at the last second of its life.
    fn is_ours(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        certificate: &PeerCertificate,
    ) -> Result<(), &'static str> {
        let roots = certificates_from_pem(self.issuer.authority.borrow().root_pem().as_bytes(), "roots");
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.map_err(|_| "no roots")?);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider()).build();
        let last_s = u64::try_from(certificate.not_after.as_millis() / 1000).unwrap_or(0).saturating_sub(1);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(last_s));
        let verified = verifier.map_err(|_| "no roots")?.verify_client_cert(leaf, above, at);
        verified.map(drop).map_err(|_| "another authority")
    }

    /// Whether the owner of this certificate may come back. It has proven its key, and may know why not.
    #[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
    fn judge(&self, certificate: &PeerCertificate, now: Now) -> Result<(), Status> {
        if !self.count(&certificate.identity.name, now.boot) {
            return Err(Status::resource_exhausted("too many attempts of this node, wait a minute"));
        }
        let not_after = certificate.not_after;
        let end = i64::try_from(EXPIRED_MAX.as_nanos()).unwrap_or(i64::MAX);
        if now.wall > WallTime(not_after.0.saturating_add(end)) {
            let text = format!("certificate expired at {not_after}, more than 30 days ago: enrol again");
            return Err(Status::failed_precondition(text));
        }
        let roster = self.registry.roster().borrow().clone();
        match roster.authorize(certificate, Seen { opened: now.wall, now: now.wall }) {
            // The registry judges once more, and freezes a copy.
            Ok(_) | Err(Denied::Copied { .. }) => Ok(()),
            Err(denied) => Err(Status::unauthenticated(denied.to_string())),
        }
    }

    /// Counts a proven attempt; whether it was within the limit.
    fn count(&self, name: &Arc<str>, now: BootTime) -> bool {
        let mut map = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= NODES_MAX {
            map.retain(|_, (since, _)| now.since(*since) < WINDOW);
        }
        let (since, attempts) = map.entry(name.clone()).or_insert((now, 0));
        if now.since(*since) >= WINDOW {
            (*since, *attempts) = (now, 0);
        }
        *attempts += 1;
        *attempts <= ATTEMPTS_MAX
    }
}
