//! How many descriptors a process has open, and how many it may have.
//!
//! Linux 6.2 and later say the number as the size of `/proc/PID/fd`, to everybody; before that the directory
//! must be walked, which only the owner and root may. Neither is done each round.

use super::super::text;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;
use std::mem::MaybeUninit;

const LIMITS_BYTES: usize = 4096;
const LIST_BYTES: usize = 8 * 1024;
/// More than this many descriptors are not walked over: a number that is cut is no number.
const WALKED_MAX: u64 = 100_000;

/// How many descriptors the process of this number has open; `None` where that is not to be known. `proc` is
/// the directory of processes.
pub(super) fn open_count(proc: impl AsFd, pid: u32) -> Option<u64> {
    let path = format!("{pid}/fd");
    let entry = rustix::fs::statat(&proc, &path, AtFlags::empty()).ok()?;
    match u64::try_from(entry.st_size) {
        Ok(0) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            walk(&rustix::fs::openat(proc, &path, flags, Mode::empty()).ok()?).ok()
        }
        size => size.ok(),
    }
}

/// How many it may have open; `None` where there is no limit or it is not to be known.
pub(super) fn most(proc: impl AsFd, pid: u32) -> Option<u64> {
    let path = format!("{pid}/limits");
    let file = rustix::fs::openat(proc, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buffer = [0u8; LIMITS_BYTES];
    let length = rustix::io::pread(&file, &mut buffer[..], 0).ok()?;
    soft_limit(&buffer[..length])
}

/// The third word of the line that is `Max open files`.
fn soft_limit(limits: &[u8]) -> Option<u64> {
    let line = limits.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"Max open files"))?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    text::digits(words.next()?).filter(|most| *most > 0)
}

fn walk(directory: &OwnedFd) -> Result<u64, Errno> {
    let mut list = [MaybeUninit::<u8>::uninit(); LIST_BYTES];
    let mut entries = RawDir::new(directory, &mut list[..]);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        count += u64::from(text::digits(entry?.file_name().to_bytes()).is_some());
        if count > WALKED_MAX {
            return Err(Errno::OVERFLOW);
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &std::path::Path) -> OwnedFd {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn a_child_has_its_three() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // It has answered, so it is past its loader, which opens more.
        let mut pipe = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut pipe, b"x").unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let proc = directory(std::path::Path::new("/proc"));
        assert!(open_count(&proc, child.id()).is_some_and(|count| count >= 3));
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        assert_eq!(most(&proc, child.id()), own);
        drop(pipe);
        child.wait().unwrap();
        assert_eq!((open_count(&proc, child.id()), most(&proc, child.id())), (None, None));
    }

    #[test]
    fn walking_counts_numbers_only() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["0", "1", "17", "x", "2a"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(walk(&directory(dir.path())), Ok(3));
    }

    #[test]
    fn the_soft_limit_stands_first() {
        for (text, expect) in [
            (&b"Limit Soft\nMax open files            1024                 4096   files\n"[..], Some(1024)),
            (b"Max open files            unlimited            unlimited  files\n", None),
            (b"Max open files 0 0 files\n", None),
            (b"Max processes 1 1\n", None),
            (b"", None),
        ] {
            assert_eq!(soft_limit(text), expect);
        }
    }
}
