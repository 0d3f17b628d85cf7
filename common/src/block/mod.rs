//! Block: many rows of some series of one node, as columns, compressed. History on disk and what an agent sends of
//! an outage are made of these.
//!
//! ```text
//!   block    version u8 │ columns u8 │ rows varint │ lengths of the body, unpacked and packed, varints │ body, zstd │ bits
//!   body     length of each part varint … │ bytes of bits of each column varint … │ times │ column … │ column
//!   times    first, then differences of differences
//!   column   how u8 │ presence │ values                         see [`column`]
//! ```
//!
//! All series of a block share one time column, and the compressor sees like beside like: that is where the bytes
//! are saved. A block stands for itself: nothing outside of it is needed to read it but what its columns are called.
//! Reading one column unpacks the body once and decodes nothing of the others. Times are whole numbers of whatever
//! unit the caller has chosen. It checks that a block can be read, not that nobody changed it: what contains blocks
//! has a checksum.

mod bits;
mod body;
mod column;
#[cfg(test)]
mod tests;

use crate::cell::Form;
use crate::cell::varint::{self, VarintError};
use column::{read, write};
use std::io;

/// Most series of a block.
pub const COLUMNS_MAX: usize = 64;
/// Most rows of a block.
pub const ROWS_MAX: usize = 65_536;
const VERSION: u8 = 2;
/// A varint, and some for each column and run.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One series over all rows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What its cells are.
    pub form: Form,
    /// One for each row; where there is no sample, anything.
    pub cells: Vec<i64>,
    /// Which rows have a sample; empty for all of them.
    pub present: Vec<bool>,
}

/// Why a block cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// More columns or rows than a block may have, or columns of other lengths than the time column.
    #[error("{columns} columns of {rows} rows are no block")]
    Shape {
        /// How many columns.
        columns: usize,
        /// How many rows.
        rows: usize,
    },
    /// Of a later version, or none at all.
    #[error("block version {0} is not known")]
    Version(u8),
    /// It ends early, goes on after its end, or says of itself what cannot be.
    #[error("block is damaged: {0}")]
    Damaged(&'static str),
    /// A number in it is damaged.
    #[error("block is damaged")]
    Varint(#[from] VarintError),
    /// The compressor failed.
    #[error("failed to {0} a block")]
    Zstd(&'static str, #[source] io::Error),
}

/// Makes a block.
pub fn encode(times: &[i64], columns: &[Column]) -> Result<Vec<u8>, BlockError> {
    let rows = times.len();
    let fits = |column: &Column| {
        column.cells.len() == rows && (column.present.is_empty() || column.present.len() == rows)
    };
    if columns.len() > COLUMNS_MAX || rows == 0 || rows > ROWS_MAX || !columns.iter().all(fits) {
        return Err(BlockError::Shape { columns: columns.len(), rows });
    }
    let mut first = Vec::new();
    column::put_twice(&mut first, times.iter().copied());
    let (bodies, bits): (Vec<Vec<u8>>, Vec<Vec<u8>>) = columns.iter().map(write).unzip();
    let parts: Vec<Vec<u8>> = std::iter::once(first).chain(bodies).collect();
    let mut body = Vec::new();
    parts.iter().chain(&bits).for_each(|part| varint::put(&mut body, part.len() as u64));
    parts.iter().for_each(|part| body.extend_from_slice(part));
    let packed = body::pack(&body).map_err(|error| BlockError::Zstd("compress", error))?;
    let mut out = vec![VERSION, columns.len() as u8];
    varint::put(&mut out, rows as u64);
    varint::put(&mut out, body.len() as u64);
    varint::put(&mut out, packed.len() as u64);
    out.extend_from_slice(&packed);
    bits.iter().for_each(|bits| out.extend_from_slice(bits));
    Ok(out)
}

/// A block whose body is unpacked.
#[derive(Debug)]
pub struct Block {
    rows: usize,
    body: Vec<u8>,
    /// Where each part of the body ends; the times are the first.
    ends: Vec<usize>,
    /// Those of all columns.
    bits: Vec<u8>,
    /// Where those of each column end.
    bit_ends: Vec<usize>,
}

impl Block {
    /// Unpacks it. Takes no more memory than a block may have, whatever the bytes say.
    pub fn open(bytes: &[u8]) -> Result<Block, BlockError> {
        let (&[version, columns], mut rest) =
            bytes.split_first_chunk::<2>().ok_or(BlockError::Damaged("it has no head"))?;
        if version != VERSION {
            return Err(BlockError::Version(version));
        }
        let (rows, length) = (varint::take(&mut rest)? as usize, varint::take(&mut rest)? as usize);
        if usize::from(columns) > COLUMNS_MAX || rows == 0 || rows > ROWS_MAX {
            return Err(BlockError::Shape { columns: columns.into(), rows });
        }
        if length > BODY_BYTES_MAX {
            return Err(BlockError::Damaged("its body is longer than any may be"));
        }
        let packed = usize::try_from(varint::take(&mut rest)?).unwrap_or(usize::MAX);
        let (rest, bits) = rest.split_at_checked(packed).ok_or(BlockError::Damaged("its body is cut off"))?;
        let body = body::unpack(rest, length).map_err(|error| BlockError::Zstd("read", error))?;
        if body.len() != length {
            return Err(BlockError::Damaged("its body is shorter than it says"));
        }
        let (mut lengths, columns) = (body.as_slice(), usize::from(columns));
        let (parts, bit_parts) =
            (take_lengths(&mut lengths, columns + 1)?, take_lengths(&mut lengths, columns)?);
        let ends = self::ends(body.len() - lengths.len(), parts, body.len())?;
        let bit_ends = self::ends(0, bit_parts, bits.len())?;
        Ok(Block { rows, body, ends, bits: bits.to_vec(), bit_ends })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    pub fn columns(&self) -> usize {
        self.ends.len() - 2
    }

    /// The time of each row.
    pub fn times(&self) -> Result<Vec<i64>, BlockError> {
        let mut bytes = self.part(0)?;
        let times = column::take_twice(&mut bytes, self.rows)?;
        if bytes.is_empty() { Ok(times) } else { Err(BlockError::Damaged("more times than rows")) }
    }

    /// One series.
    pub fn column(&self, at: usize) -> Result<Column, BlockError> {
        read(self.part(at + 1)?, cut(&self.bits, &self.bit_ends, at)?, self.rows)
    }

    fn part(&self, at: usize) -> Result<&[u8], BlockError> {
        cut(&self.body, &self.ends, at)
    }
}

fn cut<'a>(bytes: &'a [u8], ends: &[usize], at: usize) -> Result<&'a [u8], BlockError> {
    let span = ends.get(at).zip(ends.get(at + 1));
    let (begin, end) = span.ok_or(BlockError::Damaged("it has no such column"))?;
    bytes.get(*begin..*end).ok_or(BlockError::Damaged("a part is cut off"))
}

fn take_lengths(bytes: &mut &[u8], count: usize) -> Result<Vec<u64>, BlockError> {
    Ok((0..count).map(|_| varint::take(bytes)).collect::<Result<_, _>>()?)
}

/// Where parts begin and end that follow one another from `begin` on, exactly up to `end`.
fn ends(begin: usize, lengths: Vec<u64>, end: usize) -> Result<Vec<usize>, BlockError> {
    let mut ends = vec![begin];
    for length in lengths {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        ends.push(ends[ends.len() - 1].saturating_add(length));
    }
    if ends.last() == Some(&end) { Ok(ends) } else { Err(BlockError::Damaged("its parts do not add up")) }
}
