//! The audit log.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use serde::Serialize;

/// Lines, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditList {
    pub lines: Vec<AuditLine>,
    /// Whether there are older ones that were not asked for.
    pub more: bool,
}

/// One thing that was done, or refused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Stamp>,
    pub actor: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
}
