//! Who is at the other end of a connection: one SPIFFE URI, `spiffe://<trust domain>/<role>/<name>`.

use super::node::is_name;
use super::words;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

words! {
    /// What a certificate is for. Authority comes from the registry; this only limits it.
    Role {
        /// A node's agent: may stream its own samples, nothing else.
        Agent = "agent",
        /// A person or tool that may look.
        Viewer = "viewer",
        /// May also acknowledge, silence and put into maintenance.
        Operator = "operator",
        /// May also enrol, revoke and forget.
        Admin = "admin",
        /// The aggregator itself.
        Aggregator = "aggregator",
    }
}

/// An identity in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The trust domain: what one built-in CA vouches for.
    pub trust_domain: Arc<str>,
    /// The role that the certificate was issued for.
    pub role: Role,
    /// Node or person.
    pub name: Arc<str>,
}

/// Which of the keys that a node has had, one after another, a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Which enrolment of the name, by its time in milliseconds since the Unix epoch: a name that was enrolled
    /// again begins anew, and what an earlier enrolment signed is no part of it.
    pub enrolment: i64,
    /// Counts the keys since then, from 1.
    pub number: u64,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enrolment {} generation {}", self.enrolment, self.number)
    }
}

impl FromStr for Generation {
    type Err = ();

    /// Accepts what [`Generation`] prints, and nothing else.
    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("enrolment ").ok_or(())?;
        let (enrolment, number) = rest.split_once(" generation ").ok_or(())?;
        let read =
            Generation { enrolment: enrolment.parse().map_err(drop)?, number: number.parse().map_err(drop)? };
        if read.number > 0 && read.to_string() == text { Ok(read) } else { Err(()) }
    }
}

/// Why a URI is no identity of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not spiffe://<trust domain>/<role>/<name>")]
pub struct InvalidIdentity(pub String);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.trust_domain, self.role, self.name)
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    /// Accepts the one canonical spelling only: no upper case, no escapes, no empty or extra segment.
    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        let refuse = || InvalidIdentity(text.chars().take(120).collect());
        let rest = text.strip_prefix("spiffe://").ok_or_else(refuse)?;
        let mut parts = rest.split('/');
        let (Some(domain), Some(role), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        if !is_trust_domain(domain) || !is_name(name) {
            return Err(refuse());
        }
        let role = role.parse().map_err(|_| refuse())?;
        Ok(Identity { trust_domain: domain.into(), role, name: name.into() })
    }
}

/// Whether a text may be a trust domain: dot-separated names, 255 bytes at most.
pub fn is_trust_domain(text: &str) -> bool {
    text.len() <= 255 && text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_prints() {
        let text = "spiffe://quorate.example/agent/n1";
        let identity: Identity = text.parse().unwrap();
        assert_eq!(identity.role, Role::Agent);
        assert_eq!(&*identity.name, "n1");
        assert_eq!(identity.to_string(), text);
    }

    #[test]
    fn refuses_every_other_spelling() {
        let long = format!("spiffe://q/agent/{}", "a".repeat(4096));
        for bad in [
            "",
            "https://q/agent/n1",
            "spiffe://q/agent",
            "spiffe://q/agent/n1/",
            "spiffe://q//n1",
            "spiffe://q/agent/../operator/x",
            "spiffe://q/agent/n%31",
            "spiffe://Q/agent/n1",
            "spiffe://q/Agent/n1",
            "spiffe://q/agent/n1?x",
            "spiffe://q:1/agent/n1",
            "spiffe:///agent/n1",
            "spiffe://q/agent/n\0",
            long.as_str(),
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_generation_has_one_spelling() {
        let own = Generation { enrolment: 1_795_000_000_123, number: 7 };
        assert_eq!(own.to_string().parse(), Ok(own));
        for bad in [
            "",
            "generation 7",
            "enrolment 1 generation 0",
            "enrolment 1 generation +1",
            "enrolment 01 generation 1",
            "enrolment 1 generation 1 ",
            "enrolment 1 generation 99999999999999999999",
        ] {
            assert_eq!(bad.parse::<Generation>(), Err(()), "{bad}");
        }
    }
}
