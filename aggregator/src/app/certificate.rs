//! What the ports show: the server's certificate and key, by whose authority, loaded, checked, and replaced while
//! the program runs.
//!
//! ```text
//!   files ─→ read ─→ key fits, nobody has expired ─→ shown ─→ both ports, for connections from then on
//!                        └─ refused: what was shown before stays
//! ```

use super::doors::DoorError;
use crate::config::Config;
use crate::identity;
use crate::identity::ca::Authority;
use crate::identity::ca::roll::renew_server;
use crate::identity::init::StatePaths;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{self, Credential, Validity};
use rustls::ServerConfig;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A certificate that expires sooner is warned of.
const WARN_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often that is looked at while nothing else happens.
const LOOK_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The authority that is in force, and what both ports show, and where they are read from. Lives as long as the
/// program.
pub struct Certificate {
    /// The name in it.
    pub name: Arc<str>,
    paths: StatePaths,
    lives: identity::Config,
    web: Web,
    authority: watch::Sender<Arc<Authority>>,
    grpc: watch::Sender<Arc<ServerConfig>>,
    enrol: watch::Sender<Arc<ServerConfig>>,
    http: Option<watch::Sender<Arc<ServerConfig>>>,
    validities: watch::Sender<Vec<Validity>>,
    fingerprint: watch::Sender<[u8; 32]>,
}

/// What the HTTP port is to show.
enum Web {
    /// Nothing: it is plain.
    Plain,
    /// What the other ports show.
    Own,
    /// A chain and a key in these files.
    Files(PathBuf, PathBuf),
}

impl Web {
    fn of(config: &Config) -> Result<Web, DoorError> {
        let (chain, key) = (&config.http.certificate, &config.http.key);
        match (chain.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (false, false) => Ok(Web::Files(chain.clone(), key.clone())),
            (true, true) if config.listen.http.ip().is_loopback() => Ok(Web::Plain),
            (true, true) => Ok(Web::Own),
            _ => Err(DoorError::Half),
        }
    }

    fn credential(&self, own: &Credential) -> Result<Option<Credential>, DoorError> {
        match self {
            Web::Plain => Ok(None),
            Web::Own => Ok(Some(own.clone())),
            Web::Files(chain, key) => Ok(Some(Credential::load(chain, key)?)),
        }
    }
}

/// A certificate that was read and can be shown, by whose authority.
pub struct Shown {
    name: Arc<str>,
    authority: Arc<Authority>,
    grpc: Arc<ServerConfig>,
    enrol: Arc<ServerConfig>,
    http: Option<Arc<ServerConfig>>,
    /// Leaf, intermediates, roots.
    validities: Vec<Validity>,
    /// SHA-256 of all of them.
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Reads everything for the first time.
    pub fn load(paths: &StatePaths, config: &Config, now: WallTime) -> Result<Certificate, DoorError> {
        let (lives, web) = (config.identity, Web::of(config)?);
        let Shown { name, authority, grpc, enrol, http, validities, fingerprint } =
            read(paths, (lives, &web), now)?;
        Ok(Certificate {
            name,
            paths: paths.clone(),
            lives,
            web,
            authority: watch::Sender::new(authority),
            grpc: watch::Sender::new(grpc),
            enrol: watch::Sender::new(enrol),
            http: http.map(watch::Sender::new),
            validities: watch::Sender::new(validities),
            fingerprint: watch::Sender::new(fingerprint),
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

    /// What the HTTP port shows, now and later; `None` if it is plain.
    pub fn http(&self) -> Option<watch::Receiver<Arc<ServerConfig>>> {
        self.http.as_ref().map(watch::Sender::subscribe)
    }

    /// How long it is valid, and those who vouch for it, now and later.
    pub fn validities(&self) -> watch::Receiver<Vec<Validity>> {
        self.validities.subscribe()
    }

    /// Tells it, with all that vouch for it, from every other.
    pub fn fingerprint(&self) -> [u8; 32] {
        *self.fingerprint.borrow()
    }

    /// Renews what both ports show, if its end is near.
    pub fn renew(&self, now: WallTime) {
        let authority = self.authority.borrow().clone();
        match renew_server(&authority, &self.paths, now) {
            Ok(false) => {}
            Ok(true) => match self.read(now) {
                Ok(shown) => {
                    self.show(shown);
                    tracing::info!(class = "success", what = "certificate", "reloaded");
                }
                Err(error) => failed(&chain(&error)),
            },
            Err(error) => failed(&chain(&error)),
        }
    }

    /// Reads it again and shows nothing yet.
    pub fn read(&self, now: WallTime) -> Result<Shown, DoorError> {
        read(&self.paths, (self.lives, &self.web), now)
    }

    /// Shows it to connections that come from now on. All changes.
    pub fn show(&self, shown: Shown) {
        self.authority.send_replace(shown.authority);
        self.grpc.send_replace(shown.grpc);
        self.enrol.send_replace(shown.enrol);
        if let (Some(http), Some(shown)) = (&self.http, shown.http) {
            http.send_replace(shown);
        }
        self.validities.send_replace(shown.validities);
        self.fingerprint.send_replace(shown.fingerprint);
    }
}

fn failed(error: &str) {
    tracing::error!(class = "failure", error, "failed to renew the server certificate");
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
    paths: &StatePaths,
    (lives, web): (identity::Config, &Web),
    now: WallTime,
) -> Result<Shown, DoorError> {
    let authority = Authority::load(&paths.authority).map_err(DoorError::Authority)?.with_lives(lives);
    let roots = tls::certificates_from_pem(authority.root_pem().as_bytes(), "ca")?;
    let own = Credential::load(&paths.server_chain, &paths.server_key)?;
    let name = tls::peer_identity(&own.chain).map_err(DoorError::Name)?.identity.name;
    let validities = own.chain.iter().chain(&roots).map(tls::validity).collect::<Result<Vec<_>, _>>();
    let validities = validities.map_err(DoorError::Name)?;
    if let Some(expired) = validities.iter().find(|validity| validity.not_after <= now) {
        return Err(DoorError::Expired { subject: expired.subject.clone(), at: expired.not_after });
    }
    let http = web.credential(&own)?;
    let shown = http.iter().flat_map(|own| &own.chain);
    let all: Vec<&[u8]> = own.chain.iter().chain(&roots).chain(shown).map(AsRef::as_ref).collect();
    let fingerprint = tls::sha256(&all.concat());
    let http = http.map(tls::web_config).transpose()?.map(Arc::new);
    let grpc = Arc::new(tls::server_config(own.clone(), &roots)?);
    let enrol = Arc::new(tls::enrolment_config(own, &roots)?);
    Ok(Shown { name, authority: Arc::new(authority), grpc, enrol, http, validities, fingerprint })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let config = Config::default();
        let at = |now| Certificate::load(&paths, &config, now).map_err(|error| chain(&error));
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
