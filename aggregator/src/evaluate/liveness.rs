//! Whether one node is heard: what its signs mean now, and what its verdict becomes.
//!
//! Two steps. [`measure`] says what the signs amount to at this moment and remembers nothing; [`settle`] lets a
//! bad verdict go only when the good news has lasted. I is the announced distance to the next frame.
//!
//! ```text
//!             first frame                    no frame for 1.5 I + 0.5 s,
//!   unknown ───────────────→ up ←──────────  or the stream ended
//!      │                     ↑ └───────────────→ suspect
//!      │ start grace over    │   next frame ────────┘ │ no frame for 3 I + 0.5 s,
//!      ▼                     │ 3 beats and 5 s        ▼ or 2 s after the end of the stream
//!    down ───────────────────┴───────────────────── down        … which was a Bye: left ── a frame → up
//! ```
//!
//! After a long pause of ours whoever is not heard anew is `unknown` as after our start, and so is, for as long as
//! the grace runs, whoever's stream is older than the grace and ends without a Bye. `down` and `left` were judged
//! before the pause and stand until a frame says otherwise. `Isolated` and `AgentDead` are what evidence
//! from peers will make of a suspect, between the two steps; age alone never finds them.

use super::lateness::Lateness;
use super::reason::Cause;
use super::stream::{End, Parting};
use quorate_common::model::node::Liveness;
use quorate_common::model::time::BootTime;
use std::time::Duration;

/// Time for a node whose stream ended to come back before it is lost.
const RECONNECT: Duration = Duration::from_secs(2);
/// Allowed for the way of a frame, on top of any number of intervals.
const TRANSIT: Duration = Duration::from_millis(500);
/// Longest interval that is believed.
const INTERVAL_MAX: Duration = Duration::from_secs(60);
/// Interval of a node that announced none.
const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// What is seen of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signs {
    /// When the last frame was accepted.
    pub(super) heard: Option<BootTime>,
    /// The announced distance between frames, I.
    pub(super) interval: Duration,
    /// The newest end that left no stream open.
    pub(super) end: Option<End>,
}

/// The stretch in which nobody is blamed for not being heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grace {
    /// Frames before this say nothing any more.
    pub(super) heard_from: BootTime,
    /// When the waiting began.
    pub(super) began: BootTime,
    /// How long it lasts.
    pub(super) allowed: Duration,
}

/// A node that was lost without a farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// When it was last there, as far as we know.
    pub(super) at: BootTime,
    /// No sign of the node's own kernel: the way to it may be broken instead.
    pub(super) silent: bool,
}

/// What the signs amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) liveness: Liveness,
    pub(super) cause: Cause,
    /// Set if it is suspect or down, and did not say farewell.
    pub(super) loss: Option<Loss>,
}

/// The interval to believe of what a frame announced.
pub(super) fn interval(next_due_ms: u32) -> Duration {
    match next_due_ms {
        0 => INTERVAL_DEFAULT,
        ms => Duration::from_millis(ms.into()).min(INTERVAL_MAX),
    }
}

/// The age at which a node is down: the window of its losses.
pub(super) fn down_window(interval: Duration) -> Duration {
    interval * 3 + TRANSIT
}

/// What the signs of a node amount to at `now`.
pub(super) fn measure(signs: &Signs, grace: &Grace, lateness: &Lateness, now: BootTime) -> Finding {
    let end = signs.end.filter(|end| signs.heard.is_none_or(|heard| heard <= end.at));
    let heard = signs.heard.filter(|heard| *heard >= grace.heard_from);
    let heard = heard.filter(|_| !end.is_some_and(|end| is_stale(&end, grace, lateness)));
    match (end, heard) {
        (Some(End { how: Parting::Bye(reason), at, .. }), _) => {
            let gone = now >= lateness.deadline(at, RECONNECT);
            let liveness = match (gone, heard) {
                (true, _) => Liveness::Left,
                (false, Some(_)) => Liveness::Suspect,
                (false, None) => Liveness::Unknown,
            };
            Finding { liveness, cause: Cause::Bye { reason, age: now.since(at) }, loss: None }
        }
        (end, None) => unheard(&Signs { end, ..*signs }, grace, lateness, now),
        (Some(end), Some(heard)) => ended(end, overdue(signs, heard, lateness, now), lateness, now),
        (None, Some(heard)) => overdue(signs, heard, lateness, now),
    }
}

/// What a verdict becomes by a finding. `lasted` says whether the node has been good for long enough.
pub(super) fn settle(current: Liveness, found: Liveness, lasted: bool) -> Liveness {
    use Liveness::{AgentDead, Down, Left, Suspect, Unknown, Up};
    match (current, found) {
        (Down | AgentDead, Up) if !lasted => current,
        (Down | AgentDead | Left, Suspect | Unknown) => current,
        _ => found,
    }
}

