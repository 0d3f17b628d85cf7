//! Body: compressed and back. Each thread has one compressor and one of what undoes it, for making them takes longer
//! than most bodies do.

use std::cell::RefCell;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// More costs ten times the time for a twentieth of the bytes.
const LEVEL: i32 = 3;

thread_local! {
    static PACK: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

pub(super) fn pack(body: &[u8]) -> io::Result<Vec<u8>> {
    PACK.with_borrow_mut(|pack| match pack {
        Some(pack) => pack.compress(body),
        None => pack.insert(Compressor::new(LEVEL)?).compress(body),
    })
}

/// No longer than `length`, whatever the bytes say.
pub(super) fn unpack(packed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    UNPACK.with_borrow_mut(|unpack| match unpack {
        Some(unpack) => unpack.decompress(packed, length),
        None => unpack.insert(Decompressor::new()?).decompress(packed, length),
    })
}
