//! Who may ask for what: one table, deny by default. The first row that fits counts.
//!
//! In a pattern, `*` is one part of a path, `**` at its end is all that follows, at least one part.

use crate::identity::access::rank;
use axum::http::Method;
use quorate_common::model::identity::Role;

/// What is needed to be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Least {
    /// Nothing: there is nothing in it that anybody may not know.
    Nobody,
    /// This role or a higher one.
    Role(Role),
}

/// Why somebody is not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No row has this path.
    #[error("there is no such path")]
    Path,
    /// No row has this method with this path.
    #[error("the path has no such method")]
    Method,
    /// Another role is needed.
    #[error("role {has} may not do this, {least} may")]
    Role {
        /// The caller's.
        has: Role,
        /// The least that may.
        least: Role,
    },
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const ASK: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const CHANGE: &[Method] = &[Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
const ANY: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

const NOBODY: Least = Least::Nobody;
const VIEWER: Least = Least::Role(Role::Viewer);
const OPERATOR: Least = Least::Role(Role::Operator);
const ADMIN: Least = Least::Role(Role::Admin);

/// Everything that may be asked for.
const ROWS: &[(&[Method], &str, Least)] = &[
    (GET, "/-/healthy", NOBODY),
    (GET, "/-/ready", NOBODY),
    // The link in it is the credential.
    (POST, "/auth/session", NOBODY),
    (GET, "/auth/session", VIEWER),
    (DELETE, "/auth/session", VIEWER),
    (POST, "/auth/ticket", VIEWER),
    // What only admins may, before what everybody may.
    (ANY, "/api/v1/admin/**", ADMIN),
    (ANY, "/prometheus/api/v1/admin/**", ADMIN),
    (ANY, "/api/v1/audit", ADMIN),
    (ANY, "/api/v1/audit/**", ADMIN),
    (ANY, "/api/v1/tokens", ADMIN),
    (ANY, "/api/v1/tokens/**", ADMIN),
    (ANY, "/api/v1/backup", ADMIN),
    (DELETE, "/api/v1/nodes/*", ADMIN),
    // Questions that are posted because they are long.
    (ASK, "/api/v1/query", VIEWER),
    (ASK, "/api/v1/query_range", VIEWER),
    (ASK, "/api/v1/query_exemplars", VIEWER),
    (ASK, "/api/v1/format_query", VIEWER),
    (ASK, "/api/v1/parse_query", VIEWER),
    (ASK, "/api/v1/labels", VIEWER),
    (ASK, "/api/v1/series", VIEWER),
    (ASK, "/prometheus/api/v1/query", VIEWER),
    (ASK, "/prometheus/api/v1/query_range", VIEWER),
    (ASK, "/prometheus/api/v1/query_exemplars", VIEWER),
    (ASK, "/prometheus/api/v1/format_query", VIEWER),
    (ASK, "/prometheus/api/v1/parse_query", VIEWER),
    (ASK, "/prometheus/api/v1/labels", VIEWER),
    (ASK, "/prometheus/api/v1/series", VIEWER),
    (GET, "/api/v1/**", VIEWER),
    (GET, "/prometheus/**", VIEWER),
    // Samples, acknowledgements, silences, maintenance.
    (CHANGE, "/api/v1/**", OPERATOR),
    (CHANGE, "/prometheus/api/v1/**", OPERATOR),
    (GET, "/api/v2/**", VIEWER),
    (CHANGE, "/api/v2/**", OPERATOR),
    (GET, "/loki/api/v1/**", VIEWER),
    (GET, "/federate", VIEWER),
    (GET, "/metrics", VIEWER),
    (GET, "/health", VIEWER),
    (GET, "/ready", VIEWER),
    (GET, "/status", VIEWER),
    (GET, "/api/openapi.json", VIEWER),
    (GET, "/", VIEWER),
    (GET, "/ws", VIEWER),
];

/// What is needed to ask for this.
pub fn least(method: &Method, path: &str) -> Result<Least, Denied> {
    let mut denied = Denied::Path;
    for (methods, _, least) in ROWS.iter().filter(|(_, pattern, _)| fits(pattern, path)) {
        if methods.contains(method) {
            return Ok(*least);
        }
        denied = Denied::Method;
    }
    Err(denied)
}

/// Whether who has this role may do what needs that.
pub fn check(has: Role, least: Least) -> Result<(), Denied> {
    match least {
        Least::Role(least) if rank(has) < rank(least) => Err(Denied::Role { has, least }),
        _ => Ok(()),
    }
}

/// A path with an empty part, or one that leads back, fits nothing but what it is written as.
fn fits(pattern: &str, path: &str) -> bool {
    if pattern == path {
        return true;
    }
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        if wanted == "**" {
            return parts.clone().next().is_some() && parts.all(is_plain);
        }
        match parts.next() {
            Some(part) if part == wanted || (wanted == "*" && is_plain(part)) => {}
            _ => return false,
        }
    }
    parts.next().is_none()
}

fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_row(method: &Method, path: &str, expect: Result<Least, Denied>) {
        assert_eq!(least(method, path), expect, "{method} {path}");
    }

    #[test]
    fn one_table() {
        for (path, expect) in [
            ("/-/healthy", Ok(NOBODY)),
            ("/api/v1/query", Ok(VIEWER)),
            ("/prometheus/api/v1/query_range", Ok(VIEWER)),
            ("/api/v1/label/job/values", Ok(VIEWER)),
            ("/metrics", Ok(VIEWER)),
            ("/api/v1/audit", Ok(ADMIN)),
            ("/api/v1/tokens/17", Ok(ADMIN)),
            ("/api/v1/admin/tsdb/snapshot", Ok(ADMIN)),
            ("/api/v1", Err(Denied::Path)),
            ("/api/v1/", Err(Denied::Path)),
            ("/api/v1//audit", Err(Denied::Path)),
            ("/assets/../api/v1/audit", Err(Denied::Path)),
            ("/debug/pprof", Err(Denied::Path)),
            ("//", Err(Denied::Path)),
        ] {
            check_row(&Method::GET, path, expect);
        }
        for (path, expect) in [
            ("/-/healthy", Err(Denied::Method)),
            ("/auth/session", Ok(NOBODY)),
            ("/auth/ticket", Ok(VIEWER)),
            ("/api/v1/query", Ok(VIEWER)),
            ("/api/v1/write", Ok(OPERATOR)),
            ("/prometheus/api/v1/write", Ok(OPERATOR)),
            ("/api/v1/nodes/n1/maintenance", Ok(OPERATOR)),
            ("/api/v1/tokens", Ok(ADMIN)),
        ] {
            check_row(&Method::POST, path, expect);
        }
        check_row(&Method::DELETE, "/api/v1/nodes/n1", Ok(ADMIN));
        check_row(&Method::OPTIONS, "/api/v1/query", Err(Denied::Method));
        check_row(&Method::TRACE, "/metrics", Err(Denied::Method));
    }

    #[test]
    fn who_has_more_may_do_more() {
        let may = |has, least| check(has, least).is_ok();
        assert!(may(Role::Admin, VIEWER) && may(Role::Viewer, VIEWER) && may(Role::Operator, OPERATOR));
        assert!(!may(Role::Viewer, OPERATOR) && !may(Role::Operator, ADMIN) && !may(Role::Agent, VIEWER));
    }
}
