//! What the journal keeps, hands out and declares, on disks that fail.

use super::*;
use crate::testing::tick;
use quorate_common::disk::{Fault, MemoryDisk, Operation};
use quorate_common::model::session::{AgentMessage, SeqRange};
use quorate_common::pack::unpack;
use quorate_common::rng::SeededRng;
use quorate_proto::convert::{RegisterLimits, SessionReader};
use std::collections::BTreeSet;

const DIRECTORY: &str = "/spool";
const BOOT: [u8; 16] = [7; 16];

fn epoch(order: u64) -> Epoch {
    Epoch { order, nonce: order * 100 }
}

fn open(disk: &MemoryDisk, order: u64, bytes_max: u64) -> Log {
    let rng = Box::new(SeededRng::new(order));
    Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), bytes_max, (epoch(order), BOOT), rng).unwrap()
}

fn push(log: &mut Log, ticks: std::ops::RangeInclusive<u64>) {
    ticks.for_each(|seq| log.push(&tick(seq)));
}

fn known(order: u64, durable: u64) -> Known {
    Known { epoch: epoch(order), durable, ..Known::default() }
}

/// The frames of a piece, as an aggregator reads them.
fn frames(piece: &backfill::Piece) -> Vec<u64> {
    let bytes = unpack(&piece.packed, 1 << 20).unwrap();
    let messages = SessionReader::new(RegisterLimits { series_max: 10 }).all(&bytes).unwrap();
    assert!(matches!(messages.first(), Some(AgentMessage::Register(_))), "a piece needs nothing before it");
    assert_eq!(piece.boot_id, BOOT);
    messages
        .iter()
        .filter_map(|m| if let AgentMessage::Frame(frame) = m { Some(frame.seq) } else { None })
        .collect()
}

/// An aggregator that takes everything: the frames that came, and those declared lost, of one epoch.
fn drain(log: &mut Log, order: u64) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut came, mut lost) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..1000 {
        let Some(message) = log.due() else { return (came, lost) };
        match message {
            Backfill::Piece(piece) if piece.epoch == epoch(order) => came.extend(frames(&piece)),
            Backfill::Loss(loss) if loss.epoch == epoch(order) => {
                lost.extend((loss.first..=loss.last).filter(|seq| !came.contains(seq)));
            }
            other => panic!("{other:?}"),
        }
        let above = came.union(&lost).map(|&seq| SeqRange { first: seq, last: seq });
        log.known(Known { epoch: epoch(order), durable: 0, above: joined(above), refused: None });
    }
    panic!("it never ends");
}

fn joined(all: impl Iterator<Item = SeqRange>) -> Vec<SeqRange> {
    all.fold(Vec::new(), |mut ranges: Vec<SeqRange>, next| {
        match ranges.last_mut() {
            Some(before) if before.last + 1 == next.first => before.last = next.last,
            _ => ranges.push(next),
        }
        ranges
    })
}

#[test]
fn what_is_acknowledged_in_time_is_never_handed_out() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1, 1 << 20);
    for seq in 1..=300 {
        log.push(&tick(seq));
        log.known(known(1, seq.saturating_sub(4)));
        assert!(!log.has_due() && log.due().is_none(), "tick {seq}");
    }
    assert!(log.size().0 <= 2, "{:?}", log.size());
    log.known(known(1, 300));
    assert_eq!(disk.list(Path::new(DIRECTORY)).unwrap().len(), 1, "the open piece");
}

#[test]
fn what_is_not_is_handed_out_until_it_is_known() {
    let mut log = open(&MemoryDisk::default(), 1, 1 << 20);
    push(&mut log, 1..=150);
    assert_eq!(log.held(), [Held { epoch: epoch(1), first: 1, last: 150 }]);
    let first = log.due().unwrap();
    assert_eq!(log.due().unwrap(), first);
    let Backfill::Piece(piece) = &first else { panic!("{first:?}") };
    assert_eq!(frames(piece), (1..=64).collect::<Vec<_>>());
    log.known(known(1, 64));
    let (came, lost) = drain(&mut log, 1);
    assert_eq!((came, lost), ((65..=150).collect(), BTreeSet::new()));
    assert!(!log.has_due());
    assert_eq!(log.held(), []);
}

