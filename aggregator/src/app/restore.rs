//! `restore`: a backup becomes the state of an aggregator that does not run.

use super::authority::with_registry;
use super::configure;
use crate::cli::Restore;
use crate::identity::init::StatePaths;
use crate::identity::restore::{check, restore};
use quorate_common::archive::Summary;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::config::Environment;
use quorate_common::model::time::{BootTime, WallTime};
use quorate_common::program::Failure;
use quorate_common::telemetry;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How often progress is shown.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Does what was asked.
pub fn run(flags: &Restore) -> Result<(), Failure> {
    let (config, _) = configure(&(&flags.common).into())?;
    telemetry::start(config.log, &Environment::capture()).map_err(|error| Failure::failed(&error))?;
    if flags.check {
        let summary = check(&flags.from).map_err(|error| Failure::failed(&error))?;
        tell(&summary, "the backup is whole");
        return Ok(());
    }
    let all = flags.from.metadata().map_or(0, |metadata| metadata.len());
    let mut progress = Progress { all, shown: None, live: io::stderr().is_terminal() };
    let restored = restore(&flags.from, &config.state_dir, flags.force, &mut |bytes| progress.show(bytes));
    progress.end();
    let summary = restored.map_err(|error| Failure::failed(&error))?;
    let detail = format!("backup of {} at {}", summary.about.aggregator, created(&summary));
    with_registry(&StatePaths::below(&config.state_dir), async |registry| {
        registry.note_local("restore", ("aggregator", detail), SystemClock.now().wall).await
    })?;
    tell(&summary, "restored");
    if !summary.about.has_keys {
        tracing::warn!(
            class = "action",
            "the backup has no keys: put ca/*.key and server.key in their places before you start the aggregator"
        );
    }
    Ok(())
}

fn tell(summary: &Summary, what: &str) {
    let Summary { about, files, bytes } = summary;
    let created = created(summary);
    let (of, version, keys) = (&about.aggregator, &about.version, about.has_keys);
    tracing::info!(class = "success", %of, %version, %created, files, bytes, keys, "{what}");
}

fn created(summary: &Summary) -> WallTime {
    WallTime(summary.about.created_s.saturating_mul(1_000_000_000))
}

/// How far it is, on a terminal.
struct Progress {
    all: u64,
    shown: Option<BootTime>,
    live: bool,
}

impl Progress {
    fn show(&mut self, bytes: u64) {
        let now = SystemClock.now().boot;
        if !self.live || self.shown.is_some_and(|shown| now.since(shown) < SHOW_EVERY) {
            return;
        }
        self.shown = Some(now);
        let (done, all) = (bytes >> 20, self.all >> 20);
        // Nobody is there to be told that nobody is there.
        write!(io::stderr(), "\r\x1b[K{done} of {all} MiB").ok();
    }

    fn end(&self) {
        if self.shown.is_some() {
            write!(io::stderr(), "\r\x1b[K").ok();
        }
    }
}
