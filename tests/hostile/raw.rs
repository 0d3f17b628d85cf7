//! A client that does what no client should: a socket, TLS, and frames written by hand.

use crate::wire::{self, Frame, hpack};
use quorate_common::clock::{Clock, SystemClock};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whatever has a deadline of ours ends well before this.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// An address of this machine that an attacker has for itself: no other test comes from there.
pub fn from(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 66, last), 0))
}

/// A plain connection from an address of ours.
pub async fn plain(source: SocketAddr, target: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(source)?;
    let stream = socket.connect(target.parse().unwrap()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS over it.
pub async fn tls(
    source: SocketAddr,
    target: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = plain(source, target).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await
}

/// A connection that speaks HTTP/2.
pub struct Raw {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    /// Whether what has to be answered is answered.
    polite: bool,
    answers: BTreeMap<u32, Answer>,
    goaway: Option<u32>,
}

/// What came back on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Headers and trailers.
    pub headers: BTreeMap<String, String>,
    pub content: Vec<u8>,
    pub reset: Option<u32>,
    pub ended: bool,
}

impl Answer {
    /// The gRPC code, and the text.
    pub fn status(&self) -> (i32, String) {
        let code = self.headers.get("grpc-status").and_then(|code| code.parse().ok());
        let text = self.headers.get("grpc-message").map(String::as_str).unwrap_or_default();
        (code.unwrap_or(-1), decoded(text))
    }
}

/// Text of a header, in which `%20` is a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escaped =
            (*first == b'%').then(|| u8::from_str_radix(text_of(tail.get(..2)?), 16).ok()).flatten();
        match escaped {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).0,
            None => (bytes.push(*first), rest = tail).0,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The error code of the last GOAWAY, if there was one.
    pub goaway: Option<u32>,
    /// After this long.
    pub after: Duration,
}

impl Raw {
    /// TLS, and nothing more.
    pub async fn silent(source: SocketAddr, target: &str, config: &Arc<ClientConfig>) -> io::Result<Raw> {
        let stream = tls(source, target, config).await?;
        Ok(Raw { stream, buffer: Vec::new(), polite: true, answers: BTreeMap::new(), goaway: None })
    }

    /// TLS, preface and settings.
    pub async fn open(source: SocketAddr, target: &str, config: &Arc<ClientConfig>) -> io::Result<Raw> {
        let mut raw = Raw::silent(source, target, config).await?;
        raw.send(&[wire::PREFACE, &wire::settings(&[])].concat()).await?;
        Ok(raw)
    }

    /// The same client, which answers neither pings nor settings.
    pub fn rude(mut self) -> Raw {
        self.polite = false;
        self
    }

    /// Whether TLS began anew.
    pub fn handshake(&self) -> rustls::HandshakeKind {
        self.stream.get_ref().1.handshake_kind().unwrap()
    }

    /// Writes bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Makes a whole call with one message and waits for its end.
    pub async fn call(&mut self, stream: u32, path: &str, content: &[u8]) -> Answer {
        let bytes = [wire::call(stream, path, &[]), wire::last(stream, &wire::message(content))].concat();
        self.send(&bytes).await.unwrap();
        self.answer(stream).await
    }

    /// Waits for the end of one stream, or of the connection.
    pub async fn answer(&mut self, stream: u32) -> Answer {
        let ended = tokio::time::timeout(PATIENCE, async {
            while !self.answers.get(&stream).is_some_and(|answer| answer.ended) {
                if self.step().await.is_none() {
                    break;
                }
            }
        });
        ended.await.unwrap_or_else(|_| panic!("stream {stream} did not end"));
        self.answers.get(&stream).cloned().unwrap_or_default()
    }

    /// Waits until a stream is answered at all.
    pub async fn begun(&mut self, stream: u32) {
        while !self.answers.contains_key(&stream) {
            self.step().await.expect("the connection ended");
        }
    }

    /// What came so far on a stream.
    pub fn so_far(&self, stream: u32) -> Option<&Answer> {
        self.answers.get(&stream)
    }

    /// Reads until the other side closes.
    pub async fn closed(&mut self) -> Closed {
        let begin = SystemClock.now().boot;
        let closed = tokio::time::timeout(PATIENCE, async { while self.step().await.is_some() {} }).await;
        assert!(closed.is_ok(), "the server did not close within {PATIENCE:?}");
        Closed { goaway: self.goaway, after: SystemClock.now().boot.since(begin) }
    }

    /// Takes one frame; `None` when there are no more.
    pub async fn step(&mut self) -> Option<Frame> {
        let frame = self.read().await?;
        match frame.kind {
            wire::HEADERS | wire::DATA | wire::RST_STREAM => self.keep(&frame),
            wire::GOAWAY => self.goaway = Some(number(&frame.content[4..])),
            wire::SETTINGS | wire::PING if self.polite && frame.flags & wire::ACK == 0 => {
                let content = if frame.kind == wire::PING { &frame.content[..] } else { &[] };
                let answer = wire::frame(frame.kind, wire::ACK, 0, content);
                // It may be closed by now, which the next reading tells.
                self.send(&answer).await.ok();
            }
            _ => {}
        }
        Some(frame)
    }

    fn keep(&mut self, frame: &Frame) {
        let answer = self.answers.entry(frame.stream).or_default();
        match frame.kind {
            wire::DATA => answer.content.extend(&frame.content),
            wire::RST_STREAM => answer.reset = Some(number(&frame.content)),
            _ => {
                assert_eq!(frame.flags & wire::END_HEADERS, wire::END_HEADERS, "headers in one frame");
                answer.headers.extend(hpack::read(&frame.content));
            }
        }
        answer.ended |= frame.kind == wire::RST_STREAM || frame.flags & wire::END_STREAM != 0;
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let [a, b, c, kind, flags, s @ ..] = &self.buffer[..]
                && let length = number(&[0, *a, *b, *c]) as usize
                && self.buffer.len() >= 9 + length
            {
                let (kind, flags, stream) = (*kind, *flags, number(&s[..4]) & 0x7fff_ffff);
                let content = self.buffer[9..9 + length].to_vec();
                self.buffer.drain(..9 + length);
                return Some(Frame { kind, flags, stream, content });
            }
            let read = self.stream.read_buf(&mut self.buffer).await;
            if !matches!(read, Ok(1..)) {
                return None;
            }
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// Reads a plain connection to its end.
pub async fn rest(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let begin = SystemClock.now().boot;
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(end.is_ok(), "the server did not close within {PATIENCE:?}");
    (bytes, SystemClock.now().boot.since(begin))
}
