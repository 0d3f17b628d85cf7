//! The places of each address, and why a caller does not get in.

use crate::limit::{DoorLimits, Reason, Refusals, millis};
use crate::peer::network;
use quorate_proto::connect::tls_error;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Why a caller was sent away. The text is what stands in the log.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The whole listener is full.
    #[error("too many connections, the limit is {0}")]
    Connections(u32),
    /// There is no descriptor for it.
    #[error("out of file descriptors")]
    Descriptors,
    /// This address has too many connections without a certificate.
    #[error("too many connections from this address without a certificate, the limit is {0}")]
    Address(u32),
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
    #[error("TLS handshake failed: {}", plain(.0))]
    Tls(io::Error),
    /// The socket failed.
    #[error("socket failed: {0}")]
    Socket(io::Error),
    /// TLS was fine, HTTP/2 did not follow.
    #[error("no HTTP/2 preface within {0:?}")]
    Preface(Duration),
    /// HTTP/2 was fine, a request did not follow.
    #[error("no request within {0:?}")]
    Request(Duration),
    /// A caller without a certificate had its time.
    #[error("a caller without a certificate may stay {0:?}")]
    Life(Duration),
    /// Too many frames without content.
    #[error("more than {0} frames without content a second")]
    ControlFrames(u32),
    /// It takes nothing.
    #[error("took no bytes for {0:?}")]
    Write(Duration),
}

/// What failed in a handshake. The library's own words are right for all but some, which name nothing that anybody
/// could act on.
fn plain(error: &io::Error) -> String {
    use rustls::CertificateError::{self as Bad, BadSignature, Other};
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(Other(cause))) => cause.to_string(),
        Some(rustls::Error::InvalidCertificate(BadSignature)) => {
            "a signature is wrong, or of a key that is not accepted, such as RSA below 2048 bits".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(
            Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
        )) => "the certificate is signed in a way that is not accepted, such as with SHA-1".to_owned(),
        _ => error.to_string(),
    }
}

impl Refusal {
    /// The word that it is counted under.
    pub(in crate::serve) fn reason(&self) -> Reason {
        match self {
            Refusal::Connections(_) => Reason::Connections,
            Refusal::Descriptors => Reason::Descriptors,
            Refusal::Address(_) => Reason::Address,
            Refusal::NotTls(_) => Reason::NotTls,
            Refusal::Slow(_) => Reason::HandshakeTimeout,
            Refusal::Hung => Reason::Closed,
            Refusal::Tls(_) => Reason::Tls,
            Refusal::Socket(_) => Reason::Socket,
            Refusal::Preface(_) => Reason::PrefaceTimeout,
            Refusal::Request(_) => Reason::RequestTimeout,
            Refusal::Life(_) => Reason::AnonymousLife,
            Refusal::ControlFrames(_) => Reason::ControlFrames,
            Refusal::Write(_) => Reason::WriteTimeout,
        }
    }
}

/// What a listener counts. Only ever grows.
pub struct Counters {
    accepted: AtomicU64,
    opened: AtomicU64,
    accept_errors: AtomicU64,
    refusals: Refusals,
}

impl Counters {
    pub(in crate::serve) fn new(refusals: Refusals) -> Counters {
        let zero = || AtomicU64::new(0);
        Counters { accepted: zero(), opened: zero(), accept_errors: zero(), refusals }
    }

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

    /// Who was sent away; shared by all listeners that were given the same.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(in crate::serve) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::serve) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one more, and gives how many there were before.
    pub(in crate::serve) fn count_accept_error(&self) -> u64 {
        self.accept_errors.fetch_add(1, Ordering::Relaxed)
    }
}

/// The places of each address. An address without callers takes no memory.
#[derive(Default)]
pub struct Addresses {
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
    /// Waits a moment for a place of this address. An address that has callers keeps the number of places that it
    /// began with.
    pub(in crate::serve) async fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        limits: &DoorLimits,
    ) -> Result<Place, Refusal> {
        let full = || Refusal::Address(limits.unproven_per_address_max);
        let address = network(address);
        let places = self.call(address, limits).ok_or_else(full)?;
        // From here on the caller is counted, and leaves by the drop of its place.
        let mut place = Place { address, addresses: self.clone(), permit: None };
        let wait = millis(limits.admission_wait_ms);
        let permit = tokio::time::timeout(wait, places.acquire_owned()).await.map_err(|_| full())?;
        place.permit = Some(permit.map_err(|_| full())?);
        Ok(place)
    }

    fn call(&self, address: IpAddr, limits: &DoorLimits) -> Option<Arc<Semaphore>> {
        let places_max = limits.unproven_per_address_max as usize;
        // Waiting ones included: the rest of the slots is for other addresses.
        let callers_max = places_max.max(limits.connections_max as usize / 4);
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = || Room { places: Arc::new(Semaphore::new(places_max)), callers: 0 };
        let room = rooms.entry(address).or_insert_with(empty);
        if room.callers >= callers_max {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_its_places_and_no_more() {
        let limits = DoorLimits {
            unproven_per_address_max: 2,
            connections_max: 4,
            admission_wait_ms: 0,
            ..DoorLimits::default()
        };
        let addresses = Arc::new(Addresses::default());
        let enter = |text: &str| addresses.enter(text.parse().unwrap(), &limits);
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
