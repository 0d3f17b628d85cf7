//! At SIGHUP: the configuration, the authority, which `ca roll` changes, the server's certificate and key, and the
//! registry, which `init --recover` changes.
//!
//! ```text
//!   read configuration ─┐
//!   read certificate ───┴─ both good? ── yes ─→ in force, revision + 1; what needs a restart is named
//!                               └─ no ──→ nothing changes; what is wrong is told, and shown by the status
//!   registry ─→ read again, whatever the rest is like: it says who was revoked
//! ```
//!
//! What came of it stands in the audit log, too, key by key.

use super::certificate::Certificate;
use super::change::changes;
use super::doors::Advertised;
use super::{Loading, configure};
use crate::config::Config;
use crate::evaluate;
use crate::identity::registry::Registry;
use crate::limit::Limits;
use crate::serve::diagnostic::{Configuration, Reloaded};
use quorate_common::clock::{Clock, monotonic_us};
use quorate_common::error::chain;
use quorate_common::notify::{Notifier, State};
use quorate_common::program::Failure;
use quorate_common::shutdown::Shutdown;
use quorate_common::telemetry::Telling;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// How often the end of the server's certificate is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Where a new configuration goes: what changes while the program runs.
pub struct Live {
    /// The log.
    pub telling: Telling,
    /// How much anybody may.
    pub limits: watch::Sender<Arc<Limits>>,
    /// How to judge.
    pub evaluate: watch::Sender<evaluate::Config>,
    /// Where agents and people find us.
    pub advertised: Advertised,
}

/// What is reloaded, and who is told when that begins and ends.
pub struct Reload {
    /// Where the configuration is, and the flags that win over it.
    pub loading: Loading,
    /// What is in force.
    pub config: Config,
    /// Where a new one goes.
    pub live: Live,
    /// What is shown of it.
    pub shown: watch::Sender<Configuration>,
    /// Who belongs.
    pub registry: Registry,
    /// What both ports show.
    pub certificate: Certificate,
    /// The service manager.
    pub notifier: Notifier,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What was wrong, and with what.
type Wrong = (&'static str, String);

impl Reload {
    /// Reloads at each signal, and renews the certificate in time, until asked to stop.
    pub async fn run(mut self, mut signals: Signal, shutdown: Shutdown) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                () = shutdown.asked() => return,
                _ = look.tick() => self.certificate.renew(self.clock.now().wall),
                Some(()) = signals.recv() => {
                    self.notifier.tell(&[State::Reloading { at_us: monotonic_us() }]);
                    self.reload_registry().await;
                    let (config, fingerprint) = (self.config.clone(), self.certificate.fingerprint());
                    let taken = self.take();
                    // At once: what is in force and how that came to be are shown together.
                    self.tell(taken.clone());
                    let is_other = self.certificate.fingerprint() != fingerprint;
                    self.note(self.detail(&config, is_other, &taken)).await;
                    self.notifier.tell(&[State::Ready]);
                }
            }
        }
    }

    async fn reload_registry(&self) {
        match self.registry.reload().await {
            Ok(()) => tracing::info!(class = "success", what = "registry", "reloaded"),
            Err(error) => failed("registry", &chain(&error)),
        }
    }

    /// All of it or nothing. Gives what needs a restart.
    fn take(&mut self) -> Result<Vec<&'static str>, Wrong> {
        let (config, files) = configure(&self.loading).map_err(|failure| ("configuration", text(failure)))?;
        let now = self.clock.now().wall;
        let certificate = self.certificate.read(now).map_err(|error| ("certificate", chain(&error)))?;
        // From here on nothing fails.
        let needs_restart = self.config.needs_restart(&config);
        self.config = self.config.merged(config);
        self.put(&files);
        self.certificate.show(certificate);
        Ok(needs_restart)
    }

    fn put(&self, files: &[PathBuf]) {
        let (config, live, now) = (&self.config, &self.live, self.clock.now().wall);
        live.telling.set_level(config.log.level);
        live.limits.send_if_modified(|limits| replace(limits, Arc::new(config.limits)));
        live.evaluate.send_if_modified(|evaluate| replace(evaluate, config.evaluate.clone()));
        live.advertised.set(&config.advertise);
        self.shown.send_modify(|shown| {
            shown.revision += 1;
            shown.since = now;
            shown.files = files.to_vec();
        });
    }

    /// What changed since `before`, in one line.
    fn detail(&self, before: &Config, is_other: bool, taken: &Result<Vec<&'static str>, Wrong>) -> String {
        match taken {
            Err((what, text)) => format!("refused, the old stays: {what}: {text}"),
            Ok(needs_restart) => {
                let changed = changes(before, &self.config);
                let certificate = if is_other { "another certificate" } else { "" };
                let later = needs_restart.join(", ");
                let later = if later.is_empty() { later } else { format!("needs a restart: {later}") };
                let parts = [changed.as_str(), certificate, &later];
                let told = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
                if told.is_empty() { "nothing changed".to_owned() } else { told }
            }
        }
    }

    /// Who may send a signal is on this machine.
    async fn note(&self, detail: String) {
        let noted =
            self.registry.note_local("reload", ("configuration", detail), self.clock.now().wall).await;
        if let Err(error) = noted {
            tracing::error!(class = "failure", error = chain(&error), "failed to write the audit log");
        }
    }

    fn tell(&self, taken: Result<Vec<&'static str>, Wrong>) {
        let at = self.clock.now().wall;
        let last = match &taken {
            Ok(needs_restart) => {
                for what in ["configuration", "certificate"] {
                    tracing::info!(
                        class = "success",
                        what,
                        revision = self.shown.borrow().revision,
                        "reloaded"
                    );
                }
                if !needs_restart.is_empty() {
                    let changed = needs_restart.join(", ");
                    tracing::warn!(class = "action", changed, "needs a restart");
                }
                Reloaded {
                    at,
                    ok: true,
                    text: "configuration, certificate and registry were read".to_owned(),
                }
            }
            Err((what, text)) => {
                failed(what, text);
                Reloaded { at, ok: false, text: format!("{what}: {text}") }
            }
        };
        self.shown.send_modify(|shown| {
            shown.last_reload = Some(last);
            if let Ok(needs_restart) = taken {
                shown.needs_restart = needs_restart;
            }
        });
    }
}

fn failed(what: &'static str, error: &str) {
    tracing::error!(class = "failure", what, error, "failed to reload, the old stays");
}

fn text(failure: Failure) -> String {
    match failure {
        Failure::Configuration(text) | Failure::Failed(text) => text,
        Failure::Verdict(code) => format!("verdict {code}"),
    }
}

/// Puts a value in the place of another; whether they differ.
fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let differs = *old != new;
    *old = new;
    differs
}
