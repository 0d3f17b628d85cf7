//! The accept loop and what lies on it: TLS, HTTP/2, limits, deadlines, and a reason for everyone who is sent away.
//!
//! ```text
//!   accept ─→ slot (all) ─→ slot (address, wait ≤ 1 s) ─→ first byte ─→ handshake (64 at once, ≤ 5 s)
//!      │          │                  │                        │              │
//!      └──────────┴──────────────────┴── refused: logged and counted ────────┤
//!                                                                            ↓
//!      closed ←── revoked, expired ── open ←─ request (≤ 10 s) ←─ HTTP/2 preface (≤ 10 s) ─ connection
//! ```
//!
//! The slot of an address is given back once a client certificate is proven; a caller without one keeps it, and may
//! stay for `limits.door.anonymous_life_ms` only. It decides nothing about authority.

mod connection;
mod http2;
mod limit;
mod meter;
mod reserve;

pub use crate::limit::DoorLimits as Limits;
pub use crate::peer::{Peer, network};
pub use connection::{Connection, Connections};
pub use http2::serve;
pub use limit::Counters;
// The HTTP door is another accept loop with the same parts.
pub(in crate::serve) use limit::{Addresses, Place, Refusal};
pub(in crate::serve) use meter::Meter;
pub(in crate::serve) use reserve::Reserve;

use crate::limit::{Current, Reason, Refusals, Slot, Slots, millis};
use connection::Kept;
use quorate_common::clock::SystemClock;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::peer_identity;
use rustix::net::sockopt;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// Finished handshakes that wait to be taken.
const READY_MAX: usize = 64;
/// Wait after a failed accept: without it, a process out of descriptors would spin.
const BACK_OFF: Duration = Duration::from_millis(100);
/// A failed accept is followed by a wait of 100 ms, so that every fiftieth is one in five seconds.
const ACCEPT_ERRORS_PER_LINE: u64 = 50;
/// A plain-text caller is quoted in the log by so many bytes.
const QUOTED_BYTES: usize = 8;
/// First byte of every TLS connection: the record type of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// One door. Built from a bound socket, served with [`Listener::start`].
pub struct Listener {
    name: &'static str,
    tcp: TcpListener,
    shared: Shared,
}

struct Shared {
    tls: watch::Receiver<Arc<ServerConfig>>,
    limits: Current,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
    addresses: Arc<Addresses>,
    all: Slots,
    handshakes: Mutex<(u32, Arc<Semaphore>)>,
}

impl Listener {
    /// A door named `name` in the log, with limits that never change. A new value of `tls` holds for the connections
    /// that come after it.
    pub fn new(
        name: &'static str,
        tcp: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
        limits: Limits,
    ) -> Listener {
        let shared = Shared {
            tls,
            limits: crate::limit::Limits::from(limits).fixed(),
            counters: Arc::new(Counters::new(Refusals::new(Arc::new(SystemClock)))),
            connections: Arc::default(),
            addresses: Arc::default(),
            all: Slots::default(),
            handshakes: Mutex::new((0, Arc::new(Semaphore::new(0)))),
        };
        Listener { name, tcp, shared }
    }

    /// The same door with limits that may change, and with who is sent away told to `refusals`.
    pub fn under(mut self, limits: Current, refusals: Refusals) -> Listener {
        self.shared.limits = limits;
        self.shared.counters = Arc::new(Counters::new(refusals));
        self
    }

    /// What was counted so far, and will be.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// The connections that are open, and the way to close them.
    pub fn connections(&self) -> Arc<Connections> {
        self.shared.connections.clone()
    }

    /// Accepts until asked to stop, or until nobody takes connections any more.
    pub fn start(self, shutdown: &Shutdown) -> ReceiverStream<Result<Connection, Infallible>> {
        let (ready, incoming) = mpsc::channel(READY_MAX);
        let stop = shutdown.clone();
        shutdown.spawn("listener", async move { self.accept(ready, &stop).await });
        ReceiverStream::new(incoming)
    }

