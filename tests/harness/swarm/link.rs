//! One connection of a virtual agent, with one session in it: dials, carries messages, closes. The only place where
//! messages of the model become those of the wire and back.

use quorate_agent::session::ACK_DEADLINE;
use quorate_common::model::session::{AgentMessage, AggregatorMessage};
use quorate_proto::connect::{ConnectError, Options, channel};
use quorate_proto::convert::{ConvertError, SessionWriter};
use quorate_proto::status;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// Frames that wait for the connection to take them. One: each frame is written by itself, as in a live session,
/// and not as a burst of ticks that no node would have at once.
const OUTBOX_MAX: usize = 1;
/// How long a real agent waits for the end of its stream after a farewell.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There was no connection.
    #[error("the aggregator could not be reached")]
    Connect(#[from] ConnectError),
    /// The aggregator ended it.
    #[error("the aggregator ended the session: {}", status::reason(.0))]
    Status(Box<Status>),
    /// The stream ended without a word.
    #[error("the aggregator closed the stream")]
    Closed,
    /// A message could not be read.
    #[error("the aggregator sent something unreadable")]
    Unreadable(#[from] ConvertError),
    /// The aggregator took nothing, or did not answer the call.
    #[error("the aggregator does not take what is sent")]
    Stuck,
}

impl LinkError {
    /// Whether the aggregator ended the session for something that this agent did.
    pub fn is_refusal(&self) -> bool {
        matches!(self, LinkError::Status(status) if status::is_refusal(status))
    }
}

/// An open stream.
pub struct Link {
    writer: SessionWriter,
    outbox: mpsc::Sender<v1::SessionRequest>,
    inbound: Streaming<v1::SessionResponse>,
}

impl Link {
    /// Connects and begins the call.
    ///
    /// # Errors
    /// No connection, or the call was refused.
    pub async fn open(address: &str, tls: Arc<ClientConfig>, options: Options) -> Result<Link, LinkError> {
        let channel = channel(address, tls, options).await?;
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        let mut client = IngestServiceClient::new(channel);
        let call = client.session(ReceiverStream::new(messages));
        let answer =
            tokio::time::timeout(options.connect_timeout, call).await.map_err(|_| LinkError::Stuck)?;
        Ok(Link { writer: SessionWriter::default(), outbox, inbound: answer.map_err(ended)?.into_inner() })
    }

    /// Hands a message over once the connection has room.
    ///
    /// # Errors
    /// The stream is over, or the aggregator took nothing for as long as an acknowledgement may take.
    pub async fn send(&mut self, message: AgentMessage) -> Result<(), LinkError> {
        let message = self.writer.write(message);
        match tokio::time::timeout(ACK_DEADLINE, self.outbox.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Err(_) => Err(LinkError::Stuck),
            // The stream is over, and its other half knows why.
            Ok(Err(_)) => Err(self.next().await.err().unwrap_or(LinkError::Closed)),
        }
    }

    /// The next message of the aggregator. Nothing is lost when the wait for it is given up.
    ///
    /// # Errors
    /// The stream is over.
    pub async fn next(&mut self) -> Result<AggregatorMessage, LinkError> {
        let message = self.inbound.message().await.map_err(ended)?.ok_or(LinkError::Closed)?;
        Ok(message.try_into()?)
    }

    /// Says the last word and waits until the aggregator has closed its side: it has read all by then. `false` if
    /// that took longer than `limit`.
    pub async fn close(self, farewell: AgentMessage, limit: Duration) -> bool {
        let Link { mut writer, outbox, mut inbound } = self;
        let end = async {
            outbox.send(writer.write(farewell)).await.ok();
            drop(outbox);
            while let Ok(Some(_)) = inbound.message().await {}
        };
        tokio::time::timeout(limit, end).await.is_ok()
    }
}

fn ended(status: Status) -> LinkError {
    LinkError::Status(Box::new(status))
}
