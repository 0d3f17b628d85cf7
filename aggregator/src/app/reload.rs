//! At SIGHUP: the registry, which `init --recover` changes from outside, the authority, which `ca roll` changes, and
//! the server's certificate and key.
//!
//! What cannot be used is told, and what was in force stays. The configuration is read at start only.

use super::doors::DoorError;
use crate::identity;
use crate::identity::ca::Authority;
use crate::identity::ca::roll::renew_server;
use crate::identity::init::StatePaths;
use crate::identity::registry::Registry;
use quorate_common::clock::{Clock, monotonic_us};
use quorate_common::error::chain;
use quorate_common::model::time::WallTime;
use quorate_common::notify::{Notifier, State};
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{self, Credential};
use rustls::ServerConfig;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// The authority that is in force, and what both ports show, and where they are read from. Lives as long as the
/// program.
pub struct Certificate {
    /// The name in it.
    pub name: Arc<str>,
    paths: StatePaths,
    lives: identity::Config,
    authority: watch::Sender<Arc<Authority>>,
    grpc: watch::Sender<Arc<ServerConfig>>,
    enrol: watch::Sender<Arc<ServerConfig>>,
}

/// What is shown on the gRPC port, and on the enrolment port, by whose authority.
struct Shown {
    name: Arc<str>,
    authority: Arc<Authority>,
    grpc: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
}

impl Certificate {
    /// Reads everything for the first time.
    pub fn load(paths: &StatePaths, lives: identity::Config) -> Result<Certificate, DoorError> {
        let Shown { name, authority, grpc, enrol } = read(paths, lives)?;
        Ok(Certificate {
            name,
            paths: paths.clone(),
            lives,
            authority: watch::Sender::new(authority),
            grpc: watch::Sender::new(grpc),
            enrol: watch::Sender::new(enrol),
        })
    }

    /// What signs, now and later.
    pub fn authority(&self) -> watch::Receiver<Arc<Authority>> {
        self.authority.subscribe()
    }

    /// What the gRPC port shows, now and later.
    pub fn grpc(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.grpc.subscribe()
    }

    /// What the enrolment port shows, now and later.
    pub fn enrol(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.enrol.subscribe()
    }

    /// Renews what both ports show, if its end is near.
    fn renew(&self, now: WallTime) {
        let authority = self.authority.borrow().clone();
        match renew_server(&authority, &self.paths, now) {
            Ok(false) => {}
            Ok(true) => tell("certificate", self.reload()),
            Err(error) => {
                let error = chain(&error);
                tracing::error!(class = "failure", error, "failed to renew the server certificate");
            }
        }
    }

    /// Reads it again, for connections that come from now on. All changes, or nothing.
    fn reload(&self) -> Result<(), DoorError> {
        let shown = read(&self.paths, self.lives)?;
        self.authority.send_replace(shown.authority);
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
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How often the end of the server's certificate is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

impl Reload {
    /// Reloads registry and certificate at each signal, and renews the certificate in time, until asked to stop.
    pub async fn run(self, mut signals: Signal, shutdown: Shutdown) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = shutdown.asked() => return,
                _ = look.tick() => self.certificate.renew(self.clock.now().wall),
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

fn read(paths: &StatePaths, lives: identity::Config) -> Result<Shown, DoorError> {
    let authority = Authority::load(&paths.authority).map_err(DoorError::Authority)?.with_lives(lives);
    let roots = tls::certificates_from_pem(authority.root_pem().as_bytes(), "ca")?;
    let own = Credential::load(&paths.server_chain, &paths.server_key)?;
    let name = tls::peer_identity(&own.chain).map_err(DoorError::Name)?.identity.name;
    let grpc = Arc::new(tls::server_config(own.clone(), &roots)?);
    let enrol = Arc::new(tls::enrolment_config(own, &roots)?);
    Ok(Shown { name, authority: Arc::new(authority), grpc, enrol })
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
