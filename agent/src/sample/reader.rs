//! Files of the kernel, kept open and read from their beginning each round into one reused buffer.
//!
//! Opening and closing costs more than reading (`transport.md` §4), and a buffer that is kept costs no
//! allocation.

use super::error::SampleError;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pread};
use std::path::{Path, PathBuf};

/// No file that is read here is longer on a sane machine; `/proc/stat` of 4096 processors has 1 MiB.
const BYTES_MAX: usize = 8 << 20;

/// One file of the kernel.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    descriptor: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl File {
    /// A file that is opened at its first reading.
    pub fn new(root: &Path, path: &str) -> File {
        File { path: root.join(path), descriptor: None, buffer: Vec::new() }
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
