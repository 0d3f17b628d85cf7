//! Commits on a disk that fails and loses power: what is durable is on it, and nothing else is said to be.

use super::*;
use crate::store::Origin;
use crate::store::embedded::ledgers::Found;
use crate::store::embedded::log::{Learned, Log, Pushed};
use crate::store::embedded::window::Span;
use quorate_common::disk::{Fault, MemoryDisk, Operation};
use quorate_common::journal::{Piece, parse_name, pieces};
use quorate_common::ledger::{self, Totals};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::{Epoch, SeqRange};
use quorate_common::rng::SeededRng;
use std::io;

const NODE: NodeId = NodeId(1);
const EPOCH: Epoch = Epoch { order: 1, nonce: 1 };

struct World {
    disk: MemoryDisk,
    log: Log,
    writer: Writer,
}

impl World {
    fn new(seed: u64) -> World {
        let disk = MemoryDisk::default();
        let rng = Box::new(SeededRng::new(seed));
        let writer =
            Writer::new(Arc::new(disk.clone()), Path::new("d"), rng, Durable::default(), Left::default());
        World { disk, log: Log::new(1), writer }
    }

    fn beat(&self, seq: u64) {
        let origin = Origin { epoch: EPOCH, totals: Totals { before: seq - 1, after: seq }, admitted: 1 };
        let record = Record::Beat { node: NODE, seq, origin };
        let number = self.log.number(Span::FIRST);
        let learned = Learned::Frame(NODE, seq, origin);
        let pushed = self.log.push((Span::FIRST, number), &record, Some(learned));
        assert!(matches!(pushed, Pushed::Taken(_)), "{pushed:?}");
    }

    fn commit(&mut self) -> bool {
        match self.writer.commit(self.log.take().unwrap_or_default()) {
            Ok(()) => true,
            Err(error) => {
                self.log.fail(&error.files);
                false
            }
        }
    }

    fn durable(&self) -> u64 {
        self.writer.durable.lock().unwrap().get(NODE, EPOCH).map_or(0, |ledger| ledger.watermark())
    }

    /// All that files of this name say, as a ledger.
    fn on_disk(&self, stem: &str) -> u64 {
        let mut found = Found::default();
        for name in self.disk.list(Path::new("d")).unwrap() {
            let content = self.disk.read(&Path::new("d").join(&name), u64::MAX).unwrap();
            let Some((_, salt)) = parse_name(&name).filter(|(found, _)| found.starts_with(stem)) else {
                continue;
            };
            for piece in pieces(&content, salt) {
                let Piece::Record { kind, payload, .. } = piece else { continue };
                match Record::read(kind, payload).unwrap() {
                    Record::Beat { seq, origin, .. } => {
                        let range = SeqRange { first: seq, last: seq };
                        found.piece(ledger::Piece::arrived(range, origin.totals, origin.tally()));
                    }
                    Record::Ledger { pieces, .. } => pieces.into_iter().for_each(|piece| found.piece(piece)),
                    other => panic!("{other:?}"),
                }
            }
        }
        let mut ledgers = Ledgers::default();
        ledgers.restore(NODE, EPOCH, found);
        ledgers.get(NODE, EPOCH).map_or(0, |ledger| ledger.watermark())
    }
}

#[test]
fn what_is_durable_survives_any_failure_and_a_power_cut() {
    let mut failures = 0;
    for seed in 0..300 {
        let mut rng = SeededRng::new(seed);
        let mut world = World::new(seed);
        let mut next = 1;
        for _ in 0..20 {
            for _ in 0..rng.below(5) {
                world.beat(next);
                next += 1;
            }
            if rng.below(4) == 0 {
                let operation = if rng.below(2) == 0 { Operation::Write } else { Operation::Sync };
                let after = rng.below(2) as u32;
                world.disk.fail(Fault { operation, after, error: io::ErrorKind::StorageFull });
            }
            if !world.commit() {
                failures += 1;
                // The ledger is what it was: whoever sends goes on behind it.
                next = world.durable() + 1;
            }
        }
        world.disk.cut_power(&mut rng);
        assert!(world.on_disk(LOG) >= world.durable(), "seed {seed}");
        assert!(world.durable() > 0, "seed {seed}");
    }
    assert!(failures > 300, "{failures}");
}

#[test]
fn ledgers_outlive_the_files_that_they_came_from() {
    let mut world = World::new(1);
    for seq in 1..=3 {
        world.beat(seq);
        assert!(world.commit());
    }
    let number = world.log.number(Span::FIRST);
    assert_eq!(world.writer.covered(Span::FIRST, number + 1).unwrap()[0].0, number);
    assert!(world.writer.covered(Span::FIRST, number).unwrap().is_empty());
    world.disk.fail(Fault { operation: Operation::Sync, after: 0, error: io::ErrorKind::Other });
    assert!(world.writer.release(&[number]).is_err());
    assert_eq!(world.on_disk(LOG), 3, "nothing is deleted before the checkpoint");
    world.log.close(Span::FIRST);
    world.writer.release(&[number]).unwrap();
    assert_eq!((world.on_disk(LOG), world.on_disk(CHECKPOINT)), (0, 3));
    assert!(world.writer.covered(Span::FIRST, 99).unwrap().is_empty());
    world.beat(4);
    assert!(world.commit());
    assert_eq!(world.on_disk(LOG), 4, "a file begins with all ledgers");
}

#[test]
fn names_that_failed_are_written_again() {
    let mut world = World::new(1);
    let name = |node| Record::Forgotten { node: NodeId(node), next: crate::store::SeriesId(0) };
    for node in 0..6 {
        if node % 2 == 1 {
            world.disk.fail(Fault { operation: Operation::Sync, after: 1, error: io::ErrorKind::Other });
        }
        world.log.name(&name(node));
        assert_eq!(world.commit(), node % 2 == 0);
    }
    world.log.name(&name(6));
    assert!(world.commit());
    for stem in NAMES {
        let mut found = std::collections::BTreeSet::new();
        for file in world.disk.list(Path::new("d")).unwrap() {
            let Some((_, salt)) = parse_name(&file).filter(|(name, _)| *name == stem) else { continue };
            let content = world.disk.read(&Path::new("d").join(&file), u64::MAX).unwrap();
            for piece in pieces(&content, salt) {
                let Piece::Record { kind, payload, .. } = piece else { panic!("{piece:?}") };
                let Record::Forgotten { node, .. } = Record::read(kind, payload).unwrap() else { panic!() };
                found.insert(node.0);
            }
        }
        assert_eq!(found, (0..=6).collect(), "{stem}");
    }
    world.writer.rewrite_names(&framed([name(9)].into_iter())).unwrap();
    assert_eq!(world.disk.list(Path::new("d")).unwrap().len(), 2, "the old ones are gone");
}

#[test]
fn on_a_full_disk_no_files_pile_up() {
    let mut world = World::new(1);
    world.disk.limit(Some(10));
    for _ in 0..50 {
        world.beat(1);
        assert!(!world.commit());
    }
    assert!(world.disk.list(Path::new("d")).unwrap().is_empty());
    world.disk.limit(None);
    world.beat(1);
    assert!(world.commit());
    assert_eq!(world.durable(), 1);
}
