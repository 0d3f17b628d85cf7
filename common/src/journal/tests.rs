//! Journals on a disk that forgets, fails and is cut off; and files with every kind of damage.

use super::*;
use crate::disk::{Fault, MemoryDisk, Operation};
use crate::rng::SeededRng;

/// Records of all lengths, some of which hold other records.
fn records(seed: u64, count: usize) -> Vec<(u8, Vec<u8>)> {
    let mut rng = SeededRng::new(seed);
    (0..count)
        .map(|number| {
            let mut payload = vec![0; rng.below(300) as usize];
            rng.fill(&mut payload);
            (number as u8, payload)
        })
        .collect()
}

fn file(records: &[(u8, Vec<u8>)]) -> (Vec<u8>, u64) {
    let disk = MemoryDisk::default();
    let mut journal = Journal::begin(Arc::new(disk.clone()), Path::new("d"), "n", &mut SeededRng::new(1));
    for (kind, payload) in records {
        journal.push(*kind, payload).unwrap();
    }
    journal.write().unwrap();
    let content = disk.read(journal.path(), u64::MAX).unwrap();
    assert_eq!(content.len() as u64, journal.bytes());
    (content, parse_name(journal.path().file_name().unwrap()).unwrap().1)
}

/// What is read: the numbers of the records, and how many bytes are damaged.
fn read(content: &[u8], salt: u64, records: &[(u8, Vec<u8>)]) -> (Vec<usize>, usize) {
    let (mut found, mut damaged, mut end) = (Vec::new(), 0, 0);
    for piece in pieces(content, salt) {
        match piece {
            Piece::Record { kind, payload, at } => {
                assert_eq!(at, end);
                let number = records.iter().position(|record| (record.0, &*record.1) == (kind, payload));
                found.push(number.expect("nothing is read that was not written"));
                end = at + HEAD_BYTES + payload.len() + CHECK_BYTES;
            }
            Piece::Damage { at, bytes } => {
                assert_eq!(at, end);
                damaged += bytes;
                end = at + bytes;
            }
        }
    }
    assert_eq!(end, content.len(), "every byte is accounted for");
    (found, damaged)
}

#[test]
fn reads_back_what_was_pushed() {
    let records = records(1, 200);
    let (content, salt) = file(&records);
    assert_eq!(read(&content, salt, &records), ((0..200).collect(), 0));
    assert_eq!(read(&content, salt ^ 1, &records).0, [0; 0], "another file's salt fits nothing");
    assert_eq!(pieces(&[], salt).next(), None);
}

#[test]
fn one_record_is_read_where_it_lies() {
    let records = records(9, 10);
    let (content, salt) = file(&records);
    let mut at = 0;
    for (kind, payload) in &records {
        assert_eq!(record_at(&content[at..], salt, at as u64), Some((*kind, &**payload)));
        assert_eq!(record_at(&content[at..], salt, at as u64 + 1), None, "its place is checked");
        at += HEAD_BYTES + payload.len() + CHECK_BYTES;
    }
}

#[test]
fn cut_anywhere_the_whole_records_before_are_left() {
    let records = records(2, 20);
    let (content, salt) = file(&records);
    for length in 0..content.len() {
        let (found, damaged) = read(&content[..length], salt, &records);
        assert_eq!(found, (0..found.len()).collect::<Vec<_>>());
        let whole: usize = found.iter().map(|&at| HEAD_BYTES + records[at].1.len() + CHECK_BYTES).sum();
        assert_eq!(whole + damaged, length);
        let next = records.get(found.len()).map_or(0, |next| next.1.len());
        assert!(damaged < HEAD_BYTES + next + CHECK_BYTES, "cut at {length}");
    }
}

