//! In front of every service: how long a call may take, how many there may be at once, and how slowly a message
//! may come.
//!
//! ```text
//!   request ─→ grpc-timeout ─→ a place among all calls, and among those of the caller ─→ service ─→ answer
//!                 │ wrong: INVALID_ARGUMENT      │ none: RESOURCE_EXHAUSTED                 └─ late: DEADLINE_EXCEEDED
//! ```
//!
//! Nothing waits in a queue: whoever finds no place is told so at once. Streams give their place back when they
//! begin; what limits them is said where they are served.

use super::message::Timed;
use crate::identity::roster::Principal;
use crate::limit::{CallLimits, Reason, millis};
use crate::peer::{Peer, network};
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

/// Calls in work, of everybody and of each caller. A clone counts the same.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<HashMap<String, u32>>>);

/// Puts [`Guard`] before a service.
#[derive(Clone)]
pub struct GuardLayer {
    /// What holds for every call.
    pub limits: CallLimits,
    /// Calls in work.
    pub calls: Calls,
}

/// See the module.
#[derive(Clone)]
pub struct Guard<S> {
    limits: CallLimits,
    calls: Calls,
    inner: S,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { limits: self.limits, calls: self.calls.clone(), inner }
    }
}

/// A call's place, given back when dropped.
struct Turn {
    calls: Calls,
    caller: String,
}

impl Calls {
    fn enter(&self, caller: String, limits: &CallLimits) -> Result<Turn, (Reason, u32)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<u32>() >= limits.at_once_max {
            return Err((Reason::Calls, limits.at_once_max));
        }
        let count = counts.entry(caller.clone()).or_default();
        if *count >= limits.per_caller_max {
            return Err((Reason::Caller, limits.per_caller_max));
        }
        *count += 1;
        Ok(Turn { calls: self.clone(), caller })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut counts = self.calls.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.get_mut(&self.caller).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if count == 0 {
            counts.remove(&self.caller);
        }
    }
}

impl<S> Service<http::Request<Body>> for Guard<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let admitted = allowed(&request, &self.limits).and_then(|allowed| {
            let turn = self.calls.enter(caller(&request), &self.limits);
            Ok((allowed, turn.map_err(|(reason, limit)| crowded(reason, limit))?))
        });
        let (allowed, turn) = match admitted {
            Ok(admitted) => admitted,
            Err(answer) => return Box::pin(std::future::ready(Ok(*answer))),
        };
        let deadline = millis(self.limits.message_deadline_ms);
        let answer = self.inner.call(request.map(|body| Body::new(Timed::new(body, deadline))));
        Box::pin(async move {
            let _turn = turn;
            let late = |_| {
                *refuse(Reason::Deadline, Code::DeadlineExceeded, format!("no answer within {allowed:?}"))
            };
            tokio::time::timeout(allowed, answer).await.unwrap_or_else(|elapsed| Ok(late(elapsed)))
        })
    }
}

/// Who calls, for counting: a name that is known, or else an address.
fn caller(request: &http::Request<Body>) -> String {
    let extensions = request.extensions();
    match (extensions.get::<Principal>(), extensions.get::<Arc<Peer>>()) {
        (Some(principal), _) => format!("{} {}", principal.role, principal.name),
        (None, Some(peer)) => network(peer.address.ip()).to_string(),
        (None, None) => String::new(),
    }
}

type Refused = Box<http::Response<Body>>;

/// An answer that is only a status, with the word that it is counted under.
fn refuse(reason: Reason, code: Code, text: String) -> Refused {
    let mut answer = Status::new(code, text).into_http();
    answer.extensions_mut().insert(reason);
    Box::new(answer)
}

fn crowded(reason: Reason, limit: u32) -> Refused {
    let whose = if reason == Reason::Caller { "calls of yours" } else { "calls" };
    refuse(
        reason,
        Code::ResourceExhausted,
        format!("too many {whose} at once, the limit is {limit}: try again"),
    )
}

