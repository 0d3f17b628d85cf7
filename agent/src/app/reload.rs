//! At SIGHUP: the configuration is read again, and the level of the log is as it says.
//!
//! Everything else needs a restart, which costs no sample that was acknowledged: what has changed is named. A
//! configuration that is wrong is told, and the old one stays whole.

use super::configure;
use crate::cli::Common;
use crate::config::Config;
use quorate_common::clock::monotonic_us;
use quorate_common::notify::{Notifier, State};
use quorate_common::program::Failure;
use quorate_common::shutdown::Shutdown;
use quorate_common::telemetry::Telling;
use tokio::signal::unix::Signal;

/// What reloading needs.
pub struct Reload {
    /// The flags that say where the configuration is, and that win over it.
    pub common: Common,
    /// What is in force.
    pub config: Config,
    /// The log.
    pub telling: Telling,
    /// Who is told when it begins and ends.
    pub notifier: Notifier,
}

impl Reload {
    /// Reloads at each signal, until asked to stop.
    pub async fn run(mut self, mut signals: Signal, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.asked() => return,
                Some(()) = signals.recv() => {
                    self.notifier.tell(&[State::Reloading { at_us: monotonic_us() }]);
                    self.once();
                    self.notifier.tell(&[State::Ready]);
                }
            }
        }
    }

    fn once(&mut self) {
        match configure(&self.common) {
            Ok(new) => self.apply(&new),
            Err(Failure::Configuration(error) | Failure::Failed(error)) => {
                tracing::error!(class = "failure", error, "failed to reload, the old stays");
            }
        }
    }

    fn apply(&mut self, new: &Config) {
        self.telling.set_level(new.log.level);
        self.config.log.level = new.log.level;
        tracing::info!(class = "success", level = %new.log.level, "reloaded");
        let waiting = changed(&self.config, new).join(", ");
        if !waiting.is_empty() {
            tracing::warn!(class = "action", changed = waiting, "a restart is needed for what else changed");
        }
    }
}

/// The keys and sections that differ.
fn changed(old: &Config, new: &Config) -> Vec<&'static str> {
    let parts = [
        ("state_dir", old.state_dir != new.state_dir),
        ("aggregators", old.aggregators != new.aggregators),
        ("sample", old.sample != new.sample),
        ("recorder", old.recorder != new.recorder),
        ("budget", old.budget != new.budget),
        ("spool", old.spool != new.spool),
        ("log", old.log != new.log),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let old = Config::default();
        assert!(changed(&old, &old).is_empty());
        let mut new = Config { aggregators: vec!["a:1".into()], ..Config::default() };
        new.sample.interval_ms = 2000;
        assert_eq!(changed(&old, &new), ["aggregators", "sample"]);
        // Adding a key without a place here is seen by the number of keys.
        let keys = serde_json::to_value(&old).unwrap().as_object().unwrap().len();
        assert_eq!(keys, 7, "every key of the configuration is compared");
    }
}
