//! Back-fill: sends what no session carried in time, beside the session, over a connection of its own, so that what is
//! old never delays what is new.
//!
//! ```text
//!   nothing due ──→ connect ──→ next piece ──→ wait for the answer ──→ rest ──→ next piece … nothing due: close
//!                                   ↑ one at a time, oldest first
//! ```
//!
//! It decides nothing: what is due, and what an answer means, is the journal's business.

use crate::send::Standing;
use crate::session::ACK_DEADLINE;
use crate::spool::Keeper;
use quorate_common::backoff::Backoff;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::backfill::{Backfill, Known};
use quorate_common::rng::Rng;
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::{ConnectError, Options, channel};
use quorate_proto::convert::ConvertError;
use quorate_proto::status::reason;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Between two pieces: a minute each, so a day takes a few minutes and both ends have time for what is new.
const REST: Duration = Duration::from_millis(100);

/// Why back-filling ended before its end.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("failed to open a connection for what is old")]
    Connect(#[source] ConnectError),
    #[error("aggregator ended it: {}", reason(.0))]
    Status(Status),
    #[error("aggregator closed the stream")]
    Closed,
    #[error("aggregator sent something unreadable")]
    Unreadable(#[from] ConvertError),
    #[error("no answer for {} s", ACK_DEADLINE.as_secs())]
    Silent,
}

/// Everything that back-filling needs.
pub struct Backfiller {
    /// The journal.
    pub keeper: Keeper,
    /// How the live session does: back-filling goes to its aggregator.
    pub standing: watch::Receiver<Standing>,
    /// The certificate to show and the roots to trust.
    pub tls: watch::Receiver<Arc<ClientConfig>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub rng: Box<dyn Rng + Sync>,
    /// When to try again.
    pub backoff: Backoff,
}

impl Backfiller {
    /// Sends what is due until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                wait = self.round() => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = shutdown.asked() => return,
                    }
                }
                () = shutdown.asked() => return,
            }
        }
    }

    /// Waits until something is due and sends all of it; answers how long to rest then.
    async fn round(&mut self) -> Duration {
        let mut shown = self.keeper.shown();
        let (due, peer) = tokio::join!(async { shown.wait_for(|shown| shown.is_due).await.is_ok() }, async {
            let live = self.standing.wait_for(|standing| standing.peer.is_some()).await;
            live.ok().and_then(|standing| standing.peer.clone())
        },);
        // The journal or the sender is gone: the program ends.
        let (true, Some(address)) = (due, peer) else { return std::future::pending().await };
        match self.send_all(&address).await {
            Ok(sent) => {
                tracing::info!(class = "success", address, sent, "what was old is sent");
                self.backoff.accepted();
                REST
            }
            Err(ended) => {
                tracing::warn!(class = "failure", address, reason = chain(&ended), "back-filling ended");
                let now = self.clock.now().boot;
                self.backoff.refused(now, &mut *self.rng).since(now)
            }
        }
    }

    async fn send_all(&mut self, address: &str) -> Result<u64, Ended> {
        let mut sent = 0;
        let Some(mut next) = self.keeper.next().await else { return Ok(sent) };
        let tls = self.tls.borrow_and_update().clone();
        let mut way = Way::open(address, tls).await?;
        loop {
            let known = way.exchange(next).await?;
            sent += 1;
            self.keeper.known(known);
            tokio::time::sleep(REST).await;
            match self.keeper.next().await {
                Some(message) => next = message,
                None => return Ok(sent),
            }
        }
    }
}

/// An open stream.
struct Way {
    outbox: mpsc::Sender<v1::BackfillRequest>,
    inbound: Streaming<v1::BackfillResponse>,
}

impl Way {
    async fn open(address: &str, tls: Arc<ClientConfig>) -> Result<Way, Ended> {
        let channel = channel(address, tls, Options::AGENT).await.map_err(Ended::Connect)?;
        let (outbox, messages) = mpsc::channel(1);
        let mut client = IngestServiceClient::new(channel);
        let call = tokio::time::timeout(ACK_DEADLINE, client.backfill(ReceiverStream::new(messages)));
        let inbound = call.await.map_err(|_| Ended::Silent)?.map_err(Ended::Status)?.into_inner();
        Ok(Way { outbox, inbound })
    }

    async fn exchange(&mut self, message: Backfill) -> Result<Known, Ended> {
        let exchange = async {
            // A stream that is over says why on its other half.
            self.outbox.send(message.into()).await.ok();
            let reply = self.inbound.message().await.map_err(Ended::Status)?.ok_or(Ended::Closed)?;
            Ok(reply.try_into()?)
        };
        tokio::time::timeout(ACK_DEADLINE, exchange).await.map_err(|_| Ended::Silent)?
    }
}
