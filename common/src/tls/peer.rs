//! Who a checked chain belongs to: exactly one SPIFFE URI in the leaf, or nobody.

use crate::model::identity::{Generation, Identity};
use crate::model::time::WallTime;
use crate::terminal::finding::Finding;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What is kept of a peer's leaf certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its one SPIFFE URI.
    pub identity: Identity,
    /// SHA-256 of its SubjectPublicKeyInfo in DER: which key it is.
    pub spki_sha256: [u8; 32],
    /// The serial number, big endian, for logs.
    pub serial: Vec<u8>,
    /// When it expires.
    pub not_after: WallTime,
    /// Which of a node's keys it is for; people's certificates do not say.
    pub generation: Option<Generation>,
}

/// Why a certificate names nobody. The text is the same for every reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("certificate has no single valid spiffe id")]
pub struct PeerError;

/// What a certificate says of itself, for showing; nothing is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its subject, as in `CN=Quorate Root`; its SPIFFE URI where it has one.
    pub subject: String,
    /// When it begins to be valid.
    pub not_before: WallTime,
    /// When it expires.
    pub not_after: WallTime,
}

impl Validity {
    /// The verdict of a doctor: a warning below a third of its life, a failure when it is not valid. `advice` says
    /// how another one is had.
    pub fn finding(&self, check: &str, advice: &str, now: WallTime) -> Finding {
        let Validity { subject, not_before, not_after } = self;
        if now < *not_before {
            let text = format!("{subject} is not valid before {not_before}");
            return Finding::failed(check, text).advise("check the clock of this machine");
        }
        if now >= *not_after {
            return Finding::failed(check, format!("{subject} expired at {not_after}")).advise(advice);
        }
        let left_s = not_after.as_millis().saturating_sub(now.as_millis()) / 1000;
        let life_s = not_after.as_millis().saturating_sub(not_before.as_millis()) / 1000;
        let text = format!("{subject}, {:.1} days left, until {not_after}", left_s as f64 / 86_400.0);
        if left_s < life_s / 3 {
            let text = format!("{text}: less than a third of its life is left");
            return Finding::warning(check, text).advise(advice);
        }
        Finding::ok(check, text)
    }
}

/// Reads subject and dates of a certificate.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, PeerError> {
    let read = parse(certificate)?;
    let wall = |seconds: i64| WallTime(seconds.saturating_mul(1_000_000_000));
    Ok(Validity {
        subject: only_uri(&read).map_or_else(|_| read.subject().to_string(), str::to_owned),
        not_before: wall(read.validity().not_before.timestamp()),
        not_after: wall(read.validity().not_after.timestamp()),
    })
}

/// Reads the leaf of a chain that TLS has already checked.
pub fn peer_identity(certs: &[CertificateDer<'_>]) -> Result<PeerCertificate, PeerError> {
    let leaf = parse(certs.first().ok_or(PeerError)?)?;
    let not_after = leaf.validity().not_after.timestamp().saturating_mul(1_000_000_000);
    Ok(PeerCertificate {
        identity: only_uri(&leaf)?.parse().map_err(|_| PeerError)?,
        spki_sha256: sha256(leaf.public_key().raw),
        serial: leaf.raw_serial().to_vec(),
        not_after: WallTime(not_after),
        generation: generation(&leaf),
    })
}

/// The one organisational unit of the subject, if that is how it reads.
fn generation(leaf: &X509Certificate<'_>) -> Option<Generation> {
    let mut units = leaf.subject().iter_organizational_unit();
    match (units.next(), units.next()) {
        (Some(unit), None) => unit.as_str().ok()?.parse().ok(),
        _ => None,
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo in DER.
pub fn spki_sha256(certificate: &CertificateDer<'_>) -> Result<[u8; 32], PeerError> {
    Ok(sha256(parse(certificate)?.public_key().raw))
}

/// The public key of a certificate as its signatures are checked with: for our curve, the point.
pub fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, PeerError> {
    Ok(parse(certificate)?.public_key().subject_public_key.data.to_vec())
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PeerError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(PeerError),
    }
}

fn only_uri<'a>(leaf: &'a X509Certificate<'_>) -> Result<&'a str, PeerError> {
    let san = leaf.subject_alternative_name().map_err(|_| PeerError)?.ok_or(PeerError)?;
    let mut uris = san.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        _ => Err(PeerError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::finding::Level;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn check(uris: &[&str], expect: Option<&str>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        params
            .subject_alt_names
            .extend(uris.iter().map(|uri| SanType::URI((*uri).to_owned().try_into().unwrap())));
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let peer = peer_identity(&[certificate.der().clone()]);
        assert_eq!(peer.as_ref().ok().map(|p| p.identity.to_string()).as_deref(), expect, "{uris:?}");
        let Ok(peer) = peer else { return };
        assert_eq!(peer.not_after.to_string(), "2030-01-01T00:00:00.000Z");
        assert_eq!(peer.spki_sha256, spki_sha256(certificate.der()).unwrap());
    }

    #[test]
    fn exactly_one_spiffe_uri() {
        let long = format!("spiffe://q/agent/{}", "a".repeat(4096));
        check(&["spiffe://q/agent/n1"], Some("spiffe://q/agent/n1"));
        check(&[], None);
        check(&["spiffe://q/agent/n1", "spiffe://q/agent/n2"], None);
        check(&["spiffe://q/agent/n1", "https://example.org/"], None);
        check(&["spiffe://q/agent/../operator/x"], None);
        check(&["spiffe://q/agent/n%31"], None);
        check(&["spiffe://q/Agent/n1"], None);
        check(&["spiffe://q/agent/n1/"], None);
        check(&["spiffe://q/agent/n1\0"], None);
        check(&[&long], None);
    }

    #[test]
    fn a_doctor_looks_at_the_dates() {
        let day = |days: i64| WallTime(days * 86_400 * 1_000_000_000);
        let validity = Validity { subject: "CN=x".into(), not_before: day(10), not_after: day(40) };
        for (now, level, text) in [
            (9, Level::Failed, "CN=x is not valid before 1970-01-11T00:00:00.000Z"),
            (10, Level::Ok, "CN=x, 30.0 days left, until 1970-02-10T00:00:00.000Z"),
            (30, Level::Ok, "CN=x, 10.0 days left, until 1970-02-10T00:00:00.000Z"),
            (
                31,
                Level::Warning,
                "CN=x, 9.0 days left, until 1970-02-10T00:00:00.000Z: less than a third of its life is left",
            ),
            (40, Level::Failed, "CN=x expired at 1970-02-10T00:00:00.000Z"),
        ] {
            let finding = validity.finding("certificate", "enrol again", day(now));
            assert_eq!((finding.level, finding.text.as_str()), (level, text), "{now}");
        }
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        let read = super::validity(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(read.not_before.to_string(), "2026-01-01T00:00:00.000Z");
        assert!(read.subject.starts_with("CN="), "{}", read.subject);
        assert_eq!(super::validity(&vec![0x30].into()), Err(PeerError));
    }

    #[test]
    fn garbage_is_nobody() {
        assert_eq!(peer_identity(&[]), Err(PeerError));
        assert_eq!(peer_identity(&[vec![0x30, 0x82, 0xff].into()]), Err(PeerError));
        assert_eq!(PeerError.to_string(), "certificate has no single valid spiffe id");
    }
}
