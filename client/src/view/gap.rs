//! Gaps: when nodes have no samples, and why.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use serde::Serialize;

/// Gaps, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GapList {
    pub gaps: Vec<Gap>,
    pub left_out: u64,
}

/// A stretch of time without samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    pub node: String,
    /// Absent for the whole node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Stamp>,
    /// Absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Stamp>,
    pub cause: String,
    pub samples: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filled: Option<Stamp>,
}

impl Gap {
    /// Whether nothing of a whole node is there at a moment. Both ends have samples.
    pub fn is_blank(&self, at: Stamp) -> bool {
        let begun = self.from.is_some_and(|from| at > from);
        let over = self.to.is_some_and(|to| at >= to);
        begun && !over && self.filled.is_none() && self.collector.is_none()
    }

    /// Why, in words.
    pub fn why(&self) -> String {
        let mut why = self.cause.replace('_', " ");
        if self.samples > 0 {
            why += &format!(", {} samples", self.samples);
        }
        if self.filled.is_some() {
            why += ", back-filled";
        }
        why
    }
}
