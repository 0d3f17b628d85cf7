//! The built-in certificate authority: a root, an intermediate that signs, and leaves.
//!
//! ```text
//!   root (10 y) ─→ intermediate (2 y) ─┬─→ server   (398 d, serverAuth + clientAuth, host names + one URI)
//!                                      ├─→ agents   (24 h,  clientAuth, one URI, which of its keys)
//!                                      └─→ people   (90 d,  clientAuth, one URI)
//! ```
//!
//! While one root follows another, root and intermediate are bundles, see [`roll`].

mod leaf;
mod request;
pub mod roll;

pub use request::{InvalidRequest, REQUEST_BYTES_MAX, Request};

use super::config::Config;
use leaf::{authority, host_name, leaf};
use quorate_common::durable;
use quorate_common::model::identity::{Generation, Identity, Role, is_trust_domain};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{Credential, TlsError, load_certificates, sha256, spki_sha256};
use rcgen::{
    CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const DAY: u64 = 24 * 3600;
const ROOT: Duration = Duration::from_secs(3652 * DAY);
const INTERMEDIATE: Duration = Duration::from_secs(730 * DAY);
const SERVER_LEAF: Duration = Duration::from_secs(398 * DAY);

/// The authority that signs leaves, loaded from its directory.
pub struct Authority {
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
    intermediate_pem: String,
    root_pem: String,
    root_spki_sha256: [u8; 32],
    lives: Config,
}

/// What a leaf is for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who it names.
    pub identity: &'a Identity,
    /// Which of a node's keys it is for; people and aggregators have none.
    pub generation: Option<Generation>,
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
    pub key_pem: Zeroizing<String>,
    /// SHA-256 of the leaf's public key.
    pub spki_sha256: [u8; 32],
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
    /// Roots would pile up.
    #[error("there are two roots already: `ca retire` lets go of the older one first")]
    Rolling,
    /// Nothing is left to let go of.
    #[error("there is one root only")]
    OneRoot,
    /// The new files could not take their place.
    #[error("failed to put `{}` in its place", .0.display())]
    Place(PathBuf, #[source] std::io::Error),
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
        let (root, root_key) = new_root(trust_domain, now)?;
        let (key, key_pem) = new_key("intermediate")?;
        let certificate = sign_intermediate(&intermediate(trust_domain, now)?, &key, &root)?;
        let files = Files {
            root_certificates: root.pem(),
            root_key,
            intermediate_certificates: certificate,
            intermediate_key: key_pem,
        };
        files.write(dir)?;
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
            lives: Config::default(),
        })
    }

    /// The same, giving leaves these lives.
    pub fn with_lives(self, lives: Config) -> Authority {
        Authority { lives, ..self }
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
        self.issue_with_new_key(&self.server(name, hosts, now)?)
    }

    /// The same for a key that there is already. The chain, PEM.
    pub fn issue_server_again(
        &self,
        (name, hosts): (&str, &[String]),
        key: &PrivateKeyDer<'_>,
        now: WallTime,
    ) -> Result<String, CaError> {
        let make = |source| CaError::Make { what: "server", source };
        let key = KeyPair::try_from(key).map_err(make)?;
        let certificate = self.server(name, hosts, now)?.signed_by(&key, &self.issuer).map_err(make)?;
        Ok(certificate.pem() + &self.intermediate_pem)
    }

    fn server(&self, name: &str, hosts: &[String], now: WallTime) -> Result<CertificateParams, CaError> {
        let mut params = leaf(&self.identity(Role::Aggregator, name), None, (now, SERVER_LEAF))?;
        for host in hosts {
            params.subject_alt_names.push(host_name(host)?);
        }
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params)
    }

    /// A credential whose key is made here: for the first admin.
    pub fn issue_client(&self, identity: &Identity, now: WallTime) -> Result<Issued, CaError> {
        self.issue_with_new_key(&leaf(identity, None, (now, self.life(identity.role)))?)
    }

    /// A chain (leaf, intermediate; PEM) for the key of a request. Nothing else of the request is used.
    pub fn issue(&self, request: &Request, subject: Subject<'_>, now: WallTime) -> Result<String, CaError> {
        let Subject { identity, generation } = subject;
        let certificate = leaf(identity, generation, (now, self.life(identity.role)))?
            .signed_by(&request.key, &self.issuer)
            .map_err(|source| CaError::Make { what: "leaf", source })?;
        Ok(certificate.pem() + &self.intermediate_pem)
    }

    fn life(&self, role: Role) -> Duration {
        let Config { node_leaf_s, person_leaf_s } = self.lives;
        Duration::from_secs(if role == Role::Agent { node_leaf_s } else { person_leaf_s }.into())
    }

    fn issue_with_new_key(&self, params: &CertificateParams) -> Result<Issued, CaError> {
        let make = |source| CaError::Make { what: "leaf", source };
        let key = KeyPair::generate().map_err(make)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(make)?;
        Ok(Issued {
            chain_pem: certificate.pem() + &self.intermediate_pem,
            key_pem: Zeroizing::new(key.serialize_pem()),
            spki_sha256: sha256(&key.subject_public_key_info()),
        })
    }
}

