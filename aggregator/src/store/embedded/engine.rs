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
use super::record::Record;
use super::retain::{self, Deletions, Reason};
use super::seal;
use super::segment::Segment;
use super::shelf::{Shelf, Writing};
use super::volume::Contents;
use super::window::Span;
use super::writer::{CommitError, Durable, Writer, framed};
use crate::store::SeriesId;
use quorate_common::block::BlockError;
use quorate_common::clock::Clock;
use quorate_common::journal::JournalError;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// After its end a window waits so long for frames that are under way, and for more of those that come late.
const GRACE: Duration = Duration::from_secs(30);
/// A window that late frames keep coming for is sealed all the same.
const LATE_MAX: Duration = Duration::from_secs(3_600);
/// The dictionary is written anew so often: it says until when each series was seen.
const NAMES_EVERY: Duration = Duration::from_secs(86_400);
/// Files are looked at for their age, and all together for their size, so often.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// How commits went since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Batches that are durable.
    pub done: u64,
    /// Batches that failed: what was in them and not durable before must be sent again.
    pub failed: u64,
}

/// Why a window was not sealed. It stays in log and memory, and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The disk failed.
    #[error("failed to seal a window")]
    Disk(#[from] JournalError),
    /// What is still to be logged cannot be.
    #[error("failed to seal a window")]
    Commit(#[from] CommitError),
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
    deletions: Mutex<Deletions>,
}

/// What upkeep remembers from one time to the next.
struct Upkeep {
    rng: Box<dyn Rng>,
    /// Frames in each window that is over, since when there are no more, and since when there are any.
    waiting: BTreeMap<Span, Waiting>,
    named_at: Option<BootTime>,
    retained_at: Option<BootTime>,
}

#[derive(Clone, Copy)]
struct Waiting {
    frames: usize,
    since: BootTime,
    first: BootTime,
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
        let upkeep = Mutex::new(Upkeep { rng, waiting: BTreeMap::new(), named_at: None, retained_at: None });
        let commits = watch::Sender::new(Commits::default());
        let (writer, deletions) = (Mutex::new(writer), Mutex::default());
        Engine { log, shelf, durable, clock, commits, config, writer, upkeep, deletions }
    }

    /// Makes durable what was gathered, and tells whoever waits.
    ///
    /// # Errors
    /// Files that are over; everybody was told, and goes on in new ones.
    pub fn commit(&self) -> Result<(), CommitError> {
        self.commit_with(&mut self.writer())
    }

    fn commit_with(&self, writer: &mut Writer) -> Result<(), CommitError> {
        let batch = self.log.take();
        if batch.parts.is_empty() && batch.names.is_empty() {
            return Ok(());
        }
        let done = writer.commit(batch);
        if let Err(error) = &done {
            self.log.fail(&error.files);
        }
        self.commits.send_modify(|commits| match &done {
            Ok(()) => commits.done += 1,
            Err(_) => commits.failed += 1,
        });
        done
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
        let is_due = |at: Option<BootTime>, every| at.is_none_or(|at| now.boot.since(at) >= every);
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
            let new = Waiting { frames, since: now.boot, first: now.boot };
            let waiting = upkeep.waiting.entry(span).or_insert(new);
            if waiting.frames != frames {
                (waiting.frames, waiting.since) = (frames, now.boot);
            }
            let late = sealed.iter().any(|volume| volume.contents.span() == Some(span));
            let quiet = now.boot.since(waiting.since) >= GRACE || now.boot.since(waiting.first) >= LATE_MAX;
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

    /// Deletes what is too old and what is too much, and says so.
    fn retain(&self, now: Now) {
        let beside = self.writer().bytes();
        for (volume, reason) in retain::doomed(&self.config, self.shelf.all(), beside, now.wall) {
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
