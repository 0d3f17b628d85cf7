//! At SIGHUP: the registry, which `init --recover` changes from outside, and the server's certificate and key.
//!
//! What cannot be used is told, and what was in force stays. The configuration is read at start only.

use super::doors::DoorError;
use crate::identity::init::StatePaths;
use crate::identity::registry::Registry;
use quorate_common::clock::monotonic_us;
use quorate_common::error::chain;
use quorate_common::notify::{Notifier, State};
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{self, Credential};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// What both ports show, and where it is read from. Lives as long as the program.
pub struct Certificate {
    /// The name in it.
    pub name: Arc<str>,
    files: (PathBuf, PathBuf),
    roots: Vec<CertificateDer<'static>>,
    grpc: watch::Sender<Arc<ServerConfig>>,
    enrol: watch::Sender<Arc<ServerConfig>>,
}

/// What is shown on the gRPC port, and on the enrolment port.
struct Shown {
    name: Arc<str>,
    grpc: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads it for the first time. `roots` vouch for callers.
    pub fn load(paths: &StatePaths, roots: Vec<CertificateDer<'static>>) -> Result<Certificate, DoorError> {
        let files = (paths.server_chain.clone(), paths.server_key.clone());
        let Shown { name, grpc, enrol } = read(&files, &roots)?;
        Ok(Certificate {
            name,
            files,
            roots,
            grpc: watch::Sender::new(grpc),
            enrol: watch::Sender::new(enrol),
        })
    }

    /// What the gRPC port shows, now and later.
    pub fn grpc(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.grpc.subscribe()
    }

    /// What the enrolment port shows, now and later.
    pub fn enrol(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.enrol.subscribe()
    }

    /// Reads it again, for connections that come from now on. Both ports change, or neither.
    fn reload(&self) -> Result<(), DoorError> {
        let shown = read(&self.files, &self.roots)?;
        self.grpc.send_replace(shown.grpc);
        self.enrol.send_replace(shown.enrol);
        Ok(())
    }
}

/// What is reloaded, and who is told when that begins and ends.
pub struct Reload {
    /// Who belongs.
    pub registry: Registry,
    /// What both ports show.
    pub certificate: Certificate,
    /// The service manager.
    pub notifier: Notifier,
}

impl Reload {
    /// Reloads registry and certificate at each signal, until asked to stop.
    pub async fn run(self, mut signals: Signal, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.asked() => return,
                Some(()) = signals.recv() => {
                    self.notifier.tell(&[State::Reloading { at_us: monotonic_us() }]);
                    tell("registry", self.registry.reload().await);
                    tell("certificate", self.certificate.reload());
                    self.notifier.tell(&[State::Ready]);
                }
            }
        }
    }
}

fn read((chain, key): &(PathBuf, PathBuf), roots: &[CertificateDer<'static>]) -> Result<Shown, DoorError> {
    let own = Credential::load(chain, key)?;
    let name = tls::peer_identity(&own.chain).map_err(DoorError::Name)?.identity.name;
    let grpc = Arc::new(tls::server_config(own.clone(), roots)?);
    Ok(Shown { name, grpc, enrol: Arc::new(tls::enrolment_config(own, roots)?) })
}

fn tell<E: Error>(what: &'static str, done: Result<(), E>) {
    match done {
        Ok(()) => tracing::info!(class = "success", what, "reloaded"),
        Err(error) => {
            tracing::error!(
                class = "failure",
                what,
                error = chain(&error),
                "failed to reload, the old stays"
            );
        }
    }
}
