//! Opening the connection: TCP, mutual TLS, HTTP/2. Fails once, at the start, with one clear cause.

use crate::config::Target;
use quorate_common::tls::{Credential, TlsError, client_config, load_certificates};
use quorate_proto::connect::{self, ConnectError, Options};
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;

/// A peer that vanished is noticed within twice the time between two pings, also by a watch that waits for
/// news.
const OPTIONS: Options = Options { keepalive: Some(Duration::from_secs(5)), ..Options::CALL };

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file of the credential cannot be used.
    #[error(transparent)]
    Credential(#[from] TlsError),
    /// The address cannot be the name of a server.
    #[error("address `{0}` is not a valid server name")]
    Address(String),
    /// Nobody answered, or not as our aggregator does.
    #[error("failed to connect to {0}: {1}")]
    Connect(String, String),
}

/// Connects to the aggregator that `target` names and shows the credential that it names.
pub async fn open(target: &Target) -> Result<Channel, OpenError> {
    let own = Credential::load(&target.cert, &target.key)?;
    let tls = client_config(&load_certificates(&target.ca)?, Some(own))?;
    let address = target.address.to_string();
    connect::channel(&address, Arc::new(tls), OPTIONS).await.map_err(|error| match error {
        ConnectError::Address(_) => OpenError::Address(address),
        ConnectError::Tls(error) => OpenError::Credential(error),
        ConnectError::Connect { source, .. } => OpenError::Connect(address, innermost(&source)),
    })
}

/// The cause at the bottom of a chain: what lies above it says "transport error" three times.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    let Some(error) = last.downcast_ref::<io::Error>() else { return last.to_string() };
    // An error of the system says its kind better than its number does.
    if error.raw_os_error().is_some() { error.kind().to_string() } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::Fake;
    use crate::conn::Connection;
    use std::path::Path;

    fn target(dir: &Path, address: &str) -> Target {
        Target {
            address: address.parse().unwrap(),
            ca: dir.join("ca.crt"),
            cert: dir.join("admin.crt"),
            key: dir.join("admin.key"),
            timeout: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn speaks_mutual_tls() {
        let dir = tempfile::tempdir().unwrap();
        let address = Fake::default().serve_tls(dir.path()).await;
        let conn = Connection::open(&target(dir.path(), &address.to_string())).await.unwrap();
        assert_eq!(conn.nodes("").await.unwrap().nodes.len(), 4);
    }

    #[tokio::test]
    async fn says_why_it_cannot() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let address = Fake::default().serve_tls(own.path()).await;
        Fake::default().serve_tls(other.path()).await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let check = async |target: Target, expect: &str| {
            let error = open(&target).await.unwrap_err();
            assert_eq!(quorate_common::error::chain(&error), expect);
        };
        let refused = format!("failed to connect to {closed}: connection refused");
        check(target(own.path(), &closed), &refused).await;
        let stranger = Target { ca: other.path().join("ca.crt"), ..target(own.path(), &address.to_string()) };
        let unknown = format!("failed to connect to {address}: invalid peer certificate: BadSignature");
        check(stranger, &unknown).await;
        let wrong_name = Target {
            address: format!("localhost:{}", address.port()).parse().unwrap(),
            ..target(own.path(), "a")
        };
        let error = open(&wrong_name).await.unwrap_err().to_string();
        assert!(error.contains("not valid for name"), "{error}");
    }

    #[tokio::test]
    async fn a_certificate_of_another_authority_is_refused() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let address = Fake::default().serve_tls(own.path()).await;
        Fake::default().serve_tls(other.path()).await;
        let mine = target(other.path(), &address.to_string());
        let mixed = Target { ca: own.path().join("ca.crt"), ..mine };
        // In TLS 1.3 a client learns of it only when it reads.
        let error = match Connection::open(&mixed).await {
            Err(error) => error.to_string(),
            Ok(conn) => conn.nodes("").await.unwrap_err().to_string(),
        };
        assert!(error.contains("alert"), "{error}");
    }
}
