//! Small files that survive a power cut: written whole or not at all.
//!
//! ```text
//!   replace:  write tmp → fsync tmp → rename over → fsync directory
//!   create:   O_EXCL → write → fsync → fsync directory
//! ```
//!
//! The calls block for the length of an fsync: for start-up and enrolment, not for the hot path.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Readable by its owner only.
pub const PRIVATE: u32 = 0o600;
/// What the name of a file ends with while it is being written.
pub(crate) const UNFINISHED: &str = ".tmp";
/// Readable by everybody.
pub const PUBLIC: u32 = 0o644;

/// Makes a file that must not be there yet; an existing one is an error and stays as it is.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    write(path, bytes, mode)?;
    sync_directory_of(path)
}

/// Writes a file, taking the place of an older one in one step.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let temporary = beside(path);
    // What a crash left behind. Removed and made anew, so that its mode is ours.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write(&temporary, bytes, mode)?;
    rename(&temporary, path)
}

/// Renames a file within its directory, and returns when that would survive a power cut.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to)?;
    sync_directory_of(to)
}

/// Swaps two files or directories of one directory in one step, and returns when that would survive a power cut.
#[cfg(target_os = "linux")]
pub fn exchange(one: &Path, other: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?;
    sync_directory_of(one)
}

/// No other system can do that in one step.
#[cfg(not(target_os = "linux"))]
pub fn exchange(_: &Path, _: &Path) -> Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Makes a directory, and those above it, that only its owner may enter.
pub fn create_directory(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    sync_directory_of(path)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

pub(crate) fn sync_directory_of(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn create_does_not_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        create(&path, b"one", PRIVATE).unwrap();
        let error = create(&path, b"two", PRIVATE).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn exchange_swaps_directories() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        for path in [&one, &other] {
            create_directory(path).unwrap();
            create(&path.join("name"), path.file_name().unwrap().as_encoded_bytes(), PRIVATE).unwrap();
        }
        exchange(&one, &other).unwrap();
        assert_eq!(std::fs::read(one.join("name")).unwrap(), b"other");
        assert_eq!(std::fs::read(other.join("name")).unwrap(), b"one");
        let error = exchange(&one, &dir.path().join("absent")).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    }

    #[test]
    fn replace_takes_over_from_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/state/ca.crt");
        create_directory(path.parent().unwrap()).unwrap();
        std::fs::write(beside(&path), b"half").unwrap();
        replace(&path, b"one", PUBLIC).unwrap();
        replace(&path, b"two", PRIVATE).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
