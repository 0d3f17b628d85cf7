//! Whether the voters of one cluster that are alive are enough. One pure function of the declared votes.
//!
//! ```text
//!   W = 5, need = 3        alive ≥ need ?
//!   ■ ■ ■ ■ □              ├─ yes: one more loss surely survived?  yes → available   no → at_risk
//!   firm   suspect ▒       └─ no:  alive + unknown ≥ need ?        yes → unknown     no → lost
//! ```
//!
//! A vote is *firm* when its node is up or isolated. A suspect is still counted as alive, for as long as it is a
//! suspect, which is one window and no more. But whatever needs its vote is at risk: the margin counts firm votes
//! only, so nothing is called `available` that rests on somebody who may be dead. Everybody declared stays in W.

use quorate_common::model::cluster::{Quorum, QuorumStatus, ZoneRisk};
use quorate_common::model::node::Liveness;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One declared voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// What its vote counts, at least 1.
    pub weight: u32,
    /// Where it stands.
    pub zone: Option<Arc<str>>,
    /// How it is.
    pub state: Liveness,
}

impl Vote {
    fn is_firm(&self) -> bool {
        matches!(self.state, Liveness::Up | Liveness::Isolated)
    }

    fn is_alive(&self) -> bool {
        self.is_firm() || self.state == Liveness::Suspect
    }
}

/// Judges the quorum of all declared voters. `need` overrides the majority; it is held between 1 and W.
pub fn quorum(voters: &[Vote], need: Option<u32>) -> Quorum {
    let total = weigh(voters, |_| true);
    let need = needed(total, need);
    let alive = weigh(voters, Vote::is_alive);
    let unknown = weigh(voters, |vote| vote.state == Liveness::Unknown);
    let there = total > 0 && alive >= need;
    let margin = there.then(|| margin(voters, need));
    let status = match margin {
        _ if total == 0 => QuorumStatus::NotApplicable,
        None if alive.saturating_add(unknown) < need => QuorumStatus::Lost,
        None => QuorumStatus::Unknown,
        Some(0) if voters.len() > 1 || weigh(voters, Vote::is_firm) < need => QuorumStatus::AtRisk,
        Some(_) => QuorumStatus::Available,
    };
    let zones = zones(voters, |zone_alive| there && alive.saturating_sub(zone_alive) < need);
    Quorum { status, total, need, alive, unknown, margin, zones }
}

/// The votes needed: as configured, at most W, or more than half.
fn needed(total: u32, configured: Option<u32>) -> u32 {
    configured.unwrap_or(total / 2 + 1).min(total).max(u32::from(total > 0))
}

fn weigh(voters: &[Vote], counts: impl Fn(&Vote) -> bool) -> u32 {
    voters.iter().filter(|vote| counts(vote)).fold(0, |sum, vote| sum.saturating_add(vote.weight))
}

/// How many firm voters may fail, the heaviest first, before the firm votes are too few.
fn margin(voters: &[Vote], need: u32) -> u32 {
    let mut weights: Vec<u32> = voters.iter().filter(|vote| vote.is_firm()).map(|vote| vote.weight).collect();
    weights.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = weigh(voters, Vote::is_firm);
    let survived = weights.iter().take_while(|weight| {
        left = left.saturating_sub(**weight);
        left >= need
    });
    u32::try_from(survived.count()).unwrap_or(u32::MAX)
}

