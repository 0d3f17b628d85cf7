//! `/auth/session` and `/auth/ticket`: how a page logs in, opens its stream, and logs out.

use super::credential::Credential;
use super::envelope::{Failure, FailureKind, Success};
use super::session::{SESSION_LIFE, SessionError, Sessions, TICKET_LIFE};
use crate::identity::roster::Principal;
use crate::limit::Current;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use quorate_common::clock::Clock;
use quorate_common::model::time::BootTime;
use quorate_common::secret::Secret;
use std::sync::Arc;

/// What the routes are given.
#[derive(Clone)]
pub struct Login {
    /// What they change.
    pub sessions: Sessions,
    /// The limits in force.
    pub limits: Current,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What a page sends to log in.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    link: String,
}

/// A session that was begun. The token is sent as Bearer.
#[derive(Debug, serde::Serialize)]
struct Begun {
    token: String,
    expires_in_s: u64,
    name: Arc<str>,
    role: &'static str,
}

/// Who is logged in.
#[derive(Debug, serde::Serialize)]
struct Who {
    name: Arc<str>,
    role: &'static str,
}

/// A ticket that opens `/ws` once.
#[derive(Debug, serde::Serialize)]
struct Ticket {
    ticket: String,
    expires_in_s: u64,
}

impl Login {
    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/auth/session", get(who).post(begin).delete(end))
            .route("/auth/ticket", post(ticket))
            .with_state(self)
    }

    fn now(&self) -> (BootTime, u32) {
        (self.clock.now().boot, self.limits.borrow().http.sessions_max)
    }
}

async fn who(Extension(principal): Extension<Principal>) -> Success<Who> {
    Success::of(Who { name: principal.name, role: principal.role.as_str() })
}

async fn begin(State(login): State<Login>, body: String) -> Result<Success<Begun>, Failure> {
    let Link { link } =
        serde_json::from_str(&body).map_err(|_| Failure::bad("expected {\"link\": \"qrl_…\"}"))?;
    let (token, owner) = login.sessions.begin(&link, login.now()).map_err(|error| failure(&error))?;
    let (name, role) = (owner.name, owner.role.as_str());
    Ok(Success::of(Begun { token: text(&token)?, expires_in_s: SESSION_LIFE.as_secs(), name, role }))
}

async fn end(
    State(login): State<Login>,
    Extension(credential): Extension<Credential>,
) -> Result<Success<()>, Failure> {
    let Credential::Session(hash) = credential else {
        return Err(Failure::bad("an API token is no session: see `quorate token revoke`"));
    };
    login.sessions.end(&hash);
    Ok(Success::of(()))
}

async fn ticket(
    State(login): State<Login>,
    Extension(credential): Extension<Credential>,
) -> Result<Json<Success<Ticket>>, Failure> {
    let ticket = login.sessions.ticket(credential, login.now()).map_err(|error| failure(&error))?;
    Ok(Json(Success::of(Ticket { ticket: text(&ticket)?, expires_in_s: TICKET_LIFE.as_secs() })))
}

fn text(secret: &Secret) -> Result<String, Failure> {
    let text = std::str::from_utf8(secret.expose());
    text.map(str::to_owned).map_err(|_| Failure::new(FailureKind::Internal, "a secret is no text"))
}

fn failure(error: &SessionError) -> Failure {
    let kind = match error {
        SessionError::Unknown | SessionError::Nobody => FailureKind::Unauthorized,
        SessionError::Full(_) => FailureKind::TooMuch,
        SessionError::Randomness(_) => FailureKind::Internal,
    };
    Failure::new(kind, error.to_string())
}
