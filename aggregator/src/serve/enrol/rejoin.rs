//! The way back for a node that was away until its certificate expired.
//!
//! ```text
//!   Challenge ─→ nonce (a minute) ─→ Rejoin: chain (ours, expired ≤ 30 d), signature of nonce and request by its
//!                key ─→ row active, key current or pending ─→ the certificate that follows
//! ```
//!
//! Nothing is kept for a caller who has not proven a key: nonces carry their own seal. Limits are counted by
//! node, not by address: a whole fleet may come back from behind one. They stand in `[limits.rejoin]`.

use super::attempts::Attempts;
use crate::identity::ca::Request as CertificateRequest;
use crate::identity::generation::Shown;
use crate::identity::registry::{Claim, Registry};
use crate::identity::roster::{Denied, Seen};
use crate::limit::{Reason, RejoinLimits, counted, millis};
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
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

const NONCE_HEAD: usize = 24;
const NONCE_BYTES: usize = NONCE_HEAD + 32;

/// Lets nodes back in.
pub(super) struct Rejoin {
    registry: Registry,
    issuer: Issuer,
    /// Seals nonces; another with each start.
    seal: hmac::Key,
    attempts: Attempts,
}

impl Rejoin {
    pub(super) fn new(registry: Registry, issuer: Issuer) -> Result<Rejoin, NoRandomness> {
        let seal = hmac::Key::new(hmac::HMAC_SHA256, Secret::random(32)?.expose());
        Ok(Rejoin { registry, issuer, seal, attempts: Attempts::default() })
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
        (address, limits): (SocketAddr, &RejoinLimits),
        now: Now,
    ) -> Result<v1::Issued, Status> {
        let life = millis(limits.challenge_life_ms);
        if !self.is_fresh(&asked.nonce, life, now.boot) {
            let text = format!("nonce is not of this aggregator, or older than {life:?}");
            return Err(counted(Reason::RejoinChallenge, Status::invalid_argument(text)));
        }
        let request = CertificateRequest::parse(&asked.csr)
            .map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        let certificate = self.prove(&asked, limits).map_err(|reason| {
            tracing::warn!(%address, reason, "a rejoining node proves nothing");
            Status::unauthenticated("the old certificate or its signature was not accepted")
        })?;
        self.judge(&certificate, limits, now)?;
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

    fn is_fresh(&self, nonce: &[u8], life: Duration, now: BootTime) -> bool {
        if nonce.len() != NONCE_BYTES {
            return false;
        }
        let (head, tag) = nonce.split_at(NONCE_HEAD);
        let Some(made) = head.first_chunk::<8>().map(|bytes| BootTime(u64::from_be_bytes(*bytes))) else {
            return false;
        };
        hmac::verify(&self.seal, head, tag).is_ok() && now.since(made) < life
    }

    /// The certificate, if our authority signed it and the caller holds its key. That it has expired is no matter.
    fn prove(
        &self,
        asked: &v1::RejoinRequest,
        limits: &RejoinLimits,
    ) -> Result<PeerCertificate, &'static str> {
        let chain = certificates_from_pem(asked.certificate_chain_pem.as_bytes(), "request");
        let chain = chain.map_err(|_| "no certificate that can be read")?;
        let (leaf, above) = chain.split_first().ok_or("no certificate")?;
        if chain.len() > limits.chain_certificates_max as usize {
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
    fn judge(&self, certificate: &PeerCertificate, limits: &RejoinLimits, now: Now) -> Result<(), Status> {
        if !self.attempts.count(&certificate.identity.name, now.boot, limits) {
            let text =
                format!("too many attempts of this node, wait {:?}", millis(limits.attempts_window_ms));
            return Err(counted(Reason::RejoinAttempts, Status::resource_exhausted(text)));
        }
        check_age(certificate.not_after, limits, now.wall)?;
        let roster = self.registry.roster().borrow().clone();
        match roster.authorize(certificate, Seen { opened: now.wall, now: now.wall }) {
            // The registry judges once more, and freezes a copy.
            Ok(_) | Err(Denied::Copied { .. }) => Ok(()),
            Err(denied) => Err(Status::unauthenticated(denied.to_string())),
        }
    }
}

/// Refuses a certificate that expired too long ago.
#[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
fn check_age(not_after: WallTime, limits: &RejoinLimits, now: WallTime) -> Result<(), Status> {
    let away_ns = i64::from(limits.expired_s_max) * 1_000_000_000;
    if now <= WallTime(not_after.0.saturating_add(away_ns)) {
        return Ok(());
    }
    let days = f64::from(limits.expired_s_max) / 86_400.0;
    let text = format!("certificate expired at {not_after}, more than {days} days ago: enrol again");
    Err(counted(Reason::RejoinExpired, Status::failed_precondition(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit;
    use tonic::Code;

    #[test]
    fn who_was_away_for_too_long_is_told_and_counted() {
        let limits = RejoinLimits { expired_s_max: 86_400, ..RejoinLimits::default() };
        let day = |days: i64| WallTime(days * 86_400 * 1_000_000_000);
        assert!(check_age(day(10), &limits, day(11)).is_ok());
        assert!(check_age(WallTime(i64::MAX), &limits, day(11)).is_ok());
        let late = check_age(day(10), &limits, WallTime(day(11).0 + 1)).unwrap_err();
        assert_eq!(late.code(), Code::FailedPrecondition);
        let text = "certificate expired at 1970-01-11T00:00:00.000Z, more than 1 days ago: enrol again";
        assert_eq!((late.message(), limit::reason(&late)), (text, Some(Reason::RejoinExpired)));
    }
}
