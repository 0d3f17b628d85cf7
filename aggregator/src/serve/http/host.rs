//! By which names the door may be called, and from which pages. Somebody else's name that was bent to our address is
//! how a page in a browser gets at what listens on loopback.

use axum::http::{HeaderMap, Uri, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The names, without port, in lower case.
#[derive(Clone, Debug, Default)]
pub struct Hosts(Arc<[String]>);

/// Why a request is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It calls us by a name that is not ours.
    #[error("host `{0}` is not one of this aggregator's: see `[http] hosts`")]
    Host(String),
    /// A page of another site sent it.
    #[error("a page of another site may not ask")]
    Origin,
}

/// A name in a message is cut: a caller may make it long.
const SHOWN_CHARS_MAX: usize = 100;

impl Hosts {
    /// These names; a port that follows is left out.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Hosts {
        Hosts(names.into_iter().map(|name| bare(name).to_ascii_lowercase()).collect())
    }

    /// Whether a request calls us by a name of ours, and comes from a page of ours or from none. `local` is the address
    /// that it came to; `is_open` whether what it asks for is anybody's.
    pub fn check(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        (local, is_open): (IpAddr, bool),
    ) -> Result<(), Foreign> {
        let mut named = headers.get_all(header::HOST).iter().map(|value| value.to_str().unwrap_or_default());
        let host = uri
            .authority()
            .map(axum::http::uri::Authority::as_str)
            .or_else(|| named.next())
            .unwrap_or_default();
        let foreign = || Foreign::Host(host.chars().take(SHOWN_CHARS_MAX).collect());
        if !self.is_ours(bare(host), local) || named.any(|other| !other.eq_ignore_ascii_case(host)) {
            return Err(foreign());
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if !is_same(origin.to_str().unwrap_or_default(), host) => Err(Foreign::Origin),
            Some(_) => Ok(()),
            // Somebody may follow a link to the page, and to nothing else.
            None if !is_open && is_from_elsewhere(headers) => Err(Foreign::Origin),
            None => Ok(()),
        }
    }

    fn is_ours(&self, host: &str, local: IpAddr) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let unbracketed = host.trim_start_matches('[').trim_end_matches(']');
        match unbracketed.parse::<IpAddr>() {
            Ok(address) if address.to_canonical() == local.to_canonical() => true,
            _ => host == "localhost" || self.0.iter().any(|ours| *ours == host || *ours == unbracketed),
        }
    }
}

/// A host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An address of version 6 without brackets has no port.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// Whether a page's origin is where the request goes to. A proxy may speak TLS in front of us: the scheme is not
/// compared.
fn is_same(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], is_open: bool, expect: &str) {
        let hosts = Hosts::new(["Agg.example:7443", "10.0.0.1", "fd00::1", "[fd00::2]:7"]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let got = hosts.check(&Uri::from_static("/x"), &map, ("127.0.0.1".parse().unwrap(), is_open));
        let got = got.map_or_else(|error| error.to_string(), |()| "ours".to_owned());
        assert!(got.starts_with(expect), "{headers:?} {got}");
    }

    #[test]
    fn only_our_names() {
        for ours in [
            "localhost:7444",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1:80",
            "[::ffff:127.0.0.1]:80",
            "agg.example",
            "10.0.0.1:1",
            "[fd00::1]:7444",
            "[fd00::2]",
        ] {
            check(&[("host", ours)], false, "ours");
        }
        for foreign in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", ""] {
            check(&[("host", foreign)], false, "host `");
        }
        check(&[], false, "host ``");
        check(&[("host", "localhost"), ("host", "evil.example")], false, "host `");
    }

    #[test]
    fn only_our_pages() {
        let host = ("host", "localhost:7444");
        check(&[host, ("origin", "http://localhost:7444")], false, "ours");
        check(&[host, ("origin", "https://localhost:7444")], false, "ours");
        for origin in ["http://localhost:8080", "https://evil.example", "null", "file://", ""] {
            check(&[host, ("origin", origin)], true, "a page of another site");
        }
        check(&[host, ("sec-fetch-site", "cross-site")], false, "a page of another site");
        check(&[host, ("sec-fetch-site", "cross-site")], true, "ours");
        check(&[host, ("sec-fetch-site", "same-origin")], false, "ours");
        check(&[host, ("sec-fetch-site", "none")], false, "ours");
    }
}
