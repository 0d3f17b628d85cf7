//! The network behind a trait, so that a simulation can cut, delay and reorder it.
//!
//! Bytes only: TLS and everything above it is built on what this gives.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// One connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What is awaited.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Makes and takes connections.
pub trait Net: Send + Sync + 'static {
    /// Connects to `host:port`. Has no deadline of its own.
    fn connect<'a>(&'a self, address: &'a str) -> Pending<'a, Box<dyn Stream>>;

    /// Begins to listen. Port 0 takes any free one.
    fn listen(&self, address: SocketAddr) -> Pending<'_, Box<dyn Listener>>;
}

/// Takes connections at one address.
pub trait Listener: Send {
    /// Waits for the next connection; gives it with the peer's address. May be cancelled without loss.
    fn accept(&mut self) -> Pending<'_, (Box<dyn Stream>, SocketAddr)>;

    /// Where it listens.
    fn address(&self) -> io::Result<SocketAddr>;
}

/// TCP as the kernel has it, without Nagle's delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNet;

impl Net for SystemNet {
    fn connect<'a>(&'a self, address: &'a str) -> Pending<'a, Box<dyn Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn listen(&self, address: SocketAddr) -> Pending<'_, Box<dyn Listener>> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(address).await?) as Box<dyn Listener>) })
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> Pending<'_, (Box<dyn Stream>, SocketAddr)> {
        Box::pin(async move {
            let (stream, peer) = TcpListener::accept(self).await?;
            // A peer that is already gone is found out by whoever reads.
            stream.set_nodelay(true).ok();
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn bytes_go_both_ways() {
        let mut listener = SystemNet.listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.address().unwrap().to_string();
        let (client, server) = tokio::join!(SystemNet.connect(&address), listener.accept());
        let (mut client, (mut server, peer)) = (client.unwrap(), server.unwrap());
        assert!(peer.ip().is_loopback());
        client.write_all(b"ping").await.unwrap();
        server.write_all(b"pong").await.unwrap();
        let (mut heard, mut answer) = ([0; 4], [0; 4]);
        server.read_exact(&mut heard).await.unwrap();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((&heard, &answer), (b"ping", b"pong"));
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = SystemNet.listen((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.address().unwrap().to_string();
        drop(listener);
        let error = SystemNet.connect(&address).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
