//! Replay: log files of earlier processes back into segments, dictionaries and ledgers.
//!
//! It reads whatever the bytes are. A record that does not follow the one before it in its stretch, because that one
//! is damaged, ends the stretch: the frames up to the node's next base are lost, and counted. A file that was cut
//! off is normal. It does no I/O.

use super::dictionary::Known;
use super::ledgers::{self, Ledgers};
use super::log::{FileNumber, Learned, each};
use super::packed::{PACKED, unpacked};
use super::pool::Pool;
use super::record::{Base, Frame, Named, Record, RecordError, SERIES};
use super::segment::Segment;
use super::window::Span;
use crate::store::{Boot, Lane, Origin, SeriesId, Ticket};
use quorate_common::journal::{self, pieces};
use quorate_common::ledger::Piece;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::session::{Epoch, SeqRange};
use quorate_common::model::time::WallTime;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// What was found at the start, and what of it could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Log files that were read.
    pub files: usize,
    /// Frames in them.
    pub frames: u64,
    /// Bytes at the ends of files that were being written when a process ended. Nobody was told that they are kept.
    pub torn_bytes: u64,
    /// Files with damage, and how many bytes of each.
    pub damaged: Vec<(String, u64)>,
    /// Frames that cannot be read because something before them is damaged, by node.
    pub lost: BTreeMap<NodeId, u64>,
    /// Files that were moved aside.
    pub quarantined: Vec<String>,
    /// The newest stamp of a frame that came as it was sampled: our time had come so far. What comes later is stamped
    /// by the clock of a host if need be, and says nothing of ours.
    pub newest: WallTime,
}

impl Report {
    fn join(&mut self, other: Report) {
        let Report { files, frames, torn_bytes, damaged, lost, quarantined, newest } = other;
        self.files += files;
        self.frames += frames;
        self.torn_bytes += torn_bytes;
        self.damaged.extend(damaged);
        lost.into_iter().for_each(|(node, frames)| *self.lost.entry(node).or_default() += frames);
        self.quarantined.extend(quarantined);
        self.newest = self.newest.max(newest);
    }
}

/// Everything that files said so far.
#[derive(Debug, Default)]
pub struct Replay {
    /// What could not be read.
    pub report: Report,
    pool: Arc<Pool>,
    segments: HashMap<NodeId, Vec<Segment>>,
    names: HashMap<NodeId, Vec<(SeriesId, Known)>>,
    /// Series by their bytes: those that many nodes have are read once.
    specs: HashMap<Vec<u8>, SeriesSpec>,
    floors: HashMap<NodeId, SeriesId>,
    entries: HashMap<(NodeId, Epoch), ledgers::Found>,
    ended: HashSet<(NodeId, Epoch)>,
    boots: Vec<(NodeId, Boot)>,
}

/// What there is of a node.
#[derive(Debug, Default)]
pub struct Found {
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Its series.
    /// As they were found: a number may stand there more than once.
    pub names: Vec<(SeriesId, Known)>,
    /// Whatever has a lower number is forgotten.
    pub floor: SeriesId,
}

/// The file that is read.
struct File {
    /// Window and number; `None` if its frames are not wanted.
    place: Option<(Span, FileNumber)>,
    open: HashMap<(NodeId, Lane), Segment>,
}

impl Replay {
    /// One whose series share their labels with all others of a pool.
    pub fn new(pool: Arc<Pool>) -> Replay {
        Replay { pool, ..Replay::default() }
    }

    /// Reads a file. Without a `place` its frames are left out: they are sealed, or it has none.
    pub fn read(&mut self, name: &str, content: &[u8], salt: u64, place: Option<(Span, FileNumber)>) {
        let mut file = File { place, open: HashMap::new() };
        let mut damaged = 0;
        self.report.files += 1;
        for piece in pieces(content, salt) {
            match piece {
                journal::Piece::Damage { at, bytes } if at + bytes == content.len() => {
                    self.report.torn_bytes += bytes as u64;
                }
                journal::Piece::Damage { bytes, .. } => damaged += bytes as u64,
                journal::Piece::Record { kind: PACKED, payload, .. } => match unpacked(payload) {
                    Ok(records) => each(&records)
                        .for_each(|(kind, payload)| damaged += self.record(&mut file, kind, payload)),
                    Err(_) => damaged += payload.len() as u64,
                },
                journal::Piece::Record { kind, payload, .. } => {
                    damaged += self.record(&mut file, kind, payload);
                }
            }
        }
        if damaged > 0 {
            self.report.damaged.push((name.to_owned(), damaged));
        }
        file.open.into_iter().for_each(|((node, _), segment)| self.keep(node, segment));
    }

    /// Takes a record; says how many bytes of it are none.
    fn record(&mut self, file: &mut File, kind: u8, payload: &[u8]) -> u64 {
        let done = match kind {
            SERIES => Named::read(payload).and_then(|named| self.named(named)),
            _ => Record::read(kind, payload).map(|record| self.take(file, record)),
        };
        done.map_or(payload.len() as u64, |()| 0)
    }

    fn named(&mut self, named: Named<'_>) -> Result<(), RecordError> {
        let spec = match self.specs.get(named.bytes) {
            Some(spec) => spec.clone(),
            None => {
                let spec = self.pool.share(named.spec()?);
                self.specs.insert(named.bytes.to_vec(), spec.clone());
                spec
            }
        };
        self.name(named.node, named.id, Known { spec, seen: named.seen });
        Ok(())
    }

