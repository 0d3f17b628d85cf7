//! A backup as it arrives.

use super::convert::stamp;
use super::{CallError, Connection};
use crate::view::{BackupBegin, BackupPart};
use quorate_proto::v1;
use quorate_proto::v1::backup_response::Part;
use tonic::Streaming;

/// What is tried.
const ACTION: &str = "take the backup";

/// A stream of parts.
#[derive(Debug)]
pub struct Backup {
    stream: Streaming<v1::BackupResponse>,
}

impl Connection {
    /// Begins a backup.
    pub async fn backup(&self, without_keys: bool) -> Result<Backup, CallError> {
        // No deadline travels with it: only its beginning has one.
        let stream = self.call(ACTION, self.admin().backup(v1::BackupRequest { without_keys })).await?;
        Ok(Backup { stream })
    }
}

impl Backup {
    /// The next part. There is always one before the end.
    pub async fn next(&mut self) -> Result<BackupPart, CallError> {
        loop {
            let message =
                self.stream.message().await.map_err(|status| CallError::refused(ACTION, &status))?;
            let message = message.ok_or(CallError::Answer { action: ACTION, problem: "ends too early" })?;
            match message.part {
                Some(Part::Begin(begin)) => return Ok(BackupPart::Begin(begin.into())),
                Some(Part::File(v1::BackupFile { name, bytes })) => {
                    return Ok(BackupPart::File { name, bytes });
                }
                Some(Part::Data(data)) => return Ok(BackupPart::Data(data.into())),
                Some(Part::End(v1::BackupEnd { files, bytes })) => {
                    return Ok(BackupPart::End { files, bytes });
                }
                // A part of a newer protocol.
                None => {}
            }
        }
    }
}

impl From<v1::BackupBegin> for BackupBegin {
    fn from(message: v1::BackupBegin) -> BackupBegin {
        let v1::BackupBegin { aggregator, version, created, has_keys, files, bytes } = message;
        BackupBegin { aggregator, version, created: stamp(created), has_keys, files, bytes }
    }
}
