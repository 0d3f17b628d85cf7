//! The disk behind a trait, so that a test can fill it, break it and pull its plug.
//!
//! All calls block: they belong on a thread of their own, never on one that serves the network.

mod memory;

pub use memory::{Fault, MemoryDisk, Operation};

use crate::durable;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Files that only this program reads and writes; new ones have mode 0600.
///
/// What "survives" means here: it is there after a power cut that follows the call.
pub trait Disk: Send + Sync + 'static {
    /// The whole file. Fails with `FileTooLarge` above `bytes_max`.
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// A part of the file. Fails with `UnexpectedEof` if the file ends before it does.
    fn read_part(&self, path: &Path, at: u64, bytes: usize) -> io::Result<Vec<u8>>;

    /// Opens the file: what is in it stays readable when it is deleted meanwhile.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Opened>>;

    /// How many bytes the file has.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Bytes that files of a directory may still take.
    fn free(&self, directory: &Path) -> io::Result<u64>;

    /// Replaces the file: after a power cut either the old or the new content is there. Survives.
    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Makes the file; fails with `AlreadyExists` if there is one. Survives.
    fn create_exclusive(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Adds to the end, and makes the file if there is none. Survives after [`Disk::sync`] only.
    ///
    /// When it fails, a part may have been written.
    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()>;

    /// Everything appended to the file survives. After a failure nothing may be assumed of the file:
    /// the kernel may have dropped what it could not write, and a second call would succeed.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Keeps the first bytes of the file, which has at least as many, and no others. Survives.
    fn shorten(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Names of the files in a directory, sorted; unfinished ones of [`Disk::write_atomic`] are left out.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Deletes the file. After a power cut it may be there again, unless another call for a file of its directory that
    /// survives came between.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for reading.
pub trait Opened: Send + 'static {
    /// How long it is now.
    fn bytes(&self) -> io::Result<u64>;

    /// A part of it. Fails with `UnexpectedEof` if the file ends before it does.
    fn read_part(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>>;
}

impl Opened for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_part(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut content = vec![0; bytes];
        self.read_exact_at(&mut content, at)?;
        Ok(content)
    }
}

/// The kernel's file systems.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn read(&self, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
        fits(&content, bytes_max).map(|()| content)
    }

    fn read_part(&self, path: &Path, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        Opened::read_part(&File::open(path)?, at, bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Opened>> {
        Ok(Box::new(File::open(path)?))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn free(&self, directory: &Path) -> io::Result<u64> {
        let all = rustix::fs::statvfs(directory)?;
        Ok(all.f_bavail.saturating_mul(all.f_frsize))
    }

    fn write_atomic(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        durable::replace(path, content, durable::PRIVATE)
    }

    fn create_exclusive(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        durable::create(path, content, durable::PRIVATE)
    }

    fn append(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(content)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()?;
        durable::sync_directory_of(path)
    }

    fn shorten(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if entry.file_type()?.is_file()
                && !name.as_encoded_bytes().ends_with(durable::UNFINISHED.as_bytes())
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

fn fits(content: &[u8], bytes_max: u64) -> io::Result<()> {
    let long = content.len() as u64 > bytes_max;
    if long { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