/// Whether an end is what a pause of ours did to a stream: the agent gave up on us while we slept, and on waking we
/// read the frames that it had sent before, and then the end. Neither says how the node is now.
fn is_stale(end: &End, grace: &Grace, lateness: &Lateness) -> bool {
    end.opened < grace.began && end.at < lateness.deadline(grace.began, grace.allowed)
}

fn unheard(signs: &Signs, grace: &Grace, lateness: &Lateness, now: BootTime) -> Finding {
    let over = lateness.deadline(grace.began, grace.allowed);
    // A node that beats once a minute may not even be due after a pause of ours: it is missed by its own timer.
    let due_later = |heard| overdue(signs, heard, lateness, now).liveness == Liveness::Up;
    if now < over || (signs.end.is_none() && signs.heard.is_some_and(due_later)) {
        return Finding { liveness: Liveness::Unknown, cause: Cause::Awaited, loss: None };
    }
    let cause = Cause::NeverCame { age: signs.heard.map(|heard| now.since(heard)) };
    // Not silent, although nothing was heard: it has had its time of doubt, the grace.
    Finding { liveness: Liveness::Down, cause, loss: Some(Loss { at: over, silent: false }) }
}

fn overdue(signs: &Signs, heard: BootTime, lateness: &Lateness, now: BootTime) -> Finding {
    let interval = signs.interval;
    let age = now.since(heard);
    let liveness = if now >= lateness.deadline(heard, down_window(interval)) {
        Liveness::Down
    } else if now >= lateness.deadline(heard, interval * 3 / 2 + TRANSIT) {
        Liveness::Suspect
    } else {
        return Finding { liveness: Liveness::Up, cause: Cause::Beating, loss: None };
    };
    Finding { liveness, cause: Cause::Late { age, interval }, loss: Some(Loss { at: heard, silent: true }) }
}

/// A stream that ended without a Bye: suspect at once, and down by whichever of the two timers is first.
fn ended(end: End, aged: Finding, lateness: &Lateness, now: BootTime) -> Finding {
    let gone = aged.liveness == Liveness::Down || now >= lateness.deadline(end.at, RECONNECT);
    let age = now.since(end.at);
    let silent = end.how == Parting::Silent;
    Finding {
        liveness: if gone { Liveness::Down } else { Liveness::Suspect },
        cause: if silent { Cause::Silent { age } } else { Cause::Lost { age } },
        loss: Some(Loss { at: end.at, silent }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Liveness::{AgentDead, Down, Isolated, Left, Suspect, Unknown, Up};

    fn at(ms: u64) -> BootTime {
        BootTime(ms * 1_000_000)
    }

    fn at_age(next_due_ms: u32, age_ms: u64) -> Liveness {
        let signs = Signs { heard: Some(at(1000)), interval: interval(next_due_ms), end: None };
        let grace = Grace { heard_from: at(0), began: at(0), allowed: Duration::ZERO };
        measure(&signs, &grace, &Lateness::new(at(0)), at(1000 + age_ms)).liveness
    }

    #[test]
    fn age_alone() {
        for (next_due_ms, suspect_ms, down_ms) in [
            (1000, 2000, 3500),
            (0, 2000, 3500),
            (250, 875, 1250),
            (10_000, 15_500, 30_500),
            (60_000, 90_500, 180_500),
            (u32::MAX, 90_500, 180_500),
        ] {
            for (age_ms, expect) in [
                (0, Up),
                (suspect_ms - 1, Up),
                (suspect_ms, Suspect),
                (down_ms - 1, Suspect),
                (down_ms, Down),
            ] {
                assert_eq!(at_age(next_due_ms, age_ms), expect, "I {next_due_ms} ms, age {age_ms} ms");
            }
        }
    }

    #[test]
    fn bad_verdicts_stand_until_good_news_lasts() {
        for (current, found, lasted, expect) in [
            (Down, Up, false, Down),
            (Down, Up, true, Up),
            (AgentDead, Up, false, AgentDead),
            (Down, Suspect, true, Down),
            (Down, Unknown, true, Down),
            (Down, Left, false, Left),
            (Left, Up, false, Up),
            (Left, Unknown, false, Left),
            (Left, Suspect, false, Left),
            (Left, Down, false, Down),
            (Suspect, Up, false, Up),
            (Unknown, Up, false, Up),
            (Isolated, Up, false, Up),
            (Up, Down, false, Down),
            (Up, Unknown, false, Unknown),
        ] {
            assert_eq!(settle(current, found, lasted), expect, "{current} {found} {lasted}");
        }
    }
}
