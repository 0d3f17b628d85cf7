//! Piece: one file of the journal, a stretch of ticks that can be sent by itself.
//!
//! ```text
//!   name      <epoch order>-<epoch nonce>-<first frame>-<salt>.qj1
//!   records   begin (boot id) │ message │ frame (number, collected total, message) …
//!             messages as on the wire, each behind its length
//! ```
//!
//! It begins with all that is registered, so that damage costs what is left of this file and nothing of another.

use crate::encode::{Catalogue, Stretch, Tick};
use bytes::Bytes;
use quorate_common::cell::CellError;
use quorate_common::disk::Disk;
use quorate_common::journal::{self, Journal, JournalError, parse_name};
use quorate_common::model::backfill;
use quorate_common::model::session::{AgentMessage, Epoch};
use quorate_common::pack::pack;
use quorate_common::rng::Rng;
use quorate_proto::convert::SessionWriter;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ticks in one piece: so much is lost at most by one damaged byte.
const FRAMES_MAX: u64 = 64;
/// A piece that is this long takes no further tick.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// No piece is longer, with its last tick: a longer file is not read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const BEGIN: u8 = 1;
const MESSAGE: u8 = 2;
const FRAME: u8 = 3;

/// Why a tick is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// It cannot be encoded.
    #[error("failed to encode frame {0}")]
    Encode(u64, #[source] CellError),
    /// It cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What is known of a piece without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub path: PathBuf,
    /// Whose frames it has.
    pub epoch: Epoch,
    /// Number of its first frame.
    pub first: u64,
    /// Number of its last frame.
    pub last: u64,
    /// Samples collected when that was.
    pub collected_total: u64,
    /// Length of the file.
    pub bytes: u64,
    /// It survives a power cut, or did not let itself be made to.
    pub is_synced: bool,
}

/// A piece under way.
pub struct Open {
    journal: Journal,
    stretch: Stretch,
    writer: SessionWriter,
    epoch: Epoch,
    first: u64,
    last: u64,
    collected_total: u64,
}

impl Open {
    /// Begins with what is registered before frame `first`. Nothing is on disk before the first tick.
    pub fn begin(
        (disk, directory): (Arc<dyn Disk>, &Path),
        (epoch, boot_id): (Epoch, [u8; 16]),
        (base, first): (&Catalogue, u64),
        rng: &mut dyn Rng,
    ) -> Result<Open, PieceError> {
        let stem = format!("{:016x}-{:016x}-{first:016x}", epoch.order, epoch.nonce);
        let journal = Journal::begin(disk, directory, &stem, rng);
        let (stretch, writer) = Default::default();
        let mut open = Open { journal, stretch, writer, epoch, first, last: first - 1, collected_total: 0 };
        open.journal.push(BEGIN, &boot_id)?;
        let mut messages = Vec::new();
        open.stretch.begin(base, &mut messages);
        open.push(messages)?;
        Ok(open)
    }

    /// Adds a tick and hands it to the kernel: it survives the end of this process.
    pub fn tick(&mut self, tick: &Tick) -> Result<(), PieceError> {
        let mut messages = Vec::new();
        let encoded = self.stretch.tick(tick, 0, &mut messages);
        encoded.map_err(|source| PieceError::Encode(tick.seq, source))?;
        self.push(messages)?;
        self.journal.write()?;
        (self.last, self.collected_total) = (tick.seq, tick.collected_total);
        Ok(())
    }

    fn push(&mut self, messages: Vec<AgentMessage>) -> Result<(), JournalError> {
        for message in messages {
            let frame = match &message {
                AgentMessage::Frame(frame) => Some((frame.seq, frame.collected_total)),
                _ => None,
            };
            let bytes = self.writer.bytes(message);
            match frame {
                Some((seq, total)) => {
                    let head = [seq.to_le_bytes(), total.to_le_bytes()].concat();
                    self.journal.push(FRAME, &[head, bytes].concat())?;
                }
                None => self.journal.push(MESSAGE, &bytes)?,
            }
        }
        Ok(())
    }

    /// Everything survives a power cut.
    pub fn sync(&mut self) -> Result<(), PieceError> {
        Ok(self.journal.sync()?)
    }

    /// Where it lies, if anything was written.
    pub fn path(&self) -> &Path {
        self.journal.path()
    }

    /// Whether the next tick belongs to another piece.
    pub fn is_full(&self) -> bool {
        self.last + 1 >= self.first + FRAMES_MAX || self.journal.bytes() >= BYTES_MAX
    }

    /// What is known of it; `None` before its first tick.
    pub fn entry(&self) -> Option<Entry> {
        let (path, bytes) = (self.journal.path().to_owned(), self.journal.bytes());
        let (epoch, first, last, collected_total) = (self.epoch, self.first, self.last, self.collected_total);
        let entry = Entry { path, epoch, first, last, collected_total, bytes, is_synced: false };
        (self.last >= self.first).then_some(entry)
    }
}

/// A piece as it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    boot_id: [u8; 16],
    messages: Vec<u8>,
    /// The last frame that can be sent; `None` if none can.
    pub last: Option<u64>,
    /// The last frame that was there, after damage too.
    pub seen: u64,
    /// Samples collected when that was.
    pub collected_total: u64,
}

impl Read {
    /// The piece as it is sent.
    pub fn pack(&self, epoch: Epoch) -> io::Result<backfill::Piece> {
        let packed = Bytes::from(pack(&self.messages)?);
        Ok(backfill::Piece { epoch, boot_id: self.boot_id, packed })
    }
}

/// Whose piece a file is, and the number of its first frame; `None` if it is none.
pub fn named(name: &OsStr) -> Option<(Epoch, u64)> {
    let (stem, _) = parse_name(name)?;
    let mut numbers = stem.split('-').map(|digits| u64::from_str_radix(digits, 16).ok());
    let (order, nonce, first) = (numbers.next()??, numbers.next()??, numbers.next()??);
    (numbers.next().is_none() && first > 0).then_some((Epoch { order, nonce }, first))
}

/// Reads a piece up to its first damage.
pub fn read(disk: &dyn Disk, path: &Path) -> io::Result<(Read, u64)> {
    let salt = path.file_name().and_then(parse_name).map(|(_, salt)| salt);
    let salt = salt.ok_or_else(|| io::Error::other("not the name of a journal"))?;
    let content = disk.read(path, FILE_BYTES_MAX)?;
    Ok((records(&content, salt), content.len() as u64))
}

fn records(content: &[u8], salt: u64) -> Read {
    let mut read = Read::default();
    let mut is_whole = false;
    for (at, piece) in journal::pieces(content, salt).enumerate() {
        match piece {
            journal::Piece::Record { kind: BEGIN, payload, .. } if at == 0 => {
                is_whole = payload.try_into().map(|boot_id| read.boot_id = boot_id).is_ok();
            }
            journal::Piece::Record { kind: MESSAGE, payload, .. } if is_whole => {
                read.messages.extend_from_slice(payload);
            }
            journal::Piece::Record { kind: FRAME, payload, .. } => {
                let Some((seq, rest)) = payload.split_first_chunk::<8>() else { continue };
                let Some((total, message)) = rest.split_first_chunk::<8>() else { continue };
                (read.seen, read.collected_total) = (u64::from_le_bytes(*seq), u64::from_le_bytes(*total));
                if is_whole {
                    read.messages.extend_from_slice(message);
                    read.last = Some(read.seen);
                }
            }
            _ => is_whole = false,
        }
    }
    read
}
