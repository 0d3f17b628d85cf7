//! The enrolment service: a token and a request in, a certificate out.
//!
//! A refused token is refused with one and the same text, whatever is wrong with it; the reason is in our
//! log only. The request is checked before the token is looked at, so that a broken one costs no token.

use super::listen::{Peer, network};
use crate::identity::ca::{Authority, Request as CertificateRequest};
use crate::identity::registry::{RedeemError, Redeemed, Registry, RegistryError};
use crate::limit::{Current, EnrolLimits, Limits, millis};
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::time::{BootTime, Now};
use quorate_common::secret::Secret;
use quorate_proto::v1::enrolment_service_server::{EnrolmentService, EnrolmentServiceServer};
use quorate_proto::v1::{EnrolRequest, EnrolResponse};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// Serves `quorate.v1.EnrolmentService`.
pub struct Enrolment {
    registry: Registry,
    authority: Arc<Authority>,
    /// Where agents connect to, `host:port`.
    aggregators: watch::Receiver<Arc<[String]>>,
    clock: Arc<dyn Clock>,
    limits: Current,
    tries: Tries,
}

impl Enrolment {
    /// `aggregators` are the `host:port` of the mTLS port that an enrolled agent is told.
    pub fn new(
        registry: Registry,
        authority: Arc<Authority>,
        aggregators: Vec<String>,
        clock: Arc<dyn Clock>,
    ) -> Enrolment {
        // The sender may go: the last value stays.
        let aggregators = watch::channel(aggregators.into()).1;
        let limits = Limits::default().fixed();
        Enrolment { registry, authority, aggregators, clock, limits, tries: Tries::default() }
    }

    /// The same with limits and addresses that may change.
    pub fn under(self, limits: Current, aggregators: watch::Receiver<Arc<[String]>>) -> Enrolment {
        Enrolment { limits, aggregators, ..self }
    }

    /// As a service for tonic, with its message limit set.
    pub fn into_server(self) -> EnrolmentServiceServer<Enrolment> {
        Enrolment::server(Arc::new(self))
    }

    /// The same, of one that is shared.
    pub fn server(shared: Arc<Enrolment>) -> EnrolmentServiceServer<Enrolment> {
        let max = shared.limits.borrow().enrol.message_bytes_max as usize;
        EnrolmentServiceServer::from_arc(shared).max_decoding_message_size(max)
    }

    async fn admit(
        &self,
        asked: EnrolRequest,
        address: SocketAddr,
        now: Now,
    ) -> Result<EnrolResponse, Status> {
        let request = CertificateRequest::parse(&asked.csr)
            .map_err(|invalid| self.failed(address, now, Status::invalid_argument(invalid.to_string())))?;
        let secret = Secret::new(asked.token_secret);
        let redeemed = self.registry.redeem_token((&asked.token_id, &secret), &request.spki_sha256, now.wall);
        let made = redeemed.await.map_err(|error| self.refused(error, address, now))?;
        self.certify(&request, made, now)
    }

    #[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
    fn certify(
        &self,
        request: &CertificateRequest,
        made: Redeemed,
        now: Now,
    ) -> Result<EnrolResponse, Status> {
        let identity = self.authority.identity(made.role, &made.name);
        let chain_pem = self.authority.issue(request, &identity, now.wall).map_err(|error| {
            tracing::error!(%identity, error = chain(&error), "failed to issue a certificate");
            Status::internal("no certificate could be issued")
        })?;
        Ok(EnrolResponse {
            certificate_chain_pem: chain_pem,
            roots_pem: self.authority.root_pem().to_owned(),
            name: made.name,
            aggregators: self.aggregators.borrow().to_vec(),
        })
    }

    fn refused(&self, error: RedeemError, address: SocketAddr, now: Now) -> Status {
        match error {
            // Whoever gets here has a good token, and may know.
            RedeemError::Registry(known @ RegistryError::Known(_)) => {
                Status::already_exists(known.to_string())
            }
            RedeemError::Registry(error) => {
                tracing::error!(%address, error = chain(&error), "failed to redeem a token");
                Status::unavailable("the registry failed, try again")
            }
            refused => {
                tracing::warn!(%address, reason = %refused, "enrolment refused");
                self.failed(address, now, Status::unauthenticated("token was not accepted"))
            }
        }
    }

    /// Counts a failed try; the sixth within a minute is not even told that it failed.
    fn failed(&self, address: SocketAddr, now: Now, status: Status) -> Status {
        if self.tries.count(address.ip(), now.boot, &self.limits.borrow().enrol) {
            status
        } else {
            exhausted()
        }
    }
}

#[tonic::async_trait]
impl EnrolmentService for Enrolment {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>();
        let address = peer.ok_or_else(|| Status::internal("connection has no address"))?.address;
        let now = self.clock.now();
        if self.tries.are_used_up(address.ip(), now.boot, &self.limits.borrow().enrol) {
            return Err(exhausted());
        }
        self.admit(request.into_inner(), address, now).await.map(Response::new)
    }
}

fn exhausted() -> Status {
    Status::resource_exhausted("too many failed tries from this address, wait a minute")
}

/// Failed tries by address, in a bounded map.
#[derive(Default)]
struct Tries(Mutex<HashMap<IpAddr, (BootTime, u32)>>);

impl Tries {
    fn are_used_up(&self, address: IpAddr, now: BootTime, limits: &EnrolLimits) -> bool {
        let window = millis(limits.tries_window_ms);
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&network(address))
            .is_some_and(|(since, tries)| now.since(*since) < window && *tries >= limits.tries_max)
    }

    /// Counts one; whether it was still within the limit.
    fn count(&self, address: IpAddr, now: BootTime, limits: &EnrolLimits) -> bool {
        let (window, addresses_max) = (millis(limits.tries_window_ms), limits.addresses_max as usize);
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= addresses_max {
            map.retain(|_, (since, _)| now.since(*since) < window);
        }
        let address = network(address);
        // Full of addresses that all failed within the minute: this is an attack, new ones have to wait.
        if map.len() >= addresses_max && !map.contains_key(&address) {
            return false;
        }
        let (since, tries) = map.entry(address).or_insert((now, 0));
        if now.since(*since) >= window {
            (*since, *tries) = (now, 0);
        }
        *tries += 1;
        *tries <= limits.tries_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_limited_forgotten_and_bounded() {
        let (tries, limits) = (Tries::default(), EnrolLimits::default());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        for _ in 0..5 {
            assert!(!tries.are_used_up(one, at(0), &limits));
            assert!(tries.count(one, at(0), &limits));
        }
        assert!(tries.are_used_up(one, at(59), &limits) && !tries.count(one, at(59), &limits));
        assert!(!tries.are_used_up(other, at(59), &limits));
        assert!(!tries.are_used_up(one, at(60), &limits) && tries.count(one, at(60), &limits));
        for number in 0..10_000_u32 {
            tries.count(IpAddr::V4(number.into()), at(61), &limits);
        }
        assert_eq!(tries.0.lock().unwrap().len(), limits.addresses_max as usize);
        assert!(tries.count(other, at(200), &limits), "room again after a minute");
    }
}
