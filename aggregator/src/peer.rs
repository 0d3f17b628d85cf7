//! Who is at the other end of a connection, and the two ways to end it: with a last word, and at once.

use crate::identity::ending::Ending;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::tls::PeerCertificate;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long streams have to say why they end.
const FAREWELL: Duration = Duration::from_millis(500);

/// Who is at the other end. In the extensions of every request, as `Arc<Peer>`.
#[derive(Debug)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Its certificate, checked; none where none was asked for, or where it names nobody of ours.
    pub certificate: Option<PeerCertificate>,
    /// Cancelled by us to close the connection: its reads and writes fail from then on.
    pub close: CancellationToken,
    /// Why it is about to be closed, for the streams on it that can still say so.
    pub ending: Ending,
    opened: BootTime,
    number: u64,
    called: AtomicBool,
}

impl Peer {
    /// The peer of connection `number` of its listener, which begins now.
    pub fn new(number: u64, address: SocketAddr, certificate: Option<PeerCertificate>) -> Peer {
        Peer {
            address,
            certificate,
            close: CancellationToken::new(),
            ending: Ending::default(),
            opened: SystemClock.now().boot,
            number,
            called: AtomicBool::new(false),
        }
    }

    /// Which connection of its listener this is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When its connection began, by the wall clock as it goes now.
    pub fn opened(&self, now: Now) -> WallTime {
        let age = i64::try_from(now.boot.since(self.opened).as_nanos()).unwrap_or(i64::MAX);
        WallTime(now.wall.0.saturating_sub(age))
    }

    /// Notes that a request came.
    pub fn call(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    /// Whether any request came yet.
    pub fn has_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Lets the streams of this connection end for a reason, and closes it a moment later.
    pub fn end(self: Arc<Self>, reason: &str) {
        if self.ending.tell(reason) {
            drop(tokio::spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                self.close.cancel();
            }));
        }
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
    async fn a_peer_is_told_why_and_then_closed() {
        let peer = Arc::new(Peer::new(1, "192.0.2.1:5".parse().unwrap(), None));
        peer.clone().end("node n1 revoked");
        peer.clone().end("another reason");
        assert_eq!(&*peer.ending.told().await, "node n1 revoked");
        assert!(!peer.close.is_cancelled(), "its streams may still say so");
        peer.close.cancelled().await;
    }

    #[test]
    fn a_network_is_one_address_or_64_bits() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3::4"), "2001:db8:1:2::");
    }
}
