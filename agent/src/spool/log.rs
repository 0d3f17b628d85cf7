//! Log: the journal of ticks on disk, as a machine that reads no clock.
//!
//! ```text
//!             full, or to be sent            known to the aggregator
//!   open piece ───────────────→ closed pieces ──────────────────────→ (gone)
//!                                    └── no room: oldest first ─────→ loss
//! ```
//!
//! Every tick is written at once. What a live session carries in time is never read again; the rest is handed out
//! oldest first, and goes when the aggregator says that it knows it. A piece that has to go before is declared as a
//! loss first, and that survives. It never fails as a whole: what the disk does not take is a loss, too.

use super::loss::Losses;
use super::piece::{self, Entry, Open, PieceError};
use crate::encode::{Catalogue, Tick};
use quorate_common::disk::Disk;
use quorate_common::error::chain;
use quorate_common::model::backfill::{self, Backfill, Known, Loss, LossCause};
use quorate_common::model::session::{Epoch, Held};
use quorate_common::model::time::BootTime;
use quorate_common::rng::Rng;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a live session has not carried for this long is not waited for any more.
pub const LIVE_FOR: Duration = Duration::from_secs(10);
/// After the disk has failed it is left alone for this long.
const REST: Duration = Duration::from_secs(5);
/// Most epochs on disk; a Hello cannot list more.
const EPOCHS_MAX: usize = 120;
/// Ranges of a Hello; with more holes than this, one range for each epoch.
const HELD_MAX: usize = 250;

/// The journal of one agent.
pub struct Log {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    rng: Box<dyn Rng + Sync>,
    bytes_max: u64,
    me: (Epoch, [u8; 16]),
    /// What is registered before the next tick.
    base: Catalogue,
    /// Oldest first.
    closed: VecDeque<Entry>,
    open: Option<Open>,
    losses: Losses,
    /// Frames of this process that are not on disk.
    unwritten: VecDeque<Loss>,
    /// Of the current epoch.
    known: Known,
    /// Ticks of the last seconds, and their times.
    recent: VecDeque<(u64, BootTime)>,
    /// Number of the newest tick that no session is waited for any more.
    old: u64,
    next_seq: u64,
    /// Until when the disk is left alone.
    rest_until: BootTime,
    /// What was handed out last.
    handed: Option<Entry>,
    /// Ranges of earlier epochs whose files may be there again after a power cut.
    gone: Vec<Held>,
}

