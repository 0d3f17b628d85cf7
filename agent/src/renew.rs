//! Renew: the next certificate, long before this one expires.
//!
//! ```text
//!          a third of its life ──→ renew ──→ kept, shown ──┐
//!   good ──────────────────────────↑  └─ failed: again ────┤
//!   expired, or refused as such ──→ rejoin ──→ kept, shown ─┴─→ good
//! ```
//!
//! A task of its own: nothing waits for it, and sampling and sending go on whatever becomes of it. When to do what
//! is decided by [`Plan`], which knows no clock.

use crate::enrol::read_addresses;
use crate::identity::{Identity, Life, LoadError};
use quorate_common::backoff::Backoff;
use quorate_common::clock::Clock;
use quorate_common::error::chain;
use quorate_common::model::time::WallTime;
use quorate_common::rng::Rng;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{client_config, load_certificates};
use quorate_proto::probe::clock_of;
use quorate_proto::renew::{RenewError, rejoin, renew};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The clock is looked at this often at least: it may have been set.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A refusal that asking again does not mend is not repeated more often than this.
const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing for so long.
    Wait(Duration),
    /// Ask for the next certificate.
    Renew,
    /// Ask to be let in again.
    Rejoin,
}

/// When a certificate is to be renewed.
#[derive(Clone, Copy, Debug)]
struct Plan {
    life: Life,
    /// Share of a tenth of its life by which this node is later than others, 0 to 1: a fleet that was enrolled
    /// together does not renew together.
    late: f64,
}

