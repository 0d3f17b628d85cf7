//! Who is at the other end of a connection, and the two ways to end it: with a last word, and at once.

use quorate_common::tls::PeerCertificate;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Who is at the other end. In the extensions of every request, as `Arc<Peer>`.
#[derive(Debug)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Its certificate, checked; none where none was asked for, or where it names nobody of ours.
    pub certificate: Option<PeerCertificate>,
    /// Cancelled by us to close the connection: its reads and writes fail from then on.
    pub close: CancellationToken,
    number: u64,
    called: AtomicBool,
    hung_up: AtomicBool,
    leaving: CancellationToken,
    reason: OnceLock<String>,
}

impl Peer {
    /// The peer of connection `number` of its listener.
    pub fn new(number: u64, address: SocketAddr, certificate: Option<PeerCertificate>) -> Peer {
        Peer {
            address,
            certificate,
            close: CancellationToken::new(),
            number,
            called: AtomicBool::new(false),
            hung_up: AtomicBool::new(false),
            leaving: CancellationToken::new(),
            reason: OnceLock::new(),
        }
    }

    /// Which connection of its listener this is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Notes that a request came.
    pub fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    /// Whether any request came yet.
    pub fn has_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Notes that it ended the connection by itself.
    pub fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Relaxed);
    }

    /// Whether it ended the connection by itself.
    pub fn has_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Relaxed)
    }

    /// Has its streams end with `reason`; a moment later the connection closes itself.
    pub fn expel(&self, reason: &str) {
        // Only the first reason is told.
        self.reason.set(reason.to_owned()).ok();
        self.leaving.cancel();
    }

    /// Waits until it is expelled, and gives the reason.
    pub async fn expelled(&self) -> &str {
        self.leaving.cancelled().await;
        self.reason.get().map_or("", String::as_str)
    }

    /// Cancelled when it is expelled.
    pub fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }
}

/// What counts as one address: whoever has one IPv6 address has 2^64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_is_told() {
        let peer = Peer::new(1, "192.0.2.1:5".parse().unwrap(), None);
        peer.expel("node n1 revoked");
        peer.expel("another");
        assert_eq!(peer.expelled().await, "node n1 revoked");
        assert!(!peer.close.is_cancelled(), "it may still say so");
    }

    #[test]
    fn a_network_is_one_address_or_64_bits() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::");
    }
}
