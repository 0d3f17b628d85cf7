//! The built-in certificate authority: a root, an intermediate that signs, and leaves.
//!
//! ```text
//!   root (10 y) ─→ intermediate (2 y) ─┬─→ server   (398 d, serverAuth + clientAuth, host names + one URI)
//!                                      ├─→ agents   (24 h,  clientAuth, one URI)
//!                                      └─→ people   (90 d,  clientAuth, one URI)
//! ```
//!
//! Of a request only the public key is used. A request that asks for a name, a purpose or authority is
//! refused: whoever sends one expects something that it would not get.

use aws_lc_rs::rand;
use quorate_common::durable;
use quorate_common::model::identity::{Identity, Role, is_trust_domain};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{Credential, TlsError, load_certificates, sha256, spki_sha256};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKey, PublicKeyData, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest certificate request that is looked at.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Life of a node's leaf.
pub const AGENT_LEAF: Duration = Duration::from_secs(24 * 3600);
/// Life of a person's leaf.
pub const PERSON_LEAF: Duration = Duration::from_secs(90 * DAY);

const DAY: u64 = 24 * 3600;
const ROOT: Duration = Duration::from_secs(3652 * DAY);
const INTERMEDIATE: Duration = Duration::from_secs(730 * DAY);
const SERVER_LEAF: Duration = Duration::from_secs(398 * DAY);
/// Certificates begin this much in the past: the other side's clock may be behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// The authority that signs leaves, loaded from its directory.
pub struct Authority {
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
    intermediate_pem: String,
    root_pem: String,
    root_spki_sha256: [u8; 32],
}

/// Where an authority keeps its files.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The root certificate: what everybody trusts.
    pub root_certificate: PathBuf,
    /// Its key; needed only to make another intermediate, and may be taken off the host.
    pub root_key: PathBuf,
    /// The certificate that signs leaves.
    pub intermediate_certificate: PathBuf,
    /// Its key.
    pub intermediate_key: PathBuf,
}

impl Paths {
    /// The file names below `dir`.
    pub fn below(dir: &Path) -> Paths {
        Paths {
            root_certificate: dir.join("root.crt"),
            root_key: dir.join("root.key"),
            intermediate_certificate: dir.join("intermediate.crt"),
            intermediate_key: dir.join("intermediate.key"),
        }
    }
}

/// A leaf with its key, both as PEM.
pub struct Issued {
    /// Leaf, then intermediate.
    pub chain_pem: String,
    /// PKCS#8.
    pub key_pem: zeroize::Zeroizing<String>,
    /// SHA-256 of the leaf's public key.
    pub spki_sha256: [u8; 32],
}

