//! HTTP/2 on an accepted connection: its limits, the calls on it, and why it ended if it did not end well.
//!
//! ```text
//!   connection ─→ frames ─→ request ─→ service ─→ answer ─→ (a refusal? counted and told) ─→ frames
//!                   └── broken, abused, silent: counted and told, closed
//! ```
//!
//! A server of tonic's own would tell nobody why it dropped a connection, and could not change its limits.

use super::Connection;
use crate::limit::{self, Http2Limits, Limits, Reason, Refusals, millis};
use crate::peer::Peer;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use quorate_common::error::chain;
use quorate_common::shutdown::Shutdown;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

/// How long open streams have, when we stop, to say why they end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A path in the log is cut: a caller may make it long.
const PATH_CHARS_MAX: usize = 100;

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// Serves connections until asked to stop. `build` makes the service for some limits; it is asked again when they
/// have changed, for the connections that come from then on.
pub async fn serve<S, F>(
    mut incoming: ReceiverStream<Result<Connection, Infallible>>,
    build: F,
    stop: Shutdown,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    F: Fn(&Limits) -> S,
{
    let mut connections = JoinSet::new();
    let mut built: Option<(Arc<Limits>, S)> = None;
    loop {
        tokio::select! {
            () = stop.asked() => break,
            Some(Ok(connection)) = incoming.next() => {
                let limits = connection.limits();
                let service = match &built {
                    Some((of, service)) if Arc::ptr_eq(of, limits) => service.clone(),
                    _ => built.insert((limits.clone(), build(limits))).1.clone(),
                };
                // In a box it has one place, not one in each of the futures that hand it on.
                connections.spawn(carry(Box::pin(connection), service, stop.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    // Whatever has not ended a moment after it was asked to is dropped with the set: a client that does not close
    // must not hold us.
    tokio::time::timeout(2 * LAST_WORDS, async { while connections.join_next().await.is_some() {} })
        .await
        .ok();
}

async fn carry<S>(connection: Pin<Box<Connection>>, service: S, stop: Shutdown)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (peer, refusals) = (connection.peer().clone(), connection.counters().refusals().clone());
    let builder = builder(&connection.limits().http2);
    let caller = (peer.clone(), refusals.clone());
    // In a box, answering is gone once the answer has begun, however long its stream goes on.
    let service = service_fn(move |request| Box::pin(answer(service.clone(), caller.clone(), request)));
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stop.asked() => {
            served.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_WORDS, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tell(&error, &peer, &refusals);
    }
}

fn builder(limits: &Http2Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .initial_stream_window_size(limits.stream_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_header_list_size(limits.header_bytes_max)
        .max_send_buf_size(limits.send_buffer_bytes_max as usize)
        .max_pending_accept_reset_streams(limits.pending_resets_max as usize)
        .max_local_error_reset_streams(limits.faulty_streams_max as usize)
        .keep_alive_interval(millis(limits.ping_every_ms))
        .keep_alive_timeout(millis(limits.ping_timeout_ms));
    builder
}

async fn answer<S>(
    service: S,
    (peer, refusals): (Arc<Peer>, Refusals),
    request: http::Request<Incoming>,
) -> Result<Response, Infallible>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    peer.call();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer.clone());
    let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
    let response = service.oneshot(request).await?;
    if let Some((reason, text)) = refusal(&response) {
        refusals.refuse(reason, peer.address, &format_args!("{path}: {text}"));
    }
    Ok(response)
}

/// Whether an answer, which is only a status then, sends its caller away.
fn refusal(response: &Response) -> Option<(Reason, String)> {
    let status = Status::from_header_map(response.headers())?;
    let text = || status.message().to_owned();
    let extensions = response.extensions();
    let said = extensions.get::<Reason>().copied();
    if let Some(reason) = said.or_else(|| extensions.get::<Status>().and_then(limit::reason)) {
        return Some((reason, text()));
    }
    let broken = ["protocol error", "failed to decode", "Unexpected EOF"];
    let reason = match status.code() {
        Code::Unauthenticated => Reason::Unauthenticated,
        Code::PermissionDenied => Reason::Forbidden,
        Code::Unimplemented => Reason::UnknownMethod,
        Code::InvalidArgument => Reason::Invalid,
        Code::OutOfRange => Reason::MessageBytes,
        Code::ResourceExhausted => Reason::Tries,
        Code::Internal if broken.iter().any(|part| status.message().starts_with(part)) => Reason::Decode,
        _ => return None,
    };
    Some((reason, text()))
}

/// Why a connection ended that did not end well. That a caller went away is no news.
fn tell(error: &hyper::Error, peer: &Peer, refusals: &Refusals) {
    if peer.close.is_cancelled() {
        // We did it, and have said why.
        return;
    }
    if error.is_timeout() {
        return refusals.refuse(Reason::PingTimeout, peer.address, &"a ping was not answered");
    }
    match fault(error) {
        Some(fault) if fault.is_library() => {
            refusals.refuse(Reason::Http2, peer.address, fault);
        }
        _ => tracing::debug!(address = %peer.address, error = chain(error), "connection broke"),
    }
}

/// What HTTP/2 has to say of an error.
fn fault(error: &hyper::Error) -> Option<&h2::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        cause = error.source();
    }
    None
}
