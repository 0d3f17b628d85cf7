//! `ca roll` and `ca retire`: the authority on disk changes, and a running aggregator is told to look.

use super::{configure, runtime};
use crate::cli::Ca;
use crate::identity::ca::roll::{retire, roll, rolled_at};
use crate::identity::init::StatePaths;
use crate::identity::registry::Registry;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::config::Environment;
use quorate_common::model::time::WallTime;
use quorate_common::program::Failure;
use quorate_common::telemetry;

/// Names that a refusal lists.
const NAMED_MAX: usize = 10;

/// Does what was asked.
pub fn change(change: &Ca) -> Result<(), Failure> {
    let (Ca::Roll { common } | Ca::Retire { common, .. }) = change;
    let (config, _) = configure(&common.into())?;
    telemetry::start(config.log, &Environment::capture()).map_err(|error| Failure::failed(&error))?;
    let paths = StatePaths::below(&config.state_dir);
    let now = SystemClock.now().wall;
    match change {
        Ca::Roll { .. } => {
            roll(&paths, now).map_err(|error| Failure::failed(&error))?;
            note(&paths, "roll_ca", now)?;
            tracing::info!(
                class = "success",
                "there is another root, both are trusted: reload the aggregator"
            );
        }
        Ca::Retire { force, .. } => {
            if !force {
                refuse_if_needed(&paths)?;
            }
            retire(&paths).map_err(|error| Failure::failed(&error))?;
            note(&paths, "retire_ca", now)?;
            tracing::info!(class = "success", "the old root is no longer trusted: reload the aggregator");
        }
    }
    Ok(())
}

/// Refuses to cut somebody off.
fn refuse_if_needed(paths: &StatePaths) -> Result<(), Failure> {
    let Some(at) = rolled_at(paths).map_err(|error| Failure::failed(&error))? else { return Ok(()) };
    let left = with_registry(paths, async |registry| registry.certified_before(at).await)?;
    if left.is_empty() {
        return Ok(());
    }
    let named = left.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = if left.len() > NAMED_MAX { ", ..." } else { "" };
    Err(Failure::Failed(format!(
        "certificates under the old root are held by {named}{more} (--force retires it all the same)"
    )))
}

fn note(paths: &StatePaths, action: &'static str, now: WallTime) -> Result<(), Failure> {
    with_registry(paths, async |registry| {
        registry.note_local(action, ("authority", String::new()), now).await
    })
}

/// Opens the registry of an aggregator that need not run.
pub(super) fn with_registry<T>(
    paths: &StatePaths,
    act: impl AsyncFnOnce(&Registry) -> Result<T, crate::identity::registry::RegistryError>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        // Only rows are read and written here; nobody is judged by them.
        let registry =
            Registry::open(&paths.registry, "local").await.map_err(|error| Failure::failed(&error))?;
        let done = act(&registry).await.map_err(|error| Failure::failed(&error));
        registry.close().await;
        done
    })
}