/// A certificate request whose signature was checked and that asks for nothing.
#[derive(Debug)]
pub struct Request {
    key: PublicKey,
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

/// Why the authority could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A certificate could not be made.
    #[error("failed to make the {what} certificate")]
    Make {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A file could not be written; an existing one is never overwritten.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read or used.
    #[error("failed to load the authority")]
    Load(#[from] TlsError),
    /// A loaded certificate has no identity or key that we understand.
    #[error("`{}` is not a certificate of an authority made by `init`", .0.display())]
    Foreign(PathBuf),
    /// The trust domain is not one.
    #[error("trust domain `{0}` is not dot-separated names of a-z, 0-9 and dash")]
    TrustDomain(String),
    /// The address cannot stand in a certificate.
    #[error("address `{0}` is neither a host name nor an IP address")]
    Host(String),
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    Randomness,
}

impl Authority {
    /// Whether an authority for this trust domain and these hosts can be made.
    pub fn check(trust_domain: &str, hosts: &[String]) -> Result<(), CaError> {
        if !is_trust_domain(trust_domain) {
            return Err(CaError::TrustDomain(trust_domain.chars().take(80).collect()));
        }
        hosts.iter().try_for_each(|host| host_name(host).map(drop))
    }

    /// Makes root and intermediate below `dir`, which must not hold an authority yet.
    pub fn create(dir: &Path, trust_domain: &str, now: WallTime) -> Result<Authority, CaError> {
        Authority::check(trust_domain, &[])?;
        let make = |what| move |source| CaError::Make { what, source };
        let root_key = KeyPair::generate().map_err(make("root"))?;
        let root_key_pem = zeroize::Zeroizing::new(root_key.serialize_pem());
        let root = CertifiedIssuer::self_signed(authority(trust_domain, "root", 1, (now, ROOT))?, root_key)
            .map_err(make("root"))?;
        let key = KeyPair::generate().map_err(make("intermediate"))?;
        let intermediate = authority(trust_domain, "intermediate", 0, (now, INTERMEDIATE))?
            .signed_by(&key, &root)
            .map_err(make("intermediate"))?;
        let paths = Paths::below(dir);
        durable::create_directory(dir).map_err(|source| CaError::Write { path: dir.to_owned(), source })?;
        write(&paths.root_key, &root_key_pem)?;
        write(&paths.root_certificate, &root.pem())?;
        write(&paths.intermediate_key, &zeroize::Zeroizing::new(key.serialize_pem()))?;
        write(&paths.intermediate_certificate, &intermediate.pem())?;
        Authority::load(dir)
    }

    /// Loads what [`Authority::create`] wrote. The root's key is not needed.
    pub fn load(dir: &Path) -> Result<Authority, CaError> {
        let paths = Paths::below(dir);
        let foreign = |path: &Path| CaError::Foreign(path.to_owned());
        let roots = load_certificates(&paths.root_certificate)?;
        let credential = Credential::load(&paths.intermediate_certificate, &paths.intermediate_key)?;
        let bad_key = |_| foreign(&paths.intermediate_key);
        let key =
            KeyPair::from_der_and_sign_algo(&credential.key, &PKCS_ECDSA_P256_SHA256).map_err(bad_key)?;
        let bad_certificate = |_| foreign(&paths.intermediate_certificate);
        let issuer = Issuer::from_ca_cert_der(&credential.chain[0], key).map_err(bad_certificate)?;
        Ok(Authority {
            trust_domain: trust_domain_of(&roots[0]).ok_or_else(|| foreign(&paths.root_certificate))?,
            root_spki_sha256: spki_sha256(&roots[0]).map_err(|_| foreign(&paths.root_certificate))?,
            intermediate_pem: read(&paths.intermediate_certificate)?,
            root_pem: read(&paths.root_certificate)?,
            issuer,
        })
    }

    /// The trust domain that stands in every certificate.
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// What peers should trust, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// SHA-256 of the root's public key (SPKI in DER): what a token carries.
    pub fn root_spki_sha256(&self) -> [u8; 32] {
        self.root_spki_sha256
    }

    /// The identity of `role` and `name` in our trust domain.
    pub fn identity(&self, role: Role, name: &str) -> Identity {
        Identity { trust_domain: self.trust_domain.as_str().into(), role, name: name.into() }
    }

    /// A certificate for the aggregator's own ports: its name, and the hosts that it is reached by.
    pub fn issue_server(&self, name: &str, hosts: &[String], now: WallTime) -> Result<Issued, CaError> {
        let mut params = leaf(&self.identity(Role::Aggregator, name), (now, SERVER_LEAF))?;
        for host in hosts {
            params.subject_alt_names.push(host_name(host)?);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue_with_new_key(&params)
    }

    /// A credential whose key is made here: for the first admin.
    pub fn issue_client(&self, identity: &Identity, now: WallTime) -> Result<Issued, CaError> {
        self.issue_with_new_key(&leaf(identity, (now, life(identity.role)))?)
    }

    /// A chain (leaf, intermediate; PEM) for the key of a request. Nothing else of the request is used.
    pub fn issue(&self, request: &Request, identity: &Identity, now: WallTime) -> Result<String, CaError> {
        let certificate = leaf(identity, (now, life(identity.role)))?
            .signed_by(&request.key, &self.issuer)
            .map_err(|source| CaError::Make { what: "leaf", source })?;
        Ok(certificate.pem() + &self.intermediate_pem)
    }

    fn issue_with_new_key(&self, params: &CertificateParams) -> Result<Issued, CaError> {
        let make = |source| CaError::Make { what: "leaf", source };
        let key = KeyPair::generate().map_err(make)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(make)?;
        Ok(Issued {
            chain_pem: certificate.pem() + &self.intermediate_pem,
            key_pem: zeroize::Zeroizing::new(key.serialize_pem()),
            spki_sha256: sha256(&key.subject_public_key_info()),
        })
    }
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

type Validity = (WallTime, Duration);

fn authority(
    trust_domain: &str,
    what: &str,
    path_length: u8,
    validity: Validity,
) -> Result<CertificateParams, CaError> {
    let mut params = certificate(&format!("Quorate {what} {trust_domain}"), validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let id = format!("spiffe://{trust_domain}");
    params.subject_alt_names.push(SanType::URI(ia5(&id)?));
    Ok(params)
}

fn leaf(identity: &Identity, validity: Validity) -> Result<CertificateParams, CaError> {
    let mut params = certificate(&format!("{} {}", identity.role, identity.name), validity)?;
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
    params.not_before = epoch + now.saturating_sub(BACKDATED);
    params.not_after = epoch + now + life;
    params.serial_number = Some(serial()?);
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

/// Random: the same key is certified again and again, and each certificate must be told from the others.
fn serial() -> Result<SerialNumber, CaError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| CaError::Randomness)?;
    // Positive, and never with leading zero bytes.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn life(role: Role) -> Duration {
    if role == Role::Agent { AGENT_LEAF } else { PERSON_LEAF }
}

fn host_name(host: &str) -> Result<SanType, CaError> {
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

fn trust_domain_of(root: &CertificateDer<'_>) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    let (_, certificate) = x509_parser::parse_x509_certificate(root).ok()?;
    let san = certificate.subject_alternative_name().ok()??;
    san.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://").map(str::to_owned),
        _ => None,
    })
}

fn read(path: &Path) -> Result<String, CaError> {
    let fail = |source| TlsError::Read { path: path.to_owned(), source };
    Ok(std::fs::read_to_string(path).map_err(fail)?)
}

fn write(path: &Path, pem: &str) -> Result<(), CaError> {
    durable::create(path, pem.as_bytes(), durable::PRIVATE)
        .map_err(|source| CaError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PKCS_ECDSA_P384_SHA384;

    fn request(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
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

    #[test]
    fn leaves_carry_our_name_and_the_requests_key() {
        let dir = tempfile::tempdir().unwrap();
        let now = WallTime(1_795_000_000_000_000_000);
        let authority = Authority::create(&dir.path().join("ca"), "q", now).unwrap();
        let request = Request::parse(&request(|_| {})).unwrap();
        let identity = authority.identity(Role::Agent, "n1");
        let issue = || {
            let pem = authority.issue(&request, &identity, now).unwrap();
            let chain = quorate_common::tls::certificates_from_pem(pem.as_bytes(), "test").unwrap();
            assert_eq!(chain.len(), 2);
            quorate_common::tls::peer_identity(&chain).unwrap()
        };
        let (first, second) = (issue(), issue());
        assert_eq!((&first.identity, first.spki_sha256), (&identity, request.spki_sha256));
        assert_eq!(first.not_after.as_millis() - now.as_millis(), 86_400_000);
        assert_ne!(first.serial, second.serial);
        assert!(Authority::create(&dir.path().join("ca"), "q", now).is_err(), "never overwritten");
    }
}
