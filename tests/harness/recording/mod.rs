//! A recording: what one real agent saw of its host for a while, as a file. Figures of the wire and of the store
//! are given on one, because made-up loads flatter whoever made them up.
//!
//! ```text
//!   file    "QREC" │ version u8 │ block … │ block without content
//!   block   packed u32 │ unpacked u32 │ check u32 │ content, zstd                 integers little-endian
//!   content tick … │ tick                                                          varints, see `write`
//! ```
//!
//! It holds values, not what a wire made of them, so that it outlives the wire it was recorded on. A block is read
//! after all blocks before it: a tick says what changed since the last one. The check is CRC-32C over the block's
//! number, its lengths and what is packed. The last block has no content; in place of the unpacked length it says
//! how many ticks there are, so that a file which was cut off is known as such.
//!
//! Whatever is wrong with a file is an error that names the block and the byte where it begins.

mod bytes;
mod play;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use play::Player;
pub use read::Reader;
pub use write::Writer;

use quorate_agent::encode::{GroupInfo, NewSeries};
use quorate_common::model::time::Now;

const MAGIC: &[u8; 4] = b"QREC";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 12;
/// A block is closed when it holds this much, unpacked.
const BLOCK_BYTES: usize = 1 << 18;
/// No block holds more.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// One tick of the recorded host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// When it was sampled.
    pub at: Now,
    /// How long until the next tick was due.
    pub next_due_ms: u32,
    /// Groups that begin, numbered on from those before.
    pub groups: Vec<GroupInfo>,
    /// Series that begin. Slots are numbered on from those before and never used again.
    pub registered: Vec<NewSeries>,
    /// Slots that end, ascending.
    pub retired: Vec<u32>,
    /// Groups that were sampled, ascending.
    pub sampled: Vec<u32>,
    /// Slots whose cell is another than before, ascending, with the new cell. A series begins with cell 0.
    pub changed: Vec<(u32, i64)>,
}

/// Over everything that must be right before a block is unpacked.
fn check(number: u32, lengths: &[u8], packed: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), lengths);
    crc32c::crc32c_append(head, packed)
}
