//! The engine: what becomes durable, what is sealed and what is let go, and when. Time is an argument.
//!
//! ```text
//!   frames ─→ log + memory ──── window over, 30 s ───→ chunks ──── too old, too many ───→ gone
//!                  └─ commit, 100 ms                     └─ then the log file goes, and the memory
//! ```
//!
//! It may be called by one thread that commits and one that keeps up; sessions and readers wait for neither.

use super::Nodes;
use super::config::Config;
use super::history::History;
use super::ledgers::Ledgers;
use super::log::{FileNumber, Log};
use super::period::Period;
use super::record::Record;
use super::retain::{self, Deletions, Reason};
use super::rollup::{self, Shelved, rolled_into};
use super::seal;
use super::segment::Segment;
use super::shelf::{Shelf, Writing};
use super::snapshot::{Snapshot, SnapshotError};
use super::verify::Verify;
use super::volume::Contents;
use super::window::Span;
use super::writer::{CommitError, Durable, Writer, framed};
use crate::store::{Commits, SeriesId};
use quorate_common::block::BlockError;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::journal::JournalError;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// After its end a window waits so long for frames that are under way, and for more of those that come late.
const GRACE: Duration = Duration::from_secs(30);
/// A window that late frames keep coming for is sealed all the same.
const LATE_MAX: Duration = Duration::from_secs(3_600);
/// What no log file has is let go after so long.
const UNLOGGED_MAX: Duration = Duration::from_secs(15 * 60);
/// The dictionary is written anew so often: it says until when each series was seen.
const NAMES_EVERY: Duration = Duration::from_secs(86_400);
/// A period that nothing came to for so long is rolled up.
const SETTLE: Duration = Duration::from_secs(300);
/// Periods are looked at so often.
const ROLL_EVERY: Duration = Duration::from_secs(10);
/// Files are looked at for their age, and all together for their size, so often.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// Why a window was not sealed. It stays in log and memory, and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The disk failed.
    #[error("failed to seal a window")]
    Disk(#[from] JournalError),
    /// What is still to be logged cannot be.
    #[error("failed to seal a window")]
    Commit(#[from] CommitError),
    /// What is to be rolled up cannot be read.
    #[error("failed to read what is to be rolled up")]
    Read(#[source] io::Error),
    /// Chunks cannot be made.
    #[error("failed to make chunks")]
    Block(#[from] BlockError),
}

/// See the module.
pub struct Engine {
    pub(super) log: Log,
    pub(super) shelf: Shelf,
    pub(super) durable: Durable,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) commits: watch::Sender<Commits>,
    config: Config,
    writer: Mutex<Writer>,
    upkeep: Mutex<Upkeep>,
    verify: Mutex<Verify>,
    deletions: Mutex<Deletions>,
}

/// What upkeep remembers from one time to the next.
struct Upkeep {
    rng: Box<dyn Rng>,
    /// Frames in each window that is over.
    waiting: BTreeMap<Span, Waiting>,
    /// Volumes in each period that are not rolled up.
    unrolled: BTreeMap<Period, Waiting>,
    rolled_at: Option<BootTime>,
    named_at: Option<BootTime>,
    retained_at: Option<BootTime>,
}

impl Upkeep {
    fn new(rng: Box<dyn Rng>) -> Upkeep {
        let (waiting, unrolled, rolled_at, named_at, retained_at) = Default::default();
        Upkeep { rng, waiting, unrolled, rolled_at, named_at, retained_at }
    }
}

/// How much of something waits, since when there is no more of it, and since when there is any.
#[derive(Clone, Copy)]
struct Waiting {
    count: usize,
    since: BootTime,
    first: BootTime,
}

impl Waiting {
    /// Now there is so much. Whether no more came for as long as `quiet`, or it waits too long already.
    fn is_over(&mut self, count: usize, now: BootTime, quiet: Duration) -> bool {
        if self.count != count {
            (self.count, self.since) = (count, now);
        }
        now.since(self.since) >= quiet || now.since(self.first) >= LATE_MAX
    }
}

/// What an engine is made of.
pub struct Parts {
    pub log: Log,
    pub shelf: Shelf,
    pub durable: Durable,
    pub writer: Writer,
    pub clock: Arc<dyn Clock>,
    pub rng: Box<dyn Rng>,
}

impl Engine {
    /// One of these parts.
    pub fn new(config: Config, parts: Parts) -> Engine {
        let Parts { log, shelf, durable, writer, clock, rng } = parts;
        let upkeep = Mutex::new(Upkeep::new(rng));
        let commits = watch::Sender::new(Commits::default());
        let (writer, deletions, verify) = (Mutex::new(writer), Mutex::default(), Mutex::default());
        Engine { log, shelf, durable, clock, commits, config, writer, upkeep, deletions, verify }
    }

    /// Makes durable what was gathered, and tells whoever waits.
    ///
    /// # Errors
    /// Files that are over; everybody was told, and goes on in new ones.
    pub fn commit(&self) -> Result<(), CommitError> {
        self.commit_with(&mut self.writer())
    }

    fn commit_with(&self, writer: &mut Writer) -> Result<(), CommitError> {
        let Some(batch) = self.log.take() else { return Ok(()) };
        let done = writer.commit(batch);
        match &done {
            Ok(()) => self.log.land(),
            Err(error) => self.log.fail(&error.files),
        }
        self.commits.send_modify(|commits| {
            commits.is_failing = done.is_err();
            let count = if done.is_ok() { &mut commits.done } else { &mut commits.failed };
            *count += 1;
        });
        done
    }

    /// All files as they are now, with what was gathered so far. Nothing is sealed, deleted or logged meanwhile.
    ///
    /// # Errors
    /// A log file that cannot be opened.
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let _still = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer();
        // What does not become durable is not acknowledged either: the snapshot lacks nothing that is.
        if let Err(error) = self.commit_with(&mut writer) {
            tracing::warn!(error = chain(&error), "the snapshot lacks the newest frames");
        }
        Snapshot::take(&self.shelf, &writer.files())
    }

    /// Reads a bit of what is sealed once more.
    pub fn verify(&self, now: BootTime) {
        self.verify.lock().unwrap_or_else(PoisonError::into_inner).step(&self.shelf, now);
    }

    /// Sealed files that were read once more.
    pub fn verified(&self) -> u64 {
        self.verify.lock().unwrap_or_else(PoisonError::into_inner).verified
    }

    /// Seals what is over and lets go of what is old. Says what failed; it is tried again.
    pub fn keep_up(&self, nodes: &Nodes, now: Now) -> Vec<SealError> {
        let mut upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let mut errors = Vec::new();
        for span in self.due(&mut upkeep, nodes, now) {
            match self.seal(nodes, span, &mut *upkeep.rng) {
                Ok(()) => drop(upkeep.waiting.remove(&span)),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() || self.commits.borrow().is_failing {
            self.let_go(nodes, now);
        }
        let is_due = |at: Option<BootTime>, every| at.is_none_or(|at| now.boot.since(at) >= every);
        if is_due(upkeep.rolled_at, ROLL_EVERY) {
            upkeep.rolled_at = Some(now.boot);
            errors.extend(self.roll_up(&mut upkeep, nodes, now).err());
        }
        if is_due(upkeep.retained_at, RETAIN_EVERY) {
            self.retain(now);
            upkeep.retained_at = Some(now.boot);
        }
        if is_due(upkeep.named_at, NAMES_EVERY) {
            match self.rewrite_names(nodes) {
                Ok(()) => upkeep.named_at = Some(now.boot),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// The windows that are to be sealed now, oldest first.
    fn due(&self, upkeep: &mut Upkeep, nodes: &Nodes, now: Now) -> Vec<Span> {
        let mut frames: BTreeMap<Span, usize> = BTreeMap::new();
        for history in all(nodes) {
            let history = history.lock().unwrap_or_else(PoisonError::into_inner);
            history.spans().for_each(|(span, count)| *frames.entry(span).or_default() += count);
        }
        let over = |span: Span| span.end().0.saturating_add(GRACE.as_nanos() as i64) <= now.wall.0;
        frames.retain(|span, _| over(*span));
        upkeep.waiting.retain(|span, _| frames.contains_key(span));
        let sealed = self.shelf.all();
        // Files of heartbeats, and files whose deletion failed, have nothing in memory: they only go.
        let empty =
            self.writer().spans().into_iter().filter(|span| over(*span) && !frames.contains_key(span));
        let mut due: Vec<Span> = empty.collect();
        for (span, frames) in frames {
            let new = Waiting { count: frames, since: now.boot, first: now.boot };
            let quiet = upkeep.waiting.entry(span).or_insert(new).is_over(frames, now.boot, GRACE);
            let late = sealed.iter().any(|volume| volume.contents.span() == Some(span));
            if !late || quiet {
                due.push(span);
            }
        }
        due
    }

    /// Chunks of a window on the disk; then its log files and its memory go.
    fn seal(&self, nodes: &Nodes, span: Span, rng: &mut dyn Rng) -> Result<(), SealError> {
        let below = self.log.close(span);
        // What was gathered for the files is in memory, too: it must not be logged behind their end.
        let covered = {
            let mut writer = self.writer();
            self.commit_with(&mut writer)?;
            writer.covered(span, below)
        };
        let names: Vec<String> = covered.iter().map(|(_, name)| name.clone()).collect();
        let mut writings = Vec::new();
        let sealed = self.write(nodes, (span, below), &mut writings, rng);
        let sealed = sealed.inspect_err(|_| self.shelf.discard(&writings))?;
        self.shelf.finish(writings, names, rng)?;
        // Readers look into the memory first and on the shelf then: they see a frame twice rather than never.
        for (history, segments) in sealed {
            history.lock().unwrap_or_else(PoisonError::into_inner).release(&segments);
        }
        let numbers: Vec<FileNumber> = covered.into_iter().map(|(number, _)| number).collect();
        Ok(self.writer().release(&numbers)?)
    }

    fn write(
        &self,
        nodes: &Nodes,
        (span, below): (Span, FileNumber),
        writings: &mut Vec<Writing>,
        rng: &mut dyn Rng,
    ) -> Result<Vec<Sealed>, SealError> {
        let (order, mut sealed) = (self.shelf.next_order(), Vec::new());
        for history in all(nodes) {
            let (node, segments, specs) = {
                let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
                let segments = history.ripe(span, below);
                if segments.is_empty() {
                    continue;
                }
                let specs = specs(&history, &segments);
                history.dictionary.seen(specs.keys().copied(), span.end());
                (history.node(), segments, specs)
            };
            for (class, chunk) in seal::chunks(node, &segments, &specs)? {
                let contents = Contents::Raw(span, class);
                let at =
                    writings.iter().position(|writing| writing.contents == contents).unwrap_or_else(|| {
                        writings.push(self.shelf.begin(contents, order, rng));
                        writings.len() - 1
                    });
                writings.get_mut(at).map_or(Ok(()), |writing| writing.push(&chunk))?;
            }
            sealed.push((history, segments));
        }
        Ok(sealed)
    }

    /// Rolls up one period, if one is over and nothing more came for a while.
    fn roll_up(&self, upkeep: &mut Upkeep, nodes: &Nodes, now: Now) -> Result<(), SealError> {
        let shelved = Shelved::new(self.shelf.all());
        let pending = shelved.pending(&self.config, now.wall);
        upkeep.unrolled.retain(|period, _| pending.contains_key(period));
        let mut over = Vec::new();
        for (period, count) in pending {
            let new = Waiting { count, since: now.boot, first: now.boot };
            let quiet = upkeep.unrolled.entry(period).or_insert(new).is_over(count, now.boot, SETTLE);
            if quiet && rollup::is_closed(period, now.wall) {
                over.push(period);
            }
        }
        // Minutes come first. Hours wait for those that they are made of.
        let is_ready = |period: &Period| {
            let inside = |other: &Period| rolled_into(Contents::Rolled(*other)) == Some(*period);
            !upkeep.unrolled.keys().any(inside)
        };
        match over.into_iter().find(is_ready) {
            Some(period) => self.build(nodes, (&shelved, period), &mut *upkeep.rng),
            None => Ok(()),
        }
    }

    /// Deletes what is too old and what is too much, and says so.
    fn retain(&self, now: Now) {
        let beside = self.writer().bytes();
        let shelved = Shelved::new(self.shelf.all());
        for (volume, reason) in retain::doomed(&self.config, &shelved, beside, now.wall) {
            let (file, from) = (volume.path.display(), volume.contents.start());
            if reason == Reason::Size {
                tracing::warn!(%file, %from, "history is larger than allowed, its oldest part goes");
            }
            match self.shelf.delete(&volume) {
                Ok(()) => self.deletions().add(&volume, reason),
                Err(error) => tracing::warn!(%file, %error, "failed to delete old history"),
            }
        }
    }

    /// What was let go.
    pub fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of everything on the disk.
    pub fn bytes(&self) -> u64 {
        self.shelf.all().iter().fold(self.writer().bytes(), |bytes, volume| bytes + volume.size())
    }

    /// Writes the dictionary anew, without series that stand in no window.
    fn rewrite_names(&self, nodes: &Nodes) -> Result<(), SealError> {
        let mut writer = self.writer();
        self.commit_with(&mut writer)?;
        let oldest = self.shelf.all().iter().map(|volume| volume.contents.start()).min();
        let mut records = Vec::new();
        for history in all(nodes) {
            let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = history.named();
            // What was seen is written once a day: it may be newer by as much.
            let slack = NAMES_EVERY.as_nanos() as i64;
            let now = self.clock.now().wall;
            let before = oldest.unwrap_or(now).min(now).0.saturating_sub(slack);
            history.dictionary.expire(WallTime(before), &kept);
            history.dictionary.seen(kept.into_iter(), now);
            records.extend_from_slice(&names(&history));
        }
        Ok(writer.rewrite_names(&records)?)
    }

    /// While the disk fails, what no log file has is kept for a while only: the agents have it, too.
    fn let_go(&self, nodes: &Nodes, now: Now) {
        let before = now.wall.0.saturating_sub(UNLOGGED_MAX.as_nanos() as i64);
        let (mut kept, next) = {
            // With the writer nothing is on its way from one to the other.
            let writer = self.writer();
            let (open, next) = self.log.numbers();
            (writer.numbers().chain(open).collect::<HashSet<_>>(), next)
        };
        kept.remove(&0);
        let is_unlogged = |number: FileNumber| number < next && !kept.contains(&number);
        for history in all(nodes) {
            let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
            history.let_go(WallTime(before), &is_unlogged);
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is durable.
    pub fn ledgers(&self) -> MutexGuard<'_, Ledgers> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Sealed = (Arc<Mutex<History>>, Vec<Arc<Segment>>);

fn all(nodes: &Nodes) -> Vec<Arc<Mutex<History>>> {
    let nodes = nodes.read().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<(NodeId, _)> = nodes.iter().map(|(node, history)| (*node, history.clone())).collect();
    all.sort_by_key(|(node, _)| *node);
    all.into_iter().map(|(_, history)| history).collect()
}

fn specs(history: &History, segments: &[Arc<Segment>]) -> HashMap<SeriesId, SeriesSpec> {
    let ids = segments.iter().flat_map(|segment| segment.columns()).filter_map(|column| column.id);
    ids.filter_map(|id| Some((id, history.dictionary.get(id)?.clone()))).collect()
}

fn names(history: &History) -> Vec<u8> {
    let (node, dictionary) = (history.node(), &history.dictionary);
    let floor = Record::Forgotten { node, next: dictionary.floor() };
    let floor = (dictionary.floor() > SeriesId(0)).then_some(floor);
    let series = dictionary.all().map(|(id, known)| Record::Series {
        node,
        id,
        seen: known.seen,
        spec: known.spec.clone(),
    });
    framed(floor.into_iter().chain(series))
}