fn zones(voters: &[Vote], decides: impl Fn(u32) -> bool) -> Vec<ZoneRisk> {
    let mut by_name: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for vote in voters {
        let (weight, alive) = by_name.entry(vote.zone.as_deref().unwrap_or_default()).or_default();
        *weight = weight.saturating_add(vote.weight);
        *alive = alive.saturating_add(if vote.is_alive() { vote.weight } else { 0 });
    }
    // Nodes that declare no zone share no fate: they are summed, and are never lost as one.
    let row = |(zone, (weight, alive)): (&str, (u32, u32))| ZoneRisk {
        zone: zone.to_owned(),
        weight,
        alive,
        decides: !zone.is_empty() && decides(alive),
    };
    by_name.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `n1 up w2 zone=a | n2 down [need 3] => lost need 2 alive 1 [unknown 1] margin - [zones a b]`.
    fn check(line: &str) {
        let (input, expect) = line.split_once("=>").unwrap_or_else(|| panic!("no `=>`: {line}"));
        let (voters, need) = match input.split_once("; need") {
            Some((voters, need)) => (voters, Some(need.trim().parse().unwrap())),
            None => (input, None),
        };
        let votes: Vec<Vote> =
            voters.split('|').filter(|text| !text.trim().is_empty()).map(read_vote).collect();
        assert_eq!(
            show(&quorum(&votes, need)),
            expect.split_whitespace().collect::<Vec<_>>().join(" "),
            "{line}"
        );
    }

    fn read_vote(text: &str) -> Vote {
        let mut words = text.split_whitespace().skip(1);
        let mut vote = Vote { weight: 1, zone: None, state: words.next().unwrap().parse().unwrap() };
        for word in words {
            match (word.strip_prefix('w'), word.strip_prefix("zone=")) {
                (Some(weight), None) => vote.weight = weight.parse().unwrap(),
                (None, Some(zone)) => vote.zone = Some(zone.into()),
                _ => panic!("{word}"),
            }
        }
        vote
    }

    fn show(quorum: &Quorum) -> String {
        let margin = quorum.margin.map_or("-".to_owned(), |margin| margin.to_string());
        let mut text = format!("{} need {} alive {}", quorum.status, quorum.need, quorum.alive);
        if quorum.unknown > 0 {
            text += &format!(" unknown {}", quorum.unknown);
        }
        text += &format!(" margin {margin}");
        let deciding: Vec<&str> =
            quorum.zones.iter().filter(|z| z.decides).map(|z| z.zone.as_str()).collect();
        if !deciding.is_empty() {
            text += &format!(" zones {}", deciding.join(" "));
        }
        text
    }

    #[test]
    fn drawn_tables() {
        let table = include_str!("testdata/quorum.txt");
        let lines: Vec<&str> =
            table.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
        assert!(lines.len() > 25);
        lines.into_iter().for_each(check);
    }

    /// The definition, said in another way: every unknown is imagined alive and dead, every set of firm voters is
    /// imagined to fail.
    fn brute_force(votes: &[(u32, Liveness)], need: u32) -> (QuorumStatus, Option<u32>) {
        let sum = |dead: u32, counts: &dyn Fn(Liveness) -> bool| -> u32 {
            let living = votes.iter().enumerate().filter(|(i, vote)| dead >> i & 1 == 0 && counts(vote.1));
            living.map(|(_, vote)| vote.0).sum()
        };
        let alive = |state| matches!(state, Liveness::Up | Liveness::Isolated | Liveness::Suspect);
        let worlds: Vec<bool> = (0..1u32 << votes.len())
            .filter(|dead| (0..votes.len()).all(|i| dead >> i & 1 == 0 || votes[i].1 == Liveness::Unknown))
            .map(|dead| sum(dead, &|state| alive(state) || state == Liveness::Unknown) >= need)
            .collect();
        if worlds.iter().all(|there| !there) {
            return (QuorumStatus::Lost, None);
        }
        if !worlds.iter().all(|there| *there) {
            return (QuorumStatus::Unknown, None);
        }
        let firm = |state| matches!(state, Liveness::Up | Liveness::Isolated);
        let survives = |k: u32| {
            (0..1u32 << votes.len())
                .filter(|dead| dead.count_ones() == k)
                .filter(|dead| (0..votes.len()).all(|i| dead >> i & 1 == 0 || firm(votes[i].1)))
                .all(|dead| sum(dead, &firm) >= need)
        };
        let firm_count = votes.iter().filter(|vote| firm(vote.1)).count() as u32;
        let margin = (1..=firm_count).take_while(|k| survives(*k)).count() as u32;
        let at_risk = !survives(0) || (margin == 0 && votes.len() > 1);
        (if at_risk { QuorumStatus::AtRisk } else { QuorumStatus::Available }, Some(margin))
    }

    #[test]
    fn agrees_with_the_definition_for_up_to_five_voters() {
        const STATES: [Liveness; 4] = [Liveness::Up, Liveness::Suspect, Liveness::Down, Liveness::Unknown];
        let mut judged = 0u32;
        for count in 1..=5u32 {
            for code in 0..8u32.pow(count) {
                let votes: Vec<(u32, Liveness)> = (0..count)
                    .map(|i| code / 8u32.pow(i) % 8)
                    .map(|choice| (choice / 4 + 1, STATES[(choice % 4) as usize]))
                    .collect();
                compare(&votes, None);
                compare(&votes, Some(1));
                judged += 1;
            }
        }
        assert_eq!(judged, 8 + 64 + 512 + 4096 + 32_768);
    }

    #[test]
    fn every_liveness_counts_as_declared() {
        for state in Liveness::ALL {
            compare(&[(1, *state)], None);
            compare(&[(1, *state), (1, Liveness::Up), (1, Liveness::Up)], None);
        }
    }

    fn compare(votes: &[(u32, Liveness)], configured: Option<u32>) {
        let total: u32 = votes.iter().map(|vote| vote.0).sum();
        let need = configured.unwrap_or(total / 2 + 1);
        let voters: Vec<Vote> =
            votes.iter().map(|(weight, state)| Vote { weight: *weight, zone: None, state: *state }).collect();
        let judged = quorum(&voters, configured);
        assert_eq!((judged.status, judged.margin), brute_force(votes, need), "{votes:?} need {need}");
        assert_eq!((judged.total, judged.need), (total, need));
    }
}
