//! Who may call over HTTP, in memory: API tokens by the hash of their text, as the registry has them.
//!
//! ```text
//!   text ─SHA-256→ grant ── in force, and its owner is, in a role that is no lower ─→ principal
//!                     └─ revoked, expired, owner gone ─→ why not
//! ```
//!
//! Looking up a hash tells nothing of the text, however long it takes.

use super::generation::Key;
use super::roster::{Principal, Roster};
use quorate_common::model::identity::Role;
use quorate_common::model::time::WallTime;
use std::collections::HashMap;
use std::sync::Arc;

/// SHA-256 of a token's text.
pub type Hash = [u8; 32];

/// All API tokens, by hash.
pub type Grants = HashMap<Hash, Grant>;

/// What one API token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Public: which token.
    pub id: Arc<str>,
    /// What it was made for.
    pub name: Arc<str>,
    /// What it lets do. Viewer, operator or admin.
    pub role: Role,
    /// Who made it.
    pub owner: Arc<str>,
    /// When it was made.
    pub created: WallTime,
    /// From when on it is refused.
    pub expires: WallTime,
    /// When it was last used, about.
    pub used: Option<WallTime>,
    /// When it was taken back, if it was.
    pub revoked: Option<WallTime>,
}

/// Why an API token or a web session is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none of that text, or no longer.
    #[error("the token is not known")]
    Unknown,
    /// It was taken back.
    #[error("the token was revoked at {0}")]
    Revoked(WallTime),
    /// Its time is over.
    #[error("the token expired at {0}")]
    Expired(WallTime),
    /// Its owner may not do any more what it would let do.
    #[error("the token's owner may not do this any more")]
    Owner,
}

impl Grant {
    /// Who calls with it, if `roster` and time still allow that.
    pub fn admit(&self, roster: &Roster, now: WallTime) -> Result<Principal, Refused> {
        if let Some(at) = self.revoked {
            return Err(Refused::Revoked(at));
        }
        if now >= self.expires {
            return Err(Refused::Expired(self.expires));
        }
        roster.person(&self.owner, self.role).ok_or(Refused::Owner)?;
        // An API token is no person of that name: it says so wherever the name stands, such as in the audit log.
        let name = format!("token:{}", self.name).into();
        Ok(Principal { role: self.role, name, node: None })
    }
}

impl Roster {
    /// The same view with these API tokens.
    #[must_use]
    pub fn with_grants(self, grants: Grants) -> Roster {
        Roster { grants, ..self }
    }

    /// The API token of this hash, whatever became of it.
    pub fn grant(&self, hash: &Hash) -> Option<&Grant> {
        self.grants.get(hash)
    }

    /// All API tokens, whatever became of them.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.grants.values()
    }

    /// The key of a person who is in force in this role or a higher one.
    pub fn person(&self, name: &str, least: Role) -> Option<Key> {
        let entry = self.people.get(name)?;
        let stands = entry.revoked.is_none() && rank(entry.role) >= rank(least);
        stands.then(|| *entry.held.current())
    }
}

/// Who has more may do all that who has less may do.
pub fn rank(role: Role) -> u8 {
    match role {
        Role::Agent | Role::Aggregator => 0,
        Role::Viewer => 1,
        Role::Operator => 2,
        Role::Admin => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::roster::{Entry, Held};

    fn roster(role: Role, revoked: Option<WallTime>) -> Roster {
        let entry =
            Entry { role, held: Held::Key([3; 32]), revoked, frozen: None, certified: None, node: None };
        Roster::new("q", Vec::new(), HashMap::new(), HashMap::from([("ann".into(), entry)]))
    }

    fn check(roster: &Roster, change: impl FnOnce(&mut Grant), expect: &Result<Role, Refused>) {
        let mut grant = Grant {
            id: "1".into(),
            name: "grafana".into(),
            role: Role::Operator,
            owner: "ann".into(),
            created: WallTime(0),
            expires: WallTime(10),
            used: None,
            revoked: None,
        };
        change(&mut grant);
        let got = grant.admit(roster, WallTime(9)).map(|principal| {
            assert_eq!(&*principal.name, "token:grafana");
            principal.role
        });
        assert_eq!(&got, expect, "{grant:?}");
    }

    #[test]
    fn a_token_is_good_for_as_long_as_its_owner() {
        let admin = roster(Role::Admin, None);
        check(&admin, |_| {}, &Ok(Role::Operator));
        check(&roster(Role::Operator, None), |_| {}, &Ok(Role::Operator));
        check(&admin, |grant| grant.expires = WallTime(9), &Err(Refused::Expired(WallTime(9))));
        check(&admin, |grant| grant.revoked = Some(WallTime(1)), &Err(Refused::Revoked(WallTime(1))));
        check(&admin, |grant| grant.owner = "bob".into(), &Err(Refused::Owner));
        check(&roster(Role::Viewer, None), |_| {}, &Err(Refused::Owner));
        check(&roster(Role::Admin, Some(WallTime(2))), |_| {}, &Err(Refused::Owner));
    }
}
