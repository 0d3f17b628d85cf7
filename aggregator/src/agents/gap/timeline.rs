//! The time line of one node: which stretches have no samples, and why. Without I/O and without a clock.
//!
//! ```text
//!   opened, frame ──→ last heard ── too long until the next ──→ hole ── filled ──→ smaller, or gone
//!                          └─ sweep: too long until now ──→ silence, until the next frame says why
//! ```
//!
//! A frame costs a comparison. What there is to say is said when the owner sweeps, once a second: whoever carries
//! a session never waits for a disk.

use super::failing::Collectors;
use super::hole::{Hole, is_within};
use super::loss::Losses;
use quorate_common::model::gap::{Gap, GapCause, LastHeard};
use quorate_common::model::session::{ByeReason, Epoch};
use quorate_common::model::time::WallTime;
use std::collections::VecDeque;
use std::time::Duration;

/// Holes that may still be filled; of more, the oldest stay as they are.
const HOLES_MAX: usize = 16;
/// How much later than a frame is due the node is not heard.
const LATE: Duration = Duration::from_secs(3);
/// How long after our start agents need to come back.
const RETURN: Duration = Duration::from_secs(15);

/// When this run of the aggregator began, and when the one before it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The begin of this one.
    pub started: WallTime,
    /// As far as the one before it is known to have run.
    pub before: Option<WallTime>,
    /// The first number of a part that none of the runs before gave.
    pub next: u64,
}

/// What is said of one part from now on, in place of all that was said of it; nothing if it was none.
pub type Said = (u64, Vec<Gap>);

/// See the module.
#[derive(Debug, Default)]
pub struct Timeline {
    run: Run,
    last: Option<LastHeard>,
    session: Option<(Epoch, [u8; 16])>,
    farewell: Option<ByeReason>,
    holes: VecDeque<Hole>,
    silence: Option<Silence>,
    /// Parts that turned out to be none.
    withdrawn: Vec<u64>,
    collectors: Collectors,
    losses: Losses,
    next: u64,
}

/// The node is not heard.
#[derive(Clone, Copy, Debug)]
struct Silence {
    part: u64,
    /// As it was said.
    cause: Option<GapCause>,
}

/// What the owner sees of a node.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// The time.
    pub now: WallTime,
    /// Collectors that fail, and for how many rounds they have.
    pub failing: &'a [(String, u32)],
    /// Samples that were dropped so far, by cause; `None` of a node that had no session yet.
    pub dropped: Option<&'a [(GapCause, u64)]>,
}

impl Timeline {
    /// Of a node that nothing is known of.
    pub fn new(run: Run) -> Timeline {
        Timeline { run, next: run.next, ..Timeline::default() }
    }

    /// Goes on where the run before ended: with when the node was last heard, and the newest of what was said of it
    /// by part, oldest first.
    pub fn restore(run: Run, last: Option<LastHeard>, said: Vec<(u64, Gap)>) -> Timeline {
        let mut line = Timeline { last, ..Timeline::new(run) };
        let apart = last.map_or(Duration::from_secs(2), |last| apart(last.due_ms));
        for (part, gap) in said {
            match (gap.collector, gap.to, gap.cause) {
                (Some(collector), None, _) => line.collectors.restore(&collector, part, gap.from),
                (None, None, cause) => line.silence = Some(Silence { part, cause: Some(cause) }),
                (None, Some(to), cause) if gap.filled.is_none() && is_fillable(cause) => {
                    let missed = match cause {
                        GapCause::AggregatorDown => cause,
                        _ => GapCause::LinkDown,
                    };
                    let hole = Hole::new(part, (gap.from, to), (missed, cause), apart);
                    line.keep(Hole { is_news: false, ..hole });
                }
                _ => {}
            }
        }
        line
    }

    /// A session began.
    pub fn opened(&mut self, epoch: Epoch, boot_id: [u8; 16]) {
        self.session = Some((epoch, boot_id));
        self.collectors.pause();
    }

    /// The agent said why it ends its session.
    pub fn farewell(&mut self, reason: ByeReason) {
        self.farewell = Some(reason);
    }

    /// A live frame was taken: when it was sampled, and how soon the next is due.
    pub fn frame(&mut self, at: WallTime, due_ms: u32) {
        let Some((epoch, boot_id)) = self.session else { return };
        let now = LastHeard { at, due_ms, epoch, boot_id };
        match self.last {
            Some(last) if at <= last.at => return self.filled(at),
            Some(last) if !is_within(last.at, at, apart(last.due_ms)) => self.hole(last, now),
            _ => self.withdrawn.extend(self.silence.take().map(|silence| silence.part)),
        }
        self.farewell = None;
        self.last = Some(now);
    }

