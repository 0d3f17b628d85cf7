//! A hole: a stretch between two live frames of a node, and what of it was sent after all.
//!
//! ```text
//!   live ─┤ from                                   to ├─ live
//!         │      ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓                    │      ▓ back-filled: it was only missed
//!         │      └ run ──────────┘└ lacking ─────────┘│
//! ```

use quorate_common::model::gap::{Gap, GapCause};
use quorate_common::model::time::WallTime;
use std::time::Duration;

/// Most runs of a hole; frames beyond them lengthen the one before them.
const RUNS_MAX: usize = 64;

/// A hole that may still be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Its number among all that is said of a node.
    pub part: u64,
    /// The last live frame before it.
    pub from: WallTime,
    /// The first live frame behind it.
    pub to: WallTime,
    /// Why what was sent afterwards did not come at once.
    pub missed: GapCause,
    /// Why the rest is not there.
    pub lacking: GapCause,
    /// Frames that are no further apart have nothing between them.
    pub apart: Duration,
    /// What was sent afterwards, in order of time.
    pub runs: Vec<(WallTime, WallTime)>,
    /// When the newest of it came, as far as that was said.
    pub filled: Option<WallTime>,
    /// Whether there is something to say that was not said.
    pub is_news: bool,
}

impl Hole {
    /// Nothing of it was sent.
    pub fn new(
        part: u64,
        (from, to): (WallTime, WallTime),
        (missed, lacking): (GapCause, GapCause),
        apart: Duration,
    ) -> Hole {
        Hole { part, from, to, missed, lacking, apart, runs: Vec::new(), filled: None, is_news: true }
    }

    /// A frame of then was sent; `false` if that is not in it.
    pub fn fill(&mut self, at: WallTime) -> bool {
        if at <= self.from || at >= self.to {
            return false;
        }
        let next = self.runs.partition_point(|(first, _)| *first <= at);
        let touches = |run: &(WallTime, WallTime), apart| is_within(run.1, at, apart);
        let is_full = self.runs.len() >= RUNS_MAX;
        match next.checked_sub(1).and_then(|before| self.runs.get_mut(before)) {
            Some(before) if is_full || touches(before, self.apart) => before.1 = before.1.max(at),
            _ => self.runs.insert(next, (at, at)),
        }
        self.join();
        self.is_news = true;
        true
    }

    /// Makes one of runs that have nothing between them.
    fn join(&mut self) {
        let apart = self.apart;
        self.runs.dedup_by(|next, before| {
            let touches = is_within(before.1, next.0, apart);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
    }

    /// Whether nothing of it is lacking.
    pub fn is_full(&self) -> bool {
        self.lacking().is_empty()
    }

    /// The stretches of which nothing was sent.
    pub fn lacking(&self) -> Vec<(WallTime, WallTime)> {
        let ends = self.runs.iter().map(|run| run.0).chain([self.to]);
        let begins = [self.from].into_iter().chain(self.runs.iter().map(|run| run.1));
        begins.zip(ends).filter(|(begin, end)| !is_within(*begin, *end, self.apart)).collect()
    }

    /// What there is to say of it.
    pub fn gaps(&self) -> Vec<Gap> {
        let lacking = self.lacking();
        let gap =
            |from, to, cause, filled| Gap { collector: None, from, to: Some(to), cause, samples: 0, filled };
        let (mut gaps, mut at) = (Vec::new(), self.from);
        for (from, to) in lacking {
            if at < from {
                gaps.push(gap(at, from, self.missed, self.filled));
            }
            gaps.push(gap(from, to, self.lacking, None));
            at = to;
        }
        if at < self.to {
            gaps.push(gap(at, self.to, self.missed, self.filled));
        }
        gaps
    }
}

/// Whether there is nothing between two frames.
pub fn is_within(from: WallTime, to: WallTime, apart: Duration) -> bool {
    i128::from(to.0) - i128::from(from.0) <= apart.as_nanos().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> WallTime {
        WallTime(seconds * SECOND)
    }

    fn hole() -> Hole {
        let causes = (GapCause::LinkDown, GapCause::AgentStopped);
        Hole::new(1, (at(100), at(200)), causes, Duration::from_secs(2))
    }

    /// `from-to cause`, with a star if it was filled.
    fn said(hole: &Hole) -> String {
        let one = |gap: Gap| {
            let (from, to) = (gap.from.0 / SECOND, gap.to.unwrap().0 / SECOND);
            format!("{from}-{to} {}{}", gap.cause, if gap.filled.is_some() { "*" } else { "" })
        };
        hole.gaps().into_iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_is_sent_afterwards_was_only_missed() {
        let mut hole = hole();
        assert_eq!(said(&hole), "100-200 agent_stopped");
        hole.filled = Some(at(300));
        for second in 101..=150 {
            assert!(hole.fill(at(second)));
        }
        assert_eq!(said(&hole), "100-150 link_down*, 150-200 agent_stopped");
        for second in (180..=199).rev() {
            assert!(hole.fill(at(second)));
        }
        assert_eq!(hole.runs.len(), 2);
        assert_eq!(said(&hole), "100-150 link_down*, 150-180 agent_stopped, 180-200 link_down*");
        assert!(!hole.is_full());
        assert!((151..180).all(|second| hole.fill(at(second))));
        assert_eq!((said(&hole).as_str(), hole.is_full()), ("100-200 link_down*", true));
    }

    #[test]
    fn frames_elsewhere_do_not_count() {
        let mut hole = hole();
        assert!(![100, 200, 99, 201].into_iter().any(|second| hole.fill(at(second))));
        assert_eq!(said(&hole), "100-200 agent_stopped");
    }

    #[test]
    fn runs_are_bounded() {
        let causes = (GapCause::LinkDown, GapCause::LinkDown);
        let mut hole = Hole::new(1, (at(0), at(10_000)), causes, Duration::from_secs(2));
        assert!((1..2000).all(|second| hole.fill(at(second * 5))));
        assert_eq!(hole.runs.len(), RUNS_MAX);
        assert_eq!(hole.runs.last().unwrap().1, at(1999 * 5));
    }
}
