//! One request: judged, handed on, answered.

use super::Door;
use super::body::{Bounded, Owned};
use super::call::Call;
use super::header;
use super::wire::Line;
use crate::identity::roster::Principal;
use crate::limit::{Reason, millis};
use crate::serve::http::access::{self, Denied, Least};
use crate::serve::http::credential::{self, Credential};
use crate::serve::http::envelope::{Failure, FailureKind};
use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request};
use axum::http::{self as headers, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use hyper::body::Incoming;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tower::ServiceExt;

/// A path in the log is cut: a caller may make it long.
const PATH_CHARS_MAX: usize = 100;

/// Why a request is not handed on: what is counted, and what is answered.
struct Turned {
    reason: Reason,
    status: StatusCode,
    failure: Failure,
}

/// Who may go on.
enum Passed {
    /// Anybody may ask this.
    Nobody,
    /// Somebody in particular does.
    Caller(Credential, Principal),
}

/// Answers a request.
pub(super) async fn answer(door: &Arc<Door>, line: Line, request: headers::Request<Incoming>) -> Response {
    line.peer.call();
    let request = request.map(Body::new);
    let path: String = request.uri().path().chars().take(PATH_CHARS_MAX).collect();
    let answered = door.answer(&line, request).await;
    let mut response = answered.unwrap_or_else(|turned| {
        let text = format!("{path}: {}", turned.failure.error);
        door.gate.refusals.refuse(turned.reason, line.peer.address, &text);
        turned.into_response()
    });
    header::set(response.headers_mut(), door.tls.is_some());
    response
}

impl Door {
    async fn answer(&self, line: &Line, request: Request) -> Result<Response, Turned> {
        let least = access::least(request.method(), request.uri().path());
        let is_open = least == Ok(Least::Nobody) && request.method() != Method::POST;
        self.gate
            .hosts
            .check(request.uri(), request.headers(), (line.local, is_open))
            .map_err(|foreign| Turned::foreign(&foreign))?;
        if let Some(answer) = self.probe(&request) {
            return Ok(answer);
        }
        let passed = self.judge(least, &request)?;
        let request = self.bound(request)?;
        match passed {
            Passed::Nobody => Ok(self.hand_on(request).await),
            Passed::Caller(credential, principal) => {
                let limits = self.gate.limits.borrow().http;
                let call = self.calls.enter(credential, &limits).map_err(Turned::busy)?;
                self.used(credential);
                Ok(self.call(line, (credential, principal, call), request).await)
            }
        }
    }

    /// For whoever starts and balances: one word, and no more.
    fn probe(&self, request: &Request) -> Option<Response> {
        let is_asked = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/-/healthy" if is_asked => Some("healthy\n".into_response()),
            "/-/ready" if is_asked && self.shutdown.is_asked() => {
                Some((StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response())
            }
            // The port is bound after history is open.
            "/-/ready" if is_asked => Some("ready\n".into_response()),
            _ => None,
        }
    }

    /// A stranger learns of no path but those that are anybody's.
    fn judge(&self, least: Result<Least, Denied>, request: &Request) -> Result<Passed, Turned> {
        if least == Ok(Least::Nobody) {
            return Ok(Passed::Nobody);
        }
        let now = self.gate.clock.now();
        let shown = credential::shown(request.uri(), request.headers(), (&self.gate.sessions, now.boot));
        let credential = shown.map_err(|error| Turned::stranger(&error.to_string()))?;
        let roster = self.gate.registry.roster();
        let admitted = credential.admit(&roster.borrow(), &self.gate.sessions, now);
        let principal = admitted.map_err(|error| Turned::stranger(&error.to_string()))?;
        let least = least.map_err(|denied| Turned::denied(&denied))?;
        access::check(principal.role, least).map_err(|denied| Turned::denied(&denied))?;
        Ok(Passed::Caller(credential, principal))
    }

    fn bound(&self, request: Request) -> Result<Request, Turned> {
        let limits = self.gate.limits.borrow().http;
        let max = u64::from(limits.body_bytes_max);
        let announced = http_body::Body::size_hint(request.body()).lower();
        if announced > max {
            return Err(Turned::large(max));
        }
        let mut request =
            request.map(|body| Body::new(Bounded::new(body, max, millis(limits.body_deadline_ms))));
        // What an extractor would set by itself is another limit than ours.
        DefaultBodyLimit::max(limits.body_bytes_max as usize).apply(&mut request);
        Ok(request)
    }

    async fn hand_on(&self, request: Request) -> Response {
        let handled = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind().await;
        match handled {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                tracing::error!(class = "failure", "a handler of HTTP panicked");
                Failure::new(FailureKind::Internal, "the handler failed, see the aggregator's log")
                    .into_response()
            }
        }
    }

    /// Hands on what somebody in particular asks; no longer than his credential is good.
    async fn call(
        &self,
        line: &Line,
        (credential, principal, call): (Credential, Principal, Call),
        mut request: Request,
    ) -> Response {
        let extensions = request.extensions_mut();
        extensions.insert(principal);
        extensions.insert(credential);
        extensions.insert(call.ending.clone());
        extensions.insert(ConnectInfo(line.peer.address));
        let response = tokio::select! {
            response = self.hand_on(request) => response,
            () = call.cut.cancelled() => return Turned::stranger("the token is no longer good").into_response(),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            drop(tokio::spawn(hold(line.clone(), call)));
            return response;
        }
        response.map(|body| Body::new(Owned::new(body, call)))
    }
}

