//! One cluster: its quorum and its health, from the verdicts on its members.
//!
//! `unhealthy` when quorum is lost; `unknown` when quorum is not known, or nothing is known of anybody;
//! `degraded` when any declared member is not up or quorum is at risk; else `healthy`. A cluster is never better
//! than what is known of it.
//!
//! A lost quorum comes back after 3 good beats and 5 s. They count from when enough voters are heard again, not
//! from when their own verdicts turn, so that the two waits run side by side and not one after the other.

use super::Judged;
use super::hysteresis::Streak;
use super::quorum::{Vote, quorum};
use quorate_common::model::cluster::{ClusterVerdict, Quorum, QuorumStatus, Transition};
use quorate_common::model::node::{Health, Liveness, MemberRole, NodeName};
use quorate_common::model::time::{Now, WallTime};
use std::sync::Arc;

/// Members that a cluster's reasons name; the rest is counted.
const NAMED_MAX: usize = 20;

/// What is kept of a cluster between sweeps.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    quorum: Option<QuorumStatus>,
    health: Option<Health>,
    since: WallTime,
    back: Streak,
    sweeps: u64,
}

/// What a cluster is judged by.
pub(super) struct View<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) members: Vec<&'a Judged>,
    /// The configured votes needed.
    pub(super) need: Option<u32>,
    /// The open incident, in one line.
    pub(super) mass_loss: Option<String>,
}

impl Cluster {
    /// Judges the cluster, and appends what changed.
    pub(super) fn judge(
        &mut self,
        view: View<'_>,
        now: Now,
        transitions: &mut Vec<Transition>,
    ) -> ClusterVerdict {
        let quorum = self.settle(&view, now);
        let health = health(quorum.status, &view.members);
        let reasons = if health == Health::Healthy { Vec::new() } else { reasons(&view, &quorum) };
        self.turn(view.name, quorum.status, health, now, transitions);
        let named = |health| names(&view.members, |judged| judged.verdict.health == health);
        let responds =
            |judged: &&&Judged| matches!(judged.verdict.health, Health::Healthy | Health::Degraded);
        ClusterVerdict {
            name: view.name.clone(),
            health,
            reasons,
            quorum,
            total_nodes: count(view.members.len()),
            healthy_nodes: count(view.members.iter().filter(responds).count()),
            degraded_nodes: named(Health::Degraded),
            unhealthy_nodes: named(Health::Unhealthy),
            unknown_nodes: named(Health::Unknown),
            mass_loss: view.mass_loss,
            since: self.since,
        }
    }

    /// The quorum of the settled verdicts, held `lost` until it has been back for long enough.
    fn settle(&mut self, view: &View<'_>, now: Now) -> Quorum {
        self.sweeps += 1;
        let mut found = quorum(&votes(view, |judged| judged.verdict.liveness), view.need);
        let heard = quorum(&votes(view, Judged::heard), view.need);
        let lasted = if is_there(heard.status) {
            self.back.good(now.boot, self.sweeps)
        } else {
            self.back.miss();
            false
        };
        if self.quorum == Some(QuorumStatus::Lost) && is_there(found.status) && !lasted {
            found.status = QuorumStatus::Lost;
            found.margin = None;
            found.zones.iter_mut().for_each(|zone| zone.decides = false);
        }
        found
    }

    fn turn(
        &mut self,
        name: &Arc<str>,
        quorum: QuorumStatus,
        health: Health,
        now: Now,
        transitions: &mut Vec<Transition>,
    ) {
        if let Some(from) = self.quorum.replace(quorum).filter(|from| *from != quorum) {
            transitions.push(Transition::Quorum { cluster: name.clone(), from, to: quorum });
        }
        let before = self.health.replace(health);
        if before != Some(health) {
            self.since = now.wall;
        }
        if let Some(from) = before.filter(|from| *from != health) {
            transitions.push(Transition::Cluster { cluster: name.clone(), from, to: health });
        }
    }
}

fn is_there(status: QuorumStatus) -> bool {
    matches!(status, QuorumStatus::Available | QuorumStatus::AtRisk)
}

fn votes(view: &View<'_>, state: impl Fn(&Judged) -> Liveness) -> Vec<Vote> {
    let voters = view.members.iter().filter(|judged| judged.verdict.member.role == MemberRole::Voter);
    voters
        .map(|judged| Vote {
            weight: judged.verdict.member.weight,
            zone: judged.verdict.member.zone.clone(),
            state: state(judged),
        })
        .collect()
}

fn health(quorum: QuorumStatus, members: &[&Judged]) -> Health {
    let all = |liveness| members.iter().all(|judged| judged.verdict.liveness == liveness);
    match quorum {
        QuorumStatus::Lost => Health::Unhealthy,
        QuorumStatus::Unknown => Health::Unknown,
        QuorumStatus::NotApplicable if all(Liveness::Unknown) => Health::Unknown,
        QuorumStatus::AtRisk => Health::Degraded,
        QuorumStatus::Available | QuorumStatus::NotApplicable if all(Liveness::Up) => Health::Healthy,
        QuorumStatus::Available | QuorumStatus::NotApplicable => Health::Degraded,
    }
}

/// Why a cluster is not healthy: the incident, the quorum, and each member that is not up and not in the incident.
fn reasons(view: &View<'_>, quorum: &Quorum) -> Vec<String> {
    let mut lines: Vec<String> = view.mass_loss.iter().cloned().chain(quorum_reason(quorum)).collect();
    if let Some(need) = view.need.filter(|need| *need > quorum.total && quorum.total > 0) {
        lines.push(format!(
            "configured need of {need} votes exceeds the {0} declared: {0} used",
            quorum.total
        ));
    }
    let absent = view.members.iter().filter(|j| j.verdict.liveness != Liveness::Up && !j.folded);
    let mut absent = absent.map(|judged| {
        let why = judged.verdict.reasons.first().map(String::as_str).unwrap_or_default();
        format!("{} {}: {why}", judged.verdict.member.name, judged.verdict.liveness)
    });
    lines.extend(absent.by_ref().take(NAMED_MAX));
    match absent.count() {
        0 => (),
        more => lines.push(format!("and {more} more nodes that are not up")),
    }
    lines
}

fn quorum_reason(quorum: &Quorum) -> Option<String> {
    let votes = format!("{} of {} votes, {} needed", quorum.alive, quorum.total, quorum.need);
    match quorum.status {
        QuorumStatus::Available | QuorumStatus::NotApplicable => None,
        QuorumStatus::AtRisk => Some(format!("quorum at risk: {votes}")),
        QuorumStatus::Lost if quorum.alive >= quorum.need => {
            Some(format!("quorum lost: {votes}, back once it has lasted"))
        }
        QuorumStatus::Lost => Some(format!("quorum lost: {votes}")),
        QuorumStatus::Unknown => Some(format!("quorum unknown: {votes}, {} unknown", quorum.unknown)),
    }
}

fn names(members: &[&Judged], of: impl Fn(&Judged) -> bool) -> Vec<NodeName> {
    members.iter().filter(|judged| of(judged)).map(|judged| judged.verdict.member.name.clone()).collect()
}

fn count(nodes: usize) -> u32 {
    u32::try_from(nodes).unwrap_or(u32::MAX)
}