    /// A frame of earlier was taken.
    pub fn filled(&mut self, at: WallTime) {
        self.holes.iter_mut().rev().any(|hole| hole.fill(at));
    }

    /// When the node was last heard.
    pub fn last(&self) -> Option<LastHeard> {
        self.last
    }

    /// Nobody heard the node between two live frames.
    fn hole(&mut self, last: LastHeard, now: LastHeard) {
        let own = match now {
            now if now.boot_id != last.boot_id => GapCause::HostDown,
            now if now.epoch != last.epoch => GapCause::AgentStopped,
            _ => GapCause::LinkDown,
        };
        let apart = apart(last.due_ms);
        let part = self.silence.take().map(|silence| silence.part);
        let part = part.unwrap_or_else(|| self.part());
        if !self.is_ours(last) {
            let causes = (GapCause::LinkDown, own);
            return self.keep(Hole::new(part, (last.at, now.at), causes, apart));
        }
        let down = GapCause::AggregatorDown;
        let lacking = if own == GapCause::LinkDown { down } else { own };
        let is_soon = is_within(self.run.started, now.at, RETURN);
        let until = if is_soon { now.at } else { self.run.started };
        self.keep(Hole::new(part, (last.at, until), (down, lacking), apart));
        if until < now.at {
            let part = self.part();
            self.keep(Hole::new(part, (until, now.at), (GapCause::LinkDown, own), apart));
        }
    }

    /// Whether a silence began because we ended.
    fn is_ours(&self, last: LastHeard) -> bool {
        let was_heard = |before| is_within(last.at, before, apart(last.due_ms) + LATE);
        last.at < self.run.started && self.run.before.is_some_and(was_heard)
    }

    fn keep(&mut self, hole: Hole) {
        if self.holes.len() >= HOLES_MAX {
            self.holes.pop_front();
        }
        self.holes.push_back(hole);
    }

    fn part(&mut self) -> u64 {
        let part = self.next;
        self.next += 1;
        part
    }

    /// What was dropped before anybody looked: it was said then, or nobody can say when it was.
    pub fn counted(&mut self, dropped: &[(GapCause, u64)]) {
        self.losses.begin(dropped);
    }

    /// What there is to say now.
    pub fn sweep(&mut self, sight: Sight<'_>) -> Vec<Said> {
        let mut said: Vec<Said> = self.withdrawn.drain(..).map(|part| (part, Vec::new())).collect();
        said.extend(self.silence(sight.now));
        for hole in self.holes.iter_mut().filter(|hole| hole.is_news) {
            hole.is_news = false;
            hole.filled = (!hole.runs.is_empty()).then_some(sight.now);
            said.push((hole.part, hole.gaps()));
        }
        let lacking = self.holes.iter().rev().find_map(|hole| hole.lacking().first().copied());
        let heard = self.last.map_or(sight.now, |last| last.at);
        let place = lacking.unwrap_or((heard, heard));
        self.holes.retain(|hole| !hole.is_full());
        let next = &mut self.next;
        said.extend(self.losses.sweep(sight, place, next));
        if self.session.is_some() {
            said.extend(self.collectors.sweep(sight, heard, next));
        }
        said
    }

    fn silence(&mut self, now: WallTime) -> Option<Said> {
        let last = self.last.filter(|last| !is_within(last.at, now, apart(last.due_ms) + LATE))?;
        let cause = match self.farewell {
            Some(ByeReason::HostShutdown) => GapCause::HostDown,
            Some(ByeReason::Stop | ByeReason::Restart) => GapCause::AgentStopped,
            _ if self.is_ours(last) && is_within(self.run.started, now, RETURN) => GapCause::AggregatorDown,
            _ => GapCause::Unknown,
        };
        let part = self.silence.map(|silence| silence.part).unwrap_or_else(|| self.part());
        let before = self.silence.replace(Silence { part, cause: Some(cause) });
        if before.is_some_and(|before| before.cause == Some(cause)) {
            return None;
        }
        let gap = Gap { collector: None, from: last.at, to: None, cause, samples: 0, filled: None };
        Some((part, vec![gap]))
    }
}

/// How far frames may be apart that have nothing between them, when the next was announced for then.
fn apart(due_ms: u32) -> Duration {
    Duration::from_millis(u64::from(due_ms) * 3 / 2 + 500)
}

fn is_fillable(cause: GapCause) -> bool {
    use GapCause::{AgentStopped, AggregatorDown, HostDown, LinkDown};
    matches!(cause, LinkDown | AggregatorDown | AgentStopped | HostDown)
}

#[cfg(test)]
mod tests;
