//! How the aggregator itself does.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The aggregator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Aggregator {
    pub name: String,
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    pub certificates: Vec<Certificate>,
    pub doors: Vec<Door>,
    pub limits: Vec<Limit>,
    pub refused: BTreeMap<String, u64>,
    pub newer_agents: u32,
    pub clock_ahead_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<StoredHistory>,
}

/// The history on disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredHistory {
    pub files: u64,
    pub bytes: u64,
    pub verified: u64,
    pub damaged: Vec<SpoiltFile>,
    pub quarantined: Vec<SpoiltFile>,
}

/// A file in which there is damage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpoiltFile {
    pub name: String,
    pub bytes: u64,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Configuration {
    pub revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Stamp>,
    pub files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reload: Option<Reload>,
    pub needs_restart: Vec<String>,
}

/// How a reload went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reload {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Stamp>,
    pub ok: bool,
    pub text: String,
}

/// A certificate that the aggregator shows, or that vouches for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Certificate {
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Stamp>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Door {
    pub name: String,
    pub address: String,
    pub open: u64,
    pub accepted: u64,
    pub handshakes: u64,
    pub accept_errors: u64,
}

/// One limit, and how often it bit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    pub key: String,
    pub value: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitten: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
