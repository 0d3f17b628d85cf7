//! The accept loop under tonic: TLS, limits, deadlines, and a reason for everyone who is sent away.
//!
//! ```text
//!   accept ─→ slot (all) ─→ slot (address, wait ≤ 1 s) ─→ first byte ─→ handshake (64 at once, ≤ 5 s)
//!      │          │                  │                        │              │
//!      └──────────┴──────────────────┴── refused: logged and counted ────────┤
//!                                                                            ↓
//!          closed ←── revoked, expired ── open ←── HTTP/2 preface (≤ 10 s) ─ connection
//! ```
//!
//! The slot of an address is given back once a client certificate is proven; a caller without one keeps it,
//! and may stay for [`Limits::anonymous_life_ms`] only. It decides nothing about authority.

mod connection;
mod limit;
mod log;

pub use connection::{Connection, Connections, Peer};
pub use limit::{Counters, Limits, network};

use connection::Deadlines;
use limit::{Addresses, Refusal};
use log::Log;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::peer_identity;
use rustix::net::sockopt;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;

/// Finished handshakes that wait for tonic to take them.
const READY_MAX: usize = 64;
/// Wait after a failed accept: without it, a process out of descriptors would spin.
const BACK_OFF: Duration = Duration::from_millis(100);
/// A plain-text caller is quoted in the log by so many bytes.
const QUOTED_BYTES: usize = 8;
/// First byte of every TLS connection: the record type of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// One door. Built from a bound socket, served with [`Listener::start`].
pub struct Listener {
    tcp: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    tls: watch::Receiver<Arc<ServerConfig>>,
    limits: Limits,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
    addresses: Arc<Addresses>,
    all: Arc<Semaphore>,
    handshakes: Semaphore,
    log: Log,
}

impl Listener {
    /// A door named `name` in the log. A new value of `tls` holds for the connections that come after it.
    pub fn new(
        name: &'static str,
        tcp: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
        limits: Limits,
    ) -> Listener {
        let shared = Shared {
            tls,
            counters: Arc::default(),
            connections: Arc::default(),
            addresses: Arc::new(Addresses::new(&limits)),
            all: Arc::new(Semaphore::new(limits.connections_max as usize)),
            handshakes: Semaphore::new(limits.handshakes_max as usize),
            log: Log::new(name),
            limits,
        };
        Listener { tcp, shared: Arc::new(shared) }
    }

    /// What was counted so far, and will be.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// The connections that are open, and the way to close them.
    pub fn connections(&self) -> Arc<Connections> {
        self.shared.connections.clone()
    }

    /// Accepts until asked to stop. The stream is for tonic's `serve_with_incoming_shutdown`; it ends when
    /// the listener stops.
    pub fn start(self, shutdown: &Shutdown) -> ReceiverStream<Result<Connection, Infallible>> {
        let (ready, incoming) = mpsc::channel(READY_MAX);
        let stop = shutdown.clone();
        shutdown.spawn("listener", async move { self.accept(ready, &stop).await });
        ReceiverStream::new(incoming)
    }

    async fn accept(self, ready: mpsc::Sender<Result<Connection, Infallible>>, stop: &Shutdown) {
        let Listener { tcp, shared } = self;
        let mut handshakes = tokio::task::JoinSet::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = stop.asked() => break,
                accepted = tcp.accept() => match accepted {
                    Ok((stream, address)) => shared.admit((stream, address), &ready, &mut handshakes),
                    Err(error) => shared.back_off(&error).await,
                },
                _ = second.tick() => shared.log.tick(),
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
        let Ok(slot) = self.all.clone().try_acquire_owned() else {
            return self.refuse(address, &Refusal::Connections(self.limits.connections_max));
        };
        let (shared, ready) = (self.clone(), ready.clone());
        handshakes.spawn(async move {
            match shared.open(stream, address, slot).await {
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
        slot: OwnedSemaphorePermit,
    ) -> Result<Connection, Refusal> {
        let place = self.addresses.enter(address.ip(), millis(self.limits.admission_wait_ms)).await?;
        let deadline = millis(self.limits.handshake_deadline_ms);
        let handshake = tokio::time::timeout(deadline, self.handshake(stream)).await;
        let stream = handshake.map_err(|_| Refusal::Slow(deadline))??;
        let certificate = peer_identity(stream.get_ref().1.peer_certificates().unwrap_or_default()).ok();
        let anonymous = certificate.is_none();
        let deadlines = Deadlines {
            preface: millis(self.limits.preface_deadline_ms),
            life: anonymous.then_some(millis(self.limits.anonymous_life_ms)),
        };
        let held = (slot, anonymous.then_some(place));
        self.counters.count_opened();
        let peer = self.connections.add(address, certificate);
        let late = (self.counters.clone(), self.log.clone());
        Ok(Connection::new(stream, peer, deadlines, (self.connections.clone(), held, late)))
    }

    async fn handshake(&self, stream: TcpStream) -> Result<connection::Tls, Refusal> {
        set_options(&stream).map_err(Refusal::Socket)?;
        let mut first = [0; QUOTED_BYTES];
        let length = stream.peek(&mut first).await.map_err(Refusal::Socket)?;
        match first.first() {
            _ if length == 0 => return Err(Refusal::Hung),
            Some(&TLS_HANDSHAKE) => {}
            _ => return Err(Refusal::NotTls(first[..length].to_vec())),
        }
        // Closed is impossible: nobody closes this semaphore.
        let _turn = self.handshakes.acquire().await.map_err(|_| Refusal::Hung)?;
        let config = self.tls.borrow().clone();
        TlsAcceptor::from(config).accept(stream).await.map_err(Refusal::Tls)
    }

    fn refuse(&self, address: SocketAddr, refusal: &Refusal) {
        self.counters.count(refusal);
        self.log.refused(address, refusal);
    }

    async fn back_off(&self, error: &std::io::Error) {
        self.counters.count_accept_error();
        self.log.accept_failed(error);
        tokio::time::sleep(BACK_OFF).await;
    }
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// Small writes leave at once, and a peer that vanished is noticed by the kernel too.
fn set_options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}

#[cfg(test)]
mod tests;