#[test]
fn the_newest_are_left_to_the_session() {
    let mut log = open(&MemoryDisk::default(), 1, 1 << 20);
    push(&mut log, 1..=10);
    assert!(!log.has_due());
    push(&mut log, 11..=11);
    assert!(log.has_due(), "the first has waited for ten seconds");
    log.known(known(1, 1));
    assert!(!log.has_due());
}

#[test]
fn what_an_earlier_process_left_is_sent_by_the_next() {
    let disk = MemoryDisk::default();
    push(&mut open(&disk, 1, 1 << 20), 1..=70);
    let mut log = open(&disk, 2, 1 << 20);
    push(&mut log, 1..=3);
    let held = |order, first, last| Held { epoch: epoch(order), first, last };
    assert_eq!(log.held(), [held(1, 1, 70), held(2, 1, 3)]);
    let (came, lost) = drain(&mut log, 1);
    assert_eq!((came, lost), ((1..=70).collect(), BTreeSet::new()));
    assert_eq!(log.held(), [held(1, 1, 70), held(2, 1, 3)], "a power cut may bring it back");
    log.sync();
    assert_eq!(log.held(), [held(2, 1, 3)]);
}

#[test]
fn the_oldest_goes_first_and_is_declared_even_after_a_restart() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1, 4_000);
    push(&mut log, 1..=500);
    assert!(log.size().1 <= 4_000 + 64 * 40, "{:?}", log.size());
    assert_eq!(log.held()[0], Held { epoch: epoch(1), first: 1, last: 500 }, "what is lost has to be told");
    drop(log);
    disk.cut_power(&mut SeededRng::new(1));
    let mut log = open(&disk, 2, 4_000);
    let Some(Backfill::Loss(loss)) = log.due() else { panic!("no loss") };
    assert_eq!((loss.first, loss.cause), (1, LossCause::Overflow));
    assert_eq!(loss.last % 64, 0, "whole pieces");
}

#[test]
fn a_damaged_byte_costs_what_is_left_of_its_piece_and_that_is_declared() {
    let disk = MemoryDisk::default();
    push(&mut open(&disk, 1, 1 << 20), 1..=70);
    let names = disk.list(Path::new(DIRECTORY)).unwrap();
    let path = Path::new(DIRECTORY).join(&names[0]);
    let content = disk.read(&path, 1 << 20).unwrap();
    let second = disk.read(&Path::new(DIRECTORY).join(&names[1]), 1 << 20).unwrap();
    for at in 0..content.len() {
        let disk = MemoryDisk::default();
        let mut damaged = content.clone();
        damaged[at] ^= 1 << (at % 8);
        disk.write_atomic(&path, &damaged).unwrap();
        disk.write_atomic(&Path::new(DIRECTORY).join(&names[1]), &second).unwrap();
        let (came, lost) = drain(&mut open(&disk, 2, 1 << 20), 1);
        assert!((65..=70).all(|seq| came.contains(&seq)), "byte {at}: another piece is hit");
        assert!(came.is_disjoint(&lost), "byte {at}");
        // The very last record may be taken for one that was never finished.
        assert!(
            (1..=63).all(|seq| came.contains(&seq) || lost.contains(&seq)),
            "byte {at}: {came:?} {lost:?}"
        );
    }
}

#[test]
fn cut_off_anywhere_the_beginning_is_sent() {
    let disk = MemoryDisk::default();
    push(&mut open(&disk, 1, 1 << 20), 1..=20);
    let path = Path::new(DIRECTORY).join(&disk.list(Path::new(DIRECTORY)).unwrap()[0]);
    let content = disk.read(&path, 1 << 20).unwrap();
    let mut before = 0;
    for length in 0..content.len() {
        let disk = MemoryDisk::default();
        disk.write_atomic(&path, &content[..length]).unwrap();
        let (came, _) = drain(&mut open(&disk, 2, 1 << 20), 1);
        assert_eq!(came, (1..=came.len() as u64).collect());
        assert!(came.len() >= before, "{length}");
        before = came.len();
    }
    assert_eq!(before, 19);
}

