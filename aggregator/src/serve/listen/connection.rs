//! One open connection: TLS bytes for HTTP/2, a peer for whoever asks, and an end that we can bring about.
//!
//! ```text
//!   preface ──24 bytes──→ first request ──it came──→ life (without a certificate) or settled
//!      └──── deadline ────────┴─────── deadline ───────────┴────────→ closed ←── too many empty frames
//! ```

use super::limit::{Counters, Place, Refusal};
use super::meter::Meter;
use crate::limit::{Limits, Slot, millis};
use crate::peer::Peer;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::tls::PeerCertificate;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

/// Bytes of the HTTP/2 connection preface.
const PREFACE_BYTES: usize = 24;

/// TLS over TCP, server side.
pub type Tls = tokio_rustls::server::TlsStream<TcpStream>;

/// The connections that are open on one listener.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<HashMap<u64, Arc<Peer>>>,
    next: AtomicU64,
}

impl Connections {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A list of all peers, as of now.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(in crate::serve) fn add(
        &self,
        address: SocketAddr,
        certificate: Option<PeerCertificate>,
    ) -> Arc<Peer> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer::new(number, address, certificate));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, peer.clone());
        peer
    }

    pub(in crate::serve) fn remove(&self, peer: &Peer) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.number());
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Preface,
    Request,
    Life,
    Settled,
}

/// What goes with the connection: who knows of it, what it holds until it is dropped, who counts.
pub(super) struct Kept {
    pub connections: Arc<Connections>,
    pub _slot: Slot,
    /// Only of a caller without a certificate.
    pub place: Option<Place>,
    pub counters: Arc<Counters>,
    pub limits: Arc<Limits>,
}

/// What HTTP/2 reads from and writes to.
pub struct Connection {
    tls: Tls,
    peer: Arc<Peer>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    phase: Phase,
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while it takes no bytes.
    stalled: Option<Pin<Box<Sleep>>>,
    preface_missing: usize,
    meter: Meter,
    kept: Kept,
}

impl Connection {
    pub(super) fn new(tls: Tls, peer: Arc<Peer>, kept: Kept) -> Connection {
        Connection {
            tls,
            closed: Box::pin(peer.close.clone().cancelled_owned()),
            peer,
            phase: Phase::Preface,
            timer: Some(Box::pin(tokio::time::sleep(millis(kept.limits.door.preface_deadline_ms)))),
            stalled: None,
            preface_missing: PREFACE_BYTES,
            meter: Meter::new(&kept.limits.http2, SystemClock.now().boot),
            kept,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// The limits that it was accepted under.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.kept.limits
    }

    /// Who counts and tells whom we send away.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.kept.counters
    }

    fn enter(&mut self, phase: Phase, wait: Option<Duration>) {
        self.phase = phase;
        self.timer = wait.map(|wait| Box::pin(tokio::time::sleep(wait)));
    }

    /// An error once we have closed it or its time is over. Wakes the reader when that happens.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the server"));
        }
        while let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            if let Some(error) = self.over() {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    }

    /// The timer has run out: the next phase, or the end.
    fn over(&mut self) -> Option<io::Error> {
        let door = &self.kept.limits.door;
        let refusal = match self.phase {
            Phase::Preface => Refusal::Preface(millis(door.preface_deadline_ms)),
            Phase::Request if self.peer.has_called() => {
                let spent = door.request_deadline_ms;
                let life = millis(door.anonymous_life_ms.saturating_sub(spent));
                let anonymous = self.kept.place.is_some();
                self.enter(if anonymous { Phase::Life } else { Phase::Settled }, anonymous.then_some(life));
                return None;
            }
            Phase::Request => Refusal::Request(millis(door.request_deadline_ms)),
            Phase::Life => Refusal::Life(millis(door.anonymous_life_ms)),
            Phase::Settled => return None,
        };
        Some(self.refuse(&refusal))
    }

    fn refuse(&mut self, refusal: &Refusal) -> io::Error {
        self.kept.counters.refusals().refuse(refusal.reason(), self.peer.address, refusal);
        self.end("the connection was refused")
    }

    fn end(&mut self, why: &'static str) -> io::Error {
        self.timer = None;
        self.peer.close.cancel();
        io::Error::new(io::ErrorKind::ConnectionAborted, why)
    }

    /// Looks at what was read; an error if it was too much.
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let preface = self.preface_missing.min(bytes.len());
        self.preface_missing -= preface;
        if self.phase == Phase::Preface && self.preface_missing == 0 {
            self.enter(Phase::Request, Some(millis(self.kept.limits.door.request_deadline_ms)));
        }
        if self.meter.read(&bytes[preface..], || SystemClock.now().boot) {
            return Ok(());
        }
        Err(self.refuse(&Refusal::ControlFrames(self.kept.limits.http2.control_frames_per_s_max)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.kept.connections.remove(&self.peer);
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Arc<Peer> {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(error) = self.poll_over(cx) {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut self.tls).poll_read(cx, buffer))?;
        Poll::Ready(self.look(&buffer.filled()[before..]))
    }
}

impl Connection {
    /// What writing came to; an error once it has come to nothing for too long.
    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let limit = millis(self.kept.limits.http2.write_deadline_ms);
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(stalled.as_mut().poll(cx));
        self.stalled = None;
        Poll::Ready(Err(self.refuse(&Refusal::Write(limit))))
    }

    fn writable(&self) -> io::Result<()> {
        if self.peer.close.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writable()?;
        let polled = Pin::new(&mut self.tls).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writable()?;
        let polled = Pin::new(&mut self.tls).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.tls).poll_shutdown(cx);
        self.written(cx, polled)
    }
}