impl Log {
    /// Reads what earlier processes have left.
    ///
    /// # Errors
    /// The directory cannot be listed, or what was lost cannot be read.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        bytes_max: u64,
        me: (Epoch, [u8; 16]),
        rng: Box<dyn Rng + Sync>,
    ) -> io::Result<Log> {
        let losses = Losses::open(disk.clone(), directory)?;
        let mut log = Log {
            disk,
            directory: directory.to_owned(),
            rng,
            bytes_max,
            me,
            base: Catalogue::default(),
            closed: VecDeque::new(),
            open: None,
            losses,
            unwritten: VecDeque::new(),
            known: Known { epoch: me.0, ..Known::default() },
            recent: VecDeque::new(),
            old: 0,
            next_seq: 1,
            rest_until: BootTime(0),
            handed: None,
            gone: Vec::new(),
        };
        log.look()?;
        Ok(log)
    }

    fn look(&mut self) -> io::Result<()> {
        for name in self.disk.list(&self.directory)? {
            let Some((epoch, first)) = piece::named(&name) else { continue };
            let path = self.directory.join(&name);
            match piece::read(&*self.disk, &path) {
                Ok((read, bytes)) => {
                    let (last, collected_total) = (read.seen.max(first), read.collected_total);
                    // Whoever wrote it may have been killed before that.
                    let is_synced = false;
                    let entry = Entry { path, epoch, first, last, collected_total, bytes, is_synced };
                    self.closed.push_back(entry);
                }
                Err(error) => {
                    tracing::warn!(class = "failure", path = %path.display(), %error, "a piece of the journal cannot be read");
                }
            }
        }
        // Names begin with the epoch and its first frame, in order.
        let epochs: BTreeSet<Epoch> = self.closed.iter().map(|entry| entry.epoch).collect();
        let gone: Vec<Epoch> = epochs.iter().rev().skip(EPOCHS_MAX).copied().collect();
        // A loss that cannot be written down keeps its piece, and with it all behind it.
        while self.closed.front().is_some_and(|entry| gone.contains(&entry.epoch)) && self.drop_oldest() {}
        Ok(())
    }

    /// Begins anew with what is registered before tick `next_seq`: ticks between were not handed over.
    pub fn rebase(&mut self, base: Catalogue) {
        self.close();
        self.base = base;
    }

    /// Takes a tick; it is with the kernel when this returns, or declared.
    pub fn push(&mut self, tick: &Tick) {
        if tick.seq > self.next_seq {
            self.miss(self.next_seq, tick.seq - 1, 0);
        }
        self.next_seq = tick.seq + 1;
        self.age(tick);
        if tick.at.boot < self.rest_until {
            self.miss(tick.seq, tick.seq, tick.collected_total);
        } else if let Err(error) = self.write(tick) {
            tracing::warn!(class = "failure", error = chain(&error), "a tick is not in the journal");
            self.rest_until = BootTime(tick.at.boot.0.saturating_add(REST.as_nanos() as u64));
            self.close();
            self.miss(tick.seq, tick.seq, tick.collected_total);
        }
        self.base.apply(&tick.changes);
        self.bound();
    }

    fn write(&mut self, tick: &Tick) -> Result<(), PieceError> {
        if self.open.as_ref().is_some_and(Open::is_full) {
            self.close();
        }
        let place = (self.disk.clone(), self.directory.as_path());
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::begin(place, self.me, (&self.base, tick.seq), &mut *self.rng)?),
        };
        open.tick(tick)
    }

    /// Remembers when a tick was, and which have become old.
    fn age(&mut self, tick: &Tick) {
        self.recent.push_back((tick.seq, tick.at.boot));
        while let Some((seq, at)) = self.recent.front().copied()
            && tick.at.boot.since(at) >= LIVE_FOR
        {
            self.old = seq;
            self.recent.pop_front();
        }
    }

    fn miss(&mut self, first: u64, last: u64, collected_total: u64) {
        match self.unwritten.back_mut() {
            Some(before) if before.last + 1 == first => {
                (before.last, before.collected_total) = (last, collected_total);
            }
            _ => {
                let (epoch, cause) = (self.me.0, LossCause::Unwritten);
                self.unwritten.push_back(Loss { epoch, first, last, collected_total, cause });
            }
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        match open.entry() {
            Some(entry) => self.closed.push_back(entry),
            // Its first tick failed half way.
            None => drop(self.disk.remove(open.path())),
        }
    }

    /// Everything that was pushed survives a power cut.
    pub fn sync(&mut self) {
        for entry in &mut self.closed {
            if std::mem::replace(&mut entry.is_synced, true) {
                continue;
            }
            told("sync", &entry.path, self.disk.sync(&entry.path));
        }
        match self.open.as_mut().map(Open::sync) {
            Some(Err(error)) => {
                tracing::warn!(class = "failure", error = chain(&error), "the journal is not on disk");
                self.close();
            }
            // The directory is on disk with the file.
            Some(Ok(())) => self.gone.clear(),
            None => {}
        }
    }

    fn bound(&mut self) {
        let open = self.open.as_ref().and_then(Open::entry).map_or(0, |open| open.bytes);
        let mut bytes = open + self.closed.iter().map(|entry| entry.bytes).sum::<u64>();
        while bytes > self.bytes_max
            && let Some(oldest) = self.closed.front().map(|oldest| oldest.bytes)
            && self.drop_oldest()
        {
            bytes -= oldest;
        }
    }

    /// Declares the oldest piece as lost and then lets go of it; `false` if that could not be written down.
    fn drop_oldest(&mut self) -> bool {
        let Some(Entry { epoch, first, last, collected_total, .. }) = self.closed.front().cloned() else {
            return false;
        };
        let loss = Loss { epoch, first, last, collected_total, cause: LossCause::Overflow };
        if !told("note a loss", &self.directory, self.losses.add(loss)) {
            return false;
        }
        self.closed.pop_front().is_some_and(|entry| self.remove(&entry))
    }

    fn remove(&self, entry: &Entry) -> bool {
        told("remove", &entry.path, self.disk.remove(&entry.path))
    }

    /// Takes in what the aggregator knows of an epoch.
    pub fn known(&mut self, known: Known) {
        if let Some(entry) =
            self.handed.take_if(|entry| entry.epoch == known.epoch && known.refused.is_some())
        {
            self.give_up(&entry, known.refused.as_deref().unwrap_or_default());
        }
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.closed)
            .into_iter()
            .partition(|entry| entry.epoch == known.epoch && known.covers(entry.first, entry.last));
        self.closed = kept.into();
        for entry in gone {
            self.remove(&entry);
            let Entry { epoch, first, last, .. } = entry;
            if epoch != self.me.0 {
                self.gone.push(Held { epoch, first, last });
            }
        }
        self.gone = Held::joined(std::mem::take(&mut self.gone));
        self.unwritten.retain(|loss| loss.epoch != known.epoch || !known.covers(loss.first, loss.last));
        told("settle losses", &self.directory, self.losses.settle(&known));
        if known.epoch == self.me.0 {
            self.known = known;
        }
    }

    /// What cannot be read over there is not sent again.
    fn give_up(&mut self, entry: &Entry, reason: &str) {
        tracing::warn!(class = "failure", path = %entry.path.display(), reason, "a piece of the journal was refused");
        self.damaged(entry, entry.first);
    }

    /// Declares a piece from `first` on as damaged, and lets go of it.
    fn damaged(&mut self, entry: &Entry, first: u64) {
        let Entry { epoch, last, collected_total, .. } = *entry;
        let loss = Loss { epoch, first, last, collected_total, cause: LossCause::Damaged };
        told("note a loss", &self.directory, self.losses.add(loss));
    }

    /// The next thing to send of earlier: losses first, then the oldest piece. It is handed out again until the
    /// aggregator knows it.
    pub fn due(&mut self) -> Option<Backfill> {
        self.declare_unwritten();
        if let Some(loss) = self.losses.first() {
            return Some(Backfill::Loss(loss));
        }
        if self.closed.is_empty() && self.is_due_open() {
            self.close();
        }
        while let Some(entry) = self.closed.iter().find(|entry| self.is_due(entry)).cloned() {
            match self.read(&entry) {
                Some(piece) => {
                    self.handed = Some(entry);
                    return Some(Backfill::Piece(piece));
                }
                None => {
                    self.closed.retain(|other| *other != entry);
                    self.remove(&entry);
                    if let Some(loss) = self.losses.first() {
                        return Some(Backfill::Loss(loss));
                    }
                }
            }
        }
        None
    }

    /// Whether there is something to send of earlier.
    pub fn has_due(&self) -> bool {
        self.losses.first().is_some()
            || self.unwritten.front().is_some_and(|loss| loss.last <= self.old)
            || self.closed.iter().any(|entry| self.is_due(entry))
            || self.is_due_open()
    }

    fn declare_unwritten(&mut self) {
        while self.unwritten.front().is_some_and(|loss| loss.last <= self.old) {
            let Some(loss) = self.unwritten.pop_front() else { return };
            told("note a loss", &self.directory, self.losses.add(loss));
        }
    }

    fn is_due_open(&self) -> bool {
        self.open.as_ref().and_then(Open::entry).is_some_and(|entry| self.is_due(&entry))
    }

    /// Whether a piece has frames that no session carries any more and the aggregator does not know.
    fn is_due(&self, entry: &Entry) -> bool {
        let last = entry.last.min(self.old);
        entry.epoch != self.me.0 || (entry.first <= last && !self.known.covers(entry.first, last))
    }

    /// The piece as it is sent; `None` if nothing of it can be. What cannot be is declared.
    fn read(&mut self, entry: &Entry) -> Option<backfill::Piece> {
        let read = match piece::read(&*self.disk, &entry.path) {
            Ok((read, _)) => read,
            Err(error) => {
                tracing::warn!(class = "failure", path = %entry.path.display(), %error, "a piece of the journal cannot be read");
                piece::Read::default()
            }
        };
        let good = read.last.unwrap_or(entry.first - 1);
        if good < entry.last {
            tracing::warn!(class = "failure", path = %entry.path.display(), "a piece of the journal is damaged");
            self.damaged(entry, good + 1);
        }
        read.last?;
        read.pack(entry.epoch)
            .inspect_err(|error| tracing::warn!(class = "failure", %error, "a piece was not packed"))
            .ok()
    }

    /// What the journal holds, may hold after a power cut, or has not declared yet, for a Hello.
    pub fn held(&self) -> Vec<Held> {
        let pieces = self.closed.iter().cloned().chain(self.open.as_ref().and_then(Open::entry));
        let pieces = pieces.map(|entry| (entry.epoch, entry.first, entry.last));
        let losses =
            self.losses.all().iter().chain(&self.unwritten).map(|loss| (loss.epoch, loss.first, loss.last));
        let ranges = pieces.chain(losses).map(|(epoch, first, last)| Held { epoch, first, last });
        let mut held = Held::joined(ranges.chain(self.gone.iter().copied()).collect());
        if held.len() > HELD_MAX {
            held.dedup_by(|next, before| {
                let same = next.epoch == before.epoch;
                before.last = if same { next.last } else { before.last };
                same
            });
        }
        held
    }

    /// Whether a frame is on disk.
    pub fn has(&self, epoch: Epoch, seq: u64) -> bool {
        let open = self.open.as_ref().and_then(Open::entry);
        let mut all = self.closed.iter().chain(&open);
        all.any(|entry| entry.epoch == epoch && (entry.first..=entry.last).contains(&seq))
    }

    /// Pieces on disk, and their bytes.
    pub fn size(&self) -> (usize, u64) {
        let open = self.open.as_ref().and_then(Open::entry);
        let all = self.closed.iter().chain(open.as_ref());
        all.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.bytes))
    }
}

/// Says what the disk did not do; whether it did.
fn told(what: &'static str, path: &Path, done: io::Result<()>) -> bool {
    let Err(error) = &done else { return true };
    tracing::warn!(class = "failure", path = %path.display(), %error, "the journal's disk failed to {what}");
    false
}

#[cfg(test)]
mod tests;
