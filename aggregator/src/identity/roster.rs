//! Who may speak, in memory: asked on every call, replaced whole when the registry changes.
//!
//! A certificate is accepted if its name has an active row with the same key and the same role.

use super::access::Grants;
use super::generation::{Key, Keys, Shown, Standing};
use quorate_common::model::identity::Role;
use quorate_common::model::node::{Member, NodeId};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{PeerCertificate, PeerError};
use std::collections::HashMap;
use std::sync::Arc;

/// An immutable view of the registry.
#[derive(Debug, Default)]
pub struct Roster {
    pub(super) trust_domain: Arc<str>,
    pub(super) members: Vec<Member>,
    pub(super) nodes: HashMap<Arc<str>, Entry>,
    pub(super) people: HashMap<Arc<str>, Entry>,
    /// See [`super::access`].
    pub(super) grants: Grants,
}

/// What the registry knows of one name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What its certificate must be for.
    pub role: Role,
    /// Its key or keys.
    pub held: Held,
    /// When it was revoked, if it was.
    pub revoked: Option<WallTime>,
    /// When it was frozen, if it is: its identity was seen in two places.
    pub frozen: Option<WallTime>,
    /// When its newest certificate was issued, where that is known.
    pub certified: Option<WallTime>,
    /// The node's number; people have none.
    pub node: Option<NodeId>,
}

/// What a name holds.
#[derive(Clone, Debug)]
pub enum Held {
    /// A person has one key, for as long as its certificate lives.
    Key(Key),
    /// A node has a new one every few hours.
    Keys(Keys),
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

/// Somebody who may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Who.
    pub principal: Principal,
    /// Whether this is the first use of its key, which must be written down.
    pub is_first: bool,
}

/// When a certificate is shown, and when the connection that it is shown on began.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When its connection began.
    pub opened: WallTime,
    /// Now.
    pub now: WallTime,
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
    /// Its identity was seen in two places.
    #[error("{subject} frozen at {at}: its key was used in two places, enrol it again with --replace")]
    Frozen {
        /// `node n1`.
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
    /// A later key took its place, while this connection was open.
    #[error("generation {number} of {subject} was followed by another")]
    Stale {
        /// `node n1`.
        subject: String,
        /// Which of its keys.
        number: u64,
    },
    /// The sign of a copy: whoever shows it, both are refused from now on.
    #[error("generation {number} of {subject} is already used; identity frozen")]
    Copied {
        /// `node n1`.
        subject: String,
        /// Which of its keys.
        number: u64,
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
        Roster { trust_domain: trust_domain.into(), members, nodes, people, grants: Grants::new() }
    }

    /// Every declared node, in the order of its name; revoked ones too, for they still count.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What is known of a node.
    pub fn node(&self, name: &str) -> Option<&Entry> {
        self.nodes.get(name)
    }

    /// What is known of a name that is in force with this key.
    pub fn holder(&self, role: Role, name: &str, key: &Key) -> Option<&Entry> {
        self.rows(role).get(name).filter(|entry| {
            entry.role == role
                && entry.revoked.is_none()
                && entry.frozen.is_none()
                && entry.held.current() == key
        })
    }

    /// Who the owner of this certificate is, now.
    pub fn authorize(&self, certificate: &PeerCertificate, seen: Seen) -> Result<Admitted, Denied> {
        let identity = &certificate.identity;
        if identity.trust_domain != self.trust_domain {
            return Err(Denied::Identity(PeerError));
        }
        let kind = if identity.role == Role::Agent { "node" } else { identity.role.as_str() };
        let subject = || format!("{kind} {}", identity.name);
        let entry = self
            .rows(identity.role)
            .get(&identity.name)
            .filter(|entry| entry.role == identity.role)
            .ok_or_else(|| Denied::Unknown { subject: subject() })?;
        if let Some(at) = entry.revoked {
            return Err(Denied::Revoked { subject: subject(), at });
        }
        if let Some(at) = entry.frozen {
            return Err(Denied::Frozen { subject: subject(), at });
        }
        let principal = Principal { role: entry.role, name: identity.name.clone(), node: entry.node };
        let number = certificate.generation.map_or(0, |generation| generation.number);
        match entry.held.standing(certificate, seen) {
            Standing::Current | Standing::Previous => Ok(Admitted { principal, is_first: false }),
            Standing::First | Standing::Newer => Ok(Admitted { principal, is_first: true }),
            Standing::Stale => Err(Denied::Stale { subject: subject(), number }),
            Standing::Copied => Err(Denied::Copied { subject: subject(), number }),
            Standing::Replaced => Err(Denied::Replaced { subject: subject() }),
        }
    }

    fn rows(&self, role: Role) -> &HashMap<Arc<str>, Entry> {
        if role == Role::Agent { &self.nodes } else { &self.people }
    }
}

