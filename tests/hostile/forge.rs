//! Certificates as nobody should have them, most of them signed by the real authority: whoever has its key.

use crate::siege::Siege;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::identity::Generation;
use quorate_common::tls::{Credential, client_config, load_certificates, peer_identity};
use quorate_tests::door::Files;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SignatureAlgorithm,
};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;

/// A leaf to be made.
pub struct Leaf {
    pub uris: Vec<String>,
    /// Seconds after now; before it, if negative.
    pub not_before: i64,
    pub not_after: i64,
    pub purpose: ExtendedKeyUsagePurpose,
    pub algorithm: &'static SignatureAlgorithm,
    /// Instead of one of the algorithm's own.
    pub key: Option<KeyPair>,
    /// Subject alternative names in DER, instead of the URIs.
    pub raw_names: Option<Vec<u8>>,
    /// Which key of its node it is for.
    pub generation: Option<Generation>,
}

impl Leaf {
    /// A good one, for a day.
    pub fn of(uri: &str) -> Leaf {
        Leaf {
            uris: vec![uri.to_owned()],
            not_before: -300,
            not_after: 86_400,
            purpose: ExtendedKeyUsagePurpose::ClientAuth,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
            key: None,
            raw_names: None,
            generation: None,
        }
    }

    /// Another one for the owner of a credential, with its key.
    pub fn like(files: &Files) -> Leaf {
        let own = peer_identity(&load_certificates(&files.cert).unwrap()).unwrap();
        let key = KeyPair::from_pem(&std::fs::read_to_string(&files.key).unwrap()).unwrap();
        Leaf { key: Some(key), generation: own.generation, ..Leaf::of(&own.identity.to_string()) }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "hostile");
        if let Some(generation) = self.generation {
            params.distinguished_name.push(DnType::OrganizationalUnitName, generation.to_string());
        }
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let now = SystemClock.now().wall.as_millis() / 1000;
        let at = |seconds: i64| epoch + Duration::from_secs((now + seconds).unsigned_abs());
        (params.not_before, params.not_after) = (at(self.not_before), at(self.not_after));
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![self.purpose.clone()];
        match &self.raw_names {
            Some(der) => {
                params.custom_extensions =
                    vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], der.clone())];
            }
            None => {
                let names = self.uris.iter().map(|uri| SanType::URI(uri.clone().try_into().unwrap()));
                params.subject_alt_names = names.collect();
            }
        }
        params
    }
}

/// The authority of a cluster, stolen.
pub struct Stolen {
    issuer: Issuer<'static, KeyPair>,
    intermediate: CertificateDer<'static>,
    intermediate_pem: String,
    roots: Vec<CertificateDer<'static>>,
}

impl Stolen {
    /// From its state directory.
    pub fn of(siege: &Siege) -> Stolen {
        let dir = siege.cluster.dir().join("aggregator/ca");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        let intermediate = load_certificates(&dir.join("intermediate.crt")).unwrap().remove(0);
        let key = KeyPair::from_pem(&read("intermediate.key")).unwrap();
        let issuer = Issuer::from_ca_cert_der(&intermediate, key).unwrap();
        let intermediate_pem = read("intermediate.crt");
        Stolen {
            issuer,
            intermediate,
            intermediate_pem,
            roots: load_certificates(&dir.join("root.crt")).unwrap(),
        }
    }

    /// A client that shows this leaf.
    pub fn client(&self, leaf: Leaf) -> Arc<ClientConfig> {
        let (certificate, key) = self.sign(leaf);
        self.showing(vec![certificate, self.intermediate.clone()], key)
    }

    /// The leaf and its key.
    pub fn sign(&self, mut leaf: Leaf) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = leaf.key.take().unwrap_or_else(|| KeyPair::generate_for(leaf.algorithm).unwrap());
        let certificate = leaf.params().signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), key.serialize_der().try_into().unwrap())
    }

    /// Chain and key as PEM, of a leaf with a key of its own.
    pub fn sign_pem(&self, leaf: &Leaf) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf.params().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem() + &self.intermediate_pem, key.serialize_pem())
    }

    /// A client that shows any chain.
    pub fn showing(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Arc<ClientConfig> {
        Arc::new(client_config(&self.roots, Some(Credential { chain, key })).unwrap())
    }

    /// What stands between a leaf and the root.
    pub fn intermediate(&self) -> &CertificateDer<'static> {
        &self.intermediate
    }

    /// A client that shows nothing.
    pub fn anonymous(&self) -> Arc<ClientConfig> {
        Arc::new(client_config(&self.roots, None).unwrap())
    }

    /// A leaf below so many authorities of our own making, each signed by the one before, the first by the real one.
    pub fn deep(&self, depth: usize) -> Arc<ClientConfig> {
        let mut chain = vec![self.intermediate.clone()];
        let mut above: Option<Issuer<'static, KeyPair>> = None;
        for at in 0..depth {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, format!("below {at}"));
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let key = KeyPair::generate().unwrap();
            let made = params.signed_by(&key, above.as_ref().unwrap_or(&self.issuer)).unwrap();
            chain.insert(0, made.der().clone());
            above = Some(Issuer::new(params, key));
        }
        let key = KeyPair::generate().unwrap();
        let leaf = Leaf::of("spiffe://quorate/agent/deep").params();
        let leaf = leaf.signed_by(&key, above.as_ref().unwrap_or(&self.issuer)).unwrap();
        chain.insert(0, leaf.der().clone());
        self.showing(chain, key.serialize_der().try_into().unwrap())
    }

    /// A leaf of an authority that calls itself like the real one, and has another key.
    pub fn namesake(&self, uri: &str) -> Arc<ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_ca_cert_der(&self.intermediate, key).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = Leaf::of(uri).params().signed_by(&key, &issuer).unwrap();
        let chain = vec![leaf.der().clone(), self.intermediate.clone()];
        self.showing(chain, key.serialize_der().try_into().unwrap())
    }

    /// A leaf that vouches for itself.
    pub fn self_signed(&self, uri: &str) -> Arc<ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let leaf = Leaf::of(uri).params().self_signed(&key).unwrap();
        self.showing(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
    }
}

/// The client of a credential in files.
pub fn client(files: &Files) -> Arc<ClientConfig> {
    let own = Credential::load(&files.cert, &files.key).unwrap();
    Arc::new(client_config(&load_certificates(&files.ca).unwrap(), Some(own)).unwrap())
}
