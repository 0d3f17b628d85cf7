//! Who may speak, in memory: asked on every call, replaced whole when the registry changes.
//!
//! A certificate is accepted if its name has an active row with the same key and the same role.

use quorate_common::model::identity::Role;
use quorate_common::model::node::{Member, NodeId};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{PeerCertificate, PeerError};
use std::collections::HashMap;
use std::sync::Arc;

/// An immutable view of the registry.
#[derive(Debug, Default)]
pub struct Roster {
    trust_domain: Arc<str>,
    members: Vec<Member>,
    nodes: HashMap<Arc<str>, Entry>,
    people: HashMap<Arc<str>, Entry>,
}

/// What the registry knows of one name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What its certificate must be for.
    pub role: Role,
    /// SHA-256 of its key.
    pub spki_sha256: [u8; 32],
    /// When it was revoked, if it was.
    pub revoked: Option<WallTime>,
    /// The node's number; people have none.
    pub node: Option<NodeId>,
}

/// Who is calling, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What it may do.
    pub role: Role,
    /// Node or person.
    pub name: Arc<str>,
    /// The node's number; people have none.
    pub node: Option<NodeId>,
}

/// Why a valid certificate is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It names nobody of ours.
    #[error(transparent)]
    Identity(#[from] PeerError),
    /// Nobody of that name and role is registered.
    #[error("{subject} is not enrolled")]
    Unknown {
        /// `node n1` or `viewer alice`.
        subject: String,
    },
    /// The name was taken away.
    #[error("{subject} revoked at {at}")]
    Revoked {
        /// `node n1` or `viewer alice`.
        subject: String,
        /// When.
        at: WallTime,
    },
    /// The name belongs to another key by now.
    #[error("{subject} was enrolled again with another key")]
    Replaced {
        /// `node n1` or `viewer alice`.
        subject: String,
    },
}

impl Roster {
    /// A view of these rows. `members` are the nodes as declared, `nodes` and `people` are by name.
    pub fn new(
        trust_domain: &str,
        members: Vec<Member>,
        nodes: HashMap<Arc<str>, Entry>,
        people: HashMap<Arc<str>, Entry>,
    ) -> Roster {
        Roster { trust_domain: trust_domain.into(), members, nodes, people }
    }

    /// Every declared node, in the order of its name; revoked ones too, for they still count.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether a name is in force with this key.
    pub fn holds(&self, role: Role, name: &str, spki_sha256: &[u8; 32]) -> bool {
        let rows = if role == Role::Agent { &self.nodes } else { &self.people };
        rows.get(name).is_some_and(|entry| {
            entry.role == role && entry.revoked.is_none() && entry.spki_sha256 == *spki_sha256
        })
    }

    /// Who the owner of this certificate is, now.
    pub fn authorize(&self, certificate: &PeerCertificate) -> Result<Principal, Denied> {
        let identity = &certificate.identity;
        if identity.trust_domain != self.trust_domain {
            return Err(Denied::Identity(PeerError));
        }
        let (rows, kind) = match identity.role {
            Role::Agent => (&self.nodes, "node"),
            other => (&self.people, other.as_str()),
        };
        let subject = || format!("{kind} {}", identity.name);
        let entry = rows
            .get(&identity.name)
            .filter(|entry| entry.role == identity.role)
            .ok_or_else(|| Denied::Unknown { subject: subject() })?;
        if let Some(at) = entry.revoked {
            return Err(Denied::Revoked { subject: subject(), at });
        }
        if entry.spki_sha256 != certificate.spki_sha256 {
            return Err(Denied::Replaced { subject: subject() });
        }
        Ok(Principal { role: entry.role, name: identity.name.clone(), node: entry.node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(role: Role, revoked: Option<WallTime>) -> Entry {
        let node = (role == Role::Agent).then_some(NodeId(1));
        Entry { role, spki_sha256: [1; 32], revoked, node }
    }

    fn check(id: &str, key: u8, expect: Result<Role, &str>) {
        let nodes = HashMap::from([
            ("n1".into(), entry(Role::Agent, None)),
            ("n2".into(), entry(Role::Agent, Some(WallTime(0)))),
        ]);
        let people = HashMap::from([("alice".into(), entry(Role::Viewer, None))]);
        let roster = Roster::new("q", Vec::new(), nodes, people);
        let certificate = PeerCertificate {
            identity: id.parse().unwrap(),
            spki_sha256: [key; 32],
            serial: vec![1],
            not_after: WallTime(i64::MAX),
        };
        let got = roster.authorize(&certificate).map(|p| p.role).map_err(|e| e.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{id}");
    }

    #[test]
    fn name_role_and_key_must_all_fit() {
        check("spiffe://q/agent/n1", 1, Ok(Role::Agent));
        check("spiffe://q/viewer/alice", 1, Ok(Role::Viewer));
        check("spiffe://other/agent/n1", 1, Err("certificate has no single valid spiffe id"));
        check("spiffe://q/agent/n3", 1, Err("node n3 is not enrolled"));
        check("spiffe://q/agent/alice", 1, Err("node alice is not enrolled"));
        check("spiffe://q/admin/alice", 1, Err("admin alice is not enrolled"));
        check("spiffe://q/viewer/n1", 1, Err("viewer n1 is not enrolled"));
        check("spiffe://q/aggregator/alice", 1, Err("aggregator alice is not enrolled"));
        check("spiffe://q/agent/n1", 2, Err("node n1 was enrolled again with another key"));
        check("spiffe://q/agent/n2", 1, Err("node n2 revoked at 1970-01-01T00:00:00.000Z"));
    }
}
