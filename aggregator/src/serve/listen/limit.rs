//! How many may be at the door, and what is counted of those who are sent away.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What callers of one port may do, the section `[listen.limits]`; each port counts for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections, proven or not.
    pub connections_max: u32,
    /// Connections of one address (IPv6: of one /64) that have proven no certificate yet.
    pub unproven_per_address_max: u32,
    /// How long one more of the same address waits for a place.
    pub admission_wait_ms: u32,
    /// TLS handshakes at the same time.
    pub handshakes_max: u32,
    /// From the first look at the socket to the end of the TLS handshake.
    pub handshake_deadline_ms: u32,
    /// From there to the whole HTTP/2 preface.
    pub preface_deadline_ms: u32,
    /// How long a caller without a certificate may stay.
    pub anonymous_life_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 20_000,
            unproven_per_address_max: 20,
            admission_wait_ms: 1_000,
            handshakes_max: 64,
            handshake_deadline_ms: 5_000,
            preface_deadline_ms: 10_000,
            anonymous_life_ms: 60_000,
        }
    }
}

/// Why a caller was sent away. The text is what stands in the log.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The whole listener is full.
    #[error("too many connections, the limit is {0}")]
    Connections(u32),
    /// This address has too many connections without a certificate.
    #[error("too many connections from this address without a certificate, the limit is {0}")]
    Address(usize),
    /// It began with something else.
    #[error("not a TLS client (first bytes \"{}\")", .0.escape_ascii())]
    NotTls(Vec<u8>),
    /// It did not finish in time.
    #[error("no TLS handshake within {0:?}")]
    Slow(Duration),
    /// It closed before it said anything.
    #[error("closed before the TLS handshake")]
    Hung,
    /// The handshake failed: no certificate, a foreign one, an expired one, another protocol.
    #[error("TLS handshake failed: {0}")]
    Tls(io::Error),
    /// The socket failed.
    #[error("socket failed: {0}")]
    Socket(io::Error),
    /// TLS was fine, HTTP/2 did not follow.
    #[error("no HTTP/2 preface within {0:?}")]
    Preface(Duration),
}

impl Refusal {
    /// The word that it is counted under.
    fn reason(&self) -> usize {
        match self {
            Refusal::Connections(_) => 0,
            Refusal::Address(_) => 1,
            Refusal::NotTls(_) => 2,
            Refusal::Slow(_) => 3,
            Refusal::Hung => 4,
            Refusal::Tls(_) => 5,
            Refusal::Socket(_) => 6,
            Refusal::Preface(_) => 7,
        }
    }
}

const REASONS: [&str; 8] =
    ["connections", "address", "not_tls", "handshake_timeout", "closed", "tls", "socket", "preface_timeout"];

/// What a listener counts. Only ever grows.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    opened: AtomicU64,
    accept_errors: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
}

impl Counters {
    /// Sockets accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Handshakes completed.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Failures of accept itself, such as no free descriptor.
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    /// Callers sent away, by reason: the values of a metric's label.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(&self.refused).map(|(reason, count)| (reason, count.load(Ordering::Relaxed)))
    }

    pub(super) fn count(&self, refusal: &Refusal) {
        self.refused[refusal.reason()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_accept_error(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// The places of each address. An address without callers takes no memory.
pub struct Addresses {
    places_max: usize,
    /// Callers of one address, waiting ones included: the rest of the slots is for other addresses.
    callers_max: usize,
    rooms: Mutex<HashMap<IpAddr, Room>>,
}

struct Room {
    places: Arc<Semaphore>,
    callers: usize,
}

/// A place of an address, given back when dropped.
pub struct Place {
    address: IpAddr,
    addresses: Arc<Addresses>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Addresses {
    pub(super) fn new(limits: &Limits) -> Addresses {
        let places_max = limits.unproven_per_address_max as usize;
        let callers_max = places_max.max(limits.connections_max as usize / 4);
        Addresses { places_max, callers_max, rooms: Mutex::default() }
    }

    /// Waits `wait` at most for a place of this address.
    pub(super) async fn enter(self: &Arc<Self>, address: IpAddr, wait: Duration) -> Result<Place, Refusal> {
        let full = || Refusal::Address(self.places_max);
        let address = network(address);
        let places = self.call(address).ok_or_else(full)?;
        // From here on the caller is counted, and leaves by the drop of its place.
        let mut place = Place { address, addresses: self.clone(), permit: None };
        let permit = tokio::time::timeout(wait, places.acquire_owned()).await.map_err(|_| full())?;
        place.permit = Some(permit.map_err(|_| full())?);
        Ok(place)
    }

    fn call(&self, address: IpAddr) -> Option<Arc<Semaphore>> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = || Room { places: Arc::new(Semaphore::new(self.places_max)), callers: 0 };
        let room = rooms.entry(address).or_insert_with(empty);
        if room.callers >= self.callers_max {
            return None;
        }
        room.callers += 1;
        Some(room.places.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut rooms = self.addresses.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get_mut(&self.address) {
            room.callers -= 1;
            if room.callers == 0 {
                rooms.remove(&self.address);
            }
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
    async fn an_address_has_its_places_and_no_more() {
        let limits = Limits { unproven_per_address_max: 2, connections_max: 4, ..Limits::default() };
        let addresses = Arc::new(Addresses::new(&limits));
        let enter = |text: &str| addresses.enter(text.parse().unwrap(), Duration::ZERO);
        let first = enter("2001:db8::1").await.unwrap();
        let second = enter("2001:db8::2").await.unwrap();
        let error = enter("2001:db8::3").await.err().unwrap();
        assert!(error.to_string().contains("the limit is 2"), "{error}");
        let other = enter("::ffff:192.0.2.1").await.unwrap();
        assert_eq!(other.address, "192.0.2.1".parse::<IpAddr>().unwrap());
        drop(first);
        let third = enter("2001:db8::3").await.unwrap();
        drop((second, third, other));
        assert!(addresses.rooms.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
