//! Which of a node's keys a certificate is for, and what showing it means. Decides; stores nothing.
//!
//! ```text
//!   renewed ─→ pending ──first use──→ current ──first use of the next──→ previous ──60 s──→ old
//!                 └─ renewed again with the same key: the same             accepted            │
//!                                                                           shown on a later connection:
//!                                                                           two holders, both are frozen
//! ```
//!
//! An agent fsyncs a new key before it asks for a certificate and a new certificate before it uses it, and never
//! goes back. So a node that is killed at any moment shows its current or its pending key, and an old one is
//! shown only by somebody else: a copy, or the node itself after the copy has renewed.

use quorate_common::model::identity::Generation;
use quorate_common::model::time::WallTime;
use std::time::Duration;

/// How long the key before is still accepted at most: calls and connections that were under way.
pub const GRACE_MAX: Duration = Duration::from_secs(60);

/// The grace of a key whose certificates live so long: always shorter than the time between two renewals, which is
/// a third of that, less what a certificate begins in the past.
pub fn grace(leaf: Duration) -> Duration {
    GRACE_MAX.min(leaf / 5)
}

/// A key, by the SHA-256 of its SPKI.
pub type Key = [u8; 32];

/// What the registry knows of a node's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The enrolment, and the number of the current key.
    pub generation: Generation,
    /// The key that was used last.
    pub current: Key,
    /// The one before it.
    pub previous: Option<Key>,
    /// Certified as the next and not used yet.
    pub pending: Option<Key>,
    /// When the current key was first used; `None` for the one that was enrolled.
    pub advanced: Option<WallTime>,
    /// How long the key before is still accepted after that.
    pub grace: Duration,
}

/// A certificate as it is shown: on a connection that began at `opened`.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// What it says of itself.
    pub generation: Generation,
    /// Its key.
    pub key: Key,
    /// When its connection began.
    pub opened: WallTime,
    /// Now.
    pub now: WallTime,
}

/// What that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The key in use.
    Current,
    /// The next key, for the first time: the generation advances.
    First,
    /// The authority has signed more than this registry knows: it was restored from an older copy. The
    /// certificate tells what is missing.
    Newer,
    /// The key before, within its grace.
    Previous,
    /// An old key on a connection that began while it was good: refused, and no sign of a copy.
    Stale,
    /// An old key, or another key of the same number: somebody has a copy.
    Copied,
    /// Of another enrolment of this name.
    Replaced,
}

impl Keys {
    /// What it means that this certificate is shown.
    pub fn standing(&self, shown: &Shown) -> Standing {
        let (theirs, ours) = (shown.generation, self.generation);
        if theirs.enrolment != ours.enrolment {
            return Standing::Replaced;
        }
        if theirs.number > ours.number {
            return self.ahead(shown);
        }
        if theirs.number == ours.number {
            return if shown.key == self.current { Standing::Current } else { Standing::Copied };
        }
        self.behind(shown)
    }

    fn ahead(&self, shown: &Shown) -> Standing {
        match self.pending {
            Some(pending) if shown.generation.number == self.generation.number + 1 => {
                if pending == shown.key { Standing::First } else { Standing::Copied }
            }
            _ => Standing::Newer,
        }
    }

    fn behind(&self, shown: &Shown) -> Standing {
        // Behind an enrolled key there is none, so that a number below it was never signed.
        let Some(advanced) = self.advanced else { return Standing::Copied };
        let end = WallTime(advanced.0.saturating_add(nanos(self.grace)));
        // The grace of an earlier key than the one before was over when that one came to its end.
        let is_before = shown.generation.number + 1 == self.generation.number;
        if shown.opened > if is_before { end } else { advanced } {
            Standing::Copied
        } else if shown.now <= end && self.previous == Some(shown.key) {
            Standing::Previous
        } else {
            Standing::Stale
        }
    }

    /// The number that a certificate for `new` gets, asked for by the owner of a certificate of this standing.
    ///
    /// # Errors
    ///
    /// Why none is given.
    pub fn renew(&self, standing: Standing, new: &Key) -> Result<u64, NotRenewed> {
        let Generation { number, .. } = self.generation;
        match standing {
            // A request that was answered, and whose answer came too late.
            Standing::Previous if *new == self.current => Ok(number),
            Standing::Current if *new == self.current => Err(NotRenewed::SameKey),
            Standing::Current => Ok(number + 1),
            // The caller's key is used by this very call: the next one comes after it.
            Standing::First | Standing::Newer => Err(NotRenewed::NotAdvanced),
            Standing::Previous | Standing::Stale | Standing::Copied | Standing::Replaced => {
                Err(NotRenewed::Used(number))
            }
        }
    }
}

/// Why no certificate is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRenewed {
    /// A copy of the key could live beside it for ever.
    #[error("csr has the key of the certificate in use, make a new one")]
    SameKey,
    /// The caller's key is not the current one yet.
    #[error("the certificate was not taken into use")]
    NotAdvanced,
    /// Another key took its place.
    #[error("the certificate was followed by generation {0}")]
    Used(u64),
}

