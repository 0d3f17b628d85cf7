//! Lives of a node, told second by second.

use super::*;

const SECOND: i64 = 1_000_000_000;
const BOOT: [u8; 16] = [1; 16];
const EPOCH: Epoch = Epoch { order: 1, nonce: 1 };
const NEXT: Epoch = Epoch { order: 2, nonce: 2 };

fn at(seconds: i64) -> WallTime {
    WallTime(seconds * SECOND)
}

/// A node that is sampled every second, and all that stands of it.
struct Life {
    line: Timeline,
    said: std::collections::BTreeMap<u64, Vec<Gap>>,
}

impl Life {
    fn new(run: Run) -> Life {
        Life::of(Timeline::new(run))
    }

    fn of(line: Timeline) -> Life {
        Life { line, said: Default::default() }
    }

    fn lives(mut self, epoch: Epoch, boot_id: [u8; 16], seconds: std::ops::RangeInclusive<i64>) -> Life {
        self.line.opened(epoch, boot_id);
        seconds.for_each(|second| self.line.frame(at(second), 1000));
        self
    }

    fn sends(mut self, mut seconds: std::ops::RangeInclusive<i64>) -> Life {
        seconds.by_ref().for_each(|second| self.line.filled(at(second)));
        self
    }

    fn seen(self, now: i64) -> Life {
        self.looked(now, &[], &[])
    }

    fn looked(mut self, now: i64, failing: &[(&str, u32)], dropped: &[(GapCause, u64)]) -> Life {
        let failing: Vec<_> = failing.iter().map(|(name, rounds)| ((*name).to_owned(), *rounds)).collect();
        for (part, gaps) in self.line.sweep(Sight { now: at(now), failing: &failing, dropped: Some(dropped) })
        {
            self.said.insert(part, gaps);
        }
        self
    }

    /// All that stands, `from-to cause`, with a star if it was filled.
    fn check(self, expect: &[&str]) -> Life {
        let mut gaps: Vec<&Gap> = self.said.values().flatten().collect();
        gaps.sort_by_key(|gap| gap.from);
        let one = |gap: &Gap| {
            let to = gap.to.map_or_else(|| "…".to_owned(), |to| (to.0 / SECOND).to_string());
            let star = if gap.filled.is_some() { "*" } else { "" };
            let whose = gap.collector.as_deref().map(|name| format!(" of {name}")).unwrap_or_default();
            let samples = if gap.samples > 0 { format!(" {} samples", gap.samples) } else { String::new() };
            format!("{}-{to} {}{star}{whose}{samples}", gap.from.0 / SECOND, gap.cause)
        };
        assert_eq!(gaps.into_iter().map(one).collect::<Vec<_>>(), expect);
        self
    }
}

#[test]
fn a_stopped_agent_a_restarted_host_and_a_broken_link_are_told_apart() {
    let life = || Life::new(Run::default()).lives(EPOCH, BOOT, 100..=110);
    life().lives(NEXT, BOOT, 120..=130).seen(130).check(&["110-120 agent_stopped"]);
    life().lives(NEXT, [2; 16], 120..=130).seen(130).check(&["110-120 host_down"]);
    life().lives(EPOCH, BOOT, 120..=130).seen(130).check(&["110-120 link_down"]);
    life().lives(EPOCH, BOOT, 111..=130).seen(130).check(&[]);
    life().lives(EPOCH, BOOT, 112..=130).seen(130).check(&[]);
}

#[test]
fn what_is_sent_afterwards_closes_a_gap() {
    let life = || Life::new(Run::default()).lives(EPOCH, BOOT, 100..=110);
    let link = life().lives(EPOCH, BOOT, 120..=130).seen(130);
    let link = link.sends(111..=114).seen(131).check(&["110-114 link_down*", "114-120 link_down"]);
    link.sends(115..=119).seen(132).check(&["110-120 link_down*"]);
    // The agent went on until 115, and was then away: that stays.
    let agent = life().lives(NEXT, BOOT, 120..=130).sends(111..=115).seen(130);
    agent.check(&["110-115 link_down*", "115-120 agent_stopped"]);
}

#[test]
fn a_silence_is_said_while_it_lasts_and_its_cause_when_it_ends() {
    let life = Life::new(Run::default()).lives(EPOCH, BOOT, 100..=110);
    let life = life.seen(114).check(&[]).seen(116).check(&["110-… unknown"]);
    life.lives(EPOCH, BOOT, 130..=131).seen(131).check(&["110-130 link_down"]);
    let mut stopped = Life::new(Run::default()).lives(EPOCH, BOOT, 100..=110);
    stopped.line.farewell(ByeReason::Stop);
    let stopped = stopped.seen(120).check(&["110-… agent_stopped"]);
    // What was only late was no gap.
    stopped.lives(EPOCH, BOOT, 111..=120).seen(120).check(&[]);
}