    fn take(&mut self, file: &mut File, record: Record<'_>) {
        match record {
            Record::Base(base) => self.base(file, &base),
            Record::Frame { place, frame } => self.frame(file, place, &frame),
            Record::Register { node, lane, place, new } => {
                self.follow(file, (node, lane), place, |open| open.register(&new));
            }
            Record::Retire { node, lane, place, indices } => {
                self.follow(file, (node, lane), place, |open| open.retire(&indices));
            }
            Record::Beat { node, seq, origin } => self.arrived(node, seq, &origin),
            Record::Closed { node, lost } => {
                self.entries.entry((node, lost.epoch)).or_default().lost(&lost);
            }
            Record::Ledger { node, epoch, pieces } => {
                let found = self.entries.entry((node, epoch)).or_default();
                pieces.into_iter().for_each(|piece| found.piece(piece));
            }
            Record::Ended { node, epoch } => drop(self.ended.insert((node, epoch))),
            Record::Boot { node, boot } => self.boots.push((node, boot)),
            Record::Series { node, id, seen, spec } => self.name(node, id, Known { spec, seen }),
            Record::Forgotten { node, next } => self.floor(node, next),
        }
    }

    fn base(&mut self, file: &mut File, base: &Base<'_>) {
        let Frame { node, lane, .. } = base.frame;
        self.learn(&base.frame);
        let Some((span, number)) = file.place else { return };
        self.report.frames += 1;
        if let Some(before) =
            file.open.insert((node, lane), Segment::begin(span, (number, Ticket::default()), base))
        {
            self.keep(node, before);
        }
    }

    fn frame(&mut self, file: &mut File, place: u64, frame: &Frame<'_>) {
        // Of a sealed file only the ledger is wanted: what its chunks lack, nobody can give back.
        if file.place.is_none() {
            self.learn(frame);
        } else if self
            .follow(file, (frame.node, frame.lane), place, |open| open.push(frame, Ticket::default()))
        {
            self.learn(frame);
            self.report.frames += 1;
        } else {
            // It is not learned: if the agent still holds it, it comes again.
            *self.report.lost.entry(frame.node).or_default() += 1;
        }
    }

    /// Goes on with a stretch, or ends it if this is not its next record.
    fn follow(
        &mut self,
        file: &mut File,
        stream: (NodeId, Lane),
        place: u64,
        push: impl FnOnce(&mut Segment),
    ) -> bool {
        match file.open.get_mut(&stream) {
            Some(open) if open.place() == place => {
                push(open);
                true
            }
            _ => {
                file.open.remove(&stream).into_iter().for_each(|open| self.keep(stream.0, open));
                false
            }
        }
    }

    fn keep(&mut self, node: NodeId, mut segment: Segment) {
        segment.end();
        self.segments.entry(node).or_default().push(segment);
    }

    fn learn(&mut self, frame: &Frame<'_>) {
        if frame.lane == Lane::Live {
            self.report.newest = self.report.newest.max(frame.at);
        }
        if let Some(origin) = frame.origin.filter(|_| !frame.again) {
            self.arrived(frame.node, frame.head.seq, &origin);
        }
    }

    fn arrived(&mut self, node: NodeId, seq: u64, origin: &Origin) {
        let piece = Piece::arrived(SeqRange { first: seq, last: seq }, origin.totals, origin.tally());
        self.entries.entry((node, origin.epoch)).or_default().piece(piece);
    }

    /// What other files said, too.
    pub fn join(&mut self, other: Replay) {
        let Replay { report, segments, names, floors, entries, ended, boots, pool: _, specs: _ } = other;
        self.report.join(report);
        segments.into_iter().for_each(|(node, more)| self.segments.entry(node).or_default().extend(more));
        entries.into_iter().for_each(|(epoch, more)| self.entries.entry(epoch).or_default().join(more));
        self.boots.extend(boots);
        self.ended.extend(ended);
        floors.into_iter().for_each(|(node, floor)| self.floor(node, floor));
        if self.names.is_empty() {
            self.names = names;
            return;
        }
        for (node, names) in names {
            self.names.entry(node).or_default().extend(names);
        }
    }

    fn name(&mut self, node: NodeId, id: SeriesId, known: Known) {
        self.names.entry(node).or_default().push((id, known));
    }

    fn floor(&mut self, node: NodeId, floor: SeriesId) {
        let known = self.floors.entry(node).or_insert(floor);
        *known = (*known).max(floor);
    }

    /// Everything, put together.
    pub fn finish(mut self) -> (Report, Ledgers, HashMap<NodeId, Found>) {
        let mut ledgers = Ledgers::default();
        for ((node, epoch), entries) in self.entries {
            ledgers.restore(node, epoch, entries);
        }
        self.boots.iter().for_each(|(node, boot)| ledgers.learn(Learned::Boot(*node, *boot)));
        for (node, epoch) in self.ended {
            // What ended of a node that was forgotten, ended for that.
            if self.floors.contains_key(&node) {
                ledgers.remove(node, epoch);
            } else {
                ledgers.learn(Learned::Ended(node, epoch));
            }
        }
        let mut found: HashMap<NodeId, Found> = HashMap::new();
        for (node, mut segments) in self.segments {
            segments.sort_by_key(|segment| segment.first);
            found.entry(node).or_default().segments = segments;
        }
        for (node, names) in self.names {
            found.entry(node).or_default().names = names;
        }
        for (node, floor) in self.floors {
            found.entry(node).or_default().floor = floor;
        }
        self.report.damaged.sort();
        (self.report, ledgers, found)
    }
}
