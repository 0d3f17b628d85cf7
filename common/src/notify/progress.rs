//! Progress: whether the parts that do the work of a program still do it.
//!
//! Each part holds a [`Pulse`] and beats it for each piece of work; who watches counts beats and reads no clock.

use std::time::Duration;
use tokio::sync::watch;

/// Signs of life of one part of the program, given by the part itself: one for each piece of work that is done.
#[derive(Clone, Debug, Default)]
pub struct Pulse(watch::Sender<u64>);

impl Pulse {
    /// A piece of work is done.
    pub fn beat(&self) {
        self.0.send_modify(|beats| *beats = beats.wrapping_add(1));
    }
}

/// The parts that must all go on for the program to be alive.
#[derive(Debug, Default)]
pub struct Progress {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    beats: watch::Receiver<u64>,
    counted: u64,
    /// The longest that it may do nothing.
    patience: Duration,
    /// How long it has done nothing.
    quiet: Duration,
}

impl Progress {
    /// One more part; it stands still once it has done nothing for longer than `patience`.
    #[must_use]
    pub fn with(mut self, name: &'static str, pulse: &Pulse, patience: Duration) -> Progress {
        let beats = pulse.0.subscribe();
        self.parts.push(Part { name, beats, counted: 0, patience, quiet: Duration::ZERO });
        self
    }

    /// Waits until every part has done something. For ever, if one never does.
    pub async fn begun(&mut self) {
        for part in &mut self.parts {
            if part.beats.wait_for(|beats| *beats > 0).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The first part that stands still, after `step` more. The steps are what the program itself lived
    /// through: a host that slept is not a program that hangs.
    pub fn stalled(&mut self, step: Duration) -> Option<&'static str> {
        for part in &mut self.parts {
            let beats = *part.beats.borrow();
            part.quiet = if beats == part.counted { part.quiet.saturating_add(step) } else { Duration::ZERO };
            part.counted = beats;
        }
        self.parts.iter().find(|part| part.quiet > part.patience).map(|part| part.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_stands_still_is_named() {
        let (judge, sample, step) = (Pulse::default(), Pulse::default(), Duration::from_secs(1));
        let mut progress =
            Progress::default().with("judge", &judge, step * 2).with("sample", &sample, step * 4);
        // A letter for each step: who did something in it. The names of who then stands still.
        for (at, (beats, expect)) in [
            ("", None),
            ("j", None),
            ("", None),
            ("", None),
            ("", Some("judge")),
            ("j", Some("sample")),
            ("s", None),
            ("", None),
            ("", Some("judge")),
            ("js", None),
        ]
        .into_iter()
        .enumerate()
        {
            beats.chars().for_each(|part| if part == 'j' { judge.beat() } else { sample.beat() });
            assert_eq!(progress.stalled(step), expect, "step {at}");
        }
        drop(judge);
        assert_eq!([(); 3].map(|()| progress.stalled(step)), [None, None, Some("judge")], "it is gone");
    }
}
