//! Who may call what: one table, asked on every call, deny by default.
//!
//! ```text
//!   certificate ─→ roster (every call) ─→ principal ─→ table ─→ the service, with the principal attached
//!                     └─ UNAUTHENTICATED                └─ PERMISSION_DENIED, told to the audit log;
//!                                                          UNIMPLEMENTED if no row
//! ```
//!
//! A connection whose certificate is no longer accepted is closed by [`enforce`], so that a stream does not
//! outlive a revocation. What a certificate shows of a node's keys is reported to the registry's keeper.

use super::listen::{Connections, Peer};
use super::refusal::Refusals;
use crate::identity::generation::Shown;
use crate::identity::keeper::{Sighting, Sightings};
use crate::identity::roster::{Denied, Principal, Roster, Seen};
use futures_util::future::{Either, Ready, ready};
use quorate_common::clock::Clock;
use quorate_common::model::identity::Role;
use quorate_common::model::time::Now;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{PeerCertificate, PeerError};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Code, Status};
use tower::{Layer, Service};

const NOBODY: &[Role] = &[];
const AGENT: &[Role] = &[Role::Agent];
const VIEWER: &[Role] = &[Role::Viewer, Role::Operator, Role::Admin];
const OPERATOR: &[Role] = &[Role::Operator, Role::Admin];
const ADMIN: &[Role] = &[Role::Admin];

/// Every method that is served, and the roles that may call it.
pub const METHODS: &[(&str, &[Role])] = &[
    ("/quorate.v1.IngestService/Session", AGENT),
    ("/quorate.v1.IngestService/Answer", AGENT),
    ("/quorate.v1.IngestService/Backfill", AGENT),
    ("/quorate.v1.RenewalService/Renew", AGENT),
    ("/quorate.v1.ClusterService/GetHealth", VIEWER),
    ("/quorate.v1.ClusterService/ListNodes", VIEWER),
    ("/quorate.v1.ClusterService/GetNode", VIEWER),
    ("/quorate.v1.ClusterService/Watch", VIEWER),
    ("/quorate.v1.QueryService/QueryLatest", VIEWER),
    ("/quorate.v1.QueryService/QueryRecent", VIEWER),
    ("/quorate.v1.QueryService/QueryRange", VIEWER),
    ("/quorate.v1.QueryService/ListGaps", VIEWER),
    ("/quorate.v1.QueryService/ListProcesses", VIEWER),
    ("/quorate.v1.QueryService/ReadRecorder", VIEWER),
    ("/quorate.v1.DiagnosticService/GetStatus", VIEWER),
    ("/quorate.v1.AdminService/CreateToken", ADMIN),
    ("/quorate.v1.AdminService/ListTokens", ADMIN),
    ("/quorate.v1.AdminService/RevokeToken", ADMIN),
    ("/quorate.v1.AdminService/RevokeNode", ADMIN),
    ("/quorate.v1.AdminService/ForgetNode", ADMIN),
    ("/quorate.v1.AdminService/SetMaintenance", OPERATOR),
    ("/quorate.v1.AdminService/SetRate", OPERATOR),
    ("/quorate.v1.AdminService/ListAudit", ADMIN),
    ("/quorate.v1.AdminService/Backup", ADMIN),
    // Served on the enrolment port, where callers have no certificate yet.
    ("/quorate.v1.EnrolmentService/Enrol", NOBODY),
    ("/quorate.v1.EnrolmentService/Challenge", NOBODY),
    ("/quorate.v1.EnrolmentService/Rejoin", NOBODY),
    ("/grpc.health.v1.Health/Check", VIEWER),
    ("/grpc.health.v1.Health/Watch", VIEWER),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", VIEWER),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", VIEWER),
];

/// How often certificates that expired or were followed meanwhile are looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(10);

/// What every call is judged by.
#[derive(Clone)]
pub struct Gate {
    /// Who belongs.
    pub roster: watch::Receiver<Arc<Roster>>,
    /// Who is told of first uses and copies.
    pub sightings: Sightings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who is told of known callers that may not.
    pub refusals: Refusals,
}

/// Puts [`Auth`] before the services of the mTLS port.
#[derive(Clone)]
pub struct AuthLayer(Gate);

/// Lets a call through if its caller may make it, with a [`Principal`] in its extensions, and the
/// [`Ending`](crate::identity::ending::Ending) of its connection.
#[derive(Clone)]
pub struct Auth<S> {
    gate: Gate,
    inner: S,
}

impl AuthLayer {
    /// Asks the newest roster on every call.
    pub fn new(gate: Gate) -> AuthLayer {
        AuthLayer(gate)
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { gate: self.0.clone(), inner }
    }
}

