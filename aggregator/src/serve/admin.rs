//! Who belongs: tokens, nodes, and what an operator may change of them. The registry does it and keeps the
//! audit line; sessions of nodes that no longer belong are ended here.

use super::backup::Backups;
use super::{access, audit};
use crate::agents::Agents;
use crate::identity::backup::Keys;
use crate::identity::ca::Authority;
use crate::identity::registry::{Declaration, Registry, RegistryError, Subject, TokenRow, TokenState};
use crate::identity::roster::Principal;
use crate::limit::Current;
use crate::store::Append;
use crate::store::live::Live;
use quorate_common::clock::Clock;
use quorate_common::error::Kind;
use quorate_common::model::identity::Role;
use quorate_common::model::node::{Maintenance, MemberRole, NodeId, NodeName};
use quorate_common::model::session::{
    RATE_FOR_MS_MAX, RATE_FOR_MS_MIN, RATE_INTERVAL_MS, Rate, ResponseBody,
};
use quorate_common::model::time::WallTime;
use quorate_common::token::Token;
use quorate_proto::convert::timestamp;
use quorate_proto::v1::admin_service_server::AdminService;
use quorate_proto::v1::create_token_request::Subject as Wanted;
use quorate_proto::{status, v1};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// The cluster of a node that names none.
const CLUSTER_DEFAULT: &str = "default";

/// How long a maintenance that ends by itself may last.
const MAINTENANCE_LASTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
/// How long an agent has to sample more often.
const RATE_DEADLINE: Duration = Duration::from_secs(5);
/// Longer than any collector's name.
const COLLECTOR_BYTES_MAX: usize = 80;

/// The service.
#[derive(Clone)]
pub struct Admin {
    /// Where changes are made.
    pub registry: Registry,
    /// Where a token's owner is to enrol.
    pub enrolment_addresses: watch::Receiver<Arc<[String]>>,
    /// Whose root a token's owner is to trust.
    pub authority: watch::Receiver<Arc<Authority>>,
    /// Current sessions.
    pub agents: Agents,
    /// The newest values.
    pub live: Arc<Live>,
    /// History.
    pub store: Arc<dyn Append>,
    /// What is backed up.
    pub backups: Backups,
    /// The limits in force.
    pub limits: Current,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Admin {
    fn node_id(&self, name: &str) -> Option<NodeId> {
        self.member(name).map(|(id, _)| id)
    }

    fn member(&self, name: &str) -> Option<(NodeId, NodeName)> {
        let roster = self.registry.roster();
        let roster = roster.borrow();
        let member = roster.members().iter().find(|member| member.name.as_str() == name);
        member.map(|member| (member.id, member.name.clone()))
    }
}

/// Who asks, for the audit log.
fn actor<T>(request: &Request<T>) -> Result<Arc<str>, Status> {
    let principal = request.extensions().get::<Principal>();
    principal.map(|principal| principal.name.clone()).ok_or_else(|| Status::unauthenticated("nobody asks"))
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let lifetime = request.lifetime.map(lifetime).transpose()?;
        let now = self.clock.now().wall;
        if let Some(Wanted::Http(http)) = request.subject {
            let wanted = access::wanted(http, lifetime, self.limits.borrow().http.tokens_max)?;
            let new = self.registry.create_access(&actor, &wanted, now).await.map_err(|e| refused(&e))?;
            return Ok(Response::new(access::made(&new)?));
        }
        let subject = subject(request.subject)?;
        let new =
            self.registry.create_token(&actor, &subject, lifetime, now).await.map_err(|e| refused(&e))?;
        let (role, name) = match &subject {
            Subject::Node(name, _) => (Role::Agent, name.clone()),
            Subject::User(name, role) => (*role, name.clone()),
        };
        let program = if role == Role::Agent { "quorate-agent" } else { "quorate" };
        let token = Token {
            id: new.id.clone(),
            secret: new.secret,
            root_spki_sha256: self.authority.borrow().root_spki_sha256(),
            role,
            name,
            addresses: self.enrolment_addresses.borrow().to_vec(),
        };
        let token = token.format().map_err(|error| status::of(Kind::Internal, &error))?;
        Ok(Response::new(v1::CreateTokenResponse {
            token_id: new.id,
            command: format!("{program} enroll --token {}", token.as_str()),
            token: token.to_string(),
            expires: Some(timestamp(new.expires)),
        }))
    }

