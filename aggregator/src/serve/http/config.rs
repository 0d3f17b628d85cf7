//! The section `[http]`: what the HTTP door shows, and by which names it may be called.

use std::path::PathBuf;

/// The section `[http]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Names that callers may use in `Host`, without port, beside localhost, the address listened on and the hosts that
    /// `init` was given.
    pub hosts: Vec<String>,
    /// A certificate chain in PEM of your own; with it, TLS is spoken on loopback, too. Empty: the server's, off
    /// loopback only. A reload reads it again.
    pub certificate: PathBuf,
    /// The key in PEM that belongs to it.
    pub key: PathBuf,
}