#[test]
fn a_damaged_stretch_costs_the_records_that_it_touches() {
    let records = records(3, 40);
    let (content, salt) = file(&records);
    let mut starts = vec![0];
    records.iter().for_each(|(_, payload)| {
        starts.push(starts[starts.len() - 1] + HEAD_BYTES + payload.len() + CHECK_BYTES);
    });
    let mut rng = SeededRng::new(4);
    for _ in 0..2_000 {
        let at = rng.below(content.len() as u64) as usize;
        let most = if rng.u64().is_multiple_of(2) { 1 } else { 600 };
        let bytes = (1 + rng.below(most) as usize).min(content.len() - at);
        let mut damaged = content.clone();
        damaged[at..at + bytes].iter_mut().for_each(|byte| *byte ^= 1 + (rng.below(255) as u8));
        let touched = |number: usize| starts[number] < at + bytes && at < starts[number + 1];
        let expect: Vec<usize> = (0..records.len()).filter(|&number| !touched(number)).collect();
        assert_eq!(read(&damaged, salt, &records).0, expect, "{bytes} bytes at {at}");
    }
}

#[test]
fn a_payload_is_never_taken_for_a_record() {
    // A whole file as the payload of a record in another one, whose head is then damaged.
    let inner = records(5, 30);
    let outer = vec![(1, file(&inner).0), (2, b"after".to_vec())];
    let (mut content, salt) = file(&outer);
    content[0] ^= 1;
    assert_eq!(read(&content, salt, &outer).0, [1]);
}

#[test]
fn what_was_synced_survives_a_power_cut() {
    for seed in 0..200 {
        let mut rng = SeededRng::new(seed);
        let disk = MemoryDisk::default();
        let mut journal = Journal::begin(Arc::new(disk.clone()), Path::new("d"), "n", &mut rng);
        let records = records(seed, 30);
        let mut synced = 0;
        for (number, (kind, payload)) in records.iter().enumerate() {
            journal.push(*kind, payload).unwrap();
            match rng.below(4) {
                0 => {
                    journal.sync().unwrap();
                    synced = number + 1;
                }
                1 => journal.write().unwrap(),
                _ => {}
            }
        }
        disk.cut_power(&mut rng);
        let salt = parse_name(journal.path().file_name().unwrap()).unwrap().1;
        let content = disk.read(journal.path(), u64::MAX).unwrap_or_default();
        let (found, _) = read(&content, salt, &records);
        assert!(found.len() >= synced, "seed {seed}: {} of {synced}", found.len());
        assert_eq!(found, (0..found.len()).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[test]
fn after_a_failure_the_file_is_over() {
    for operation in [Operation::Write, Operation::Sync] {
        let disk = MemoryDisk::default();
        let mut journal = Journal::begin(Arc::new(disk.clone()), Path::new("d"), "n", &mut SeededRng::new(1));
        journal.push(1, b"one").unwrap();
        disk.fail(Fault { operation, after: 0, error: io::ErrorKind::StorageFull });
        let error = journal.sync().unwrap_err();
        assert!(matches!(error, JournalError::Disk { what: "write" | "sync", .. }), "{error}");
        let error = journal.sync().unwrap_err().to_string();
        assert!(error.starts_with("failed to use `d/n-"), "a second try would lie: {error}");
    }
    let mut journal =
        Journal::begin(Arc::new(MemoryDisk::default()), Path::new("d"), "n", &mut SeededRng::new(1));
    let error = journal.push(1, &vec![0; PAYLOAD_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(error.to_string(), "a record of 16777217 bytes, limit 16777216");
    assert_eq!(journal.bytes(), 0);
}

#[test]
fn names_carry_the_salt() {
    for (name, expect) in [
        ("short-17-00000000000000ff.qj1", Some(("short-17", 255))),
        ("-00000000000000ff.qj1", Some(("", 255))),
        ("short-ff.qj1", None),
        ("short-00000000000000FF.qj1", None),
        ("short-+0000000000000ff.qj1", None),
        ("short-00000000000000ff.qj2", None),
        ("lock", None),
    ] {
        assert_eq!(parse_name(OsStr::new(name)), expect, "{name}");
    }
}
