//! A node: one enrolled machine, identified by its certificate and never by its hostname.

use super::words;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The row number of a node in the registry. Stable for the life of the enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub i64);

/// A valid node name: one to 63 of `[a-z0-9-]`, not beginning or ending with a dash.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct NodeName(Arc<str>);

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: 1 to 63 of a-z, 0-9 and dash, with no dash at either end")]
pub struct InvalidName(pub String);

impl NodeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_name(text) {
            Ok(NodeName(text.into()))
        } else {
            Err(InvalidName(text.chars().take(80).collect()))
        }
    }
}

impl<'de> serde::Deserialize<'de> for NodeName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a text may name a node, a cluster, a zone or a person.
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

words! {
    /// What a declared member counts for.
    MemberRole {
        /// Counts for quorum, with its weight.
        Voter = "voter",
        /// Is watched, and never counts for quorum.
        Observer = "observer",
    }
}

words! {
    /// Whether a node is heard, judged by the age of its last accepted frame.
    Liveness {
        /// Heard within its time.
        Up = "up",
        /// Late, or its stream ended without a word.
        Suspect = "suspect",
        /// Not heard for its time and the grace after it.
        Down = "down",
        /// Said farewell and did not come back within two seconds.
        Left = "left",
        /// Peers reach the host, the aggregator does not.
        Isolated = "isolated",
        /// The host answers, its agent does not.
        AgentDead = "agent_dead",
        /// Not heard since the aggregator began to listen, or lost together with most others.
        Unknown = "unknown",
    }
}

words! {
    /// How well a node or a component does what it is for.
    Health {
        /// As it should be.
        Healthy = "healthy",
        /// Works, with something wrong that is named.
        Degraded = "degraded",
        /// Does not work.
        Unhealthy = "unhealthy",
        /// Not known. Never reported as healthy.
        Unknown = "unknown",
    }
}

/// A declared member of a cluster, as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The registry's number of this node.
    pub id: NodeId,
    /// The name in its certificate.
    pub name: NodeName,
    /// The cluster that it belongs to.
    pub cluster: Arc<str>,
    /// Voter or observer.
    pub role: MemberRole,
    /// Rack, room or region; losing a zone is judged as one event.
    pub zone: Option<Arc<str>>,
    /// Votes of a voter; at least 1.
    pub weight: u32,
    /// Pages are muted; the node counts as measured.
    pub maintenance: bool,
    /// Why it is let in no longer, for people: revoked or frozen, and when. It stays a member and counts as measured.
    pub barred: Option<Arc<str>>,
}

/// What a node said of itself when its session began.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HostFacts {
    /// The hostname, for display only.
    pub hostname: String,
    /// Operating system and release, such as `Debian GNU/Linux 12`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture.
    pub arch: String,
    /// Model name of the first processor.
    pub cpu_model: String,
    /// Logical processors.
    pub cpu_count: u32,
    /// Installed memory.
    pub memory_bytes: u64,
    /// Version of the agent.
    pub agent_version: String,
    /// What the agent is not allowed to read, one line each.
    pub missing_rights: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "a".repeat(63);
        for good in ["a", "n1", "db-3", "0", longest.as_str()] {
            assert!(good.parse::<NodeName>().is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "ä", "a/b", "..", "a\0", too_long.as_str()] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_read_back() {
        for word in Liveness::ALL {
            assert_eq!(word.as_str().parse::<Liveness>().unwrap(), *word);
        }
        let error = "gone".parse::<Health>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown word `gone`, expected one of healthy, degraded, unhealthy, unknown"
        );
    }
}
