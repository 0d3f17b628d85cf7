//! The task that writes down what calls show of nodes' keys: first uses, and copies.
//!
//! A call does not wait for it. A first use is accepted before it is written, and a copy is refused before it is
//! written; what is lost on the way here is seen again at the next call, for the row has not changed.

use super::generation::Shown;
use super::registry::{Claim, Registry, Settled};
use quorate_common::error::chain;
use quorate_common::shutdown::Shutdown;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Sightings that may wait. One that finds no room is dropped: the next call brings it again.
const SIGHTINGS_MAX: usize = 256;

/// A certificate that was shown and that means a change.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// The node.
    pub name: Arc<str>,
    /// What was shown.
    pub shown: Shown,
    /// From where.
    pub address: SocketAddr,
}

/// Where sightings are handed in.
#[derive(Clone, Debug)]
pub struct Sightings(mpsc::Sender<Sighting>);

impl Sightings {
    /// Hands one in, if there is room.
    pub fn report(&self, sighting: Sighting) {
        self.0.try_send(sighting).ok();
    }
}

/// Begins to keep the registry's keys.
pub fn start(registry: Registry, shutdown: &Shutdown) -> Sightings {
    let (sightings, mut inbox) = mpsc::channel(SIGHTINGS_MAX);
    let stop = shutdown.clone();
    shutdown.spawn("keeper", async move {
        loop {
            tokio::select! {
                () = stop.asked() => return,
                Some(sighting) = inbox.recv() => keep(&registry, &sighting).await,
            }
        }
    });
    Sightings(sightings)
}

async fn keep(registry: &Registry, Sighting { name, shown, address }: &Sighting) {
    match registry.settle(Claim { name, shown: *shown, address: *address }).await {
        Ok(Settled::Unchanged | Settled::Advanced) => {}
        Ok(Settled::Frozen) => {
            let generation = shown.generation.number;
            tracing::error!(
                class = "failure",
                node = &**name,
                %address,
                generation,
                "identity cloned: an old key was shown, the node is frozen until it is enrolled again"
            );
        }
        Err(error) => {
            tracing::error!(class = "failure", node = &**name, error = chain(&error), "failed to keep a key");
        }
    }
}