/// How long the answer may take: what the caller says, and no longer than the limit.
fn allowed(request: &http::Request<Body>, limits: &CallLimits) -> Result<Duration, Refused> {
    let max = millis(limits.deadline_ms_max);
    let Some(header) = request.headers().get("grpc-timeout") else { return Ok(max) };
    let wrong = || {
        let shown: String = String::from_utf8_lossy(header.as_bytes()).chars().take(20).collect();
        let text =
            format!("grpc-timeout `{}`: expected 1 to 8 digits and one of H M S m u n", shown.escape_debug());
        refuse(Reason::Invalid, Code::InvalidArgument, text)
    };
    let asked = header.to_str().ok().and_then(timeout).ok_or_else(wrong)?;
    if asked.is_zero() {
        return Err(refuse(Reason::Deadline, Code::DeadlineExceeded, "the caller allows no time".to_owned()));
    }
    Ok(asked.min(max))
}

/// As gRPC writes it: digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, expect) in [
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("5S", Some(Duration::from_secs(5))),
            ("100m", Some(Duration::from_millis(100))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("-1S", None),
            ("+1S", None),
            ("abc", None),
            ("1", None),
            ("1x", None),
            ("123456789S", None),
            ("1 S", None),
            ("1ä", None),
        ] {
            assert_eq!(timeout(text), expect, "{text}");
        }
    }

    fn request(timeout: Option<&'static str>) -> http::Request<Body> {
        let mut request = http::Request::new(Body::empty());
        if let Some(timeout) = timeout {
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        request
    }

    fn status(answer: &http::Response<Body>) -> (Code, String) {
        let status = Status::from_header_map(answer.headers()).unwrap();
        (status.code(), status.message().to_owned())
    }

    #[test]
    fn what_a_caller_asks_for_is_clamped_or_refused() {
        let limits = CallLimits::default();
        let check = |text, expect: Result<u64, (Code, &str)>| {
            let got = allowed(&request(text), &limits).map(|allowed| allowed.as_secs());
            let got = got.map_err(|answer| status(&answer));
            assert_eq!(got, expect.map_err(|(code, text)| (code, text.to_owned())), "{text:?}");
        };
        check(None, Ok(60));
        check(Some("99999999H"), Ok(60));
        check(Some("5S"), Ok(5));
        check(Some("0n"), Err((Code::DeadlineExceeded, "the caller allows no time")));
        let text = "grpc-timeout `abc`: expected 1 to 8 digits and one of H M S m u n";
        check(Some("abc"), Err((Code::InvalidArgument, text)));
    }

    #[tokio::test]
    async fn calls_have_places_and_an_end() {
        let limits =
            CallLimits { at_once_max: 3, per_caller_max: 2, deadline_ms_max: 200, ..CallLimits::default() };
        let layer = GuardLayer { limits, calls: Calls::default() };
        let never = tower::service_fn(|_: http::Request<Body>| std::future::pending());
        let mut guard = layer.layer(never);
        let from = |address: &str| {
            let mut request = request(None);
            request.extensions_mut().insert(Arc::new(Peer::new(1, address.parse().unwrap(), None)));
            request
        };
        let (first, second) = (guard.call(from("192.0.2.1:1")), guard.call(from("192.0.2.1:2")));
        let text = |what: &str, limit| format!("too many {what} at once, the limit is {limit}: try again");
        let third = guard.call(from("192.0.2.1:3")).await.unwrap();
        assert_eq!(status(&third), (Code::ResourceExhausted, text("calls of yours", 2)));
        let other = guard.call(from("192.0.2.2:1"));
        let full = guard.call(from("192.0.2.3:1")).await.unwrap();
        assert_eq!(status(&full), (Code::ResourceExhausted, text("calls", 3)));
        drop(first);
        let late = second.await.unwrap();
        assert_eq!(status(&late), (Code::DeadlineExceeded, "no answer within 200ms".to_owned()));
        assert_eq!(late.extensions().get(), Some(&Reason::Deadline));
        drop(other);
        assert!(layer.calls.0.lock().unwrap().is_empty(), "nobody is remembered");
    }
}
