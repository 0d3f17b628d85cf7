//! Pack: bytes made shorter with zstd, and back, never longer than the reader allows.

use std::io;

/// More costs ten times the time for a twentieth of the bytes.
const LEVEL: i32 = 3;

/// Why packed bytes cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to unpack")]
pub struct UnpackError(#[source] io::Error);

/// Shorter, if there is anything to be shortened.
///
/// # Errors
/// The compressor failed.
pub fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, LEVEL)
}

/// What was packed.
///
/// # Errors
/// It was not packed by [`pack`], was damaged since, or would be longer than `bytes_max`. Takes no more memory than
/// that, whatever the bytes say.
pub fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, UnpackError> {
    zstd::bulk::decompress(packed, bytes_max).map_err(UnpackError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_and_is_never_longer_than_allowed() {
        let bytes = b"abc".repeat(1000);
        let packed = pack(&bytes).unwrap();
        assert!(packed.len() < 100);
        assert_eq!(unpack(&packed, 3000).unwrap(), bytes);
        assert!(unpack(&packed, 2999).is_err());
        assert!(unpack(&packed[..packed.len() - 1], 3000).is_err());
        assert!(unpack(b"nothing", 3000).is_err());
    }
}
