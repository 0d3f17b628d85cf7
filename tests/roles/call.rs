//! Calls without knowing a message: what is sent is empty, what comes is bytes.

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

/// Nothing here takes a second; a machine under load may need many.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to, as whom, and from which address: what is limited by address must not meet another caller.
#[derive(Clone)]
pub struct Way {
    pub address: SocketAddr,
    pub from: Ipv4Addr,
    pub tls: Arc<ClientConfig>,
}

/// What became of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Code and text of the status; `Ok` when a message came.
    Answered(String),
    /// There was no connection, or none any more.
    Closed,
}

impl Way {
    pub async fn open(&self) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("https://{}", self.address)).unwrap();
        let way = self.clone();
        let dial = move |_: Uri| {
            let way = way.clone();
            async move { way.dial().await.map(TokioIo::new) }
        };
        endpoint.connect_timeout(PATIENCE).connect_with_connector(tower::service_fn(dial)).await
    }

    /// One call on a connection of its own.
    pub async fn call(&self, path: &str) -> Outcome {
        match self.open().await {
            Ok(channel) => call(&channel, path).await,
            Err(_) => Outcome::Closed,
        }
    }

    /// How TLS ends when nothing is sent: the alert that the aggregator gives.
    pub async fn alert(&self) -> String {
        let read = async {
            let mut stream = self.dial().await?;
            stream.read(&mut [0; 64]).await
        };
        match tokio::time::timeout(PATIENCE, read).await.expect("an end, or bytes") {
            Ok(bytes) => format!("{bytes} bytes"),
            Err(error) => error.to_string(),
        }
    }

    async fn dial(&self) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        TlsConnector::from(self.tls.clone()).connect(name, stream).await
    }
}

/// Calls a method with one empty message, as a stream: it is the same on the wire for every kind of method.
pub async fn call(channel: &Channel, path: &str) -> Outcome {
    let call = async {
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let request = Request::new(tokio_stream::once(Vec::new()));
        let mut answers = client.streaming(request, path.parse().unwrap(), Raw).await?.into_inner();
        answers.message().await
    };
    match tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|_| panic!("{path} gives no answer")) {
        Ok(Some(_)) => Outcome::Answered("Ok".to_owned()),
        Ok(None) => Outcome::Answered("Ok, and nothing".to_owned()),
        // A status that the library made of a broken connection has a cause; one that was sent has none.
        Err(status) if std::error::Error::source(&status).is_some() => Outcome::Closed,
        Err(status) => Outcome::Answered(format!("{:?} {}", status.code(), status.message())),
    }
}

/// Bytes as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(to, &bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, length).to_vec()))
    }
}
