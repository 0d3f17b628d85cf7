//! What everybody gets who is let in: a certificate, the roots to trust, and where to go with it.

use crate::identity::ca::{Authority, Request, Subject};
use quorate_common::error::chain;
use quorate_common::model::identity::{Generation, Role};
use quorate_common::model::time::WallTime;
use quorate_proto::v1;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::Status;

/// Issues certificates of the authority that is in force now.
#[derive(Clone)]
pub struct Issuer {
    /// The authority.
    pub authority: watch::Receiver<Arc<Authority>>,
    /// Where agents connect to, `host:port`.
    pub aggregators: watch::Receiver<Arc<[String]>>,
    /// Where they rejoin, `host:port`.
    pub enrolment: watch::Receiver<Arc<[String]>>,
}

impl Issuer {
    /// A certificate for the key of a request.
    #[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
    pub fn issue(
        &self,
        request: &Request,
        (role, name, generation): (Role, &str, Option<Generation>),
        now: WallTime,
    ) -> Result<v1::Issued, Status> {
        let authority = self.authority.borrow().clone();
        let identity = authority.identity(role, name);
        let subject = Subject { identity: &identity, generation };
        let chain_pem = authority.issue(request, subject, now).map_err(|error| {
            tracing::error!(class = "failure", %identity, error = chain(&error), "failed to issue a certificate");
            Status::internal("no certificate could be issued")
        })?;
        Ok(v1::Issued {
            certificate_chain_pem: chain_pem,
            roots_pem: authority.root_pem().to_owned(),
            name: name.to_owned(),
            aggregators: self.aggregators.borrow().to_vec(),
            // Only nodes come back by themselves.
            enrolment: if role == Role::Agent { self.enrolment.borrow().to_vec() } else { Vec::new() },
        })
    }
}
