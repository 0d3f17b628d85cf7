//! The enrolment service: a token and a request in, a certificate out; and the way back for a node whose
//! certificate expired.
//!
//! A refused token is refused with one and the same text, whatever is wrong with it; the reason is in our
//! log only. The request is checked before the token is looked at, so that a broken one costs no token.

mod attempts;
mod rejoin;
mod tries;

use super::issue::Issuer;
use super::listen::Peer;
use super::refusal::Refusals;
use crate::identity::ca::Request as CertificateRequest;
use crate::identity::registry::{RedeemError, Registry, RegistryError};
use crate::limit::{Current, Limits};
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::time::Now;
use quorate_common::secret::{NoRandomness, Secret};
use quorate_proto::v1;
use quorate_proto::v1::enrolment_service_server::{EnrolmentService, EnrolmentServiceServer};
use quorate_proto::v1::{EnrolRequest, EnrolResponse};
use rejoin::Rejoin;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::{Request, Response, Status};
use tries::Tries;

/// Serves `quorate.v1.EnrolmentService`.
pub struct Enrolment {
    registry: Registry,
    issuer: Issuer,
    clock: Arc<dyn Clock>,
    refusals: Refusals,
    limits: Current,
    tries: Tries,
    rejoin: Rejoin,
}

impl Enrolment {
    /// Lets in whom the registry knows, with certificates of this issuer.
    pub fn new(
        registry: Registry,
        issuer: Issuer,
        (clock, refusals): (Arc<dyn Clock>, Refusals),
    ) -> Result<Enrolment, NoRandomness> {
        let rejoin = Rejoin::new(registry.clone(), issuer.clone())?;
        let limits = Limits::default().fixed();
        Ok(Enrolment { registry, issuer, clock, refusals, limits, tries: Tries::default(), rejoin })
    }

    /// The same with limits that may change.
    pub fn under(self, limits: Current) -> Enrolment {
        Enrolment { limits, ..self }
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

    async fn admit(&self, asked: EnrolRequest, address: SocketAddr, now: Now) -> Result<v1::Issued, Status> {
        let request = CertificateRequest::parse(&asked.csr)
            .map_err(|invalid| self.failed(address, now, Status::invalid_argument(invalid.to_string())))?;
        let secret = Secret::new(asked.token_secret);
        let redeemed = self.registry.redeem_token((&asked.token_id, &secret), &request.spki_sha256, now.wall);
        let made = redeemed.await.map_err(|error| self.refused(error, address, now))?;
        self.issuer.issue(&request, (made.role, &made.name, made.generation), now.wall)
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
                if let Some(name) = holder(&refused) {
                    self.refusals.tell(&address.ip().to_string(), name, &format!("enrolment: {refused}"));
                }
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
        let (address, now) = (address(&request)?, self.clock.now());
        if self.tries.are_used_up(address.ip(), now.boot, &self.limits.borrow().enrol) {
            return Err(exhausted());
        }
        let issued = self.admit(request.into_inner(), address, now).await?;
        Ok(Response::new(EnrolResponse { issued: Some(issued) }))
    }

    async fn challenge(
        &self,
        _: Request<v1::ChallengeRequest>,
    ) -> Result<Response<v1::ChallengeResponse>, Status> {
        let nonce = self.rejoin.challenge(self.clock.now().boot)?;
        Ok(Response::new(v1::ChallengeResponse { nonce }))
    }

    async fn rejoin(
        &self,
        request: Request<v1::RejoinRequest>,
    ) -> Result<Response<v1::RejoinResponse>, Status> {
        let address = address(&request)?;
        let limits = self.limits.borrow().rejoin;
        let issued = self.rejoin.admit(request.into_inner(), (address, &limits), self.clock.now()).await;
        let issued = issued.inspect_err(|status| {
            tracing::warn!(%address, reason = status.message(), "rejoining refused");
        })?;
        Ok(Response::new(v1::RejoinResponse { issued: Some(issued) }))
    }
}

#[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
fn address<T>(request: &Request<T>) -> Result<SocketAddr, Status> {
    let peer = request.extensions().get::<Arc<Peer>>();
    peer.map(|peer| peer.address).ok_or_else(|| Status::internal("connection has no address"))
}

/// For whom the token is, if the caller showed its right secret: then somebody has what he should not have, or
/// tries once more, and an admin may want to know.
fn holder(refused: &RedeemError) -> Option<&str> {
    match refused {
        RedeemError::Expired(name)
        | RedeemError::Revoked(name)
        | RedeemError::Used(name)
        | RedeemError::Gone(name) => Some(name),
        RedeemError::Unknown | RedeemError::Secret(_) | RedeemError::Registry(_) => None,
    }
}

fn exhausted() -> Status {
    Status::resource_exhausted("too many failed tries from this address, wait a minute")
}
