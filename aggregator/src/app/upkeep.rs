//! What the registry does by itself as time passes: maintenance that ends, and an audit log within its bounds.

use crate::identity::registry::{AuditKept, Registry, RegistryError};
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::shutdown::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// How late the end of a maintenance may be.
const EVERY: Duration = Duration::from_secs(1);
/// How often the audit log is looked at.
const TRIM_EVERY: Duration = Duration::from_secs(3600);

/// Keeps the registry until asked to stop.
pub async fn run(registry: Registry, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    let mut second = tokio::time::interval(EVERY);
    let mut hour = tokio::time::interval(TRIM_EVERY);
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            _ = second.tick() => tell("end maintenance", registry.end_maintenance(clock.now().wall).await),
            _ = hour.tick() => {
                let trimmed = registry.trim_audit(AuditKept::default(), clock.now().wall).await;
                tell("trim the audit log", trimmed.map(drop));
            }
        }
    }
}

fn tell(what: &'static str, done: Result<(), RegistryError>) {
    if let Err(error) = done {
        tracing::error!(class = "failure", error = chain(&error), "failed to {what}");
    }
}
