//! Why a node is what it is, in one line for a person.
//!
//! Ages are exact at first and coarse later (`3.6 s`, `20 s`, `4 min`, `2 h`): what is long gone need not make a
//! new snapshot four times a second.

use super::hysteresis::BEATS;
use quorate_common::model::session::ByeReason;
use std::fmt;
use std::time::Duration;

/// What a liveness rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Frames come in time.
    Beating,
    /// Not heard yet, and the start grace runs.
    Awaited,
    /// Not heard in the whole start grace; if ever before, that was `age` ago.
    NeverCame { age: Option<Duration> },
    /// The next frame is overdue.
    Late { age: Duration, interval: Duration },
    /// The stream ended with FIN or RST.
    Lost { age: Duration },
    /// The stream ended without any sign of the node.
    Silent { age: Duration },
    /// The agent said farewell.
    Bye { reason: ByeReason, age: Duration },
    /// Lost in silence together with most others.
    MassLoss,
    /// Heard again, not yet for long enough.
    Recovering { lasted: Duration, beats: u64 },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Beating => f.write_str("frames arrive in time"),
            Cause::Awaited => f.write_str("not heard since the aggregator began to listen"),
            Cause::NeverCame { age: None } => f.write_str("not heard within the start grace"),
            Cause::NeverCame { age: Some(age) } => write!(f, "no frame for {}", Age(*age)),
            Cause::Late { age, interval } => {
                write!(f, "no frame for {} (expected every {})", Age(*age), Age(*interval))
            }
            Cause::Lost { age } => write!(f, "stream lost {} ago", Age(*age)),
            Cause::Silent { age } => write!(f, "stream went silent {} ago", Age(*age)),
            Cause::Bye { reason, age } => write!(f, "said farewell ({reason}) {} ago", Age(*age)),
            Cause::MassLoss => {
                f.write_str("went silent together with most others: down, or out of our reach")
            }
            Cause::Recovering { lasted, beats } => {
                write!(f, "heard again for {}, {beats} of {BEATS} good beats", Age(*lasted))
            }
        }
    }
}

/// A duration as a person says it, rounded down.
pub(super) struct Age(pub(super) Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0..10 => write!(f, "{}.{} s", self.0.as_secs(), self.0.subsec_millis() / 100),
            seconds @ 10..60 => write!(f, "{} s", seconds / 10 * 10),
            seconds @ 60..3600 => write!(f, "{} min", seconds / 60),
            seconds @ 3600..86_400 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} d", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        for (ms, expect) in [
            (0, "0.0 s"),
            (3649, "3.6 s"),
            (9999, "9.9 s"),
            (10_000, "10 s"),
            (59_999, "50 s"),
            (60_000, "1 min"),
            (3_599_000, "59 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(Age(Duration::from_millis(ms)).to_string(), expect);
        }
    }

    #[test]
    fn causes_read_well() {
        let age = Duration::from_millis(1234);
        let late = Cause::Late { age: Duration::from_millis(3600), interval: Duration::from_secs(1) };
        for (cause, expect) in [
            (late, "no frame for 3.6 s (expected every 1.0 s)"),
            (Cause::Lost { age }, "stream lost 1.2 s ago"),
            (Cause::Bye { reason: ByeReason::HostShutdown, age }, "said farewell (host_shutdown) 1.2 s ago"),
            (Cause::Recovering { lasted: age, beats: 2 }, "heard again for 1.2 s, 2 of 3 good beats"),
        ] {
            assert_eq!(cause.to_string(), expect);
        }
    }
}
