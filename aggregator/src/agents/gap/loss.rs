//! Samples that are declared lost: one gap for each cause for as long as more are.

use super::timeline::{Said, Sight};
use quorate_common::model::gap::{Gap, GapCause};
use quorate_common::model::time::WallTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// Losses of one cause that are no further apart are one.
const TOGETHER: Duration = Duration::from_secs(60);
/// How often one that grows is said again.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The losses of one node.
#[derive(Debug, Default)]
pub struct Losses {
    counted: BTreeMap<GapCause, u64>,
    losses: BTreeMap<GapCause, Loss>,
}

#[derive(Debug)]
struct Loss {
    part: u64,
    gap: Gap,
    seen: WallTime,
    said: Option<WallTime>,
    is_news: bool,
}

impl Losses {
    /// What was lost so far is not news.
    pub fn begin(&mut self, dropped: &[(GapCause, u64)]) {
        self.counted = dropped.iter().copied().collect();
    }

    /// What there is to say. `place` is where they are missing, as far as anybody knows.
    pub fn sweep(&mut self, sight: Sight<'_>, place: (WallTime, WallTime), next: &mut u64) -> Vec<Said> {
        for (cause, count) in sight.dropped.unwrap_or_default() {
            let before = self.counted.insert(*cause, *count).unwrap_or(0);
            if *count > before {
                self.lose((*cause, *count - before), sight.now, place, next);
            }
        }
        self.losses.retain(|_, loss| loss.is_news || since(loss.seen, sight.now) < TOGETHER);
        let due = |loss: &Loss| loss.said.is_none_or(|said| since(said, sight.now) >= SAY_EVERY);
        let news = self.losses.values_mut().filter(|loss| loss.is_news && due(loss));
        news.map(|loss| {
            (loss.said, loss.is_news) = (Some(sight.now), false);
            (loss.part, vec![loss.gap.clone()])
        })
        .collect()
    }

    fn lose(
        &mut self,
        (cause, samples): (GapCause, u64),
        now: WallTime,
        place: (WallTime, WallTime),
        next: &mut u64,
    ) {
        let (from, to) = if cause == GapCause::Quota { (now, now) } else { place };
        let loss = self.losses.entry(cause).or_insert_with(|| {
            let part = *next;
            *next += 1;
            let gap = Gap { collector: None, from, to: Some(to), cause, samples: 0, filled: None };
            Loss { part, gap, seen: now, said: None, is_news: true }
        });
        loss.gap.samples = loss.gap.samples.saturating_add(samples);
        loss.gap.from = loss.gap.from.min(from);
        loss.gap.to = loss.gap.to.max(Some(to));
        (loss.seen, loss.is_news) = (now, true);
    }
}

fn since(earlier: WallTime, now: WallTime) -> Duration {
    Duration::from_nanos(now.0.saturating_sub(earlier.0).max(0).cast_unsigned())
}
