//! `/proc/PID/stat` and `/proc/PID/io` as values.

use super::super::error::SampleError;
use super::super::text::Line;
use std::path::Path;

/// Set in the flags of the kernel's own threads.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What one process says of itself, in the kernel's units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub state: u8,
    pub parent: u32,
    pub is_kernel: bool,
    pub minor_faults: u64,
    pub major_faults: u64,
    pub user_ticks: u64,
    pub system_ticks: u64,
    pub threads: u64,
    /// Ticks from boot to the start.
    pub start_ticks: u64,
    pub virtual_bytes: u64,
    pub resident_pages: u64,
}

/// Bytes moved from and to storage since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Io {
    pub read_bytes: u64,
    pub write_bytes: u64,
}

/// The name of the program, and the rest. A name may hold spaces, brackets and any other byte.
pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<(&'a [u8], Stat), SampleError> {
    let error = || Line::whole(path, bytes).error("expected `pid (name) state`");
    let open = bytes.iter().position(|b| *b == b'(').ok_or_else(error)?;
    let close = bytes.iter().rposition(|b| *b == b')').filter(|close| *close > open).ok_or_else(error)?;
    let mut line = Line::whole(path, &bytes[close + 1..]);
    let mut stat = Stat {
        state: line.word().and_then(|word| word.first().copied()).ok_or_else(error)?,
        ..Stat::default()
    };
    stat.parent = u32::try_from(line.number("ppid")?).map_err(|_| line.error("`ppid` is too large"))?;
    line.skip(4);
    stat.is_kernel = line.number("flags")? & KERNEL_THREAD != 0;
    stat.minor_faults = line.number("minflt")?;
    line.skip(1);
    stat.major_faults = line.number("majflt")?;
    line.skip(1);
    stat.user_ticks = line.number("utime")?;
    stat.system_ticks = line.number("stime")?;
    line.skip(4);
    stat.threads = line.number("num_threads")?;
    line.skip(1);
    stat.start_ticks = line.number("starttime")?;
    stat.virtual_bytes = line.number("vsize")?;
    stat.resident_pages = line.number("rss")?;
    Ok((&bytes[open + 1..close], stat))
}

/// The two lines that count storage; the others count system calls, the page cache's traffic included.
pub(super) fn parse_io(path: &Path, bytes: &[u8]) -> Result<Io, SampleError> {
    let mut lines = super::super::text::Lines::new(path, bytes);
    let (mut read, mut write) = (None, None);
    for mut line in lines.by_ref() {
        match line.until(b':') {
            Some(b"read_bytes") => read = Some(line.number("read_bytes")?),
            Some(b"write_bytes") => write = Some(line.number("write_bytes")?),
            _ => {}
        }
    }
    match (read, write) {
        (Some(read_bytes), Some(write_bytes)) => Ok(Io { read_bytes, write_bytes }),
        _ => Err(lines.error("expected `read_bytes` and `write_bytes`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str =
        "S 1 7 7 0 -1 4194304 99 1 2 3 40 50 6 7 20 0 5 0 1803 3133440 354 18446744073709551615 1";

    #[test]
    fn names_may_hold_anything() {
        for name in ["cat", "a b", "(sd-pam)", ") S 1 (", "", "\u{fffd}"] {
            let text = format!("9 ({name}) {REST}\n");
            let (found, stat) = parse(Path::new("stat"), text.as_bytes()).unwrap();
            assert_eq!(found, name.as_bytes());
            let expect = Stat {
                state: b'S',
                parent: 1,
                is_kernel: false,
                minor_faults: 99,
                major_faults: 2,
                user_ticks: 40,
                system_ticks: 50,
                threads: 5,
                start_ticks: 1803,
                virtual_bytes: 3_133_440,
                resident_pages: 354,
            };
            assert_eq!(stat, expect);
        }
    }

    #[test]
    fn garbage_is_named() {
        for (text, expect) in [
            ("", "expected `pid (name) state`"),
            ("9 )cat( S 1", "expected `pid (name) state`"),
            ("9 (cat)", "expected `pid (name) state`"),
            ("9 (cat) S x", "`ppid` is `x`, expected a whole number"),
            ("9 (cat) S 99999999999", "`ppid` is too large"),
            ("9 (cat) S 1 2 3 4 5 6 7", "`cminflt` is missing"),
        ] {
            let error = parse(Path::new("stat"), text.as_bytes()).unwrap_err().to_string();
            let expect = expect.replace("cminflt", "majflt");
            assert_eq!(error, format!("failed to parse `stat` line 1: {expect}"));
        }
        let io =
            parse_io(Path::new("io"), b"rchar: 1\nread_bytes: 5\nwrite_bytes: 6\ncancelled_write_bytes: 7\n");
        assert_eq!(io.unwrap(), Io { read_bytes: 5, write_bytes: 6 });
        let error = parse_io(Path::new("io"), b"read_bytes: 5\n").unwrap_err().to_string();
        assert_eq!(error, "failed to parse `io` line 1: expected `read_bytes` and `write_bytes`");
    }
}