/// What an authority's directory holds, PEM.
struct Files {
    root_certificates: String,
    root_key: Zeroizing<String>,
    intermediate_certificates: String,
    intermediate_key: Zeroizing<String>,
}

impl Files {
    /// Into a directory that holds none of them yet.
    fn write(&self, dir: &Path) -> Result<(), CaError> {
        let paths = Paths::below(dir);
        durable::create_directory(dir).map_err(|source| CaError::Write { path: dir.to_owned(), source })?;
        write(&paths.root_key, &self.root_key)?;
        write(&paths.root_certificate, &self.root_certificates)?;
        write(&paths.intermediate_key, &self.intermediate_key)?;
        write(&paths.intermediate_certificate, &self.intermediate_certificates)
    }
}

fn new_key(what: &'static str) -> Result<(KeyPair, Zeroizing<String>), CaError> {
    let key = KeyPair::generate().map_err(|source| CaError::Make { what, source })?;
    let pem = Zeroizing::new(key.serialize_pem());
    Ok((key, pem))
}

fn new_root(
    trust_domain: &str,
    now: WallTime,
) -> Result<(CertifiedIssuer<'static, KeyPair>, Zeroizing<String>), CaError> {
    let (key, pem) = new_key("root")?;
    let params = authority(trust_domain, "root", 1, (now, ROOT))?;
    let root =
        CertifiedIssuer::self_signed(params, key).map_err(|source| CaError::Make { what: "root", source })?;
    Ok((root, pem))
}

fn intermediate(trust_domain: &str, now: WallTime) -> Result<CertificateParams, CaError> {
    authority(trust_domain, "intermediate", 0, (now, INTERMEDIATE))
}

fn sign_intermediate(
    params: &CertificateParams,
    key: &KeyPair,
    root: &Issuer<'_, KeyPair>,
) -> Result<String, CaError> {
    let signed = params.signed_by(key, root);
    Ok(signed.map_err(|source| CaError::Make { what: "intermediate", source })?.pem())
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
    use super::request::tests::request;
    use super::*;

    const GENERATION: Generation = Generation { enrolment: 7, number: 3 };

    #[test]
    fn leaves_carry_our_name_and_the_requests_key() {
        let dir = tempfile::tempdir().unwrap();
        let now = WallTime(1_795_000_000_000_000_000);
        let authority = Authority::create(&dir.path().join("ca"), "q", now).unwrap();
        let request = Request::parse(&request(|_| {})).unwrap();
        let identity = authority.identity(Role::Agent, "n1");
        let issue = || {
            let subject = Subject { identity: &identity, generation: Some(GENERATION) };
            let pem = authority.issue(&request, subject, now).unwrap();
            let chain = quorate_common::tls::certificates_from_pem(pem.as_bytes(), "test").unwrap();
            assert_eq!(chain.len(), 2);
            quorate_common::tls::peer_identity(&chain).unwrap()
        };
        let (first, second) = (issue(), issue());
        assert_eq!((&first.identity, first.spki_sha256), (&identity, request.spki_sha256));
        assert_eq!(first.not_after.as_millis() - now.as_millis(), 86_400_000);
        assert_eq!(first.generation, Some(GENERATION));
        assert_ne!(first.serial, second.serial);
        assert!(Authority::create(&dir.path().join("ca"), "q", now).is_err(), "never overwritten");
    }
}
