//! The directory of a demo: for its owner only, and gone at the end.

use anyhow::{Context, bail};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const OWNER_ONLY: u32 = 0o700;

/// A directory that is removed at the latest when this is dropped.
#[derive(Debug)]
pub struct Directory(Kind);

#[derive(Debug)]
enum Kind {
    Temporary(TempDir),
    /// `made` tells whether it was there before; then only its content goes.
    Given {
        path: PathBuf,
        made: bool,
    },
}

impl Directory {
    /// Makes `given`, or takes it if it is empty; else makes one among the temporary files.
    pub fn create(given: Option<&Path>) -> anyhow::Result<Directory> {
        let Some(given) = given else {
            let mode = Permissions::from_mode(OWNER_ONLY);
            let temporary = tempfile::Builder::new().prefix("quorate-demo-").permissions(mode).tempdir();
            return Ok(Directory(Kind::Temporary(
                temporary.context("failed to make a temporary directory")?,
            )));
        };
        let path =
            std::path::absolute(given).with_context(|| format!("failed to resolve `{}`", given.display()))?;
        let made = match DirBuilder::new().mode(OWNER_ONLY).create(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error).with_context(|| format!("failed to make `{}`", path.display())),
        };
        if !made {
            take(&path).with_context(|| format!("failed to use `{}`", path.display()))?;
        }
        Ok(Directory(Kind::Given { path, made }))
    }

    /// Where it is; absolute.
    pub fn path(&self) -> &Path {
        match &self.0 {
            Kind::Temporary(temporary) => temporary.path(),
            Kind::Given { path, .. } => path,
        }
    }

    /// Removes it, and says so if that fails.
    pub fn remove(self) -> anyhow::Result<()> {
        remove(&self.0).with_context(|| format!("failed to remove `{}`", self.path().display()))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A temporary one removes itself; after remove() there is nothing left to do.
        if let Kind::Given { .. } = self.0 {
            remove(&self.0).ok();
        }
    }
}

/// An empty directory that was there before becomes ours alone.
fn take(path: &Path) -> anyhow::Result<()> {
    if fs::read_dir(path)?.next().is_some() {
        bail!("it is not empty");
    }
    Ok(fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?)
}

fn remove(kind: &Kind) -> io::Result<()> {
    match kind {
        Kind::Temporary(temporary) => gone(fs::remove_dir_all(temporary.path())),
        Kind::Given { path, made: true } => gone(fs::remove_dir_all(path)),
        Kind::Given { path, made: false } => fs::read_dir(path)?.try_for_each(|entry| {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())
            } else {
                fs::remove_file(entry.path())
            }
        }),
    }
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn is_for_its_owner_and_goes() {
        let parent = tempfile::tempdir().unwrap();
        let (made, there) = (parent.path().join("made"), parent.path().join("there"));
        fs::create_dir(&there).unwrap();
        fs::set_permissions(&there, Permissions::from_mode(0o755)).unwrap();
        for (given, remains) in [(None, false), (Some(made.as_path()), false), (Some(there.as_path()), true)]
        {
            let directory = Directory::create(given).unwrap();
            let path = directory.path().to_owned();
            assert_eq!(mode(&path), 0o700);
            fs::create_dir(path.join("data")).unwrap();
            fs::write(path.join("data/key"), "secret").unwrap();
            fs::write(path.join("file"), "x").unwrap();
            directory.remove().unwrap();
            assert_eq!(path.try_exists().unwrap(), remains);
            assert!(!path.join("data").try_exists().unwrap() && !path.join("file").try_exists().unwrap());
        }
    }

    #[test]
    fn what_others_keep_is_not_touched() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("theirs"), "x").unwrap();
        let error = Directory::create(Some(parent.path())).unwrap_err();
        assert!(format!("{error:#}").ends_with("it is not empty"), "{error:#}");
        assert!(parent.path().join("theirs").try_exists().unwrap());
        let nowhere = parent.path().join("no/such");
        let error = Directory::create(Some(&nowhere)).unwrap_err();
        assert!(format!("{error:#}").starts_with("failed to make `"), "{error:#}");
    }
}