    async fn accept(self, ready: mpsc::Sender<Result<Connection, Infallible>>, stop: &Shutdown) {
        let Listener { name, tcp, shared } = self;
        let shared = Arc::new(shared);
        let mut handshakes = tokio::task::JoinSet::new();
        let mut reserve = Reserve::take();
        loop {
            tokio::select! {
                () = stop.asked() => break,
                accepted = tcp.accept() => match accepted {
                    Ok((stream, address)) => shared.admit((stream, address), &ready, &mut handshakes),
                    Err(error) => {
                        for address in reserve.shed(&tcp, &error).await {
                            shared.refuse(address, &Refusal::Descriptors);
                        }
                        shared.back_off(name, &error).await;
                    }
                },
                Some(_) = handshakes.join_next() => {}
            }
        }
    }
}

impl Shared {
    /// Takes one of all slots, or sends the caller away at once: nothing is queued without limit.
    fn admit(
        self: &Arc<Self>,
        (stream, address): (TcpStream, SocketAddr),
        ready: &mpsc::Sender<Result<Connection, Infallible>>,
        handshakes: &mut tokio::task::JoinSet<()>,
    ) {
        self.counters.count_accepted();
        let limits = self.limits.borrow().clone();
        let Some(slot) = self.all.take(limits.door.connections_max) else {
            return self.refuse(address, &Refusal::Connections(limits.door.connections_max));
        };
        let (shared, ready) = (self.clone(), ready.clone());
        handshakes.spawn(async move {
            match shared.open(stream, address, (slot, limits)).await {
                // An error here means that the server has ended.
                Ok(connection) => drop(ready.send(Ok(connection)).await),
                Err(refusal) => shared.refuse(address, &refusal),
            }
        });
    }

    async fn open(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        (slot, limits): (Slot, Arc<crate::limit::Limits>),
    ) -> Result<Connection, Refusal> {
        let place = self.addresses.enter(address.ip(), &limits.door).await?;
        let deadline = millis(limits.door.handshake_deadline_ms);
        let turns = self.turns(limits.door.handshakes_max);
        let handshake = tokio::time::timeout(deadline, self.handshake(stream, &turns)).await;
        let stream = handshake.map_err(|_| Refusal::Slow(deadline))??;
        let certificate = peer_identity(stream.get_ref().1.peer_certificates().unwrap_or_default()).ok();
        let kept = Kept {
            connections: self.connections.clone(),
            _slot: slot,
            place: certificate.is_none().then_some(place),
            counters: self.counters.clone(),
            limits,
        };
        self.counters.count_opened();
        let peer = self.connections.add(address, certificate);
        Ok(Connection::new(stream, peer, kept))
    }

    /// The turns of handshakes. When their number has changed, those that are under way keep the old ones.
    fn turns(&self, max: u32) -> Arc<Semaphore> {
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        if handshakes.0 != max {
            *handshakes = (max, Arc::new(Semaphore::new(max as usize)));
        }
        handshakes.1.clone()
    }

    async fn handshake(&self, stream: TcpStream, turns: &Semaphore) -> Result<connection::Tls, Refusal> {
        set_options(&stream).map_err(Refusal::Socket)?;
        let mut first = [0; QUOTED_BYTES];
        let length = stream.peek(&mut first).await.map_err(Refusal::Socket)?;
        match first.first() {
            _ if length == 0 => return Err(Refusal::Hung),
            Some(&TLS_HANDSHAKE) => {}
            _ => return Err(Refusal::NotTls(first[..length].to_vec())),
        }
        if turns.available_permits() == 0 {
            self.counters.refusals().count(Reason::HandshakeQueued, 1);
        }
        // Closed is impossible: nobody closes this semaphore.
        let _turn = turns.acquire().await.map_err(|_| Refusal::Hung)?;
        let config = self.tls.borrow().clone();
        TlsAcceptor::from(config).accept(stream).await.map_err(Refusal::Tls)
    }

    fn refuse(&self, address: SocketAddr, refusal: &Refusal) {
        self.counters.refusals().refuse(refusal.reason(), address, refusal);
    }

    /// Accept itself failed, such as for want of descriptors.
    async fn back_off(&self, listener: &'static str, error: &std::io::Error) {
        let before = self.counters.count_accept_error();
        if before.is_multiple_of(ACCEPT_ERRORS_PER_LINE) {
            tracing::error!(listener, %error, failed = before + 1, "failed to accept connections");
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// Small writes leave at once, and a peer that vanished is noticed by the kernel too.
pub(in crate::serve) fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

#[cfg(test)]
mod tests;