impl<S, B, R> Service<http::Request<B>> for Auth<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        match self.gate.admit(peer.as_deref(), request.uri().path()) {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
                request.extensions_mut().insert(peer.map(|peer| peer.ending.clone()).unwrap_or_default());
                Either::Left(self.inner.call(request))
            }
            Err(status) => {
                self.gate.tell(peer.as_deref(), request.uri().path(), &status);
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

impl Gate {
    /// Only whoever is known and may not is worth a line: strangers are turned away by the port.
    fn tell(&self, peer: Option<&Peer>, path: &str, status: &Status) {
        let certificate = peer.and_then(|peer| peer.certificate.as_ref());
        if let Some(certificate) = certificate.filter(|_| status.code() == Code::PermissionDenied) {
            self.refusals.tell(
                &certificate.identity.name,
                path,
                &format!("role {}", certificate.identity.role),
            );
        }
    }
}

/// Closes connections whose certificate is no longer accepted: at once when the roster changes, and within
/// seconds of expiry.
pub async fn enforce(connections: Arc<Connections>, gate: Gate, shutdown: Shutdown) {
    let mut roster = gate.roster.clone();
    let mut period = tokio::time::interval(EXPIRY_PERIOD);
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            _ = period.tick() => {}
            Ok(()) = roster.changed() => {}
        }
        roster.mark_unchanged();
        for peer in connections.peers() {
            if let Some(reason) = gate.objection(&peer) {
                tracing::warn!(address = %peer.address, reason, "connection closed");
                peer.end(&reason);
            }
        }
    }
}

impl Gate {
    fn objection(&self, peer: &Peer) -> Option<String> {
        // Those without a certificate are held by the listener's own deadlines.
        let certificate = peer.certificate.as_ref()?;
        let now = self.clock.now();
        if now.wall >= certificate.not_after {
            return Some(format!("certificate expired at {}, renew", certificate.not_after));
        }
        self.look(peer, certificate, now).err().map(|denied| denied.to_string())
    }

    #[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
    fn admit(&self, peer: Option<&Peer>, path: &str) -> Result<Principal, Status> {
        let named = peer.and_then(|peer| Some((peer, peer.certificate.as_ref()?)));
        let (peer, certificate) = named.ok_or_else(|| Status::unauthenticated(PeerError.to_string()))?;
        let looked = self.look(peer, certificate, self.clock.now());
        let principal = looked.map_err(|denied| match denied {
            Denied::Copied { .. } => Status::failed_precondition(denied.to_string()),
            _ => Status::unauthenticated(denied.to_string()),
        })?;
        let Some((_, roles)) = METHODS.iter().find(|(method, _)| *method == path) else {
            let shown: String = path.chars().take(200).collect();
            return Err(Status::unimplemented(format!("no method `{shown}`")));
        };
        if !roles.contains(&principal.role) {
            return Err(Status::permission_denied(format!("role {} may not call {path}", principal.role)));
        }
        Ok(principal)
    }

    /// Who this is; and tells the keeper if that means a change.
    fn look(&self, peer: &Peer, certificate: &PeerCertificate, now: Now) -> Result<Principal, Denied> {
        let seen = Seen { opened: peer.opened(now), now: now.wall };
        let looked = self.roster.borrow().authorize(certificate, seen);
        let is_news = match &looked {
            Ok(admitted) => admitted.is_first,
            Err(denied) => matches!(denied, Denied::Copied { .. }),
        };
        if is_news && let Some(generation) = certificate.generation {
            let Seen { opened, now } = seen;
            let shown = Shown { generation, key: certificate.spki_sha256, opened, now };
            let (name, address) = (certificate.identity.name.clone(), peer.address);
            self.sightings.report(Sighting { name, shown, address });
        }
        looked.map(|admitted| admitted.principal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_has_one_row() {
        let set = prost_types::FileDescriptorSet::decode(quorate_proto::DESCRIPTORS).unwrap();
        let mut served = BTreeSet::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    served.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        assert!(served.len() >= 16, "{served:?}");
        let ours = METHODS.iter().map(|(path, _)| *path).filter(|path| path.starts_with("/quorate."));
        let rows: BTreeSet<String> = ours.map(str::to_owned).collect();
        assert_eq!(rows, served);
        let all: BTreeSet<_> = METHODS.iter().map(|(path, _)| path).collect();
        assert_eq!(all.len(), METHODS.len(), "no method has two rows");
    }

    #[test]
    fn agents_may_only_bring_their_own() {
        for (path, roles) in METHODS {
            let ingest = path.starts_with("/quorate.v1.IngestService/")
                || path.starts_with("/quorate.v1.RenewalService/");
            assert_eq!(roles.contains(&Role::Agent), ingest, "{path}");
            assert!(!ingest || *roles == AGENT, "{path}");
            assert!(!roles.contains(&Role::Aggregator), "{path}");
        }
    }
}
