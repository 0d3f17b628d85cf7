//! Who may call what: one table, asked on every call, deny by default.
//!
//! ```text
//!   certificate ─→ roster (every call) ─→ principal ─→ table ─→ the service, with the principal attached
//!                     └─ UNAUTHENTICATED                └─ PERMISSION_DENIED, or UNIMPLEMENTED if no row
//! ```
//!
//! A connection whose certificate is no longer accepted is closed by [`enforce`], so that a stream does not
//! outlive a revocation.

use super::listen::{Connections, Peer};
use crate::identity::roster::{Principal, Roster};
use futures_util::future::{Either, Ready, ready};
use quorate_common::clock::Clock;
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::PeerError;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;
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
    ("/quorate.v1.ClusterService/GetHealth", VIEWER),
    ("/quorate.v1.ClusterService/ListNodes", VIEWER),
    ("/quorate.v1.ClusterService/GetNode", VIEWER),
    ("/quorate.v1.ClusterService/Watch", VIEWER),
    ("/quorate.v1.QueryService/QueryLatest", VIEWER),
    ("/quorate.v1.QueryService/QueryRecent", VIEWER),
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
    // Served on the enrolment port, where callers have no certificate yet.
    ("/quorate.v1.EnrolmentService/Enrol", NOBODY),
    ("/grpc.health.v1.Health/Check", VIEWER),
    ("/grpc.health.v1.Health/List", VIEWER),
    ("/grpc.health.v1.Health/Watch", VIEWER),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", VIEWER),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", VIEWER),
];

/// How often certificates that expired meanwhile are looked for.
const EXPIRY_PERIOD: Duration = Duration::from_secs(10);

/// Puts [`Auth`] before the services of the mTLS port.
#[derive(Clone)]
pub struct AuthLayer {
    roster: watch::Receiver<Arc<Roster>>,
}

/// Lets a call through if its caller may make it, with a [`Principal`] in its extensions.
#[derive(Clone)]
pub struct Auth<S> {
    roster: watch::Receiver<Arc<Roster>>,
    inner: S,
}

impl AuthLayer {
    /// Asks the newest roster on every call.
    pub fn new(roster: watch::Receiver<Arc<Roster>>) -> AuthLayer {
        AuthLayer { roster }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { roster: self.roster.clone(), inner }
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
        let peer = request.extensions().get::<Arc<Peer>>();
        match admit(&self.roster.borrow(), peer.map(AsRef::as_ref), request.uri().path()) {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

/// Closes connections whose certificate is no longer accepted: at once when the roster changes, and within
/// seconds of expiry.
pub async fn enforce(
    connections: Arc<Connections>,
    mut roster: watch::Receiver<Arc<Roster>>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) {
    let mut period = tokio::time::interval(EXPIRY_PERIOD);
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            _ = period.tick() => {}
            Ok(()) = roster.changed() => {}
        }
        let current = roster.borrow_and_update().clone();
        for peer in connections.peers() {
            // It is on its way already.
            if peer.leaving().is_cancelled() {
                continue;
            }
            if let Some(reason) = objection(&current, &peer, clock.now().wall) {
                tracing::warn!(address = %peer.address, reason, "connection closed");
                peer.expel(&reason);
            }
        }
    }
}

fn objection(roster: &Roster, peer: &Peer, now: WallTime) -> Option<String> {
    // Those without a certificate are held by the listener's own deadlines.
    let certificate = peer.certificate.as_ref()?;
    if now >= certificate.not_after {
        return Some(format!("certificate expired at {}, renew", certificate.not_after));
    }
    roster.authorize(certificate).err().map(|denied| denied.to_string())
}

#[allow(clippy::result_large_err, reason = "a status is what tonic answers with")]
fn admit(roster: &Roster, peer: Option<&Peer>, path: &str) -> Result<Principal, Status> {
    let certificate = peer
        .and_then(|peer| peer.certificate.as_ref())
        .ok_or_else(|| Status::unauthenticated(PeerError.to_string()))?;
    let principal =
        roster.authorize(certificate).map_err(|denied| Status::unauthenticated(denied.to_string()))?;
    let Some((_, roles)) = METHODS.iter().find(|(method, _)| *method == path) else {
        let shown: String = path.chars().take(200).collect();
        return Err(Status::unimplemented(format!("no method `{shown}`")));
    };
    if !roles.contains(&principal.role) {
        return Err(Status::permission_denied(format!("role {} may not call {path}", principal.role)));
    }
    Ok(principal)
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
            let ingest = path.starts_with("/quorate.v1.IngestService/");
            assert_eq!(roles.contains(&Role::Agent), ingest, "{path}");
            assert!(!ingest || *roles == AGENT, "{path}");
            assert!(!roles.contains(&Role::Aggregator), "{path}");
        }
    }
}
