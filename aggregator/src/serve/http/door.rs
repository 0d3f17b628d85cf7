//! The HTTP door: accepts, and lets through whoever may.
//!
//! ```text
//!   accept ─→ slot (all, address) ─→ TLS? ─→ HTTP/1.1 │ HTTP/2 ─→ request (headers ≤ 10 s)
//!                                                                   ↓
//!     answer ←─ 421 403 ←─ host, origin ─→ row ─→ credential ─→ role ─→ slot ─→ router ─→ answer
//!                 404 405 ←───────────────┘  401 ←┘     403 ←┘    429 ←┘         └─ cut when the credential ends
//! ```
//!
//! It knows no API: what lies behind is one router.

mod accept;
mod answer;
mod body;
mod call;
mod header;
mod wire;

pub use call::Calls;

use super::credential::Credential;
use super::host::Hosts;
use super::session::Sessions;
use crate::identity::registry::Registry;
use crate::limit::{Current, Refusals, Slots};
use crate::serve::listen::{Addresses, Connections, Counters};
use axum::Router;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use rustls::ServerConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate, SizeAbove};

/// What is smaller is sent as it is.
const COMPRESSED_BYTES_MIN: u16 = 1024;
/// How often it is written down when API tokens were used.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// What every request is judged by.
#[derive(Clone)]
pub struct Gate {
    /// Who belongs.
    pub registry: Registry,
    /// Who is logged in.
    pub sessions: Sessions,
    /// By which names we are called.
    pub hosts: Hosts,
    /// The limits in force.
    pub limits: Current,
    /// Who is told whom we send away.
    pub refusals: Refusals,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A port that is bound.
pub struct Port {
    /// The socket.
    pub tcp: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
    /// What is shown; `None` for plain HTTP. A new value holds for the connections that come after it.
    pub tls: Option<watch::Receiver<Arc<ServerConfig>>>,
}

/// The door while it is open. Shared by its connections.
struct Door {
    gate: Gate,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    router: Router,
    calls: Calls,
    used: Mutex<HashMap<[u8; 32], WallTime>>,
    shutdown: Shutdown,
    connections: Arc<Connections>,
    addresses: Arc<Addresses>,
    slots: Slots,
    counters: Arc<Counters>,
}

/// What is shown of a door that is served.
pub struct Served {
    /// What is counted.
    pub counters: Arc<Counters>,
    /// What is open.
    pub connections: Arc<Connections>,
}

impl Served {
    /// Of a door that is not open yet.
    pub fn new(refusals: Refusals) -> Served {
        Served { counters: Arc::new(Counters::new(refusals)), connections: Arc::default() }
    }
}

/// Serves `router` until asked to stop.
pub fn serve(port: Port, router: Router, gate: Gate, served: &Served, shutdown: &Shutdown) {
    let predicate = DefaultPredicate::new().and(SizeAbove::new(COMPRESSED_BYTES_MIN));
    let door = Arc::new(Door {
        router: router.layer(CompressionLayer::new().compress_when(predicate)),
        tls: port.tls,
        calls: Calls::default(),
        used: Mutex::default(),
        shutdown: shutdown.clone(),
        connections: served.connections.clone(),
        addresses: Arc::default(),
        slots: Slots::default(),
        counters: served.counters.clone(),
        gate,
    });
    shutdown.spawn("http credentials", call::enforce(door.clone()));
    shutdown.spawn("http uses", note_uses(door.clone()));
    shutdown.spawn("http", accept::run(port.tcp, door));
}

impl Door {
    /// Remembers that an API token was used just now.
    fn used(&self, credential: Credential) {
        if let Credential::Token(hash) = credential {
            let now = self.gate.clock.now().wall;
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(hash, now);
        }
    }
}

/// Writes down when API tokens were used, seldom: it is for people who look whether a token is still needed.
async fn note_uses(door: Arc<Door>) {
    let mut period = tokio::time::interval(NOTE_EVERY);
    loop {
        let ends = tokio::select! {
            () = door.shutdown.asked() => true,
            _ = period.tick() => false,
        };
        let used = std::mem::take(&mut *door.used.lock().unwrap_or_else(PoisonError::into_inner));
        let used: Vec<_> = used.into_iter().collect();
        if !used.is_empty()
            && let Err(error) = door.gate.registry.note_access(&used).await
        {
            tracing::error!(class = "failure", error = chain(&error), "failed to note the use of tokens");
        }
        if ends {
            return;
        }
    }
}
