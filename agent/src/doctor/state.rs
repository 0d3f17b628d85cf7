//! Whether the state directory takes what must survive a power cut.

use quorate_common::durable;
use quorate_common::terminal::finding::Finding;
use std::io;
use std::path::Path;

const CHECK: &str = "state directory";
/// Beside our own files, and never one of them.
const TRIAL: &str = "doctor.trial";

/// Writes a small file, fsyncs it and its directory, and removes it.
pub fn check(dir: &Path) -> Vec<Finding> {
    vec![finding(dir, try_out(dir))]
}

fn try_out(dir: &Path) -> io::Result<()> {
    let path = dir.join(TRIAL);
    let written = durable::replace(&path, b"trial\n", durable::PRIVATE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => written.and(Err(error)),
        _ => written,
    }
}

fn finding(dir: &Path, tried: io::Result<()>) -> Finding {
    let place = dir.display();
    let Err(error) = tried else {
        return Finding::ok(CHECK, format!("`{place}` takes files and fsync"));
    };
    let advice = match error.kind() {
        io::ErrorKind::NotFound => "enrol first, or name another one with --dir",
        io::ErrorKind::PermissionDenied => "run as the user of the agent, or correct its owner and mode",
        io::ErrorKind::StorageFull => "make room: without it nothing survives a restart",
        io::ErrorKind::ReadOnlyFilesystem => "mount it for writing; a disk with errors turns read-only",
        _ => "look at the file system and the kernel's log",
    };
    Finding::failed(CHECK, format!("failed to write in `{place}`: {error}")).advise(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::terminal::finding::Level;

    #[test]
    fn tries_it_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check(dir.path())[0].level, Level::Ok);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let absent = check(&dir.path().join("absent")).remove(0);
        assert_eq!(absent.level, Level::Failed);
        assert_eq!(absent.advice.as_deref(), Some("enrol first, or name another one with --dir"));
    }

    #[test]
    fn every_cause_has_its_advice() {
        for (kind, advice) in [
            (io::ErrorKind::PermissionDenied, "run as the user"),
            (io::ErrorKind::StorageFull, "make room"),
            (io::ErrorKind::ReadOnlyFilesystem, "mount it for writing"),
            (io::ErrorKind::Other, "look at the file system"),
        ] {
            let found = finding(Path::new("/x"), Err(kind.into()));
            assert!(found.advice.unwrap().starts_with(advice), "{kind}");
        }
    }
}
