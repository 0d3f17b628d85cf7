//! Which node a `{hostname}` means: a node name, else a hostname that one node alone has.

use crate::serve::http::envelope::{Failure, FailureKind};
use quorate_common::model::cluster::{NodeVerdict, Snapshot};

/// The node that is meant.
///
/// # Errors
/// None has it, or several have.
pub fn resolve<'a>(snapshot: &'a Snapshot, text: &str) -> Result<&'a NodeVerdict, Failure> {
    if let Some(node) = snapshot.node(text) {
        return Ok(node);
    }
    let has = |node: &&NodeVerdict| node.facts.as_ref().is_some_and(|facts| facts.hostname == text);
    let nodes: Vec<&NodeVerdict> = snapshot.nodes.iter().filter(has).collect();
    let shown: String = text.chars().take(80).collect();
    match nodes.as_slice() {
        [node] if !text.is_empty() => Ok(node),
        [] | [_] => {
            let text = format!("no node has the name or hostname `{}`", shown.escape_debug());
            Err(Failure::new(FailureKind::NotFound, text))
        }
        many => {
            let names: Vec<&str> = many.iter().map(|node| node.member.name.as_str()).collect();
            let text = format!("hostname `{}` is that of nodes {}", shown.escape_debug(), names.join(", "));
            Err(Failure::new(FailureKind::Conflict, text))
        }
    }
}

/// The nodes that are meant: one, or all if none is named.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_or_all(snapshot: &Snapshot, text: Option<&str>) -> Result<Vec<NodeVerdict>, Failure> {
    match text {
        None => Ok(snapshot.nodes.clone()),
        Some(text) => Ok(vec![resolve(snapshot, text)?.clone()]),
    }
}

/// The hostname for display, which is the node's name until it said another.
pub fn hostname_of(node: &NodeVerdict) -> String {
    let name = || node.member.name.to_string();
    let said = node.facts.as_ref().map(|facts| facts.hostname.clone()).filter(|said| !said.is_empty());
    said.unwrap_or_else(name)
}
