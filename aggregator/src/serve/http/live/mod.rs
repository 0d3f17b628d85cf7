//! Live updates: what holds first, then what changes, by WebSocket (`/ws`) or as events (`/api/v1/events`).
//!
//! ```text
//!   reporter ─→ feed ─→ listener ─→ WebSocket │ events
//!                          └ takes nothing for the stall time ─→ cut; with the last number it can come back
//! ```
//!
//! Nothing waits here for a slow reader: it looks into the feed when it can take more, and is told what it missed.

mod feed;
mod listener;
mod record;
mod reporter;
mod topic;

pub use feed::{Feed, Message, News, Subject};
pub use reporter::Reporter;
pub use topic::Topic;

use super::envelope::{Failure, FailureKind};
use crate::limit::{Current, Reason, Refusals, Slot, Slots, millis};
use axum::Router;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use listener::{Listener, Told, Wish};
use quorate_common::clock::Clock;
use quorate_common::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// A sign of life in a silent stream.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// How long a reader that is sent away has to take the reason.
const FAREWELL: Duration = Duration::from_secs(2);
/// Largest message of a listener, who has nothing to say.
const HEARD_BYTES_MAX: usize = 4096;

/// What is listened to.
#[derive(Clone)]
pub struct Updates {
    /// What is said.
    pub feed: Feed,
    /// How many may listen, and how slowly.
    pub limits: Current,
    /// Who listens.
    pub listeners: Slots,
    /// Who is told whom we send away.
    pub refusals: Refusals,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub shutdown: Shutdown,
}

impl Updates {
    /// `/ws` and `/api/v1/events`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/ws", get(Updates::socket))
            .route("/api/v1/events", get(Updates::events))
            .with_state(self)
    }

    async fn socket(
        State(updates): State<Updates>,
        Query(wish): Query<Wish>,
        upgrade: WebSocketUpgrade,
    ) -> Result<Response, Failure> {
        let slot = updates.slot()?;
        let listener = Listener::new(&updates.feed, wish)?;
        let upgrade = upgrade.max_message_size(HEARD_BYTES_MAX);
        Ok(upgrade.on_upgrade(move |socket| updates.talk(socket, listener, slot)))
    }

    async fn events(
        State(updates): State<Updates>,
        Query(mut wish): Query<Wish>,
        headers: HeaderMap,
    ) -> Result<Response, Failure> {
        let slot = updates.slot()?;
        // What a browser sends by itself is newer than what stands in its address.
        if let Some(last) = headers.get("last-event-id") {
            // One that is none of ours was given by nobody: all is missed.
            wish.after = Some(last.to_str().ok().and_then(|last| last.parse().ok()).unwrap_or(0));
        }
        let listener = Listener::new(&updates.feed, wish)?;
        let (sender, events) = mpsc::channel(1);
        let shutdown = updates.shutdown.clone();
        shutdown.spawn("events", updates.pour(sender, listener, slot));
        let events = ReceiverStream::new(events).map(Ok::<Event, Infallible>);
        let alive = KeepAlive::new().interval(HEARTBEAT_EVERY).text("heartbeat");
        Ok(Sse::new(events).keep_alive(alive).into_response())
    }

    fn slot(&self) -> Result<Slot, Failure> {
        let max = self.limits.borrow().call.watchers_max;
        self.listeners.take(max).ok_or_else(|| {
            self.refusals.count(Reason::Watchers, 1);
            Failure::new(FailureKind::Unavailable, format!("too many listen, the limit is {max}"))
        })
    }

    fn stall(&self) -> Duration {
        millis(self.limits.borrow().call.watch_stall_ms)
    }

    /// Events until the reader goes, stalls, or we stop.
    async fn pour(self, events: mpsc::Sender<Event>, mut listener: Listener, _slot: Slot) {
        loop {
            let told = tokio::select! {
                () = self.shutdown.asked() => return,
                () = events.closed() => return,
                told = listener.next(|| self.clock.now().wall) => told,
            };
            for (number, text) in told {
                let event = Event::default().id(number.to_string()).data(text);
                match timeout(self.stall(), events.send(event)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => return self.cut(&events).await,
                }
            }
        }
    }

    /// Says why, if it is taken at last.
    async fn cut(&self, events: &mpsc::Sender<Event>) {
        self.refusals.count(Reason::SlowConsumer, 1);
        let event = Event::default().event("end").data(self.slow());
        timeout(FAREWELL, events.send(event)).await.ok();
    }

    fn slow(&self) -> String {
        format!("slow consumer: nothing taken for {:?}", self.stall())
    }

    /// Frames until the reader goes, stalls, or we stop.
    async fn talk(self, mut socket: WebSocket, mut listener: Listener, _slot: Slot) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT_EVERY);
        loop {
            let frames: Vec<Frame> = tokio::select! {
                () = self.shutdown.asked() => return close(&mut socket, close_code::AWAY, "stopping").await,
                heard = socket.recv() => match heard {
                    // What it says means nothing; pings are answered below us.
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                },
                _ = heartbeat.tick() => vec![Frame::Ping(Vec::new().into())],
                told = listener.next(|| self.clock.now().wall) => told.into_iter().map(frame).collect(),
            };
            for frame in frames {
                match timeout(self.stall(), socket.send(frame)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return,
                    Err(_) => {
                        self.refusals.count(Reason::SlowConsumer, 1);
                        return close(&mut socket, close_code::POLICY, &self.slow()).await;
                    }
                }
            }
        }
    }
}

fn frame((_, text): Told) -> Frame {
    Frame::Text(text.into())
}

async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    let frame = Frame::Close(Some(CloseFrame { code, reason: reason.into() }));
    timeout(FAREWELL, socket.send(frame)).await.ok();
}

#[cfg(test)]
mod tests;
