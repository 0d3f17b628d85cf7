//! Entropy of the random number generator: `/proc/sys/kernel/random`. Constant on kernels from 5.18 on.

use super::scalar::{Parse, Scalars, one};
use quorate_common::catalog::{ENTROPY_AVAILABLE, ENTROPY_POOL_SIZE};
use std::path::Path;

/// Reads two files below `root`, every `interval_ms`.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    let files: [(&str, Parse); 2] = [
        ("proc/sys/kernel/random/entropy_avail", |lines, fields| one(lines, fields, &ENTROPY_AVAILABLE)),
        ("proc/sys/kernel/random/poolsize", |lines, fields| one(lines, fields, &ENTROPY_POOL_SIZE)),
    ];
    Scalars::new("entropy", root, interval_ms, &files)
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn two_numbers() {
        let files = [
            ("proc/sys/kernel/random/entropy_avail", "3000\n"),
            ("proc/sys/kernel/random/poolsize", "4096\n"),
        ];
        assert_eq!(say(new, &files), "node_entropy_available_bits 3000\nnode_entropy_pool_size_bits 4096\n");
    }
}