#[test]
fn our_own_absence_is_said_to_be_ours() {
    let last = |seconds| {
        let heard = LastHeard { at: at(seconds), due_ms: 1000, epoch: EPOCH, boot_id: BOOT };
        let run = Run { started: at(200), before: Some(at(111)), next: 1 };
        Life::of(Timeline::restore(run, Some(heard), Vec::new()))
    };
    let soon = last(110).seen(201).check(&["110-… aggregator_down"]).lives(EPOCH, BOOT, 203..=210);
    let soon = soon.seen(211).check(&["110-203 aggregator_down"]);
    soon.sends(111..=202).seen(212).check(&["110-203 aggregator_down*"]);
    let late = last(110).seen(201).seen(216).check(&["110-… unknown"]);
    let late = late.lives(EPOCH, BOOT, 260..=262).seen(262);
    late.check(&["110-200 aggregator_down", "200-260 link_down"]);
    // It began without us: our absence made no difference.
    last(50).lives(NEXT, BOOT, 203..=204).seen(204).check(&["50-203 agent_stopped"]);
    last(110)
        .lives(NEXT, BOOT, 203..=204)
        .sends(111..=190)
        .seen(204)
        .check(&["110-190 aggregator_down*", "190-203 agent_stopped"]);
}

#[test]
fn gaps_go_on_after_a_restart() {
    let heard = LastHeard { at: at(300), due_ms: 1000, epoch: EPOCH, boot_id: BOOT };
    let gap = |from, to: Option<i64>, cause, collector: Option<&str>| Gap {
        collector: collector.map(Into::into),
        from: at(from),
        to: to.map(at),
        cause,
        samples: 0,
        filled: None,
    };
    let said = vec![
        (3, gap(100, Some(120), GapCause::LinkDown, None)),
        (4, gap(200, None, GapCause::CollectorTimeout, Some("cpu"))),
        (5, gap(300, None, GapCause::Unknown, None)),
    ];
    let run = Run { started: at(400), before: Some(at(390)), next: 6 };
    let life = Life::of(Timeline::restore(run, Some(heard), said));
    let life = life
        .sends(101..=119)
        .lives(EPOCH, BOOT, 401..=402)
        .seen(402)
        .check(&["100-120 link_down*", "300-401 link_down"]);
    assert!(life.said.contains_key(&3) && life.said.contains_key(&5), "{:?}", life.said);
    life.seen(425).check(&[
        "100-120 link_down*",
        "200-402 collector_timeout of cpu",
        "300-401 link_down",
        "402-… unknown",
    ]);
}

#[test]
fn a_collector_that_stops_succeeding_has_a_gap_of_its_own() {
    let life = Life::new(Run::default()).lives(EPOCH, BOOT, 100..=101).looked(101, &[("never", 2)], &[]);
    let life = life.lives_on(102..=130).looked(130, &[("never", 30)], &[]).check(&[]);
    let life = life.lives_on(131..=131).looked(131, &[("cpu", 1), ("never", 31)], &[]).check(&[]);
    let life = life.lives_on(132..=132).looked(132, &[("cpu", 2), ("never", 32)], &[]);
    let life = life.check(&["131-… collector_timeout of cpu"]);
    // A new session knows at first of no failure.
    let life = life.lives(EPOCH, BOOT, 133..=134).looked(134, &[], &[]);
    let life = life.check(&["131-… collector_timeout of cpu"]);
    let life = life.lives_on(135..=160).looked(160, &[("never", 20)], &[]);
    life.check(&["131-160 collector_timeout of cpu"]);
}

#[test]
fn what_is_declared_lost_is_counted_where_it_is_missing() {
    let overflow = |count| [(GapCause::Overflow, count)];
    let mut life = Life::new(Run::default()).lives(EPOCH, BOOT, 100..=110);
    life.line.counted(&overflow(5));
    let life = life.lives(EPOCH, BOOT, 150..=151).looked(151, &[], &overflow(5));
    let life = life.check(&["110-150 link_down"]).sends(131..=149).looked(160, &[], &overflow(205));
    let said = ["110-131 link_down", "110-131 overflow 200 samples", "131-150 link_down*", "151-… unknown"];
    life.check(&said);
    let quota = |count| [(GapCause::Quota, count)];
    let mut life = Life::new(Run::default()).lives(EPOCH, BOOT, 100..=110);
    life.line.counted(&[]);
    for second in 1..=15 {
        life =
            life.lives_on(110 + second..=110 + second).looked(110 + second, &[], &quota(3 * second as u64));
    }
    let life = life.check(&["111-121 quota 33 samples"]);
    let life = life.lives_on(126..=180).looked(180, &[], &quota(45)).check(&["111-125 quota 45 samples"]);
    life.lives_on(181..=250)
        .looked(250, &[], &quota(45))
        .lives_on(251..=251)
        .looked(251, &[], &quota(46))
        .check(&["111-125 quota 45 samples", "251-251 quota 1 samples"]);
}

#[test]
fn holes_are_bounded() {
    let mut life = Life::new(Run::default());
    for round in 0..100 {
        life = life.lives(EPOCH, BOOT, round * 100..=round * 100 + 10).seen(round * 100 + 10);
    }
    assert_eq!((life.line.holes.len(), life.said.len()), (HOLES_MAX, 99));
}

impl Life {
    /// The same session goes on.
    fn lives_on(mut self, mut seconds: std::ops::RangeInclusive<i64>) -> Life {
        seconds.by_ref().for_each(|second| self.line.frame(at(second), 1000));
        self
    }
}
