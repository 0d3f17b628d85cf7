//! The targets: everything that reads what somebody else wrote, as a plain function of bytes.
//!
//! A target panics where a promise is broken. Its number says how an input ended: equal ways, equal numbers.

mod access;
mod disk;
mod kernel;
mod local;
mod rejoin;
mod wire;

use std::hash::{DefaultHasher, Hash, Hasher};
use tempfile::TempDir;

/// One thing that reads.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]) -> u64,
    /// Inputs as they are in earnest.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What its language is made of.
    pub words: &'static [&'static [u8]],
}

/// All of them.
pub fn all() -> Vec<Target> {
    let near = [access::targets(), rejoin::targets(), local::targets(), disk::targets(), kernel::targets()];
    [wire::targets()].into_iter().chain(near).flatten().collect()
}

/// The number of a way: letters only, so that the same message about another value is the same way.
fn way(text: &str) -> u64 {
    let mut hash = DefaultHasher::new();
    let mut quoted = false;
    for byte in text.bytes().take(400) {
        quoted ^= byte == b'`' || byte == b'"';
        if !quoted && byte.is_ascii_alphabetic() {
            byte.hash(&mut hash);
        }
    }
    hash.finish()
}

/// How a result ended; one that is fine by the size of what it gave.
fn ended<T, E: std::fmt::Display>(result: &Result<T, E>, size: impl FnOnce(&T) -> usize) -> u64 {
    match result {
        Ok(value) => u64::from(size(value).checked_ilog2().unwrap_or(0)),
        Err(error) => way(&error.to_string()),
    }
}

/// The ways of one step after the other.
fn then(ways: u64, way: u64) -> u64 {
    (ways ^ way).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17).wrapping_add(1)
}

/// A directory in memory, where there is one: thousands of small files a second are written.
fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Texts as inputs.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Takes inputs apart that hold several pieces: a length of two bytes, then so many bytes, or what there is.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (piece, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(*length).into()));
        self.0 = rest;
        Some(piece)
    }
}

/// The inverse of [`Pieces`].
fn pieces<P: AsRef<[u8]>>(pieces: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        bytes.extend(u16::try_from(piece.len()).unwrap().to_le_bytes());
        bytes.extend(piece);
    }
    bytes
}
