//! Certificate requests (PKCS#10): of them only the public key is used.
//!
//! A request that asks for a name, a purpose or authority is refused: whoever sends one expects something that it
//! would not get.

use quorate_common::tls::sha256;
use rcgen::{CertificateSigningRequestParams, IsCa, PublicKey, PublicKeyData};

/// Largest certificate request that is looked at.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// A certificate request whose signature was checked and that asks for nothing.
#[derive(Debug)]
pub struct Request {
    pub(super) key: PublicKey,
    /// SHA-256 of its public key (SPKI in DER).
    pub spki_sha256: [u8; 32],
}

/// Why a certificate request is refused. Each text begins with the field, `csr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// Larger than [`REQUEST_BYTES_MAX`].
    #[error("csr is larger than 8192 bytes")]
    TooLarge,
    /// Not PKCS#10, or with something in it that we do not know.
    #[error("csr is not a PKCS#10 request in DER that can be read")]
    Unreadable,
    /// The caller does not hold the key.
    #[error("csr has a wrong signature")]
    Signature,
    /// Another kind of key than the one we use.
    #[error("csr has an unsupported key, expected ECDSA P-256")]
    Key,
    /// Names, purposes or authority are not the caller's to choose.
    #[error("csr asks for extensions, only its key is used: send one without")]
    Extensions,
}

impl Request {
    /// Checks a PKCS#10 request in DER.
    pub fn parse(der: &[u8]) -> Result<Request, InvalidRequest> {
        if der.len() > REQUEST_BYTES_MAX {
            return Err(InvalidRequest::TooLarge);
        }
        let request =
            CertificateSigningRequestParams::from_der(&der.into()).map_err(|error| match error {
                rcgen::Error::InvalidCertificationRequestSignature => InvalidRequest::Signature,
                rcgen::Error::UnsupportedSignatureAlgorithm => InvalidRequest::Key,
                rcgen::Error::UnsupportedExtension => InvalidRequest::Extensions,
                _ => InvalidRequest::Unreadable,
            })?;
        check_key(der)?;
        let asked = &request.params;
        if !asked.subject_alt_names.is_empty()
            || !asked.extended_key_usages.is_empty()
            || !asked.key_usages.is_empty()
            || asked.is_ca != IsCa::NoCa
        {
            return Err(InvalidRequest::Extensions);
        }
        let spki_sha256 = sha256(&request.public_key.subject_public_key_info());
        Ok(Request { key: request.public_key, spki_sha256 })
    }
}

/// rcgen takes the kind of key from the signature's algorithm. The key itself must say the same, else a
/// certificate for a key that nobody has would be signed.
fn check_key(der: &[u8]) -> Result<(), InvalidRequest> {
    use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256};
    use x509_parser::prelude::{FromDer, X509CertificationRequest};
    let (_, csr) = X509CertificationRequest::from_der(der).map_err(|_| InvalidRequest::Unreadable)?;
    let key = &csr.certification_request_info.subject_pki;
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    let uncompressed = key.subject_public_key.data.len() == 65;
    if csr.signature_algorithm.algorithm == OID_SIG_ECDSA_WITH_SHA256
        && key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && curve == Some(OID_EC_P256)
        && uncompressed
    {
        Ok(())
    } else {
        Err(InvalidRequest::Key)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384,
        SanType,
    };

    pub fn request(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        change(&mut params);
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn requests_that_ask_for_more_than_a_key_are_refused() {
        let check = |der: Vec<u8>, expect| assert_eq!(Request::parse(&der).err(), expect);
        check(request(|_| {}), None);
        let san = SanType::URI("spiffe://q/admin/x".try_into().unwrap());
        check(request(|p| p.subject_alt_names.push(san)), Some(InvalidRequest::Extensions));
        let eku = ExtendedKeyUsagePurpose::ServerAuth;
        check(request(|p| p.extended_key_usages.push(eku)), Some(InvalidRequest::Extensions));
        let ca = IsCa::Ca(BasicConstraints::Unconstrained);
        check(request(|p| p.is_ca = ca), Some(InvalidRequest::Extensions));
        check(vec![0x30; REQUEST_BYTES_MAX + 1], Some(InvalidRequest::TooLarge));
        check(vec![0x30; 100], Some(InvalidRequest::Unreadable));
        check(Vec::new(), Some(InvalidRequest::Unreadable));
        let mut broken = request(|_| {});
        let last = broken.len() - 1;
        broken[last] ^= 1;
        check(broken, Some(InvalidRequest::Signature));
        let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let other = CertificateParams::default().serialize_request(&other).unwrap();
        check(other.der().to_vec(), Some(InvalidRequest::Key));
    }
}