/// What a connection was upgraded to is in work until it is gone, and gone when its credential is.
async fn hold(line: Line, call: Call) {
    tokio::select! {
        () = line.gone.cancelled() => {}
        () = call.cut.cancelled() => line.peer.close.cancel(),
    }
}

impl Turned {
    fn of(reason: Reason, kind: FailureKind, text: impl Into<String>) -> Turned {
        Turned { reason, status: kind.status(), failure: Failure::new(kind, text) }
    }

    fn stranger(text: &str) -> Turned {
        Turned::of(Reason::Unauthenticated, FailureKind::Unauthorized, text)
    }

    fn foreign(foreign: &crate::serve::http::host::Foreign) -> Turned {
        let turned = Turned::of(Reason::Host, FailureKind::Forbidden, foreign.to_string());
        match foreign {
            crate::serve::http::host::Foreign::Origin => turned,
            crate::serve::http::host::Foreign::Host(_) => {
                Turned { status: StatusCode::MISDIRECTED_REQUEST, ..turned }
            }
        }
    }

    fn denied(denied: &Denied) -> Turned {
        let (reason, kind) = match denied {
            Denied::Path => (Reason::UnknownMethod, FailureKind::NotFound),
            Denied::Method => (Reason::UnknownMethod, FailureKind::BadData),
            Denied::Role { .. } => (Reason::Forbidden, FailureKind::Forbidden),
        };
        let turned = Turned::of(reason, kind, denied.to_string());
        if *denied == Denied::Method {
            Turned { status: StatusCode::METHOD_NOT_ALLOWED, ..turned }
        } else {
            turned
        }
    }

    fn busy((reason, max): (Reason, u32)) -> Turned {
        Turned::of(reason, FailureKind::TooMuch, format!("too many requests are in work, the limit is {max}"))
    }

    fn large(max: u64) -> Turned {
        let text = format!("the body is larger than {max} bytes");
        let turned = Turned::of(Reason::MessageBytes, FailureKind::TooMuch, text);
        Turned { status: StatusCode::PAYLOAD_TOO_LARGE, ..turned }
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.failure)).into_response();
        let headers = response.headers_mut();
        match self.status {
            // Basic is not offered: a browser would ask for it, and then send it to whoever asks.
            StatusCode::UNAUTHORIZED => {
                headers.insert(
                    headers::header::WWW_AUTHENTICATE,
                    HeaderValue::from_static("Bearer realm=\"quorate\""),
                );
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(headers::header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
