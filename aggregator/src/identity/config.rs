//! How long what the authority signs is good for.

/// The section `[identity]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Life of a node's certificate, in seconds. Its agent renews it after a third of that.
    pub node_leaf_s: u32,
    /// Life of a person's certificate, in seconds.
    pub person_leaf_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config { node_leaf_s: 24 * 3600, person_leaf_s: 90 * 24 * 3600 }
    }
}