    async fn list_tokens(
        &self,
        _: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let now = self.clock.now().wall;
        let rows = self.registry.list_tokens(now).await.map_err(|error| refused(&error))?;
        let mut tokens: Vec<v1::Token> = rows.into_iter().map(token).collect();
        let roster = self.registry.roster();
        let mut http: Vec<_> =
            roster.borrow().grants().map(|grant| (grant.created, access::listed(grant, now))).collect();
        http.sort_by_key(|(created, _)| *created);
        tokens.extend(http.into_iter().map(|(_, token)| token));
        Ok(Response::new(v1::ListTokensResponse { tokens }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let actor = actor(&request)?;
        let id = request.into_inner().token_id;
        let now = self.clock.now().wall;
        let revoked = match self.registry.revoke_token(&actor, &id, now).await {
            Err(RegistryError::NotFound { .. }) => self.registry.revoke_access(&actor, &id, now).await,
            revoked => revoked,
        };
        revoked.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }

    async fn revoke_node(
        &self,
        request: Request<v1::RevokeNodeRequest>,
    ) -> Result<Response<v1::RevokeNodeResponse>, Status> {
        let actor = actor(&request)?;
        let v1::RevokeNodeRequest { name, reason } = request.into_inner();
        let now = self.clock.now().wall;
        self.registry.revoke_node(&actor, &name, &reason, now).await.map_err(|error| refused(&error))?;
        if let Some(id) = self.node_id(&name) {
            self.agents.end(id, false).await;
        }
        Ok(Response::new(v1::RevokeNodeResponse {}))
    }

    async fn forget_node(
        &self,
        request: Request<v1::ForgetNodeRequest>,
    ) -> Result<Response<v1::ForgetNodeResponse>, Status> {
        let actor = actor(&request)?;
        let name = request.into_inner().name;
        let id = self.node_id(&name);
        let now = self.clock.now().wall;
        self.registry.forget_node(&actor, &name, now).await.map_err(|error| refused(&error))?;
        if let Some(id) = id {
            self.agents.end(id, true).await;
            self.live.forget(id);
            self.store.forget(id);
        }
        Ok(Response::new(v1::ForgetNodeResponse {}))
    }

    async fn set_maintenance(
        &self,
        request: Request<v1::SetMaintenanceRequest>,
    ) -> Result<Response<v1::SetMaintenanceResponse>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let now = self.clock.now().wall;
        let wanted = maintenance(&request, now)?;
        let by = (&*actor, &*request.reason);
        let change = self.registry.set_maintenance(by, &request.name, wanted.as_ref(), now).await;
        change.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::SetMaintenanceResponse {}))
    }

    async fn set_rate(
        &self,
        request: Request<v1::SetRateRequest>,
    ) -> Result<Response<v1::SetRateResponse>, Status> {
        let actor = actor(&request)?;
        let request = request.into_inner();
        let rate = rate(&request)?;
        let what = "node";
        let unknown = || RegistryError::NotFound { what, name: request.node.chars().take(80).collect() };
        let (id, name) = self.member(&request.node).ok_or_else(|| refused(&unknown()))?;
        let which = if rate.collector.is_empty() { "all" } else { &rate.collector };
        let detail = format!("{which} every {} ms for {} ms", rate.interval_ms, rate.for_ms);
        let now = self.clock.now().wall;
        let noted = self.registry.note_rate(&actor, &request.node, detail, now).await;
        noted.map_err(|error| refused(&error))?;
        match self.agents.ask(id, &name, rate, RATE_DEADLINE).await {
            Ok(ResponseBody::Done) => Ok(Response::new(v1::SetRateResponse {})),
            Ok(_) => Err(Status::internal(format!("node `{name}` answered something else"))),
            Err(error) => Err(status::of(error.kind(), &error)),
        }
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        let (filter, page_size) = audit::question(request.into_inner())?;
        let lines = self.registry.list_audit(&filter, page_size + 1).await;
        Ok(Response::new(audit::page(lines.map_err(|error| refused(&error))?, page_size)))
    }

    type BackupStream = ReceiverStream<Result<v1::BackupResponse, Status>>;

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let actor = actor(&request)?;
        let slot = self.backups.enter()?;
        let keys = if request.into_inner().without_keys { Keys::Without } else { Keys::With };
        let detail = if keys == Keys::With { "with keys" } else { "without keys" };
        let now = self.clock.now().wall;
        let noted = self.registry.note_backup(&actor, detail.to_owned(), now).await;
        noted.map_err(|error| refused(&error))?;
        Ok(Response::new(ReceiverStream::new(self.backups.start(keys, slot, now))))
    }
}

