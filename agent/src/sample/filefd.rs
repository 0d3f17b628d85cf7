//! Open files of the whole host: `/proc/sys/fs/file-nr`.

use super::error::SampleError;
use super::scalar::{Fields, Scalars};
use super::text::{Lines, cell};
use quorate_common::catalog::{FILEFD_ALLOCATED, FILEFD_MAXIMUM};
use std::path::Path;

/// Reads `/proc/sys/fs/file-nr` below `root`, every `interval_ms`.
pub(super) fn new(root: &Path, interval_ms: u32) -> Scalars {
    Scalars::new("filefd", root, interval_ms, &[("proc/sys/fs/file-nr", parse)])
}

fn parse(mut lines: Lines<'_>, fields: &mut Fields<'_>) -> Result<(), SampleError> {
    let mut line = lines.next().ok_or_else(|| lines.error("no line"))?;
    let allocated = line.number(FILEFD_ALLOCATED.name)?;
    // What is allocated and free: always 0 since Linux 2.6.
    line.skip(1);
    let maximum = line.number(FILEFD_MAXIMUM.name)?;
    fields.set(&FILEFD_ALLOCATED, cell(allocated))?;
    fields.set(&FILEFD_MAXIMUM, cell(maximum))
}

#[cfg(test)]
mod tests {
    use super::super::scalar::say;
    use super::*;

    #[test]
    fn two_of_three_numbers() {
        let check = |text: &str, expect: &str| assert_eq!(say(new, &[("proc/sys/fs/file-nr", text)]), expect);
        check(
            "2494\t0\t9223372036854775807\n",
            "node_filefd_allocated 2494\nnode_filefd_maximum 9223372036854776000\n",
        );
        check("1 0\n", "failed to parse `/proc/sys/fs/file-nr` line 1: `node_filefd_maximum` is missing");
        check("", "failed to parse `/proc/sys/fs/file-nr` line 1: no line");
    }
}
