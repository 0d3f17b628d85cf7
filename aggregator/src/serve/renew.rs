//! Renewal: a node that is let in by its certificate gets the one that follows it.
//!
//! Which generation it is, and whether the caller is the one who may have it, the registry decides in one
//! transaction; the request is checked before that.

use super::issue::Issuer;
use super::listen::Peer;
use crate::identity::ca::Request as CertificateRequest;
use crate::identity::generation::Shown;
use crate::identity::registry::{Claim, Registry, RenewError};
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::identity::Role;
use quorate_proto::v1;
use quorate_proto::v1::renewal_service_server::RenewalService;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves `quorate.v1.RenewalService`.
pub struct Renewal {
    /// Who may have what.
    pub registry: Registry,
    /// What they get.
    pub issuer: Issuer,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl RenewalService for Renewal {
    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::RenewResponse>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let peer = peer.ok_or_else(|| Status::internal("connection has no address"))?;
        let request = CertificateRequest::parse(&request.into_inner().csr)
            .map_err(|invalid| Status::invalid_argument(invalid.to_string()))?;
        let certificate = peer.certificate.as_ref();
        let Some((certificate, generation)) = certificate.and_then(|own| Some((own, own.generation?))) else {
            return Err(Status::failed_precondition("the certificate has no generation, enrol again"));
        };
        let at = self.clock.now();
        let (opened, now) = (peer.opened(at), at.wall);
        let shown = Shown { generation, key: certificate.spki_sha256, opened, now };
        let name = &*certificate.identity.name;
        let claim = Claim { name, shown, address: peer.address };
        let renewed = self.registry.renew(claim, &request.spki_sha256, "renew").await;
        let generation = renewed.map_err(refused)?;
        let issued = self.issuer.issue(&request, (Role::Agent, name, Some(generation)), now)?;
        Ok(Response::new(v1::RenewResponse { issued: Some(issued) }))
    }
}

/// Whoever asks has proven to hold the key, and may know why.
pub(super) fn refused(error: RenewError) -> Status {
    match error {
        RenewError::Registry(error) => {
            tracing::error!(class = "failure", error = chain(&error), "failed to renew");
            Status::unavailable("the registry failed, try again")
        }
        RenewError::Gone(_) => Status::unauthenticated(error.to_string()),
        RenewError::NotRenewed(_) | RenewError::Copied { .. } => {
            tracing::warn!(class = "failure", reason = %error, "renewal refused");
            Status::failed_precondition(error.to_string())
        }
    }
}
