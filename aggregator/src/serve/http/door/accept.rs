//! The accept loop, and HTTP on what it accepts.

use super::Door;
use super::answer::answer;
use super::wire::{Kept, Wire};
use crate::limit::{Http2Limits, HttpLimits, Limits, Reason, Slot, millis};
use crate::serve::listen::{Limits as DoorLimits, Refusal, Reserve, set_options};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long answers have to end when we stop.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Wait after a failed accept: without it, a process out of descriptors would spin.
const BACK_OFF: Duration = Duration::from_millis(100);
/// A failed accept is followed by a wait, so that every fiftieth is one in five seconds.
const ACCEPT_ERRORS_PER_LINE: u64 = 50;
/// First byte of every TLS connection: the record type of a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// A plain-text caller is quoted in the log by so many bytes.
const QUOTED_BYTES: usize = 8;

/// Accepts until asked to stop, and a moment longer serves what is open.
pub(super) async fn run(tcp: TcpListener, door: Arc<Door>) {
    let mut open = JoinSet::new();
    let mut reserve = Reserve::take();
    loop {
        tokio::select! {
            () = door.shutdown.asked() => break,
            accepted = tcp.accept() => match accepted {
                Ok((stream, address)) => admit(&door, (stream, address), &mut open),
                Err(error) => {
                    for address in reserve.shed(&tcp, &error).await {
                        door.refuse(address, &Refusal::Descriptors);
                    }
                    let before = door.counters.count_accept_error();
                    if before.is_multiple_of(ACCEPT_ERRORS_PER_LINE) {
                        tracing::error!(listener = "http", %error, failed = before + 1, "failed to accept connections");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(tcp);
    // Whoever does not end is dropped with the set: a client that does not close must not hold us.
    tokio::time::timeout(2 * LAST_WORDS, async { while open.join_next().await.is_some() {} }).await.ok();
}

fn admit(door: &Arc<Door>, (stream, address): (TcpStream, SocketAddr), open: &mut JoinSet<()>) {
    door.counters.count_accepted();
    let limits = door.gate.limits.borrow().clone();
    let Some(slot) = door.slots.take(limits.http.connections_max) else {
        return door.refuse(address, &Refusal::Connections(limits.http.connections_max));
    };
    let door = door.clone();
    open.spawn(async move {
        match door.open(stream, address, (slot, limits.clone())).await {
            Ok(wire) => Box::pin(door.carry(wire, &limits)).await,
            Err(refusal) => door.refuse(address, &refusal),
        }
    });
}

impl Door {
    fn refuse(&self, address: SocketAddr, refusal: &Refusal) {
        self.counters.refusals().refuse(refusal.reason(), address, refusal);
    }

    async fn open(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        (slot, limits): (Slot, Arc<Limits>),
    ) -> Result<Wire, Refusal> {
        let HttpLimits { connections_max, per_address_max, .. } = limits.http;
        let places = DoorLimits { connections_max, unproven_per_address_max: per_address_max, ..limits.door };
        let place = self.addresses.enter(address.ip(), &places).await?;
        set_options(&stream).map_err(Refusal::Socket)?;
        let local = stream.local_addr().map_err(Refusal::Socket)?.ip();
        let config = self.tls.as_ref().map(|tls| tls.borrow().clone());
        let stream: Box<dyn super::wire::Stream> = match config {
            None => Box::new(stream),
            Some(config) => {
                let deadline = millis(limits.door.handshake_deadline_ms);
                let shaken = tokio::time::timeout(deadline, handshake(stream, TlsAcceptor::from(config)));
                shaken.await.map_err(|_| Refusal::Slow(deadline))??
            }
        };
        self.counters.count_opened();
        let peer = self.connections.add(address, None);
        let (connections, counters) = (self.connections.clone(), self.counters.clone());
        Ok(Wire::new(
            stream,
            (peer, local),
            Kept { connections, counters, limits, _slot: slot, _place: place },
        ))
    }

    async fn carry(self: Arc<Self>, wire: Wire, limits: &Limits) {
        let (line, builder) = (wire.line(), builder(&limits.http, &limits.http2));
        let caller = (self.clone(), line.clone());
        let service = service_fn(move |request| {
            let (door, line) = caller.clone();
            Box::pin(async move { Ok::<_, std::convert::Infallible>(answer(&door, line, request).await) })
        });
        let mut served = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(wire), service));
        let ended = tokio::select! {
            ended = &mut served => ended,
            () = self.shutdown.asked() => {
                served.as_mut().graceful_shutdown();
                tokio::time::timeout(LAST_WORDS, served).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended
            && !line.peer.close.is_cancelled()
        {
            self.tell(&*error, line.peer.address);
        }
    }

    /// Why a connection ended that did not end well. That a caller went away is no news.
    fn tell(&self, error: &(dyn std::error::Error + 'static), address: SocketAddr) {
        let refuse = |reason| self.counters.refusals().refuse(reason, address, &error);
        match error.downcast_ref::<hyper::Error>() {
            Some(fault) if fault.is_timeout() => refuse(Reason::RequestTimeout),
            Some(fault) if fault.is_parse() => refuse(Reason::Http),
            _ => tracing::debug!(%address, %error, "connection broke"),
        }
    }
}

async fn handshake(
    stream: TcpStream,
    acceptor: TlsAcceptor,
) -> Result<Box<dyn super::wire::Stream>, Refusal> {
    let mut first = [0; QUOTED_BYTES];
    let length = stream.peek(&mut first).await.map_err(Refusal::Socket)?;
    match first.first() {
        _ if length == 0 => Err(Refusal::Hung),
        Some(&TLS_HANDSHAKE) => Ok(Box::new(acceptor.accept(stream).await.map_err(Refusal::Tls)?)),
        _ => Err(Refusal::NotTls(first.into_iter().take(length).collect())),
    }
}

fn builder(http: &HttpLimits, http2: &Http2Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(millis(http.header_deadline_ms))
        .max_buf_size(http.header_bytes_max as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2.streams_max)
        .initial_stream_window_size(http2.stream_window_bytes)
        .initial_connection_window_size(http2.connection_window_bytes)
        .max_header_list_size(http.header_bytes_max)
        .max_send_buf_size(http2.send_buffer_bytes_max as usize)
        .max_pending_accept_reset_streams(http2.pending_resets_max as usize)
        .max_local_error_reset_streams(http2.faulty_streams_max as usize)
        .keep_alive_interval(millis(http2.ping_every_ms))
        .keep_alive_timeout(millis(http2.ping_timeout_ms));
    builder
}
