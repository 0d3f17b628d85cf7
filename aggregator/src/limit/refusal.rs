//! Who was sent away, and why: every one is counted, and told in the log without becoming a flood of lines.
//!
//! ```text
//!   refuse ─→ count[reason]
//!          └→ (reason, network): first for 5 s? ── yes ─→ a line
//!                                               └─ no ──→ untold + 1 ─→ a line with the number, when the 5 s are over
//! ```

use super::Reason;
use crate::peer::network;
use quorate_common::clock::Clock;
use quorate_common::model::time::BootTime;
use quorate_common::shutdown::Shutdown;
use std::collections::HashMap;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One line in this time for each reason and network.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Reasons and networks that are remembered for it.
const REMEMBERED_MAX: usize = 1024;

/// Counts and tells. A clone is the same.
#[derive(Clone)]
pub struct Refusals(Arc<State>);

struct State {
    clock: Arc<dyn Clock>,
    counts: [AtomicU64; Reason::ALL.len()],
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    lines: HashMap<(Reason, IpAddr), Line>,
    /// Refused while no more could be remembered.
    beyond: u64,
}

struct Line {
    since: BootTime,
    untold: u64,
}

/// What is to be said of what was not said before.
#[derive(Debug, PartialEq, Eq)]
struct Untold {
    reason: Reason,
    network: IpAddr,
    count: u64,
}

impl Refusals {
    /// Nobody was sent away yet.
    pub fn new(clock: Arc<dyn Clock>) -> Refusals {
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Refusals(Arc::new(State { clock, counts, told: Mutex::default() }))
    }

    /// Somebody is sent away: counts it, and says so unless the same was said a moment ago.
    pub fn refuse(&self, reason: Reason, address: SocketAddr, detail: &dyn Display) {
        self.count(reason, 1);
        if self.is_news(reason, network(address.ip())) {
            tracing::warn!(reason = reason.as_str(), %address, %detail, "refused");
        }
    }

    /// Counts what is no news to anybody.
    pub fn count(&self, reason: Reason, more: u64) {
        self.0.counts[reason as usize].fetch_add(more, Ordering::Relaxed);
    }

    /// How often a reason was counted.
    pub fn counted(&self, reason: Reason) -> u64 {
        self.0.counts[reason as usize].load(Ordering::Relaxed)
    }

    /// How often each reason was counted.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.iter().map(|reason| (*reason, self.counted(*reason)))
    }

    /// Says now and then how much was not said, until asked to stop.
    pub async fn tell(self, shutdown: Shutdown) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! { () = shutdown.asked() => return, _ = second.tick() => {} }
            let (untold, beyond) = self.untold();
            for Untold { reason, network, count } in untold {
                tracing::warn!(reason = reason.as_str(), %network, count, "more refused");
            }
            if beyond > 0 {
                tracing::warn!(count = beyond, "more refused, of too many networks to name");
            }
        }
    }

    fn is_news(&self, reason: Reason, network: IpAddr) -> bool {
        let now = self.0.clock.now().boot;
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = told.lines.get_mut(&(reason, network)) {
            line.untold += 1;
            return false;
        }
        if told.lines.len() >= REMEMBERED_MAX {
            told.beyond += 1;
            return false;
        }
        told.lines.insert((reason, network), Line { since: now, untold: 0 });
        true
    }

    /// What has to be said now, and how many refusals belong to no remembered network. Forgets who was quiet.
    fn untold(&self) -> (Vec<Untold>, u64) {
        let now = self.0.clock.now().boot;
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut untold = Vec::new();
        told.lines.retain(|(reason, network), line| {
            if now.since(line.since) < LINE_EVERY {
                return true;
            }
            let count = std::mem::take(&mut line.untold);
            line.since = now;
            if count > 0 {
                untold.push(Untold { reason: *reason, network: *network, count });
            }
            count > 0
        });
        (untold, std::mem::take(&mut told.beyond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::time::{Now, WallTime};

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Now {
            let boot = BootTime(self.0.load(Ordering::Relaxed) * 1_000_000_000);
            Now { boot, wall: WallTime(0) }
        }
    }

    #[test]
    fn one_line_for_each_reason_and_network() {
        let clock = Arc::new(Hand::default());
        let refusals = Refusals::new(clock.clone());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(refusals.is_news(Reason::Tls, one));
        assert!(!refusals.is_news(Reason::Tls, one) && !refusals.is_news(Reason::Tls, one));
        assert!(refusals.is_news(Reason::Tls, other) && refusals.is_news(Reason::Calls, one));
        assert_eq!(refusals.untold(), (Vec::new(), 0), "the five seconds are not over");
        clock.0.store(5, Ordering::Relaxed);
        let expect = Untold { reason: Reason::Tls, network: one, count: 2 };
        assert_eq!(refusals.untold(), (vec![expect], 0));
        assert!(!refusals.is_news(Reason::Tls, one), "it was told just now");
        assert!(refusals.is_news(Reason::Tls, other), "it was quiet, and is news again");
        clock.0.store(20, Ordering::Relaxed);
        assert_eq!(refusals.untold().0.len(), 1);
        clock.0.store(30, Ordering::Relaxed);
        refusals.untold();
        assert!(refusals.0.told.lock().unwrap().lines.is_empty(), "nobody is remembered");
    }

    #[test]
    fn many_networks_take_bounded_memory() {
        let refusals = Refusals::new(Arc::new(Hand::default()));
        for number in 0..5000_u32 {
            refusals.refuse(Reason::Address, SocketAddr::from((number.to_be_bytes(), 1)), &"full");
        }
        assert_eq!(refusals.counted(Reason::Address), 5000);
        assert_eq!(refusals.0.told.lock().unwrap().lines.len(), REMEMBERED_MAX);
        assert_eq!(refusals.untold().1, 5000 - REMEMBERED_MAX as u64);
    }
}