impl Plan {
    fn step(&self, now: WallTime) -> Step {
        let Life { begins, ends } = self.life;
        let life = ends.0.saturating_sub(begins.0);
        let due = WallTime(begins.0.saturating_add(life / 3 + (life as f64 * 0.1 * self.late) as i64));
        if now >= ends {
            Step::Rejoin
        } else if now >= due {
            Step::Renew
        } else {
            Step::Wait(Duration::from_nanos(u64::try_from(due.0 - now.0).unwrap_or(0)).min(LOOK_EVERY))
        }
    }
}

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
enum NotRenewed {
    #[error("failed to renew")]
    Asked(#[from] RenewError),
    #[error("failed to keep the certificate")]
    Kept(#[from] LoadError),
}

impl NotRenewed {
    /// Whether asking again will not help before somebody has done something.
    fn is_final(&self) -> bool {
        matches!(self, NotRenewed::Asked(error) if error.is_final())
    }
}

/// What renewing needs.
pub struct Renewer {
    /// Who this node is.
    pub identity: Identity,
    /// Where aggregators are, `host:port`, tried in turn; the newest that a renewal named.
    pub aggregators: watch::Sender<Arc<[String]>>,
    /// Whether the configuration names aggregators: then what a renewal names is not used.
    pub is_configured: bool,
    /// Somebody was told that our certificate has expired.
    pub expired: Arc<Notify>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub rng: Box<dyn Rng + Sync>,
}

impl Renewer {
    /// Renews until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut backoff = Backoff::default();
        let mut late = self.late();
        loop {
            let step = Plan { life: self.identity.life(), late }.step(self.clock.now().wall);
            let step = match step {
                Step::Wait(wait) => tokio::select! {
                    () = shutdown.asked() => return,
                    () = tokio::time::sleep(wait) => continue,
                    () = self.expired.notified() => {
                        self.compare_clocks().await;
                        Step::Rejoin
                    }
                },
                step => step,
            };
            let failed = tokio::select! {
                () = shutdown.asked() => return,
                done = self.take(step) => done.err(),
            };
            match failed {
                None => {
                    backoff.accepted();
                    late = self.late();
                }
                Some(wait) => {
                    let again = backoff.refused(self.clock.now().boot, &mut *self.rng);
                    let wait = wait.max(again.since(self.clock.now().boot));
                    tokio::select! {
                        () = shutdown.asked() => return,
                        () = tokio::time::sleep(wait) => {}
                        () = self.expired.notified() => {}
                    }
                }
            }
        }
    }

    /// Our certificate has expired by another clock than ours: says how far they are apart.
    async fn compare_clocks(&self) {
        let roots = load_certificates(&self.identity.paths.roots);
        let Ok(tls) = roots.and_then(|roots| client_config(&roots, None)).map(Arc::new) else { return };
        for address in self.addresses(true) {
            let Some(skew) = clock_of(&address, tls.clone(), &*self.clock).await else { continue };
            if skew.is_sure() {
                let local = self.clock.now().wall;
                tracing::warn!(class = "action", address, %skew, %local, "clock skew: this machine's clock differs");
            }
            return;
        }
    }

    fn late(&mut self) -> f64 {
        (self.rng.u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One attempt at each address; the error is how long to wait at least.
    async fn take(&mut self, step: Step) -> Result<(), Duration> {
        let rejoining = step == Step::Rejoin;
        let mut addresses = self.addresses(rejoining);
        let mut least = Duration::ZERO;
        while let Some(address) = addresses.pop() {
            match self.ask(&address, rejoining).await {
                Ok(()) => return Ok(()),
                // By its clock we are late, whatever ours says.
                Err(NotRenewed::Asked(error)) if !rejoining && error.says_expired() => {
                    return Box::pin(self.take(Step::Rejoin)).await;
                }
                Err(error) => {
                    least = if error.is_final() { REFUSED_WAIT } else { Duration::ZERO };
                    let reason = chain(&error);
                    tracing::warn!(class = "failure", address, rejoining, reason, "certificate not renewed");
                }
            }
        }
        Err(least)
    }

    /// The last is tried first.
    fn addresses(&self, rejoining: bool) -> Vec<String> {
        let mut all = if rejoining {
            read_addresses(&self.identity.paths.enrolment).unwrap_or_else(|error| {
                tracing::warn!(class = "failure", reason = chain(&error), "nowhere to rejoin");
                Vec::new()
            })
        } else {
            self.aggregators.borrow().to_vec()
        };
        all.reverse();
        all
    }

    async fn ask(&mut self, address: &str, rejoining: bool) -> Result<(), NotRenewed> {
        self.identity.refresh()?;
        let (paths, now) = (&self.identity.paths, self.clock.now().wall);
        let issued = if rejoining {
            rejoin(address, paths, now).await?
        } else {
            let tls = self.identity.shown().borrow().clone();
            renew(address, tls, (paths, &self.identity.name), now).await?
        };
        self.identity.replace(&issued)?;
        if !self.is_configured {
            self.aggregators.send_if_modified(|known| {
                let is_new = **known != *issued.aggregators;
                *known = issued.aggregators.clone().into();
                is_new
            });
        }
        tracing::info!(class = "success", until = %issued.not_after, rejoining, "certificate renewed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renews_at_a_third_and_rejoins_after_the_end() {
        let hour = |hours: i64| WallTime(hours * 3_600_000_000_000);
        let life = Life { begins: hour(0), ends: hour(30) };
        for (late, now, expect) in [
            (0.0, 0, Step::Wait(LOOK_EVERY)),
            (0.0, 10, Step::Renew),
            (0.0, -5, Step::Wait(LOOK_EVERY)),
            (1.0, 12, Step::Wait(LOOK_EVERY)),
            (1.0, 13, Step::Renew),
            (0.5, 29, Step::Renew),
            (0.5, 30, Step::Rejoin),
            (0.5, 900, Step::Rejoin),
        ] {
            assert_eq!(Plan { life, late }.step(hour(now)), expect, "{late} {now}");
        }
        let almost = Plan { life, late: 0.0 }.step(WallTime(hour(10).0 - 1_000_000));
        assert_eq!(almost, Step::Wait(Duration::from_millis(1)));
    }
}
