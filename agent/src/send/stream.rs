//! One stream to an aggregator: opens it, carries messages as values, and closes it with a farewell.

use super::Ended;
use crate::session::{ACK_DEADLINE, SessionError};
use quorate_common::model::session::{AgentMessage, AggregatorMessage};
use quorate_proto::connect::{Options, channel};
use quorate_proto::convert::SessionWriter;
use quorate_proto::v1;
use quorate_proto::v1::ingest_service_client::IngestServiceClient;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

/// Messages that may wait for the stream to take them; more wait in the spool.
const OUTBOX_MAX: usize = 64;
/// Largest message, as the aggregator's limit has it.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// How long a farewell has, until the aggregator has closed its side.
const FAREWELL: Duration = Duration::from_secs(1);

/// An open stream.
pub(super) struct Stream {
    /// Where to, `host:port`.
    pub(super) address: String,
    writer: SessionWriter,
    outbox: mpsc::Sender<v1::SessionRequest>,
    inbound: Streaming<v1::SessionResponse>,
}

/// Connects and begins the call.
pub(super) async fn open(address: String, tls: Arc<ClientConfig>) -> Result<Stream, Ended> {
    let channel = channel(&address, tls, Options::AGENT).await.map_err(Ended::Connect)?;
    let mut client = IngestServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
    let call = client.session(ReceiverStream::new(messages));
    let response = tokio::time::timeout(Options::AGENT.connect_timeout, call).await;
    let response = response.map_err(|_| Ended::Session(SessionError::Silent))?;
    let inbound = response.map_err(Ended::Status)?.into_inner();
    Ok(Stream { address, writer: SessionWriter::default(), outbox, inbound })
}

impl Stream {
    /// The next message of the aggregator. Nothing is lost when the wait for it is given up.
    pub(super) async fn next(&mut self) -> Result<AggregatorMessage, Ended> {
        let message = self.inbound.message().await.map_err(Ended::Status)?.ok_or(Ended::Closed)?;
        Ok(message.try_into()?)
    }

    /// Hands a message to the stream.
    pub(super) async fn send(&mut self, message: AgentMessage) -> Result<(), Ended> {
        let message = self.writer.write(message);
        match tokio::time::timeout(ACK_DEADLINE, self.outbox.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Err(_) => Err(Ended::Session(SessionError::Silent)),
            // The stream is over, and its other half knows why.
            Ok(Err(_)) => Err(self.next().await.err().unwrap_or(Ended::Closed)),
        }
    }

    /// Says farewell and waits, not long, until the aggregator has closed its side.
    pub(super) async fn close(self, bye: AgentMessage) -> Result<(), Ended> {
        let Stream { mut writer, outbox, mut inbound, .. } = self;
        let farewell = async {
            outbox.send(writer.write(bye)).await.map_err(|_| Ended::Closed)?;
            drop(outbox);
            while let Ok(Some(_)) = inbound.message().await {}
            Ok(())
        };
        tokio::time::timeout(FAREWELL, farewell).await.unwrap_or(Ok(()))
    }
}