fn nanos(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// The current key came into use at 100 s.
    const KEYS: Keys = Keys {
        generation: Generation { enrolment: 1, number: 5 },
        current: [5; 32],
        previous: Some([4; 32]),
        pending: None,
        advanced: Some(WallTime(100 * SECOND)),
        grace: GRACE_MAX,
    };

    fn shown(enrolment: i64, number: u64, key: u8, (opened_s, now_s): (i64, i64)) -> Shown {
        let generation = Generation { enrolment, number };
        Shown {
            generation,
            key: [key; 32],
            opened: WallTime(opened_s * SECOND),
            now: WallTime(now_s * SECOND),
        }
    }

    #[test]
    fn every_key_has_its_standing() {
        use Standing::{Copied, Current, First, Newer, Previous, Replaced, Stale};
        let renewed = Keys { pending: Some([6; 32]), ..KEYS };
        let enrolled = Keys { previous: None, advanced: None, ..KEYS };
        for (keys, one, expect) in [
            (&KEYS, shown(1, 5, 5, (200, 900)), Current),
            (&KEYS, shown(1, 5, 9, (200, 200)), Copied),
            (&KEYS, shown(2, 5, 5, (200, 200)), Replaced),
            (&KEYS, shown(0, 9, 9, (200, 200)), Replaced),
            // The next, and what the registry has forgotten.
            (&renewed, shown(1, 5, 5, (200, 200)), Current),
            (&renewed, shown(1, 6, 6, (200, 200)), First),
            (&renewed, shown(1, 6, 7, (200, 200)), Copied),
            (&renewed, shown(1, 7, 7, (200, 200)), Newer),
            (&KEYS, shown(1, 6, 6, (200, 200)), Newer),
            // The one before: for a minute, and not on a connection that began after it.
            (&KEYS, shown(1, 4, 4, (90, 160)), Previous),
            (&KEYS, shown(1, 4, 4, (160, 160)), Previous),
            (&KEYS, shown(1, 4, 4, (90, 161)), Stale),
            (&KEYS, shown(1, 4, 4, (160, 900)), Stale),
            (&KEYS, shown(1, 4, 4, (161, 161)), Copied),
            (&KEYS, shown(1, 4, 9, (90, 110)), Stale),
            (&KEYS, shown(1, 3, 3, (100, 110)), Stale),
            (&KEYS, shown(1, 3, 3, (110, 110)), Copied),
            (&enrolled, shown(1, 4, 4, (90, 90)), Copied),
        ] {
            assert_eq!(keys.standing(&one), expect, "{one:?}");
        }
    }

    #[test]
    fn renewing_gives_the_next_number_and_repeats_itself() {
        let renewed = Keys { pending: Some([6; 32]), ..KEYS };
        for (keys, standing, new, expect) in [
            (&KEYS, Standing::Current, 6, Ok(6)),
            (&renewed, Standing::Current, 6, Ok(6)),
            (&renewed, Standing::Current, 7, Ok(6)),
            (&KEYS, Standing::Current, 5, Err(NotRenewed::SameKey)),
            (&KEYS, Standing::Previous, 5, Ok(5)),
            (&KEYS, Standing::Previous, 6, Err(NotRenewed::Used(5))),
            (&KEYS, Standing::Copied, 6, Err(NotRenewed::Used(5))),
            (&renewed, Standing::First, 7, Err(NotRenewed::NotAdvanced)),
        ] {
            assert_eq!(keys.renew(standing, &[new; 32]), expect, "{standing:?} {new}");
        }
    }

    /// An honest node that is killed anywhere between making a key and using its certificate, again and again,
    /// with answers that are lost: it is never taken for a copy.
    #[test]
    fn an_honest_node_is_never_taken_for_a_copy() {
        use quorate_common::rng::{Rng, SeededRng};
        for seed in 0..500 {
            let mut rng = SeededRng::new(seed);
            let mut keys = Keys { previous: None, advanced: None, pending: None, ..KEYS };
            let (mut own, mut next) = ((5_u64, [5_u8; 32]), None::<[u8; 32]>);
            let mut made = 5_u8;
            for step in 0..60_i64 {
                let now = WallTime(step * SECOND);
                let generation = Generation { enrolment: 1, number: own.0 };
                let standing = keys.standing(&Shown { generation, key: own.1, opened: now, now });
                match standing {
                    Standing::Current => {}
                    Standing::First => {
                        keys.previous = Some(keys.current);
                        (keys.current, keys.pending) = (own.1, None);
                        (keys.generation.number, keys.advanced) = (own.0, Some(now));
                    }
                    other => panic!("seed {seed}, step {step}: {other:?}"),
                }
                let new = *next.get_or_insert_with(|| {
                    made = made.wrapping_add(1);
                    [made; 32]
                });
                if rng.u64().is_multiple_of(3) {
                    continue; // killed before it asked
                }
                let number = keys.renew(Standing::Current, &new).unwrap();
                keys.pending = Some(new);
                if rng.u64().is_multiple_of(3) {
                    continue; // killed before the answer was on disk
                }
                (own, next) = ((number, new), None);
            }
        }
    }
}
