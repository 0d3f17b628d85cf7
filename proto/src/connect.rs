//! A gRPC channel over our own TLS: dialled at once, bounded in time, kept alive.
//!
//! tonic's own TLS is not used: it cannot pin a root by its hash, and its settings for the socket and the
//! handshake time are not ours. A channel that was connected dials again by itself when it is used after
//! its connection broke.

use hyper_util::rt::TokioIo;
use quorate_common::tls::TlsError;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

/// HTTP/2 windows wide enough that no stream waits for another (bytes).
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How long a server may wait with its first word before we speak.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// How to connect.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// For name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Ping this often, also while idle, and give up after as long without an answer. `None`: never.
    pub keepalive: Option<Duration>,
    /// Which of our addresses to call from. `None`: the kernel chooses.
    pub source: Option<IpAddr>,
}

impl Options {
    /// For an agent's session: a dead connection is noticed within ten seconds.
    pub const AGENT: Options = Options {
        connect_timeout: Duration::from_secs(5),
        keepalive: Some(Duration::from_secs(5)),
        source: None,
    };
    /// For single calls.
    pub const CALL: Options =
        Options { connect_timeout: Duration::from_secs(5), keepalive: None, source: None };
}

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not `host:port`.
    #[error("`{0}` is not host:port")]
    Address(String),
    /// The certificates given cannot be used.
    #[error("failed to set up TLS")]
    Tls(#[from] TlsError),
    /// Nobody there, or not the one who was expected.
    #[error("failed to connect to `{address}`")]
    Connect {
        /// Where to.
        address: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Connects to `address` (`host:port`; an IPv6 host in brackets). The server must prove to be that host.
pub async fn channel(
    address: &str,
    tls: Arc<ClientConfig>,
    options: Options,
) -> Result<Channel, ConnectError> {
    let refuse = || ConnectError::Address(address.chars().take(300).collect());
    let uri: Uri = format!("https://{address}").parse().map_err(|_| refuse())?;
    let authority = uri.authority().ok_or_else(refuse)?;
    // `http` parses more than we accept: user names, and an empty host before the colon.
    if authority.port_u16().is_none() || authority.as_str() != address || address.contains('@') {
        return Err(refuse());
    }
    let server = ServerName::try_from(host(authority.host()).to_owned()).map_err(|_| refuse())?;
    let connector = Connector { server, tls: TlsConnector::from(tls), options };
    let mut endpoint = Endpoint::from(uri)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if let Some(period) = options.keepalive {
        endpoint =
            endpoint.http2_keep_alive_interval(period).keep_alive_timeout(period).keep_alive_while_idle(true);
    }
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|source| ConnectError::Connect { address: address.to_owned(), source })
}

/// Dials TCP and TLS, within one deadline.
#[derive(Clone)]
struct Connector {
    server: ServerName<'static>,
    tls: TlsConnector,
    options: Options,
}

type Dialled = Pin<Box<dyn Future<Output = io::Result<TokioIo<TlsStream<TcpStream>>>> + Send>>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Dialled;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Dialled {
        let Connector { server, tls, options: Options { connect_timeout: timeout, source, .. } } =
            self.clone();
        let late =
            move |_| io::Error::new(io::ErrorKind::TimedOut, format!("no TLS connection within {timeout:?}"));
        Box::pin(async move {
            tokio::time::timeout(timeout, dial(&uri, source, (server, &tls))).await.map_err(late)?
        })
    }
}

async fn dial(
    uri: &Uri,
    source: Option<IpAddr>,
    (server, tls): (ServerName<'static>, &TlsConnector),
) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let name = host(uri.host().unwrap_or_default());
    let target = (name, uri.port_u16().unwrap_or(443));
    let stream = match source {
        None => TcpStream::connect(target).await?,
        Some(source) => connect_from(source, target).await?,
    };
    stream.set_nodelay(true)?;
    let mut stream = tls.connect(server, stream).await?;
    // Our side of the handshake is done before the server has looked at our certificate. Its first word is either
    // the beginning of HTTP/2 or why it lets us not in, which would be lost if we spoke first: writing to a closed
    // socket fails before the alert is read.
    let first = tokio::time::timeout(FIRST_WORD, stream.fill_buf()).await;
    if matches!(first, Ok(Ok([]))) {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server"));
    }
    first.unwrap_or(Ok(&[]))?;
    Ok(TokioIo::new(stream))
}

/// What TLS itself has to say of an error, if it had a part in it.
pub fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let tls = error.downcast_ref().or_else(|| {
            // An I/O error hides what it carries from `source`.
            error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
        });
        if tls.is_some() {
            return tls;
        }
        next = error.source();
    }
    None
}

/// Tries the addresses of the target that are of the same family.
async fn connect_from(source: IpAddr, target: (&str, u16)) -> io::Result<TcpStream> {
    let none = "no address of the same family as the one to call from";
    let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, none);
    for address in lookup_host(target).await?.filter(|address| address.is_ipv4() == source.is_ipv4()) {
        let socket = if source.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind((source, 0).into())?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn host(text: &str) -> &str {
    text.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::tls;
    use tokio::net::TcpListener;

    fn config() -> Arc<ClientConfig> {
        Arc::new(tls::pinned_config([0; 32]).unwrap())
    }

    #[tokio::test]
    async fn addresses_are_host_and_port() {
        for bad in ["", "host", "host:", ":1", "host:99999", "https://host:1", "a b:1", "host:1/x", "u@h:1"] {
            let error = channel(bad, config(), Options::CALL).await.unwrap_err();
            assert!(matches!(error, ConnectError::Address(_)), "{bad}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = Options { connect_timeout: Duration::from_millis(50), ..Options::CALL };
        let error = channel(&address, config(), options).await.unwrap_err();
        let text = quorate_common::error::chain(&error);
        assert!(text.contains(&format!("failed to connect to `{address}`")), "{text}");
        assert!(text.contains("no TLS connection within 50ms"), "{text}");
    }

    #[tokio::test]
    async fn calls_from_where_it_was_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = ("127.0.0.1", address.port());
        let source: IpAddr = "127.0.0.9".parse().unwrap();
        let (called, heard) = tokio::join!(connect_from(source, target), listener.accept());
        assert_eq!(called.unwrap().local_addr().unwrap(), heard.unwrap().1);
        assert!(
            connect_from("::1".parse().unwrap(), target).await.is_err(),
            "there is no way from IPv6 to IPv4"
        );
    }
}
