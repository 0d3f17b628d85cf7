//! One process at a time in a state directory: a second one is refused and told who is there.
//!
//! The kernel gives the lock back when its holder ends, however it ends, so there is nothing to clean up.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held as long as it lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Why the directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("`{}` is in use by process {holder}", dir.display())]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The other process, as it said.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("failed to lock `{}`", .0.display())]
    File(PathBuf, #[source] std::io::Error),
}

impl StateLock {
    /// Takes the directory, or says who has it.
    pub fn take(dir: &Path) -> Result<StateLock, LockError> {
        let path = dir.join("lock");
        let failed = |error| LockError::File(path.clone(), error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                file.take(20).read_to_string(&mut holder).map_err(failed)?;
                return Err(LockError::Held { dir: dir.to_owned(), holder: holder.trim().to_owned() });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let error = StateLock::take(dir.path()).unwrap_err().to_string();
        assert_eq!(error, format!("`{}` is in use by process {}", dir.path().display(), std::process::id()));
        drop(first);
        StateLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = StateLock::take(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert_eq!(error, "failed to lock `/nowhere/at/all/lock`");
    }
}
