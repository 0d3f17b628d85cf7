//! Backups of the aggregator.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use serde::Serialize;
use std::path::PathBuf;

/// A part of a backup that arrives.
#[derive(Clone, Debug, PartialEq)]
pub enum BackupPart {
    Begin(BackupBegin),
    File { name: String, bytes: u64 },
    Data(Vec<u8>),
    End { files: u64, bytes: u64 },
}

/// What is to come.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupBegin {
    pub aggregator: String,
    pub version: String,
    pub created: Option<Stamp>,
    pub has_keys: bool,
    pub files: u64,
    pub bytes: u64,
}

/// A backup that lies in a file, whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackupFile {
    pub file: PathBuf,
    pub aggregator: String,
    pub version: String,
    pub created: Stamp,
    pub has_keys: bool,
    pub files: u64,
    pub bytes: u64,
}
