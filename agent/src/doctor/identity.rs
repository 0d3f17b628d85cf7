//! The certificate of this node, the roots that it trusts, and how long they last.

use super::ENROL;
use crate::enrol;
use quorate_common::error::chain;
use quorate_common::model::time::WallTime;
use quorate_common::terminal::finding::Finding;
use quorate_common::tls::{self, Credential, TlsError, Validity};
use rustls::ClientConfig;
use std::path::Path;
use std::sync::Arc;

/// What becomes of a node's certificate.
const RENEWED: &str =
    "the running agent renews it by itself, up to 30 days after its end: its log says why it has not";
/// What becomes of a root.
const ROLLED: &str = "run `quorate-aggregator ca roll` where the aggregator is";

/// What the state directory holds of an identity.
pub struct Identity {
    certificate: Result<Vec<Validity>, String>,
    roots: Result<Vec<Validity>, String>,
    /// What to connect with; or why there is nothing.
    pub tls: Result<Arc<ClientConfig>, String>,
}

impl Identity {
    /// Reads the files of enrolment.
    pub fn load(state_dir: &Path) -> Identity {
        let paths = enrol::paths(state_dir);
        let credential = Credential::load(&paths.chain, &paths.key);
        let roots = tls::load_certificates(&paths.roots);
        let told = |error: &TlsError| chain(error);
        Identity {
            certificate: credential.as_ref().map(|own| dates(&own.chain)).map_err(told),
            roots: roots.as_ref().map(|roots| dates(roots)).map_err(told),
            tls: credential
                .and_then(|own| tls::client_config(&roots?, Some(own)))
                .map(Arc::new)
                .map_err(|error| chain(&error)),
        }
    }

    /// One finding for the certificate and one for each root.
    pub fn findings(&self, now: WallTime) -> Vec<Finding> {
        let of = |(name, advice): (&str, &str), found: &Result<Vec<Validity>, String>, most| match found {
            Ok(all) => all.iter().take(most).map(|one| one.finding(name, advice, now)).collect(),
            Err(error) => vec![Finding::failed(name, error).advise(ENROL)],
        };
        // Of the chain only the leaf is ours.
        let mut findings = of(("certificate", RENEWED), &self.certificate, 1);
        findings.extend(of(("root", ROLLED), &self.roots, usize::MAX));
        findings
    }
}

fn dates(certificates: &[rustls::pki_types::CertificateDer<'_>]) -> Vec<Validity> {
    certificates.iter().filter_map(|one| tls::validity(one).ok()).collect()
}
