//! Numbers and texts of a recording as bytes, and back.

use anyhow::{Context, ensure};
use std::sync::Arc;

/// Appends a number, seven bits a byte, the lowest first.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the difference of two numbers; small ones of either sign are short.
pub fn put_change(out: &mut Vec<u8>, from: i64, to: i64) {
    let change = to.wrapping_sub(from);
    put(out, (change.cast_unsigned() << 1) ^ (change >> 63).cast_unsigned());
}

/// Appends a text after its length.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Takes numbers and texts off the front of some bytes.
#[derive(Debug)]
pub struct Cursor<'a>(pub &'a [u8]);

impl Cursor<'_> {
    /// A number.
    pub fn number(&mut self) -> anyhow::Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().context("a number is cut off")?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            ensure!(bits << shift >> shift == bits, "a number exceeds 64 bits");
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        anyhow::bail!("a number exceeds 64 bits")
    }

    /// A number that must fit.
    pub fn small<N: TryFrom<u64>>(&mut self) -> anyhow::Result<N> {
        let number = self.number()?;
        N::try_from(number).ok().with_context(|| format!("{number} is too large for its place"))
    }

    /// A count of things of at least one byte each, so that no more of them can follow than bytes.
    pub fn count(&mut self) -> anyhow::Result<usize> {
        let count: usize = self.small()?;
        ensure!(count <= self.0.len(), "{count} things do not fit into {} bytes", self.0.len());
        Ok(count)
    }

    /// What `from` has become.
    pub fn changed(&mut self, from: i64) -> anyhow::Result<i64> {
        let zigzag = self.number()?;
        Ok(from.wrapping_add((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()))
    }

    /// A text.
    pub fn text(&mut self) -> anyhow::Result<Arc<str>> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(std::str::from_utf8(text).context("a text is not UTF-8")?.into())
    }
}
