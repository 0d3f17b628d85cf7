//! History: opened before anybody is served, closed after everybody has gone.

use crate::store::embedded::{Config, Embedded, Report, Running};
use quorate_common::clock::{SlewedClock, SystemClock};
use quorate_common::program::Failure;
use quorate_common::rng::{Rng, SystemRng};
use std::path::Path;
use std::sync::Arc;

/// The clock that everything is stamped by.
pub type Own = Arc<SlewedClock<SystemClock>>;

/// The store and its threads.
pub struct History {
    /// What is kept.
    pub store: Arc<Embedded>,
    running: Running,
}

impl History {
    /// Reads what is there and begins to commit and to seal.
    /// The clock goes on where that of an earlier process was.
    pub async fn open(directory: &Path, config: Config, clock: Own) -> Result<History, Failure> {
        let (directory, of_store) = (directory.to_owned(), clock.clone());
        let open = move || {
            let dice: [Box<dyn Rng>; 2] = [Box::new(SystemRng), Box::new(SystemRng)];
            Embedded::open(&directory, config, of_store, dice).map_err(|error| Failure::failed(&error))
        };
        let (store, report) = blocking(open).await??;
        tell(&report);
        let store = Arc::new(store);
        let running = Running::begin(store.clone()).map_err(|error| Failure::failed(&error))?;
        clock.reach(report.newest);
        Ok(History { store, running })
    }

    /// Makes durable what was received last.
    pub async fn close(self) {
        // A panic was reported where it happened.
        blocking(move || self.running.stop()).await.ok();
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(call).await.map_err(|error| Failure::failed(&error))
}

fn tell(report: &Report) {
    let Report { files, frames, torn_bytes, damaged, lost, quarantined, newest: _ } = report;
    tracing::info!(files, frames, torn_bytes, "history is open");
    for (file, bytes) in damaged {
        tracing::error!(class = "failure", file, bytes, "a log file of history is damaged");
    }
    for (node, frames) in lost {
        tracing::error!(class = "failure", node = node.0, frames, "frames behind the damage cannot be read");
    }
    for file in quarantined {
        tracing::error!(
            class = "failure",
            file,
            "a file of history cannot be read, it was moved to `quarantine`"
        );
    }
}
