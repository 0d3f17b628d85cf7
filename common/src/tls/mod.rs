//! Transport security: what is loaded from files, what is spoken, and who is at the other end.
//!
//! One provider (aws-lc-rs), TLS 1.3 only, HTTP/2 only. No session is ever resumed: a resumed one would
//! bring back a client certificate without checking it again. It decides nothing about authority: an
//! identity is only a name here, the registry says what it may do.

mod config;
mod load;
mod peer;
mod pin;

pub use config::{client_config, enrolment_config, pinned_config, server_config, web_config};
pub use load::{Credential, certificates_from_pem, load_certificates, load_key};
pub use peer::{
    PeerCertificate, PeerError, Validity, peer_identity, public_key, sha256, spki_sha256, validity,
};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// Why a file or a configuration cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than the owner may read a private key.
    #[error("private key `{}` has mode {mode:04o}, expected 0600: others may read it", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is larger than any key or chain.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The text is no PEM, or holds nothing of what was looked for.
    #[error("no {what} in `{origin}`")]
    Pem {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file, or where else the text came from.
        origin: String,
    },
    /// The parts do not fit one another, such as a key that is not the certificate's.
    #[error("certificate and key cannot be used")]
    Unusable(#[source] rustls::Error),
    /// The roots are not usable for checking clients.
    #[error("roots cannot be used to check clients")]
    Roots(#[source] rustls::server::VerifierBuilderError),
}

/// The one provider of cryptography in the program.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// Makes the provider the default of the process, for libraries that ask for one. May be called often.
pub fn install_provider() {
    // An error means that one is installed already, and there is only this one to install.
    aws_lc_rs::default_provider().install_default().ok();
}
