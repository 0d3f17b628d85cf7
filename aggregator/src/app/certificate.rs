//! What both ports show: the server's certificate and key, loaded, checked, and replaced while the program runs.
//!
//! ```text
//!   files ─→ read ─→ key fits, nobody has expired ─→ shown ─→ both ports, for connections from then on
//!                        └─ refused: what was shown before stays
//! ```

use super::doors::DoorError;
use crate::identity::init::StatePaths;
use quorate_common::clock::Clock;
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{self, Credential, Validity};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A certificate that expires sooner is warned of.
const WARN_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often that is looked at while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);

/// What both ports show, and where it is read from. Lives as long as the program.
pub struct Certificate {
    /// The name in it.
    pub name: Arc<str>,
    files: (PathBuf, PathBuf),
    roots: Vec<CertificateDer<'static>>,
    grpc: watch::Sender<Arc<ServerConfig>>,
    enrol: watch::Sender<Arc<ServerConfig>>,
    validities: watch::Sender<Vec<Validity>>,
}

/// A certificate that was read and can be shown.
pub struct Shown {
    name: Arc<str>,
    grpc: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
    /// Leaf, intermediates, roots.
    validities: Vec<Validity>,
}

impl Certificate {
    /// Reads it for the first time. `roots` vouch for callers.
    pub fn load(
        paths: &StatePaths,
        roots: Vec<CertificateDer<'static>>,
        now: WallTime,
    ) -> Result<Certificate, DoorError> {
        let files = (paths.server_chain.clone(), paths.server_key.clone());
        let Shown { name, grpc, enrol, validities } = read(&files, &roots, now)?;
        Ok(Certificate {
            name,
            files,
            roots,
            grpc: watch::Sender::new(grpc),
            enrol: watch::Sender::new(enrol),
            validities: watch::Sender::new(validities),
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

    /// How long it is valid, and those who vouch for it, now and later.
    pub fn validities(&self) -> watch::Receiver<Vec<Validity>> {
        self.validities.subscribe()
    }

    /// Reads it again and shows nothing yet.
    pub fn read(&self, now: WallTime) -> Result<Shown, DoorError> {
        read(&self.files, &self.roots, now)
    }

    /// Shows it to connections that come from now on. Both ports change.
    pub fn show(&self, shown: Shown) {
        self.grpc.send_replace(shown.grpc);
        self.enrol.send_replace(shown.enrol);
        self.validities.send_replace(shown.validities);
    }
}

/// Warns of what expires soon: now, when something else is shown, and once a day, until asked to stop.
pub async fn warn(mut validities: watch::Receiver<Vec<Validity>>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut day = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            _ = day.tick() => {}
            Ok(()) = validities.changed() => {}
        }
        let now = clock.now().wall;
        for Validity { subject, not_after, .. } in soon(&validities.borrow_and_update(), now) {
            tracing::warn!(class = "action", subject, %not_after, "certificate expires in less than 7 days");
        }
    }
}

/// Those that have less than [`WARN_BEFORE`] to live.
fn soon(validities: &[Validity], now: WallTime) -> impl Iterator<Item = &Validity> {
    let limit = now.0.saturating_add(i64::try_from(WARN_BEFORE.as_nanos()).unwrap_or(i64::MAX));
    validities.iter().filter(move |validity| validity.not_after.0 < limit)
}

fn read(
    (chain, key): &(PathBuf, PathBuf),
    roots: &[CertificateDer<'static>],
    now: WallTime,
) -> Result<Shown, DoorError> {
    let own = Credential::load(chain, key)?;
    let name = tls::peer_identity(&own.chain).map_err(DoorError::Name)?.identity.name;
    let validities = own.chain.iter().chain(roots).map(tls::validity).collect::<Result<Vec<_>, _>>();
    let validities = validities.map_err(DoorError::Name)?;
    if let Some(expired) = validities.iter().find(|validity| validity.not_after <= now) {
        return Err(DoorError::Expired { subject: expired.subject.clone(), at: expired.not_after });
    }
    let grpc = Arc::new(tls::server_config(own.clone(), roots)?);
    Ok(Shown { name, grpc, enrol: Arc::new(tls::enrolment_config(own, roots)?), validities })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ca::Authority;
    use quorate_common::error::chain;

    const DAY: i64 = 86_400 * 1_000_000_000;
    const NOW: WallTime = WallTime(1_795_000_000_000_000_000);

    fn days(days: i64) -> WallTime {
        WallTime(NOW.0 + days * DAY)
    }

    #[test]
    fn what_has_expired_is_refused_and_what_soon_will_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let paths = StatePaths::below(dir.path());
        let authority = Authority::create(&paths.authority, "q", NOW).unwrap();
        let issued = authority.issue_server("agg", &["localhost".to_owned()], NOW).unwrap();
        let write = |path: &PathBuf, text: &str| {
            quorate_common::durable::replace(path, text.as_bytes(), quorate_common::durable::PRIVATE)
                .unwrap();
        };
        write(&paths.server_chain, &issued.chain_pem);
        write(&paths.server_key, &issued.key_pem);
        let roots = || tls::certificates_from_pem(authority.root_pem().as_bytes(), "ca").unwrap();
        let at = |now| Certificate::load(&paths, roots(), now).map_err(|error| chain(&error));
        let certificate = at(NOW).unwrap();
        let subjects = |now| {
            let validities = certificate.validities.borrow().clone();
            soon(&validities, now).map(|validity| validity.subject.clone()).collect::<Vec<_>>()
        };
        assert!(subjects(days(390)).is_empty());
        assert_eq!(subjects(days(392)), ["spiffe://q/aggregator/agg"]);
        assert_eq!(subjects(days(3650)).len(), 3);
        let error = at(days(399)).err().unwrap();
        assert!(error.starts_with("certificate spiffe://q/aggregator/agg expired at 20"), "{error}");
        // Another leaf under an intermediate that has expired.
        let late = authority.issue_server("agg", &["localhost".to_owned()], days(725)).unwrap();
        write(&paths.server_chain, &late.chain_pem);
        write(&paths.server_key, &late.key_pem);
        assert!(at(days(726)).is_ok());
        let error = at(days(731)).err().unwrap();
        assert!(error.starts_with("certificate spiffe://q expired at 20"), "{error}");
    }
}
