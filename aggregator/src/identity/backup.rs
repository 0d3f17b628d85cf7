//! What of a state directory goes into a backup, apart from history: the authority, the aggregator's own certificate,
//! and the registry as it is at one moment.
//!
//! ```text
//!   ca/, ca.before/   certificates and, unless they are left out, keys       read at once: few and small
//!   server.crt, server.key, hosts
//!   registry.db       copied by the database itself, then read from there
//!   admin/            never: whoever has the host makes another credential
//! ```

use super::init::StatePaths;
use super::registry::{Registry, RegistryError};
use quorate_common::durable;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroizing;

/// What the name of a private key ends with.
const KEY: &str = ".key";
/// How often an authority that changes while it is read is read again.
const READINGS: usize = 3;
/// Tells the copies of this process apart.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// Whether private keys are in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// They are: it is enough to go on from.
    With,
    /// They are not.
    Without,
}

/// A file of a backup.
pub struct StateFile {
    /// Where it lies below the state directory.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// What is in a file.
pub enum Content {
    /// All of it.
    Whole(Zeroizing<Vec<u8>>),
    /// A file of so many bytes that has no name any more.
    Copy(File, u64),
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or, if it is a copy, not be made.
    #[error("failed to copy `{}`", .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The database failed.
    #[error("failed to copy the registry")]
    Registry(#[from] RegistryError),
    /// It is being rolled or retired.
    #[error("the authority changes while it is read: try again")]
    Changing,
}

/// All files of a state directory but history. Blocks for the time of some small files; the registry is waited for.
///
/// # Errors
/// A file that cannot be read, and a full disk.
pub async fn files(paths: &StatePaths, keys: Keys) -> Result<Vec<StateFile>, BackupError> {
    let mut files = authority(paths, keys)?;
    for path in [&paths.server_chain, &paths.server_key, &paths.hosts] {
        files.extend(whole(path, "", keys)?);
    }
    files.push(registry(paths).await?);
    Ok(files)
}

/// The authority, and the one before it if it was rolled. Both directories change their places in one step.
fn authority(paths: &StatePaths, keys: Keys) -> Result<Vec<StateFile>, BackupError> {
    let before = paths.authority.with_extension("before");
    let both = [("ca/", &paths.authority), ("ca.before/", &before)];
    for _ in 0..READINGS {
        let seen = both.map(|(_, directory)| identity(directory));
        let mut files = Vec::new();
        for (prefix, directory) in both {
            files.extend(below(directory, prefix, keys)?);
        }
        if both.map(|(_, directory)| identity(directory)) == seen {
            return Ok(files);
        }
    }
    Err(BackupError::Changing)
}

/// Which directory it is, whatever it is called.
fn identity(directory: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(directory).ok().map(|metadata| metadata.ino())
}

fn below(directory: &Path, prefix: &str, keys: Keys) -> Result<Vec<StateFile>, BackupError> {
    let failed = |error| BackupError::File(directory.to_owned(), error);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    names.sort();
    let mut files = Vec::new();
    for path in names.iter().filter(|path| path.is_file()) {
        files.extend(whole(path, prefix, keys)?);
    }
    Ok(files)
}

/// None if it is a key and not wanted, or not there: the root's key may be kept elsewhere.
fn whole(path: &Path, prefix: &str, keys: Keys) -> Result<Option<StateFile>, BackupError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if keys == Keys::Without && name.ends_with(KEY) {
        return Ok(None);
    }
    match fs::read(path) {
        Ok(content) => {
            let content = Content::Whole(Zeroizing::new(content));
            Ok(Some(StateFile { name: format!("{prefix}{name}"), content }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BackupError::File(path.to_owned(), error)),
    }
}

async fn registry(paths: &StatePaths) -> Result<StateFile, BackupError> {
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let copy = paths.registry.with_extension(format!("copy-{}-{number}", std::process::id()));
    let failed = |error| BackupError::File(copy.clone(), error);
    // The database writes into a file that is there and empty, whose mode is ours.
    durable::create(&copy, &[], durable::PRIVATE).map_err(failed)?;
    let copied = Registry::copy(&paths.registry, &copy).await;
    let opened = File::open(&copy).and_then(|file| Ok((file.metadata()?.len(), file)));
    fs::remove_file(&copy).map_err(failed)?;
    copied?;
    let (bytes, file) = opened.map_err(failed)?;
    Ok(StateFile { name: "registry.db".to_owned(), content: Content::Copy(file, bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ca::roll::roll;
    use crate::identity::init::{Options, init};
    use crate::identity::registry::AuditFilter;
    use quorate_common::model::time::WallTime;
    use std::os::unix::fs::FileExt;

    const NOW: WallTime = WallTime(1_795_000_000_000_000_000);

    async fn state(dir: &Path) -> StatePaths {
        let options = Options {
            dir: dir.join("state"),
            name: "agg".into(),
            hosts: vec!["localhost".into()],
            trust_domain: "quorate".into(),
        };
        init(&options, NOW).await.unwrap().paths
    }

    fn names(files: &[StateFile]) -> Vec<&str> {
        files.iter().map(|file| &*file.name).collect()
    }

    #[tokio::test]
    async fn every_file_of_the_state_is_in_it_or_known_to_be_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let paths = state(dir.path()).await;
        roll(&paths, NOW).unwrap();
        let open = Registry::open(&paths.registry, "quorate").await.unwrap();
        let files = files(&paths, Keys::With).await.unwrap();
        let mut expect = Vec::new();
        for entry in fs::read_dir(dir.path().join("state")).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_str().unwrap();
            // What the database keeps beside its file is in the copy.
            match name {
                "admin" | "registry.db-wal" | "registry.db-shm" => continue,
                _ if entry.is_file() => expect.push(name.to_owned()),
                _ => expect.extend(
                    fs::read_dir(&entry)
                        .unwrap()
                        .map(|inner| format!("{name}/{}", inner.unwrap().file_name().into_string().unwrap())),
                ),
            }
        }
        expect.sort();
        let mut found = names(&files);
        found.sort_unstable();
        assert_eq!(found, expect);
        assert!(found.contains(&"ca/root.key") && found.contains(&"ca.before/root.key"), "{found:?}");
        open.close().await;
    }

    #[tokio::test]
    async fn keys_can_be_left_out_and_may_be_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let paths = state(dir.path()).await;
        let without = files(&paths, Keys::Without).await.unwrap();
        let expect = ["ca/intermediate.crt", "ca/root.crt", "server.crt", "hosts", "registry.db"];
        assert_eq!(names(&without), expect);
        fs::remove_file(paths.authority.join("root.key")).unwrap();
        let with = files(&paths, Keys::With).await.unwrap();
        assert!(names(&with).contains(&"ca/intermediate.key"));
    }

    #[tokio::test]
    async fn the_copy_of_the_registry_is_one_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let paths = state(dir.path()).await;
        let registry = Registry::open(&paths.registry, "quorate").await.unwrap();
        registry.note_backup("ada", "with keys".into(), NOW).await.unwrap();
        let before = fs::read_dir(dir.path().join("state")).unwrap().count();
        let mut files = files(&paths, Keys::With).await.unwrap();
        assert_eq!(fs::read_dir(dir.path().join("state")).unwrap().count(), before);
        let Some(StateFile { content: Content::Copy(copy, bytes), .. }) = files.pop() else {
            panic!("a copy")
        };
        let mut content = vec![0; bytes as usize];
        copy.read_exact_at(&mut content, 0).unwrap();
        let restored = dir.path().join("restored.db");
        fs::write(&restored, content).unwrap();
        // What is written after the copy is not in it.
        registry.note_backup("ada", "later".into(), NOW).await.unwrap();
        let restored = Registry::open(&restored, "quorate").await.unwrap();
        let lines = restored.list_audit(&AuditFilter::default(), 9).await.unwrap();
        assert_eq!(lines[0].detail, "with keys");
        assert_eq!(*restored.roster().borrow().members(), *registry.roster().borrow().members());
        registry.close().await;
        restored.close().await;
    }
}