fn subject(wanted: Option<Wanted>) -> Result<Subject, Status> {
    match wanted {
        None | Some(Wanted::Http(_)) => {
            Err(status::field("subject", "field `subject`: a node or a user must be named"))
        }
        Some(Wanted::User(user)) => {
            let role = v1::Role::try_from(user.role).ok().and_then(|role| Role::try_from(role).ok());
            let role = role.filter(|role| matches!(role, Role::Viewer | Role::Operator | Role::Admin));
            let role = role
                .ok_or_else(|| status::field("user.role", "field `user.role`: viewer, operator or admin"))?;
            Ok(Subject::User(user.name, role))
        }
        Some(Wanted::Node(node)) => {
            let role = match v1::MemberRole::try_from(node.role) {
                Ok(v1::MemberRole::Unspecified | v1::MemberRole::Voter) => MemberRole::Voter,
                Ok(v1::MemberRole::Observer) => MemberRole::Observer,
                Err(_) => return Err(status::field("node.role", "field `node.role`: voter or observer")),
            };
            let cluster = if node.cluster.is_empty() { CLUSTER_DEFAULT.to_owned() } else { node.cluster };
            let zone = Some(node.zone).filter(|zone| !zone.is_empty());
            let weight = node.weight.max(1);
            Ok(Subject::Node(node.name, Declaration { cluster, role, zone, weight, replace: node.replace }))
        }
    }
}

/// What a node is to be in from now on; `None` for nothing.
fn maintenance(request: &v1::SetMaintenanceRequest, now: WallTime) -> Result<Option<Maintenance>, Status> {
    let refuse = |text: &str| Err(status::field("lasts", format!("field `lasts`: {text}")));
    let lasts = match request.lasts {
        None => None,
        Some(_) if !request.maintenance => return refuse("only with maintenance"),
        Some(lasts) => match Duration::try_from(lasts) {
            Ok(lasts) if MAINTENANCE_LASTS.contains(&lasts) => Some(lasts),
            _ => return refuse("expected 1 s to 366 days"),
        },
    };
    let end = |lasts: Duration| now.0.saturating_add(i64::try_from(lasts.as_nanos()).unwrap_or(i64::MAX));
    let until = lasts.map(|lasts| WallTime(end(lasts)));
    Ok(request.maintenance.then(|| Maintenance { until, reason: request.reason.as_str().into() }))
}

/// Zeros stand for the defaults; which collectors a node has, only its agent knows.
fn rate(request: &v1::SetRateRequest) -> Result<Rate, Status> {
    let interval_ms = if request.interval_ms == 0 { 1000 } else { request.interval_ms };
    if !RATE_INTERVAL_MS.contains(&interval_ms) {
        let text = format!("field `interval_ms`: {interval_ms}, expected 100 to 60000");
        return Err(status::field("interval_ms", text));
    }
    let seconds = if request.seconds == 0 { 60 } else { request.seconds };
    let for_ms = seconds.saturating_mul(1000);
    if !(RATE_FOR_MS_MIN..=RATE_FOR_MS_MAX).contains(&for_ms) {
        return Err(status::field("seconds", format!("field `seconds`: {seconds}, expected 10 to 600")));
    }
    if request.collector.len() > COLLECTOR_BYTES_MAX {
        return Err(status::field("collector", "field `collector`: is longer than a name"));
    }
    Ok(Rate { collector: request.collector.clone(), interval_ms, for_ms })
}

fn lifetime(wanted: prost_types::Duration) -> Result<Duration, Status> {
    Duration::try_from(wanted).map_err(|_| status::field("lifetime", "field `lifetime`: must be positive"))
}

fn token(row: TokenRow) -> v1::Token {
    let state = match row.state {
        TokenState::Unused => "unused",
        TokenState::Used => "used",
        TokenState::Expired => "expired",
        TokenState::Revoked => "revoked",
    };
    v1::Token {
        token_id: row.id,
        subject: row.name,
        role: row.role.to_string(),
        created: Some(timestamp(row.created)),
        expires: Some(timestamp(row.expires)),
        state: state.to_owned(),
        kind: "enrolment".to_owned(),
    }
}

fn refused(error: &RegistryError) -> Status {
    match error {
        RegistryError::Invalid { field, .. } => status::field(field, error.to_string()),
        RegistryError::NotFound { .. } => status::of(Kind::NotFound, error),
        RegistryError::Known(_) => status::of(Kind::Conflict, error),
        _ => {
            tracing::error!(
                class = "failure",
                error = quorate_common::error::chain(error),
                "registry failed"
            );
            status::of(Kind::Internal, error)
        }
    }
}
