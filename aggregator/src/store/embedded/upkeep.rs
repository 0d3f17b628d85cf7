//! Upkeep: which windows are sealed now, which period is rolled up, and what is let go. Time is an argument.

use super::Nodes;
use super::engine::{Engine, SealError, all};
use super::history::History;
use super::log::FileNumber;
use super::period::Period;
use super::record::Record;
use super::reserve::is_full;
use super::retain::{self, Reason};
use super::rollup::{self, Shelved, rolled_into};
use super::volume::Contents;
use super::window::Span;
use super::writer::framed;
use crate::store::SeriesId;
use quorate_common::model::time::{BootTime, Now, WallTime};
use quorate_common::rng::Rng;
use std::collections::{BTreeMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

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

/// What upkeep remembers from one time to the next.
pub(super) struct Upkeep {
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
    pub(super) fn new(rng: Box<dyn Rng>) -> Upkeep {
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

impl Engine {
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
        self.let_go(nodes, now);
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
        if errors.iter().any(|error| is_full(error)) {
            self.reserve.give_back();
        } else {
            self.reserve.take(&mut *upkeep.rng);
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

    /// What no log file has is kept for a while only, for readers: it is not durable, and the agents have it, too.
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
        let beside = self.beside();
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

    /// Writes the dictionary anew, without series that stand in no window.
    fn rewrite_names(&self, nodes: &Nodes) -> Result<(), SealError> {
        let mut writer = self.writer();
        self.commit_with(nodes, &mut writer, true)?;
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