impl Held {
    pub(super) fn current(&self) -> &Key {
        match self {
            Held::Key(key) => key,
            Held::Keys(keys) => &keys.current,
        }
    }

    fn standing(&self, certificate: &PeerCertificate, Seen { opened, now }: Seen) -> Standing {
        let key = certificate.spki_sha256;
        match (self, certificate.generation) {
            (Held::Key(own), _) if *own == key => Standing::Current,
            (Held::Keys(keys), Some(generation)) => keys.standing(&Shown { generation, key, opened, now }),
            _ => Standing::Replaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::generation::GRACE_MAX;
    use quorate_common::model::identity::{Generation, Identity};

    const OWN: Generation = Generation { enrolment: 1, number: 3 };
    const SECOND: i64 = 1_000_000_000;

    fn entry(role: Role, revoked: Option<WallTime>, frozen: Option<WallTime>) -> Entry {
        if role != Role::Agent {
            return Entry { role, held: Held::Key([3; 32]), revoked, frozen, certified: None, node: None };
        }
        let keys = Keys {
            generation: OWN,
            current: [3; 32],
            previous: Some([2; 32]),
            pending: Some([4; 32]),
            advanced: Some(WallTime(0)),
            grace: GRACE_MAX,
        };
        Entry { role, held: Held::Keys(keys), revoked, frozen, certified: None, node: Some(NodeId(1)) }
    }

    /// A certificate of a node's `number`th key, which is [number; 32], shown at `at_s` on a new connection.
    fn check(id: &str, (number, at_s): (u8, i64), expect: Result<bool, &str>) {
        let nodes = HashMap::from([
            ("n1".into(), entry(Role::Agent, None, None)),
            ("n2".into(), entry(Role::Agent, Some(WallTime(0)), None)),
            ("n3".into(), entry(Role::Agent, None, Some(WallTime(0)))),
        ]);
        let people = HashMap::from([("alice".into(), entry(Role::Viewer, None, None))]);
        let roster = Roster::new("q", Vec::new(), nodes, people);
        let identity: Identity = id.parse().unwrap();
        let is_node = identity.role == Role::Agent;
        let certificate = PeerCertificate {
            identity,
            spki_sha256: [number; 32],
            serial: vec![1],
            not_after: WallTime(i64::MAX),
            generation: is_node.then_some(Generation { number: number.into(), ..OWN }),
        };
        let at = WallTime(at_s * SECOND);
        let got = roster.authorize(&certificate, Seen { opened: at, now: at });
        let got = got.map(|admitted| admitted.is_first).map_err(|denied| denied.to_string());
        assert_eq!(got, expect.map_err(str::to_owned), "{id} {number}");
    }

    #[test]
    fn name_role_and_key_must_all_fit() {
        check("spiffe://q/agent/n1", (3, 0), Ok(false));
        check("spiffe://q/viewer/alice", (3, 0), Ok(false));
        check("spiffe://other/agent/n1", (3, 0), Err("certificate has no single valid spiffe id"));
        check("spiffe://q/agent/n9", (3, 0), Err("node n9 is not enrolled"));
        check("spiffe://q/agent/alice", (3, 0), Err("node alice is not enrolled"));
        check("spiffe://q/admin/alice", (3, 0), Err("admin alice is not enrolled"));
        check("spiffe://q/viewer/n1", (3, 0), Err("viewer n1 is not enrolled"));
        check("spiffe://q/aggregator/alice", (3, 0), Err("aggregator alice is not enrolled"));
        check("spiffe://q/viewer/alice", (2, 0), Err("viewer alice was enrolled again with another key"));
        check("spiffe://q/agent/n2", (3, 0), Err("node n2 revoked at 1970-01-01T00:00:00.000Z"));
    }

    #[test]
    fn a_node_has_one_key_after_another() {
        check("spiffe://q/agent/n1", (4, 0), Ok(true));
        check("spiffe://q/agent/n1", (2, 59), Ok(false));
        let copied = "generation 2 of node n1 is already used; identity frozen";
        check("spiffe://q/agent/n1", (2, 61), Err(copied));
        check("spiffe://q/agent/n1", (1, 0), Err("generation 1 of node n1 was followed by another"));
        let frozen = "node n3 frozen at 1970-01-01T00:00:00.000Z: its key was used in two places, enrol it \
                      again with --replace";
        check("spiffe://q/agent/n3", (3, 0), Err(frozen));
    }
}
