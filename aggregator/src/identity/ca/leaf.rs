//! What stands in a certificate: names, purposes, dates, serial number.

use super::CaError;
use aws_lc_rs::rand;
use quorate_common::model::identity::{Generation, Identity};
use quorate_common::model::time::WallTime;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use std::net::IpAddr;
use std::time::Duration;

/// Certificates begin this much in the past, or a tenth of their life: the other side's clock may be behind.
pub(super) const BACKDATED_MAX: Duration = Duration::from_secs(300);

/// From when on, and for how long.
pub(super) type Validity = (WallTime, Duration);

pub(super) fn authority(
    trust_domain: &str,
    what: &str,
    path_length: u8,
    validity: Validity,
) -> Result<CertificateParams, CaError> {
    // Roots that follow one another must be told apart by name.
    let mark = serial()?;
    let name =
        format!("Quorate {what} {trust_domain} {:02x}{:02x}{:02x}{:02x}", mark[1], mark[2], mark[3], mark[4]);
    let mut params = certificate(&name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let id = format!("spiffe://{trust_domain}");
    params.subject_alt_names.push(SanType::URI(ia5(&id)?));
    Ok(params)
}

pub(super) fn leaf(
    identity: &Identity,
    generation: Option<Generation>,
    validity: Validity,
) -> Result<CertificateParams, CaError> {
    let mut params = certificate(&format!("{} {}", identity.role, identity.name), validity)?;
    if let Some(generation) = generation {
        params.distinguished_name.push(DnType::OrganizationalUnitName, generation.to_string());
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names.push(SanType::URI(ia5(&identity.to_string())?));
    Ok(params)
}

fn certificate(common_name: &str, (now, life): Validity) -> Result<CertificateParams, CaError> {
    let epoch = date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(u64::try_from(now.as_millis() / 1000).unwrap_or(0));
    let mut params = CertificateParams::default();
    params.not_before = epoch + now.saturating_sub(BACKDATED_MAX.min(life / 10));
    params.not_after = epoch + now + life;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// Random: the same key is certified again and again, and each certificate must be told from the others.
fn serial() -> Result<[u8; 16], CaError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| CaError::Randomness)?;
    // Positive, and never with leading zero bytes.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(bytes)
}

pub(super) fn host_name(host: &str) -> Result<SanType, CaError> {
    let refuse = || CaError::Host(host.chars().take(300).collect());
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    rustls::pki_types::DnsName::try_from(host).map_err(|_| refuse())?;
    Ok(SanType::DnsName(host.try_into().map_err(|_| refuse())?))
}

fn ia5(text: &str) -> Result<rcgen::string::Ia5String, CaError> {
    text.try_into().map_err(|source| CaError::Make { what: "leaf", source })
}
