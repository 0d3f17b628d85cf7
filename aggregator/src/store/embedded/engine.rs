//! The engine: what becomes durable and what is sealed. When that is, and what is let go, see [`super::upkeep`].
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
use super::reserve::{Reserve, is_full};
use super::retain::Deletions;
use super::seal;
use super::segment::Segment;
use super::shelf::{Shelf, Writing};
use super::snapshot::{Snapshot, SnapshotError};
use super::upkeep::Upkeep;
use super::verify::Verify;
use super::volume::Contents;
use super::window::Span;
use super::writer::{CommitError, Durable, Writer};
use crate::store::{Commits, SeriesId, Ticket};
use quorate_common::block::BlockError;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::journal::JournalError;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::BootTime;
use quorate_common::rng::Rng;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

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
    pub(super) config: Config,
    writer: Mutex<Writer>,
    pub(super) upkeep: Mutex<Upkeep>,
    verify: Mutex<Verify>,
    deletions: Mutex<Deletions>,
    pub(super) reserve: Reserve,
}

/// What an engine is made of.
pub struct Parts {
    pub log: Log,
    pub shelf: Shelf,
    pub durable: Durable,
    pub writer: Writer,
    pub clock: Arc<dyn Clock>,
    pub rng: Box<dyn Rng>,
    pub reserve: Reserve,
}

impl Engine {
    /// One of these parts.
    pub fn new(config: Config, parts: Parts) -> Engine {
        let Parts { log, shelf, durable, writer, clock, rng, reserve } = parts;
        let upkeep = Mutex::new(Upkeep::new(rng));
        let commits = watch::Sender::new(Commits::default());
        let (writer, deletions, verify) = (Mutex::new(writer), Mutex::default(), Mutex::default());
        Engine { log, shelf, durable, clock, commits, config, writer, upkeep, verify, deletions, reserve }
    }

    /// Makes durable what was gathered, and tells whoever waits.
    ///
    /// # Errors
    /// Files that are over; everybody was told, and goes on in new ones.
    pub fn commit(&self, nodes: &Nodes) -> Result<(), CommitError> {
        // What is left of a full disk is for those who make room.
        self.commit_with(nodes, &mut self.writer(), self.reserve.lets_write())
    }

    pub(super) fn commit_with(
        &self,
        nodes: &Nodes,
        writer: &mut Writer,
        may_write: bool,
    ) -> Result<(), CommitError> {
        let Some(batch) = self.log.take() else { return Ok(()) };
        let ticket = batch.ticket;
        let done = if may_write { writer.commit(batch) } else { Err(writer.refuse(batch)) };
        match &done {
            Ok(()) => self.log.land(),
            Err(error) => {
                self.log.fail(&error.files);
                // Before anybody is told, and sends it again.
                Engine::fail(nodes, &error.files, ticket);
                if is_full(error) {
                    self.reserve.give_back();
                }
            }
        }
        self.tell(&done);
        self.commits.send_modify(|commits| {
            commits.is_failing = done.is_err();
            let count = if done.is_ok() { &mut commits.done } else { &mut commits.failed };
            *count += 1;
        });
        done
    }

    /// Says when commits begin to fail and when they do no more, whoever makes them.
    fn tell(&self, done: &Result<(), CommitError>) {
        match (done, self.commits.borrow().is_failing) {
            (Err(error), false) => {
                tracing::error!(class = "failure", error = chain(error), "frames do not become durable");
            }
            (Ok(()), true) => tracing::info!("frames become durable again"),
            _ => {}
        }
    }

    /// What files lack comes again, perhaps to a process that takes it for another time: it must not be sealed.
    fn fail(nodes: &Nodes, files: &[FileNumber], batch: Ticket) {
        for history in all(nodes) {
            history.lock().unwrap_or_else(PoisonError::into_inner).fail(files, batch);
        }
    }

    /// All files as they are now, with what was gathered so far. Nothing is sealed, deleted or logged meanwhile.
    ///
    /// # Errors
    /// A log file that cannot be opened.
    pub fn snapshot(&self, nodes: &Nodes) -> Result<Snapshot, SnapshotError> {
        let _still = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer();
        // What does not become durable is not acknowledged either: the snapshot lacks nothing that is.
        if let Err(error) = self.commit_with(nodes, &mut writer, self.reserve.lets_write()) {
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

    /// Chunks of a window on the disk; then its log files and its memory go.
    pub(super) fn seal(&self, nodes: &Nodes, span: Span, rng: &mut dyn Rng) -> Result<(), SealError> {
        let below = self.log.close(span);
        // What was gathered for the files is in memory, too: it must not be logged behind their end.
        let covered = {
            let mut writer = self.writer();
            self.commit_with(nodes, &mut writer, true)?;
            writer.covered(span, below)?
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

    /// What was let go.
    pub fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of everything on the disk that is no volume.
    pub(super) fn beside(&self) -> u64 {
        self.writer().bytes().saturating_add(self.reserve.bytes())
    }

    /// Bytes of everything on the disk.
    pub fn bytes(&self) -> u64 {
        let beside = self.beside();
        self.shelf.all().iter().fold(beside, |bytes, volume| bytes + volume.size())
    }

    /// One at a time writes.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is durable.
    pub fn ledgers(&self) -> MutexGuard<'_, Ledgers> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Sealed = (Arc<Mutex<History>>, Vec<Arc<Segment>>);

/// All histories, by number of their node.
pub(super) fn all(nodes: &Nodes) -> Vec<Arc<Mutex<History>>> {
    let nodes = nodes.read().unwrap_or_else(PoisonError::into_inner);
    let mut all: Vec<(NodeId, _)> = nodes.iter().map(|(node, history)| (*node, history.clone())).collect();
    all.sort_by_key(|(node, _)| *node);
    all.into_iter().map(|(_, history)| history).collect()
}

fn specs(history: &History, segments: &[Arc<Segment>]) -> HashMap<SeriesId, SeriesSpec> {
    let ids = segments.iter().flat_map(|segment| segment.columns()).filter_map(|column| column.id);
    ids.filter_map(|id| Some((id, history.dictionary.get(id)?.clone()))).collect()
}
