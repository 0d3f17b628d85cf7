//! One open connection: TLS bytes for tonic, a peer for whoever asks, and an end that we can bring about.

use super::limit::{Counters, Place, Refusal};
use super::log::Log;
use crate::identity::ending::Ending;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::{BootTime, Now, WallTime};
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
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Bytes of the HTTP/2 connection preface.
const PREFACE_BYTES: usize = 24;

/// TLS over TCP, server side.
pub type Tls = tokio_rustls::server::TlsStream<TcpStream>;

/// Who is at the other end. In the extensions of every request, as `Arc<Peer>`.
#[derive(Debug)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Its certificate, checked; none where none was asked for, or where it names nobody of ours.
    pub certificate: Option<PeerCertificate>,
    /// Cancelled by us to close the connection: its reads and writes fail from then on.
    pub close: CancellationToken,
    /// Why it is about to be closed, for the streams on it that can still say so.
    pub ending: Ending,
    opened: BootTime,
    number: u64,
}

/// How long streams have to say why they end.
const FAREWELL: Duration = Duration::from_millis(500);

impl Peer {
    /// When its connection began, by the wall clock as it goes now.
    pub fn opened(&self, now: Now) -> WallTime {
        let age = i64::try_from(now.boot.since(self.opened).as_nanos()).unwrap_or(i64::MAX);
        WallTime(now.wall.0.saturating_sub(age))
    }

    /// Lets the streams of this connection end for a reason, and closes it a moment later.
    pub fn end(self: Arc<Self>, reason: &str) {
        if self.ending.tell(reason) {
            drop(tokio::spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                self.close.cancel();
            }));
        }
    }
}

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

    pub(super) fn add(&self, address: SocketAddr, certificate: Option<PeerCertificate>) -> Arc<Peer> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let peer = Arc::new(Peer {
            address,
            certificate,
            close: CancellationToken::new(),
            ending: Ending::default(),
            opened: SystemClock.now().boot,
            number,
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(number, peer.clone());
        peer
    }

    fn remove(&self, peer: &Peer) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&peer.number);
    }
}

/// How long a connection may take.
pub struct Deadlines {
    /// For the HTTP/2 preface.
    pub preface: Duration,
    /// For everything after it; `None` is for ever.
    pub life: Option<Duration>,
}

/// What goes with the connection when it is dropped.
type Kept = (Arc<Connections>, (OwnedSemaphorePermit, Option<Place>), (Arc<Counters>, Log));

/// What tonic reads from and writes to.
pub struct Connection {
    tls: Tls,
    peer: Arc<Peer>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The preface's deadline, then the life's.
    timer: Option<Pin<Box<Sleep>>>,
    deadlines: Deadlines,
    preface_missing: usize,
    kept: Kept,
}

impl Connection {
    pub(super) fn new(tls: Tls, peer: Arc<Peer>, deadlines: Deadlines, kept: Kept) -> Connection {
        Connection {
            tls,
            closed: Box::pin(peer.close.clone().cancelled_owned()),
            peer,
            timer: Some(Box::pin(tokio::time::sleep(deadlines.preface))),
            deadlines,
            preface_missing: PREFACE_BYTES,
            kept,
        }
    }

    /// An error once we have closed it or its time is over. Wakes the reader when that happens.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the server"));
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        self.peer.close.cancel();
        if self.preface_missing > 0 {
            let refusal = Refusal::Preface(self.deadlines.preface);
            let (counters, log) = &self.kept.2;
            counters.count(&refusal);
            log.refused(self.peer.address, &refusal);
        }
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the connection's time is over"))
    }

    fn read(&mut self, bytes: usize) {
        if self.preface_missing == 0 {
            return;
        }
        self.preface_missing = self.preface_missing.saturating_sub(bytes);
        if self.preface_missing == 0 {
            self.timer = self.deadlines.life.map(|life| Box::pin(tokio::time::sleep(life)));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.kept.0.remove(&self.peer);
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
        self.read(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.peer.close.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer.close.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
