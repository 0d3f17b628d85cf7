//! One declared node: its verdict from sweep to sweep, and its health beyond being heard.

use super::config::Config;
use super::hysteresis::{Flapping, Streak};
use super::liveness::{self, Finding, Grace, Signs};
use super::reason::{Age, Cause};
use super::stream::End;
use quorate_common::model::cluster::Transition;
use quorate_common::model::component::ComponentHealth;
use quorate_common::model::node::{Health, Liveness, Member};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::time::Duration;

/// Rounds that a core collector may fail before its node is degraded.
const COLLECTOR_ROUNDS: u32 = 3;
/// Difference between the clocks that is tolerated.
const SKEW_MS_MAX: u64 = 2_000;
/// Age of the oldest frame not yet delivered that is tolerated.
const JOURNAL_LAG_MS_MAX: u64 = 60_000;

/// What is measured of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    /// When the last frame was accepted.
    pub last_frame: Option<Now>,
    /// The distance to the next frame that it announced; 0 is read as one second, more than a minute as a minute.
    pub next_due_ms: u32,
    /// Accepted frames so far: each is a good beat.
    pub frames: u64,
    /// How far the node's wall clock is ahead of ours.
    pub skew_ms: Option<i64>,
    /// Core collectors that fail, and for how many rounds in a row.
    pub failing_collectors: Vec<(String, u32)>,
    /// Age of the oldest frame that the node has not delivered yet.
    pub journal_lag_ms: u64,
    /// Reports of its components.
    pub components: Vec<ComponentHealth>,
}

/// What is kept of a node between sweeps.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) member: Member,
    pub(super) liveness: Liveness,
    pub(super) since: WallTime,
    pub(super) heard: Option<Now>,
    pub(super) flapping: Flapping,
    watched_from: BootTime,
    interval: Duration,
    frames: u64,
    beats: u64,
    streak: Streak,
}

impl Node {
    /// A node that was declared just now, of which nothing is known.
    pub(super) fn new(member: Member, now: Now) -> Node {
        Node {
            member,
            liveness: Liveness::Unknown,
            since: now.wall,
            heard: None,
            flapping: Flapping::default(),
            watched_from: now.boot,
            interval: liveness::interval(0),
            frames: 0,
            beats: 0,
            streak: Streak::default(),
        }
    }

    /// The same node, declared anew: what is known of it stays.
    pub(super) fn declared(self, member: Member) -> Node {
        Node { member, ..self }
    }

    /// Takes in what was measured. What was heard once stays heard if the facts go away, and a frame counter that
    /// begins anew only adds what it counted since.
    pub(super) fn hear(&mut self, facts: &NodeFacts) {
        if facts.last_frame.is_some() {
            self.heard = facts.last_frame;
            self.interval = liveness::interval(facts.next_due_ms);
        }
        self.beats += facts.frames.checked_sub(self.frames).unwrap_or(facts.frames);
        self.frames = facts.frames;
    }

    /// What is seen of it, and how the last stream ended.
    pub(super) fn signs(&self, end: Option<End>) -> Signs {
        Signs { heard: self.heard.map(|heard| heard.boot), interval: self.interval, end }
    }

    /// The window in which its losses belong together with those of others.
    pub(super) fn loss_window(&self) -> Duration {
        liveness::down_window(self.interval)
    }

    /// Its own start grace: nobody is missed before being declared.
    pub(super) fn grace(&self, general: Grace) -> Grace {
        Grace { began: general.began.max(self.watched_from), ..general }
    }

    /// Makes a finding its verdict. Returns what the verdict rests on, and the transition if it changed.
    pub(super) fn settle(&mut self, finding: &Finding, now: Now) -> (Cause, Option<Transition>) {
        let lasted = if finding.liveness == Liveness::Up {
            self.streak.good(now.boot, self.beats)
        } else {
            self.streak.miss();
            false
        };
        let to = liveness::settle(self.liveness, finding.liveness, lasted);
        let cause = if finding.liveness == Liveness::Up && to != Liveness::Up {
            let (lasted, beats) = self.streak.so_far(now.boot, self.beats);
            Cause::Recovering { lasted, beats }
        } else {
            finding.cause
        };
        (cause, self.turn(to, &cause, now))
    }

    fn turn(&mut self, to: Liveness, cause: &Cause, now: Now) -> Option<Transition> {
        let from = std::mem::replace(&mut self.liveness, to);
        if from == to {
            return None;
        }
        self.since = now.wall;
        // Becoming known or unknown is as often our own doing as the node's, so it does not count as flapping.
        if from != Liveness::Unknown && to != Liveness::Unknown {
            self.flapping.record(now.boot);
        }
        Some(Transition::Node { node: self.member.name.clone(), from, to, reason: cause.to_string() })
    }
}