#[test]
fn what_a_full_disk_did_not_take_is_declared_and_it_goes_on_by_itself() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk, 1, 1 << 20);
    push(&mut log, 1..=20);
    disk.limit(Some(0));
    push(&mut log, 21..=30);
    disk.limit(None);
    push(&mut log, 31..=60);
    let (came, lost) = drain(&mut log, 1);
    assert!(lost.iter().all(|seq| (21..=35).contains(seq)) && lost.len() >= 10, "{lost:?}");
    assert!((1..=60).all(|seq| came.contains(&seq) || lost.contains(&seq)));
}

#[test]
fn every_failed_call_leaves_each_tick_handed_out_or_declared() {
    for operation in [Operation::Read, Operation::Write, Operation::Sync, Operation::Remove] {
        for after in 0..40 {
            let disk = MemoryDisk::default();
            let mut log = open(&disk, 1, 3_000);
            disk.fail(Fault { operation, after, error: std::io::ErrorKind::StorageFull });
            let (mut came, mut lost) = (BTreeSet::new(), BTreeSet::new());
            for seq in 1..=200 {
                log.push(&tick(seq));
                log.sync();
                if seq % 90 == 0 {
                    let (some, none) = drain(&mut log, 1);
                    came.extend(some);
                    lost.extend(none);
                }
            }
            push(&mut log, 201..=212);
            let (some, none) = drain(&mut log, 1);
            came.extend(some);
            lost.extend(none);
            assert!((1..=200).all(|seq| came.contains(&seq) || lost.contains(&seq)), "{operation:?} {after}");
        }
    }
}

#[test]
fn too_many_epochs_on_a_full_disk_do_not_keep_it_from_opening() {
    let disk = MemoryDisk::default();
    // The last ones that began have let go of the first two, and left one too many.
    (1..=EPOCHS_MAX as u64 + 3).for_each(|order| push(&mut open(&disk, order, 1 << 20), 1..=1));
    disk.limit(Some(0));
    assert!(open(&disk, 900, 1 << 20).has(epoch(3), 1), "what cannot be declared is kept");
    disk.limit(None);
    let mut log = open(&disk, 901, 1 << 20);
    assert!(!log.has(epoch(3), 1) && log.has(epoch(4), 1));
    assert!(matches!(log.due(), Some(Backfill::Loss(loss)) if loss.epoch == epoch(1)));
}

#[test]
fn ticks_that_were_not_handed_over_are_declared() {
    let mut log = open(&MemoryDisk::default(), 1, 1 << 20);
    push(&mut log, 1..=5);
    let mut base = Catalogue::default();
    base.apply(&tick(1).changes);
    log.rebase(base);
    push(&mut log, 9..=30);
    let (came, lost) = drain(&mut log, 1);
    assert_eq!(lost, (6..=8).collect());
    assert_eq!(came.len(), 27);
}

#[test]
fn a_piece_that_was_refused_is_declared_and_not_sent_again() {
    let mut log = open(&MemoryDisk::default(), 1, 1 << 20);
    push(&mut log, 1..=100);
    let Some(Backfill::Piece(piece)) = log.due() else { panic!("no piece") };
    log.known(Known { epoch: piece.epoch, refused: Some("no".into()), ..Known::default() });
    let Some(Backfill::Loss(loss)) = log.due() else { panic!("no loss") };
    assert_eq!((loss.first, loss.last, loss.cause), (1, 64, LossCause::Damaged));
    let (came, lost) = drain(&mut log, 1);
    assert_eq!((came, lost), ((65..=100).collect(), (1..=64).collect()));
}

#[test]
fn synced_ticks_survive_a_power_cut() {
    for seed in 0..50 {
        let disk = MemoryDisk::default();
        let mut log = open(&disk, 1, 1 << 20);
        push(&mut log, 1..=75);
        log.sync();
        push(&mut log, 76..=80);
        disk.cut_power(&mut SeededRng::new(seed));
        let (came, lost) = drain(&mut open(&disk, 2, 1 << 20), 1);
        assert!(came.is_superset(&(1..=75).collect()), "seed {seed}: {came:?} {lost:?}");
    }
}
