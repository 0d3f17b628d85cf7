//! Restore: a backup becomes a state directory, or nothing changes.
//!
//! ```text
//!   lock ─→ DIR/restoring/ ← every file, checked and synced ─→ what was there into DIR/before-restore-N/, if forced
//!                 └─ damaged, cut, full: removed                ─→ all but ca/ into DIR ─→ ca/
//! ```
//!
//! An aggregator does not start without an authority. It goes first and comes last, so that one that is started in
//! between, after a crash, finds either state and never half of one. Nothing of the old state is deleted.

use quorate_common::archive::{self, ArchiveError, Summary, Take};
use quorate_common::durable;
use quorate_common::lock::{LockError, StateLock};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where it is unpacked.
const RESTORING: &str = "restoring";
/// Where that lies which was there before.
const BEFORE: &str = "before-restore-";
/// The authority.
const CA: &str = "ca";
/// What stays where it is: the lock is ours, and no backup has the admin's credential.
const STAYS: [&str; 2] = ["lock", "admin"];
/// Read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error("failed to open `{}`", .0.display())]
    Open(PathBuf, #[source] io::Error),
    /// The backup is not whole, or not one.
    #[error("failed to restore `{}`", .0.display())]
    Archive(PathBuf, #[source] ArchiveError),
    /// An aggregator runs there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is something already.
    #[error("`{}` is not empty, it holds `{name}` (--force puts what is there aside)", dir.display())]
    Present {
        /// The state directory.
        dir: PathBuf,
        /// What is in it.
        name: String,
    },
    /// A directory cannot be changed.
    #[error("failed to {what} `{}`", path.display())]
    Disk {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Reads a backup from end to end and changes nothing.
///
/// # Errors
/// One that is not whole.
pub fn check(from: &Path) -> Result<Summary, RestoreError> {
    read(from, &mut ())
}

/// Makes a backup the state of `dir`, which may not be there yet. What is there already is put aside if `force` says
/// so. `progress` is told how many bytes there are so far.
///
/// # Errors
/// Whatever is wrong; then `dir` is as it was. Only if its disk fails at the very end it may lack its authority.
pub fn restore(
    from: &Path,
    dir: &Path,
    force: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, RestoreError> {
    durable::create_directory(dir).map_err(|error| failed("make", dir, error))?;
    let _lock = StateLock::take(dir)?;
    let present = entries(dir)?;
    if let Some(name) = present.first().filter(|_| !force) {
        return Err(RestoreError::Present { dir: dir.to_owned(), name: name.clone() });
    }
    let staging = dir.join(RESTORING);
    clear(&staging)?;
    let summary = unpack(from, &staging, progress).inspect_err(|_| drop(clear(&staging)))?;
    if !present.is_empty() {
        put_aside(dir, present)?;
    }
    put_in_place(dir, &staging)?;
    Ok(summary)
}

fn read(from: &Path, take: &mut dyn Take) -> Result<Summary, RestoreError> {
    let file = File::open(from).map_err(|error| RestoreError::Open(from.to_owned(), error))?;
    let archive = BufReader::with_capacity(BUFFER_BYTES, file);
    archive::read(archive, take).map_err(|error| RestoreError::Archive(from.to_owned(), error))
}

/// What of a state directory would be replaced, in order; the authority first.
fn entries(dir: &Path) -> Result<Vec<String>, RestoreError> {
    let found = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let found = found.map_err(|error| failed("list", dir, error))?;
    let names = found.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_old =
        |name: &String| name != RESTORING && !STAYS.contains(&name.as_str()) && !name.starts_with(BEFORE);
    let mut names: Vec<String> = names.filter(is_old).collect();
    names.sort_by_key(|name| (name != CA, name.clone()));
    Ok(names)
}

fn clear(staging: &Path) -> Result<(), RestoreError> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", staging, error)),
        _ => Ok(()),
    }
}

fn unpack(from: &Path, staging: &Path, progress: &mut dyn FnMut(u64)) -> Result<Summary, RestoreError> {
    durable::create_directory(staging).map_err(|error| failed("make", staging, error))?;
    let mut unpacking = Unpacking { root: staging.to_owned(), file: None, bytes: 0, progress };
    let summary = read(from, &mut unpacking)?;
    let directories =
        entries(staging)?.into_iter().map(|name| staging.join(name)).filter(|path| path.is_dir());
    directories.chain([staging.to_owned()]).try_for_each(|path| sync(&path))?;
    Ok(summary)
}

/// Moves everything into a directory of its own.
fn put_aside(dir: &Path, present: Vec<String>) -> Result<(), RestoreError> {
    let free = |number: &u32| dir.join(format!("{BEFORE}{number}")).symlink_metadata().is_err();
    let number = (1..).find(free).unwrap_or(u32::MAX);
    let aside = dir.join(format!("{BEFORE}{number}"));
    durable::create_directory(&aside).map_err(|error| failed("make", &aside, error))?;
    present.iter().try_for_each(|name| rename(&dir.join(name), &aside.join(name)))?;
    sync(&aside)?;
    sync(dir)
}

/// Everything else is on the disk before the authority is there.
fn put_in_place(dir: &Path, staging: &Path) -> Result<(), RestoreError> {
    let (authority, others): (Vec<_>, Vec<_>) = entries(staging)?.into_iter().partition(|name| name == CA);
    for names in [others, authority] {
        names.iter().try_for_each(|name| rename(&staging.join(name), &dir.join(name)))?;
        sync(dir)?;
    }
    clear(staging)
}

fn rename(from: &Path, to: &Path) -> Result<(), RestoreError> {
    fs::rename(from, to).map_err(|error| failed("move", from, error))
}

fn sync(directory: &Path) -> Result<(), RestoreError> {
    File::open(directory).and_then(|open| open.sync_all()).map_err(|error| failed("sync", directory, error))
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> RestoreError {
    RestoreError::Disk { what, path: path.to_owned(), source }
}

/// Files of an archive below a directory, each private and synced.
struct Unpacking<'a> {
    root: PathBuf,
    file: Option<File>,
    bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Take for Unpacking<'_> {
    fn begin(&mut self, name: &str, _: u64) -> io::Result<()> {
        let path = self.root.join(name);
        if let Some(parent) = path.parent().filter(|parent| *parent != self.root) {
            durable::create_directory(parent)?;
        }
        let mut options = OpenOptions::new();
        self.file = Some(options.write(true).create_new(true).mode(durable::PRIVATE).open(path)?);
        Ok(())
    }

    fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.bytes += data.len() as u64;
        (self.progress)(self.bytes);
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(data))
    }

    fn end(&mut self) -> io::Result<()> {
        self.file.take().map_or(Ok(()), |file| file.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::archive::{About, FORMAT, Writer};
    use quorate_common::error::chain;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt;

    const FILES: [(&str, &str); 4] = [
        ("ca/root.crt", "root"),
        ("ca/root.key", "key"),
        ("history/log-a.qj1", "frames"),
        ("registry.db", "rows"),
    ];

    fn backup(dir: &Path) -> PathBuf {
        let (aggregator, version) = ("agg".into(), "0.1.0".into());
        let about = About { format: FORMAT, aggregator, version, created_s: 1_795_000_000, has_keys: true };
        let mut writer = Writer::begin(Vec::new(), about).unwrap();
        for (name, content) in FILES {
            writer.file(name, content.len() as u64).unwrap();
            writer.data(content.as_bytes()).unwrap();
        }
        let path = dir.join("a.tar");
        fs::write(&path, writer.finish().unwrap().0).unwrap();
        path
    }

    /// Every file below a directory but the lock, with its content.
    fn files(dir: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut todo = vec![dir.to_owned()];
        while let Some(path) = todo.pop() {
            for entry in fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    todo.push(entry);
                    continue;
                }
                let name = entry.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                if name != "lock" {
                    found.insert(name, fs::read_to_string(&entry).unwrap());
                }
            }
        }
        found
    }

    fn below(prefix: &str, files: &[(&str, &str)]) -> BTreeMap<String, String> {
        files.iter().map(|(name, content)| (format!("{prefix}{name}"), (*content).to_owned())).collect()
    }

    fn old(state: &Path) {
        for (name, content) in
            [("ca/root.crt", "old"), ("registry.db", "old rows"), ("admin/admin.key", "mine")]
        {
            fs::create_dir_all(state.join(name).parent().unwrap()).unwrap();
            fs::write(state.join(name), content).unwrap();
        }
    }

    #[test]
    fn into_an_empty_directory_and_into_none() {
        let dir = tempfile::tempdir().unwrap();
        let archive = backup(dir.path());
        let (there, absent) = (dir.path().join("there"), dir.path().join("deep/absent"));
        fs::create_dir(&there).unwrap();
        for state in [&there, &absent] {
            let mut told = Vec::new();
            let summary = restore(&archive, state, false, &mut |bytes| told.push(bytes)).unwrap();
            assert_eq!((summary.files, told), (4, vec![4, 7, 13, 17]));
            assert_eq!(files(state), below("", &FILES));
            let mode = |name: &str| fs::metadata(state.join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode("ca"), mode("ca/root.key"), mode("registry.db")), (0o700, 0o600, 0o600));
        }
    }

    #[test]
    fn what_is_there_is_refused_or_put_aside_and_never_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, state) = (backup(dir.path()), dir.path().join("state"));
        old(&state);
        let before = files(&state);
        let error = restore(&archive, &state, false, &mut |_| {}).unwrap_err().to_string();
        let expect =
            format!("`{}` is not empty, it holds `ca` (--force puts what is there aside)", state.display());
        assert_eq!(error, expect);
        assert_eq!(files(&state), before);
        let mut expect = below("", &FILES);
        expect.extend(below("", &[("admin/admin.key", "mine")]));
        let aside = [("ca/root.crt", "old"), ("registry.db", "old rows")];
        expect.extend(below("before-restore-1/", &aside));
        restore(&archive, &state, true, &mut |_| {}).unwrap();
        assert_eq!(files(&state), expect);
        expect.extend(below("before-restore-2/", &FILES));
        restore(&archive, &state, true, &mut |_| {}).unwrap();
        assert_eq!(files(&state), expect);
    }

    #[test]
    fn a_running_aggregator_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, state) = (backup(dir.path()), dir.path().join("state"));
        old(&state);
        let _lock = StateLock::take(&state).unwrap();
        let error = restore(&archive, &state, true, &mut |_| {}).unwrap_err().to_string();
        assert_eq!(error, format!("`{}` is in use by process {}", state.display(), std::process::id()));
    }

    #[test]
    fn a_backup_that_is_not_whole_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, state) = (backup(dir.path()), dir.path().join("state"));
        old(&state);
        let (whole, before) = (fs::read(&archive).unwrap(), files(&state));
        assert_eq!(check(&archive).unwrap().files, 4);
        let hit = whole.windows(6).position(|window| window == b"frames").unwrap();
        let mut damaged = whole.clone();
        damaged[hit] ^= 1;
        let cases =
            [(&damaged[..], "damaged"), (&whole[..hit], "cut off"), (&whole[..whole.len() - 1], "cut off")];
        for (content, word) in cases {
            fs::write(&archive, content).unwrap();
            for error in
                [restore(&archive, &state, true, &mut |_| {}).unwrap_err(), check(&archive).unwrap_err()]
            {
                let text = chain(&error);
                assert!(text.contains(word) && text.contains(archive.to_str().unwrap()), "{text}");
            }
            assert_eq!(files(&state), before, "{word}");
        }
    }

    #[test]
    fn a_restore_that_was_killed_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let (archive, state) = (backup(dir.path()), dir.path().join("state"));
        fs::create_dir_all(state.join("restoring/ca")).unwrap();
        fs::write(state.join("restoring/ca/root.crt"), "half").unwrap();
        restore(&archive, &state, false, &mut |_| {}).unwrap();
        assert_eq!(files(&state), below("", &FILES));
    }
}
