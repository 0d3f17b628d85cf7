//! What a request shows to be let in, and who that is.
//!
//! ```text
//!   Authorization: Bearer qrt_… │ qrs_…  ─┐
//!   Authorization: Basic any:qrt_…        ├─→ credential ─→ roster, sessions ─→ principal or why not
//!   /ws?ticket=qrw_…                     ─┘
//! ```
//!
//! Basic is for tools that can do nothing else. A browser sends it by itself once it knows it, for whatever page asks:
//! so it is never asked for, and refused from a browser. There are no cookies.

use super::session::Sessions;
use crate::identity::access::{Hash, Refused};
use crate::identity::roster::{Principal, Roster};
use axum::http::{HeaderMap, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorate_common::model::time::{BootTime, Now};
use quorate_common::tls::sha256;

/// Longer than any token and any user's name beside it.
const TEXT_BYTES_MAX: usize = 1024;

/// What was shown, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An API token.
    Token(Hash),
    /// A web session.
    Session(Hash),
}

/// Why what was shown is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing was.
    #[error("a token is needed: `Authorization: Bearer …`")]
    Missing,
    /// More than one.
    #[error("more than one Authorization header")]
    Several,
    /// Neither Bearer nor Basic, or nothing of ours in it.
    #[error("the Authorization header holds no token of ours")]
    Malformed,
    /// A browser sent Basic.
    #[error("Basic is not accepted from a browser")]
    Browser,
    /// A ticket that was used, is too old, or never was.
    #[error("the ticket is not known: it is good once, for half a minute")]
    Ticket,
}

/// What a request shows. A ticket is used up by it.
pub fn shown(
    uri: &Uri,
    headers: &HeaderMap,
    (sessions, now): (&Sessions, BootTime),
) -> Result<Credential, Unreadable> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else {
        let ticket = ticket(uri).ok_or(Unreadable::Missing)?;
        return sessions.redeem(ticket, now).ok_or(Unreadable::Ticket);
    };
    if all.next().is_some() {
        return Err(Unreadable::Several);
    }
    let text = value.to_str().map_err(|_| Unreadable::Malformed)?;
    let (scheme, rest) = text.split_once(' ').ok_or(Unreadable::Malformed)?;
    let rest = rest.trim();
    if rest.len() > TEXT_BYTES_MAX {
        return Err(Unreadable::Malformed);
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return of(rest);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Unreadable::Malformed);
    }
    if is_browser(headers) {
        return Err(Unreadable::Browser);
    }
    let bytes = STANDARD.decode(rest).map_err(|_| Unreadable::Malformed)?;
    let pair = std::str::from_utf8(&bytes).map_err(|_| Unreadable::Malformed)?;
    let (_, password) = pair.split_once(':').ok_or(Unreadable::Malformed)?;
    // A session is a browser's: it knows Bearer.
    of(password).and_then(|credential| match credential {
        Credential::Token(_) => Ok(credential),
        Credential::Session(_) => Err(Unreadable::Malformed),
    })
}

fn of(text: &str) -> Result<Credential, Unreadable> {
    match text.get(..4) {
        Some("qrt_") => Ok(Credential::Token(sha256(text.as_bytes()))),
        Some("qrs_") => Ok(Credential::Session(sha256(text.as_bytes()))),
        _ => Err(Unreadable::Malformed),
    }
}

/// The ticket of a stream that a page opens; it cannot send a header with it.
fn ticket(uri: &Uri) -> Option<&str> {
    let query = uri.query().filter(|_| uri.path() == "/ws")?;
    query.split('&').find_map(|pair| pair.strip_prefix("ticket="))
}

/// Browsers say where a request comes from, in one of these.
fn is_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

impl Credential {
    /// Who that is, now.
    pub fn admit(&self, roster: &Roster, sessions: &Sessions, now: Now) -> Result<Principal, Refused> {
        match self {
            Credential::Token(hash) => roster.grant(hash).ok_or(Refused::Unknown)?.admit(roster, now.wall),
            Credential::Session(hash) => sessions.admit(hash, roster, now.boot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: BootTime = BootTime(5);

    fn check(headers: &[(&str, &str)], expect: Result<Credential, Unreadable>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        let got = shown(&Uri::from_static("/metrics?ticket=qrw_x"), &map, (&Sessions::default(), AT));
        assert_eq!(got, expect, "{headers:?}");
    }

    #[test]
    fn bearer_or_basic_and_basic_never_from_a_browser() {
        let token = Ok(Credential::Token(sha256(b"qrt_x")));
        let basic = format!("Basic {}", STANDARD.encode("any:qrt_x"));
        let session = format!("Basic {}", STANDARD.encode("any:qrs_x"));
        check(&[("authorization", "Bearer qrt_x")], token);
        check(&[("authorization", "bearer  qrt_x"), ("origin", "https://a")], token);
        check(&[("authorization", "Bearer qrs_x")], Ok(Credential::Session(sha256(b"qrs_x"))));
        check(&[("authorization", &basic)], token);
        check(&[("authorization", &basic), ("origin", "https://a")], Err(Unreadable::Browser));
        check(&[("authorization", &basic), ("sec-fetch-site", "same-origin")], Err(Unreadable::Browser));
        check(&[("authorization", &session)], Err(Unreadable::Malformed));
        check(&[], Err(Unreadable::Missing));
        check(&[("authorization", "Bearer qrt_x"), ("authorization", &basic)], Err(Unreadable::Several));
        for wrong in
            ["Bearer", "Bearer x", "Bearer qrl_x", "Digest qrt_x", "Basic !", "Basic YQ==", "Bearer é"]
        {
            check(&[("authorization", wrong)], Err(Unreadable::Malformed));
        }
        check(&[("authorization", &format!("Bearer qrt_{}", "x".repeat(2000)))], Err(Unreadable::Malformed));
    }

    #[test]
    fn a_ticket_opens_the_stream_once() {
        let sessions = Sessions::default();
        let credential = Credential::Session([1; 32]);
        let ticket = sessions.ticket(credential, (AT, 1)).unwrap();
        let uri: Uri =
            format!("/ws?v=1&ticket={}", std::str::from_utf8(ticket.expose()).unwrap()).parse().unwrap();
        assert_eq!(shown(&uri, &HeaderMap::new(), (&sessions, AT)), Ok(credential));
        assert_eq!(shown(&uri, &HeaderMap::new(), (&sessions, AT)), Err(Unreadable::Ticket));
    }
}