/// The health of a node by its liveness and, when it is up, by what it measures of itself.
pub(super) fn health(
    liveness: Liveness,
    cause: &Cause,
    facts: Option<&NodeFacts>,
    config: &Config,
) -> (Health, Vec<String>) {
    match liveness {
        Liveness::Up => {
            let wrong = facts.map(|facts| complaints(facts, config)).unwrap_or_default();
            (if wrong.is_empty() { Health::Healthy } else { Health::Degraded }, wrong)
        }
        Liveness::Suspect => (Health::Degraded, vec![cause.to_string()]),
        Liveness::Unknown => (Health::Unknown, vec![cause.to_string()]),
        // Isolated too: its peers may reach it, but it does not respond to us.
        Liveness::Down | Liveness::Left | Liveness::AgentDead | Liveness::Isolated => {
            (Health::Unhealthy, vec![cause.to_string()])
        }
    }
}

/// What is wrong with a node that is up, one line each. The lines leave out figures that change with every frame.
fn complaints(facts: &NodeFacts, config: &Config) -> Vec<String> {
    let collectors = facts.failing_collectors.iter().filter(|(_, rounds)| *rounds >= COLLECTOR_ROUNDS);
    let mut lines: Vec<String> = collectors
        .map(|(name, _)| format!("collector {name} failed {COLLECTOR_ROUNDS} rounds or more in a row"))
        .collect();
    if let Some(skew_ms) = facts.skew_ms.filter(|skew| skew.unsigned_abs() > SKEW_MS_MAX) {
        let side = if skew_ms < 0 { "behind" } else { "ahead" };
        lines.push(format!("clock is {} {side}", Age(Duration::from_millis(skew_ms.unsigned_abs()))));
    }
    if facts.journal_lag_ms > JOURNAL_LAG_MS_MAX {
        let lag = Age(Duration::from_millis(facts.journal_lag_ms));
        lines.push(format!("journal is {lag} behind"));
    }
    let components = facts.components.iter().filter(|c| config.requires(&c.component));
    lines.extend(
        components
            .filter(|c| c.status != Health::Healthy)
            .map(|c| format!("component {} is {}", c.component, c.status)),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, status: Health) -> ComponentHealth {
        ComponentHealth {
            component: name.to_owned(),
            node: "n1".parse().unwrap(),
            status,
            details: Default::default(),
            last_check: WallTime(0),
        }
    }

    #[test]
    fn what_degrades_a_node_that_is_up() {
        let config = Config { required_components: vec!["store".to_owned()], ..Config::default() };
        let check = |change: &dyn Fn(&mut NodeFacts), expect: &[&str]| {
            let mut facts = NodeFacts::default();
            change(&mut facts);
            let (health, reasons) = health(Liveness::Up, &Cause::Beating, Some(&facts), &config);
            assert_eq!(reasons, expect);
            assert_eq!(health, if expect.is_empty() { Health::Healthy } else { Health::Degraded });
        };
        check(&|_| (), &[]);
        check(&|f| f.failing_collectors.push(("disk".to_owned(), 2)), &[]);
        check(
            &|f| f.failing_collectors.push(("disk".to_owned(), 3)),
            &["collector disk failed 3 rounds or more in a row"],
        );
        check(&|f| f.skew_ms = Some(2_000), &[]);
        check(&|f| f.skew_ms = Some(2_400), &["clock is 2.4 s ahead"]);
        check(&|f| f.skew_ms = Some(-90_000), &["clock is 1 min behind"]);
        check(&|f| f.skew_ms = Some(i64::MIN), &["clock is 106751991167 d behind"]);
        check(&|f| f.journal_lag_ms = 60_000, &[]);
        check(&|f| f.journal_lag_ms = 180_000, &["journal is 3 min behind"]);
        check(&|f| f.components.push(component("cache", Health::Unhealthy)), &[]);
        check(&|f| f.components.push(component("store", Health::Healthy)), &[]);
        check(
            &|f| f.components.push(component("store", Health::Unhealthy)),
            &["component store is unhealthy"],
        );
        check(&|f| f.components.push(component("store", Health::Unknown)), &["component store is unknown"]);
    }

    #[test]
    fn health_follows_liveness() {
        for liveness in Liveness::ALL {
            let expect = match liveness {
                Liveness::Up => Health::Healthy,
                Liveness::Suspect => Health::Degraded,
                Liveness::Unknown => Health::Unknown,
                _ => Health::Unhealthy,
            };
            let (judged, reasons) = health(*liveness, &Cause::Awaited, None, &Config::default());
            assert_eq!((judged, reasons.is_empty()), (expect, expect == Health::Healthy), "{liveness}");
        }
    }

    #[test]
    fn a_frame_counter_that_begins_anew_still_counts() {
        let now = Now::default();
        let member = super::super::tests::member(1, "a", 1);
        let mut node = Node::new(member, now);
        for (frames, expect) in [(5, 5), (7, 7), (2, 9), (3, 10)] {
            node.hear(&NodeFacts { frames, ..NodeFacts::default() });
            assert_eq!(node.beats, expect);
        }
    }
}
