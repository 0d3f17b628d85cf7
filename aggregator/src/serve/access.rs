//! API tokens, as the gRPC API makes, lists and revokes them.

use crate::identity::access::Grant;
use crate::identity::registry::{AccessWanted, NewAccess};
use quorate_common::error::Kind;
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use quorate_proto::convert::timestamp;

use quorate_proto::{status, v1};
use std::time::Duration;
use tonic::Status;

/// What is asked for.
pub(super) fn wanted(
    http: v1::HttpDeclaration,
    lifetime: Option<Duration>,
    tokens_max: u32,
) -> Result<AccessWanted, Status> {
    let role = v1::Role::try_from(http.role).ok().and_then(|role| Role::try_from(role).ok());
    let role = role.filter(|role| matches!(role, Role::Viewer | Role::Operator | Role::Admin));
    let role =
        role.ok_or_else(|| status::field("http.role", "field `http.role`: viewer, operator or admin"))?;
    Ok(AccessWanted { name: http.name, role, lifetime, tokens_max })
}

/// One that was made; its text is shown here and nowhere else.
pub(super) fn made(new: &NewAccess) -> Result<v1::CreateTokenResponse, Status> {
    let text = std::str::from_utf8(new.text.expose());
    let token = text.map_err(|error| status::of(Kind::Internal, &error))?.to_owned();
    let expires = Some(timestamp(new.expires));
    Ok(v1::CreateTokenResponse { token_id: new.id.clone(), token, command: String::new(), expires })
}

/// One that is listed.
pub(super) fn listed(grant: &Grant, now: WallTime) -> v1::Token {
    let state = match grant {
        Grant { revoked: Some(_), .. } => "revoked",
        grant if now >= grant.expires => "expired",
        Grant { used: Some(_), .. } => "used",
        _ => "unused",
    };
    v1::Token {
        token_id: grant.id.to_string(),
        subject: grant.name.to_string(),
        role: grant.role.to_string(),
        created: Some(timestamp(grant.created)),
        expires: Some(timestamp(grant.expires)),
        state: state.to_owned(),
        kind: "http".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_has_become_of_it() {
        let grant = Grant {
            id: "1".into(),
            name: "grafana".into(),
            role: Role::Viewer,
            owner: "ann".into(),
            created: WallTime(0),
            expires: WallTime(10),
            used: None,
            revoked: None,
        };
        let state = |grant: &Grant, now| listed(grant, WallTime(now)).state;
        assert_eq!(state(&grant, 9), "unused");
        assert_eq!(state(&grant, 10), "expired");
        assert_eq!(state(&Grant { used: Some(WallTime(1)), ..grant.clone() }, 9), "used");
        assert_eq!(state(&Grant { revoked: Some(WallTime(1)), ..grant }, 11), "revoked");
    }

    #[test]
    fn only_roles_of_people_are_wanted() {
        let http = |role: v1::Role| v1::HttpDeclaration { name: "grafana".into(), role: role.into() };
        assert_eq!(wanted(http(v1::Role::Viewer), None, 1).unwrap().role, Role::Viewer);
        let error = wanted(http(v1::Role::Agent), None, 1).unwrap_err();
        assert_eq!(error.message(), "field `http.role`: viewer, operator or admin");
    }
}
