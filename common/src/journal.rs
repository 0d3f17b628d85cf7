//! Journal: a file of records that is only ever added to, and read back whatever happened to it.
//!
//! ```text
//!   file name   <stem>-<salt>.qj1                       the format and the salt are safe from damage inside
//!   record      kind u8 │ length u32 │ check u32 │ payload … │ check u32          integers little-endian
//!                  └─────────── of the head ──┘       └─ of head and payload
//! ```
//!
//! A damaged byte costs the record that it is in: after it the reader looks for the next place where both checks
//! are right. They are CRC-32C over the file's random salt and the record's place in the file, so that no payload,
//! whoever wrote it, can be taken for a record. A file that was cut off ends with its last whole record.
//!
//! It knows nothing of what records mean. A file belongs to the process that made it: another one reads it, and
//! begins a file of its own. After a failed write or sync the file is over, too, for nobody knows what the kernel
//! has kept of it.

use crate::disk::Disk;
use crate::rng::Rng;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest payload of a record.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
const EXTENSION: &str = ".qj1";
const SALT_DIGITS: usize = 16;
const HEAD_BYTES: usize = 9;
const CHECK_BYTES: usize = 4;

/// A journal that is written.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    salt: u64,
    /// Bytes that were handed to the disk.
    written: u64,
    /// Records that were not.
    pending: Vec<u8>,
    is_over: bool,
}

/// Why a record is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It is longer than any may be.
    #[error("a record of {0} bytes, limit {PAYLOAD_BYTES_MAX}")]
    Long(usize),
    /// The disk failed, now or before; the file takes no more.
    #[error("failed to {what} `{}`", path.display())]
    Disk {
        /// `write`, `sync`, or `use` when it had failed before.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Journal {
    /// Begins a file in `directory`. Nothing is on disk before the first [`Journal::write`].
    pub fn begin(disk: Arc<dyn Disk>, directory: &Path, stem: &str, rng: &mut dyn Rng) -> Journal {
        let salt = rng.u64();
        let path = directory.join(format!("{stem}-{salt:0SALT_DIGITS$x}{EXTENSION}"));
        Journal { disk, path, salt, written: 0, pending: Vec::new(), is_over: false }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length with everything that was pushed.
    pub fn bytes(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Takes a record. It is with the kernel after [`Journal::write`], and survives a power cut after
    /// [`Journal::sync`].
    pub fn push(&mut self, kind: u8, payload: &[u8]) -> Result<(), JournalError> {
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_BYTES_MAX);
        let length = length.ok_or(JournalError::Long(payload.len()))?;
        let (head, end) = checks((self.salt, self.bytes()), (kind, length), payload);
        self.pending.push(kind);
        self.pending.extend_from_slice(&length.to_le_bytes());
        self.pending.extend_from_slice(&head.to_le_bytes());
        self.pending.extend_from_slice(payload);
        self.pending.extend_from_slice(&end.to_le_bytes());
        Ok(())
    }

    /// Hands all records to the kernel: they survive the end of this process.
    pub fn write(&mut self) -> Result<(), JournalError> {
        self.check()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let done = self.disk.append(&self.path, &self.pending);
        self.settle("write", done)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Hands all records to the disk: they survive a power cut.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.write()?;
        if self.written == 0 {
            return Ok(());
        }
        let done = self.disk.sync(&self.path);
        self.settle("sync", done)
    }

    fn check(&self) -> Result<(), JournalError> {
        if !self.is_over {
            return Ok(());
        }
        let source = io::Error::other("it has failed before");
        Err(JournalError::Disk { what: "use", path: self.path.clone(), source })
    }

    fn settle(&mut self, what: &'static str, done: io::Result<()>) -> Result<(), JournalError> {
        done.map_err(|source| {
            self.is_over = true;
            JournalError::Disk { what, path: self.path.clone(), source }
        })
    }
}

/// What a file name says: the stem that it was begun with, and the salt of its checks.
pub fn parse_name(name: &OsStr) -> Option<(&str, u64)> {
    let (stem, salt) = name.to_str()?.strip_suffix(EXTENSION)?.rsplit_once('-')?;
    let is_ours =
        salt.len() == SALT_DIGITS && salt.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    Some((stem, u64::from_str_radix(salt, 16).ok().filter(|_| is_ours)?))
}

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A record as it was pushed.
    Record {
        /// As given.
        kind: u8,
        /// As given.
        payload: &'a [u8],
        /// Where it begins.
        at: usize,
    },
    /// Bytes that are no record.
    Damage {
        /// Where they begin.
        at: usize,
        /// How many there are.
        bytes: usize,
    },
}

/// Everything in a file, in order. `salt` is that of its name.
pub fn pieces(content: &[u8], salt: u64) -> Pieces<'_> {
    Pieces { content, salt, at: 0 }
}

/// The record that begins `bytes`, which begin at `at` in their file; `None` if it is damaged.
pub fn record_at(bytes: &[u8], salt: u64, at: u64) -> Option<(u8, &[u8])> {
    record((salt, at), bytes)
}

/// See [`pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    content: &'a [u8],
    salt: u64,
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let begin = self.at;
        while self.at < self.content.len() {
            let Some((kind, payload)) = self.record(self.at) else {
                self.at += 1;
                continue;
            };
            if self.at > begin {
                break;
            }
            self.at += HEAD_BYTES + payload.len() + CHECK_BYTES;
            return Some(Piece::Record { kind, payload, at: begin });
        }
        (self.at > begin).then(|| Piece::Damage { at: begin, bytes: self.at - begin })
    }
}

impl<'a> Pieces<'a> {
    /// The record that begins here, if one does.
    fn record(&self, at: usize) -> Option<(u8, &'a [u8])> {
        record((self.salt, at as u64), self.content.get(at..)?)
    }
}

fn record(place: Place, bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let &[kind, a, b, c, d, ref told @ ..] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    if u32::from_le_bytes(*told) != check_head(place, (kind, length)) {
        return None;
    }
    let (payload, rest) = rest.split_at_checked(length as usize)?;
    let told = rest.first_chunk::<CHECK_BYTES>()?;
    let (_, end) = checks(place, (kind, length), payload);
    (u32::from_le_bytes(*told) == end).then_some((kind, payload))
}

type Place = (u64, u64);

fn check_head((salt, at): Place, (kind, length): (u8, u32)) -> u32 {
    let mut bytes = [0; 21];
    bytes[..8].copy_from_slice(&salt.to_le_bytes());
    bytes[8..16].copy_from_slice(&at.to_le_bytes());
    bytes[16] = kind;
    bytes[17..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c(&bytes)
}

/// Of the head, and of all.
fn checks(place: Place, head: (u8, u32), payload: &[u8]) -> (u32, u32) {
    let check = check_head(place, head);
    (check, crc32c::crc32c_append(check, payload))
}

#[cfg(test)]
mod tests;
