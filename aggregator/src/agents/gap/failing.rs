//! Collectors that stopped succeeding: one gap for each, from its first failure to its next success.
//!
//! One that fails from the first session on never had samples, and has no gap. In the first seconds of a session
//! nobody knows yet who fails.

use super::timeline::{Said, Sight};
use quorate_common::model::gap::{Gap, GapCause};
use quorate_common::model::time::WallTime;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rounds that fail before it is a stretch.
const ROUNDS: u32 = 2;
/// How long after the begin of a session all collectors were sampled.
const PAUSE: Duration = Duration::from_secs(20);
/// Collectors of a node that are looked at.
const COLLECTORS_MAX: usize = 64;

/// The collectors of one node.
#[derive(Debug, Default)]
pub struct Collectors {
    failing: BTreeMap<String, Failing>,
    /// Since when it is known who fails; a session that began since then has its pause before it.
    pause: Option<Pause>,
    was_heard: bool,
}

#[derive(Debug, Clone, Copy)]
enum Pause {
    /// A session began since the last sweep.
    Begins,
    /// Until then.
    Until(WallTime),
}

#[derive(Debug)]
struct Failing {
    since: WallTime,
    /// `None` for one that never succeeded, or not for long enough.
    part: Option<u64>,
    is_old: bool,
}

impl Collectors {
    /// One failed when the run before ended.
    pub fn restore(&mut self, collector: &str, part: u64, since: WallTime) {
        self.failing.insert(collector.to_owned(), Failing { since, part: Some(part), is_old: false });
        self.was_heard = true;
    }

    /// A session begins.
    pub fn pause(&mut self) {
        self.pause = Some(Pause::Begins);
    }

    /// What there is to say; `heard` is when the newest frame was sampled.
    pub fn sweep(&mut self, sight: Sight<'_>, heard: WallTime, next: &mut u64) -> Vec<Said> {
        match self.pause {
            Some(Pause::Begins) => {
                let pause = i64::try_from(PAUSE.as_nanos()).unwrap_or(i64::MAX);
                self.pause = Some(Pause::Until(WallTime(sight.now.0.saturating_add(pause))));
                return Vec::new();
            }
            Some(Pause::Until(end)) if sight.now < end => return Vec::new(),
            _ => self.pause = None,
        }
        let is_first = !std::mem::replace(&mut self.was_heard, true);
        let mut said = self.recovered(sight.failing, heard);
        for (collector, rounds) in sight.failing {
            if self.failing.len() >= COLLECTORS_MAX && !self.failing.contains_key(collector) {
                continue;
            }
            let new = || Failing { since: heard, part: None, is_old: is_first };
            let failing = self.failing.entry(collector.clone()).or_insert_with(new);
            if failing.part.is_none() && !failing.is_old && *rounds >= ROUNDS {
                failing.part = Some(*next);
                said.push((*next, vec![gap(collector, failing.since, None)]));
                *next += 1;
            }
        }
        said
    }

    fn recovered(&mut self, failing: &[(String, u32)], heard: WallTime) -> Vec<Said> {
        let is_failing = |name: &str| failing.iter().any(|(collector, _)| collector == name);
        let recovered = self.failing.extract_if(.., |collector, _| !is_failing(collector));
        let end = |(collector, one): (String, Failing)| {
            Some((one.part?, vec![gap(&collector, one.since, Some(heard))]))
        };
        recovered.filter_map(end).collect()
    }
}

fn gap(collector: &str, from: WallTime, to: Option<WallTime>) -> Gap {
    let cause = GapCause::CollectorTimeout;
    Gap { collector: Some(collector.into()), from, to, cause, samples: 0, filled: None }
}
