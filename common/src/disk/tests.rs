use super::*;
use crate::rng::SeededRng;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const END: io::ErrorKind = io::ErrorKind::UnexpectedEof;

/// What every disk promises.
fn check(disk: &dyn Disk, directory: &Path) {
    let path = |name: &str| directory.join(name);
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    disk.create_exclusive(&path("b"), b"1").unwrap();
    assert_eq!(kind(disk.create_exclusive(&path("b"), b"2")), io::ErrorKind::AlreadyExists);
    disk.write_atomic(&path("b"), b"22").unwrap();
    disk.append(&path("b"), b"33").unwrap();
    disk.append(&path("a"), b"x").unwrap();
    disk.sync(&path("b")).unwrap();
    assert_eq!(disk.read(&path("b"), 4).unwrap(), b"2233");
    assert_eq!(disk.read(&path("b"), 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(disk.read_part(&path("b"), 1, 2).unwrap(), b"23");
    for (at, bytes) in [(3, 2), (9, 1)] {
        assert_eq!(disk.read_part(&path("b"), at, bytes).unwrap_err().kind(), END);
    }
    assert_eq!(
        (disk.length(&path("b")).unwrap(), disk.length(&path("c")).map_err(|error| error.kind())),
        (4, Err(io::ErrorKind::NotFound))
    );
    assert!(disk.free(directory).unwrap() > 4);
    assert_eq!(disk.list(directory).unwrap(), ["a", "b"]);
    let opened = disk.open(&path("a")).unwrap();
    disk.remove(&path("a")).unwrap();
    assert_eq!((opened.bytes().unwrap(), opened.read_part(0, 1).unwrap()), (1, b"x".to_vec()));
    assert_eq!(opened.read_part(0, 2).unwrap_err().kind(), END);
    assert_eq!(disk.open(&path("a")).err().unwrap().kind(), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.remove(&path("a"))), io::ErrorKind::NotFound);
    assert_eq!(kind(disk.sync(&path("a"))), io::ErrorKind::NotFound);
    assert_eq!(disk.read(&path("a"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.list(directory).unwrap(), ["b"]);
}

#[test]
fn both_disks_keep_the_same_promises() {
    check(&MemoryDisk::default(), Path::new("/state"));
    check(&SystemDisk, tempfile::tempdir().unwrap().path());
}

#[test]
fn files_are_private_and_leftovers_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    fs::write(directory.path().join("key.tmp"), "left by a crash").unwrap();
    assert!(SystemDisk.list(directory.path()).unwrap().is_empty());
    SystemDisk.write_atomic(&path, b"secret").unwrap();
    SystemDisk.append(&directory.path().join("log"), b"line").unwrap();
    for name in SystemDisk.list(directory.path()).unwrap() {
        let mode = fs::metadata(directory.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name:?}");
    }
    assert_eq!(SystemDisk.read(&path, 99).unwrap(), b"secret");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let (log, other, gone) = (PathBuf::from("/s/log"), PathBuf::from("/s/other"), PathBuf::from("/s/gone"));
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = MemoryDisk::default();
        disk.append(&log, b"safe").unwrap();
        disk.sync(&log).unwrap();
        disk.append(&log, b"tail").unwrap();
        disk.append(&other, b"never synced").unwrap();
        disk.write_atomic(&gone, b"x").unwrap();
        disk.remove(&gone).unwrap();
        disk.cut_power(&mut SeededRng::new(seed));
        let content = disk.read(&log, 99).unwrap();
        assert!(b"safetail".starts_with(&content[..]) && content.len() >= 4, "{content:?}");
        lengths.insert(content.len());
        assert_eq!(disk.list(Path::new("/s")).unwrap(), ["gone", "log"]);
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
}

#[test]
fn faults_come_when_they_were_ordered() {
    let (disk, path) = (MemoryDisk::default(), Path::new("/a"));
    disk.fail(Fault { operation: Operation::Write, after: 1, error: io::ErrorKind::Other });
    disk.fail(Fault { operation: Operation::Sync, after: 0, error: io::ErrorKind::Interrupted });
    disk.append(path, b"1").unwrap();
    assert_eq!(disk.append(path, b"2").unwrap_err().kind(), io::ErrorKind::Other);
    assert_eq!(disk.sync(path).unwrap_err().kind(), io::ErrorKind::Interrupted);
    disk.append(path, b"3").unwrap();
    disk.sync(path).unwrap();
    assert_eq!(disk.read(path, 9).unwrap(), b"13");
}

#[test]
fn a_full_disk_takes_a_part_and_says_so() {
    let (disk, path) = (MemoryDisk::default(), Path::new("/a"));
    disk.limit(Some(5));
    disk.append(path, b"123").unwrap();
    assert_eq!(disk.append(path, b"456").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.read(path, 9).unwrap(), b"12345");
    assert_eq!(disk.write_atomic(Path::new("/b"), b"1").unwrap_err().kind(), io::ErrorKind::StorageFull);
    disk.write_atomic(path, b"54321").unwrap();
    disk.limit(None);
    disk.append(path, b"6").unwrap();
    assert_eq!(disk.read(path, 9).unwrap(), b"543216");
}
