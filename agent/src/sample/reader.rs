//! Files of the kernel, kept open and read from their beginning each round into one reused buffer.
//!
//! Opening and closing costs more than reading (`transport.md` §4), and a buffer that is kept costs no
//! allocation.

use super::error::SampleError;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pread};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// No file that is read here is longer on a sane machine; `/proc/stat` of 4096 processors has 1 MiB.
const BYTES_MAX: usize = 8 << 20;

/// One file of the kernel.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    descriptor: Option<OwnedFd>,
    buffer: Vec<u8>,
    is_missing: bool,
}

impl File {
    /// A file that is opened at its first reading.
    pub fn new(root: &Path, path: &str) -> File {
        File { path: root.join(path), descriptor: None, buffer: Vec::new(), is_missing: false }
    }

    /// Reads the whole file as it is now.
    ///
    /// After a failure it is opened anew the next time: what was mounted or created since is then found.
    pub fn read(&mut self) -> Result<(&Path, &[u8]), SampleError> {
        let descriptor = match self.descriptor.take() {
            Some(descriptor) => descriptor,
            None => open(&self.path).map_err(|error| SampleError::read(&self.path, error))?,
        };
        let length = fill(&descriptor, &mut self.buffer).map_err(|error| match error {
            Errno::FBIG => SampleError::Long { path: self.path.clone(), bytes_max: BYTES_MAX },
            error => SampleError::read(&self.path, error),
        })?;
        self.descriptor = Some(descriptor);
        Ok((&self.path, &self.buffer[..length]))
    }

    /// Reads the whole file; `None` if this kernel or machine does not have it, which is said once.
    pub fn read_if_any(&mut self) -> Result<Option<(&Path, &[u8])>, SampleError> {
        let was_missing = self.is_missing;
        match self.read().map(|(_, bytes)| bytes.len()) {
            Ok(length) => {
                self.is_missing = false;
                Ok(Some((&self.path, &self.buffer[..length])))
            }
            Err(SampleError::Read { source, .. }) if is_missing(&source) => {
                self.is_missing = true;
                if !was_missing {
                    tracing::info!(path = %self.path.display(), "not on this system, left out");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The first line of a small file, without white space around it; `None` if there is nothing to read.
///
/// For attributes of devices, of which there are many and which are read seldom: many of them are missing or
/// refuse to be read where they do not apply.
pub(super) fn attribute(path: &Path) -> Option<String> {
    let mut buffer = [0; 4096];
    let descriptor = open(path).ok()?;
    let length = pread(&descriptor, &mut buffer[..], 0).ok()?;
    let line = buffer[..length].split(|b| *b == b'\n').next()?.trim_ascii();
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The names in a directory, sorted; none if there is no such directory.
pub(super) fn names(directory: &Path, names_max: usize) -> Result<Vec<OsString>, SampleError> {
    let failed = |error| SampleError::read(directory, error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let named = entries.take(names_max).map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = named.collect::<std::io::Result<Vec<OsString>>>().map_err(failed)?;
    names.sort_unstable();
    Ok(names)
}

/// Not there, not built in, or switched off, such as pressure by a parameter of the kernel.
fn is_missing(error: &std::io::Error) -> bool {
    let missing = [Errno::NOENT, Errno::NOTDIR, Errno::NODEV, Errno::OPNOTSUPP];
    error.raw_os_error().is_some_and(|code| missing.iter().any(|errno| errno.raw_os_error() == code))
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Reads to the end. The kernel may give less than asked for, so only 0 is the end.
fn fill(descriptor: &OwnedFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    let mut length = 0;
    loop {
        if length == buffer.len() {
            if length >= BYTES_MAX {
                return Err(Errno::FBIG);
            }
            buffer.resize((length * 2).max(4096), 0);
        }
        match pread(descriptor, &mut buffer[length..], length as u64) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there_now() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut file = File::new(dir.path(), "x");
        let error = file.read().unwrap_err().to_string();
        assert_eq!(error, format!("failed to read `{}`", path.display()));
        for bytes in [0, 1, 4095, 4096, 4097, 100_000, 5] {
            let text = vec![b'x'; bytes];
            std::fs::write(&path, &text).unwrap();
            assert_eq!(file.read().unwrap().1, text, "{bytes}");
        }
    }

    #[test]
    fn refuses_a_file_without_end() {
        let error = File::new(Path::new("/dev"), "zero").read().unwrap_err().to_string();
        assert_eq!(error, "failed to read `/dev/zero`: more than 8388608 bytes");
    }
}
