//! Archive: some files in one, in order, so that a cut or a damaged byte is found and the file that it hit is named.
//!
//! ```text
//!   backup.json      what this is: format, whose, when, whether keys are in it
//!   …                the files
//!   manifest.sha256  SHA-256 and name of each file before it, as `sha256sum -c` reads it
//! ```
//!
//! It is a tar archive (POSIX ustar), so that `tar` lists and unpacks it. The reader takes only what the writer
//! writes, byte for byte: names are short and plain, and lead nowhere but below the directory that they are unpacked
//! in. It is written and read as a stream; nobody holds a file in memory.

mod read;
mod write;

pub use read::{Take, read};
pub use write::Writer;

use std::fmt;

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// Longest name of a file.
pub const NAME_BYTES_MAX: usize = 100;
const ABOUT: &str = "backup.json";
const MANIFEST: &str = "manifest.sha256";
const BLOCK: usize = 512;
/// More is no file that only says what others are.
const ABOUT_BYTES_MAX: u64 = 64 << 20;

/// What an archive is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct About {
    /// Of the archive: [`FORMAT`].
    pub format: u32,
    /// The aggregator that it is of.
    pub aggregator: String,
    /// The version of that aggregator.
    pub version: String,
    /// When it was begun, in seconds since the Unix epoch.
    pub created_s: i64,
    /// Whether private keys are in it.
    pub has_keys: bool,
}

/// What was written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it is.
    pub about: About,
    /// How many files, without the two of the archive's own.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

/// Why an archive is not written or not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive cannot be written, or not be read.
    #[error("failed to {0} the archive")]
    Archive(&'static str, #[source] std::io::Error),
    /// A file of it cannot be put where it belongs.
    #[error("failed to unpack `{0}`")]
    Unpack(String, #[source] std::io::Error),
    /// The end is missing.
    #[error("the archive is cut off in `{0}`")]
    Cut(String),
    /// A byte of it is not as it was written.
    #[error("the archive is damaged in `{0}`")]
    Damaged(String),
    /// It is of something else.
    #[error("this is no backup of an aggregator")]
    Foreign,
    /// It is of a later version.
    #[error("format {0} of the backup is newer than {FORMAT}, the newest that is known here")]
    Newer(u32),
    /// A file was announced with another length.
    #[error("`{name}` has {bytes} bytes, not {announced}")]
    Length {
        /// Which file.
        name: String,
        /// As announced.
        announced: u64,
        /// As it is.
        bytes: u64,
    },
    /// A name that no file of ours has.
    #[error("`{}` is no name of a file in a backup", .0.escape_debug())]
    Name(String),
}

/// Whether it is one or two plain parts, none of them hidden.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
    name.len() <= NAME_BYTES_MAX && name.split('/').count() <= 2 && name.split('/').all(part)
}

/// The block before a file.
fn header(name: &str, bytes: u64, modified_s: i64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let modified = u64::try_from(modified_s).unwrap_or_default();
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000600\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(&mut block, 124, &number(bytes));
    put(&mut block, 136, &number(modified));
    put(&mut block, 156, b"0");
    put(&mut block, 257, b"ustar\x0000");
    // The sum is that of a block with spaces where it stands.
    put(&mut block, 148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(block: &mut [u8; BLOCK], at: usize, bytes: &[u8]) {
    block.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Eleven octal digits or, where they do not suffice, the number itself behind a mark.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        let digits = format!("{value:011o}\0");
        field.iter_mut().zip(digits.bytes()).for_each(|(to, from)| *to = from);
    } else {
        field[0] = 0x80;
        field[4..].copy_from_slice(&value.to_be_bytes());
    }
    field
}

fn parse_number(field: &[u8]) -> Option<u64> {
    match field.split_first()? {
        (0x80, rest) => Some(u64::from_be_bytes(*rest.last_chunk()?)),
        _ => u64::from_str_radix(std::str::from_utf8(field).ok()?.trim_end_matches('\0'), 8).ok(),
    }
}

/// Bytes that fill the last block of a file.
fn padding(bytes: u64) -> usize {
    ((BLOCK as u64 - bytes % BLOCK as u64) % BLOCK as u64) as usize
}

/// A line of the manifest.
struct Line<'a>(&'a [u8], &'a str);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        writeln!(f, "  {}", self.1)
    }
}

#[cfg(test)]
mod tests;
