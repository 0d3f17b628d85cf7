//! One open connection: bytes, and an end that we can bring about.
//!
//! ```text
//!   first request's headers ──they came──→ settled ──→ closed ←── takes no bytes, too many empty frames, cut
//!        └──── deadline ────────→ closed
//! ```

use crate::limit::{Limits, Slot, millis};
use crate::peer::Peer;
use crate::serve::listen::{Connections, Counters, Meter, Place, Refusal};
use quorate_common::clock::{Clock, SystemClock};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// How a caller of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// What the requests on a connection know of it.
#[derive(Clone)]
pub(super) struct Line {
    /// Who is at the other end.
    pub peer: Arc<Peer>,
    /// The address that it came to.
    pub local: IpAddr,
    /// Cancelled when the connection is gone, what it was upgraded to included.
    pub gone: CancellationToken,
}

/// What goes with the connection until it is dropped.
pub(super) struct Kept {
    pub connections: Arc<Connections>,
    pub counters: Arc<Counters>,
    pub limits: Arc<Limits>,
    pub _slot: Slot,
    pub _place: Place,
}

/// What HTTP reads from and writes to.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    line: Line,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until the first request is there.
    first: Option<Pin<Box<Sleep>>>,
    /// Runs while it takes no bytes.
    stalled: Option<Pin<Box<Sleep>>>,
    frames: Frames,
    kept: Kept,
    _gone: DropGuard,
}

/// What is known of the protocol.
enum Frames {
    /// So many bytes are those of the preface.
    Preface(usize),
    /// Frames follow.
    Http2(Box<Meter>),
    /// It is HTTP/1.
    None,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, (peer, local): (Arc<Peer>, IpAddr), kept: Kept) -> Wire {
        let gone = CancellationToken::new();
        let first = tokio::time::sleep(millis(kept.limits.http.header_deadline_ms));
        Wire {
            stream,
            closed: Box::pin(peer.close.clone().cancelled_owned()),
            line: Line { peer, local, gone: gone.clone() },
            first: Some(Box::pin(first)),
            stalled: None,
            frames: Frames::Preface(0),
            kept,
            _gone: gone.drop_guard(),
        }
    }

    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }

    fn refuse(&self, refusal: &Refusal) -> io::Error {
        self.kept.counters.refusals().refuse(refusal.reason(), self.line.peer.address, refusal);
        self.line.peer.close.cancel();
        io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was refused")
    }

    /// An error once it was closed or the first request is late. Wakes the reader when that happens.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
        }
        let Some(first) = &mut self.first else { return Poll::Pending };
        ready!(first.as_mut().poll(cx));
        self.first = None;
        if self.line.peer.has_called() {
            return Poll::Pending;
        }
        let deadline: Duration = millis(self.kept.limits.http.header_deadline_ms);
        Poll::Ready(self.refuse(&Refusal::Request(deadline)))
    }

    /// Looks at what was read; an error if it was too much.
    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Frames::Preface(met) = &mut self.frames {
            let wanted = PREFACE.get(*met..).unwrap_or_default();
            let taken = wanted.len().min(bytes.len());
            let (begin, rest) = bytes.split_at(taken);
            if !wanted.starts_with(begin) {
                self.frames = Frames::None;
            } else if taken == wanted.len() {
                let meter = Meter::new(&self.kept.limits.http2, SystemClock.now().boot);
                self.frames = Frames::Http2(Box::new(meter));
            } else {
                *met += taken;
            }
            bytes = rest;
        }
        let is_fine = match &mut self.frames {
            Frames::Http2(meter) => meter.read(bytes, || SystemClock.now().boot),
            _ => true,
        };
        if is_fine {
            return Ok(());
        }
        Err(self.refuse(&Refusal::ControlFrames(self.kept.limits.http2.control_frames_per_s_max)))
    }

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
        if self.line.peer.close.is_cancelled() {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.kept.connections.remove(&self.line.peer);
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(error) = self.poll_over(cx) {
            return Poll::Ready(Err(error));
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.look(buffer.filled().get(before..).unwrap_or_default()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writable()?;
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writable()?;
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.written(cx, polled)
    }
}
