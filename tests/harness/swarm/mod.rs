//! The swarm: any number of virtual agents in one process, over real TLS and gRPC, each with its own certificate and
//! its own data, which follows from a seed.
//!
//! ```text
//!   enrol ──→ identities ─┐
//!   Profile (seed, mix) ──┴→ Swarm ── N × agent ( machine: what and when; link: the wire ) ──→ aggregator
//!                               └── members, counts ──→ oracle: recomputes all data and asks the public API for it
//! ```
//!
//! A virtual agent behaves as the real one does: Hello, Register, key frame, a frame each second at a moment of its
//! own, the echo of the last acknowledgement, a deadline for the next, the shipped back-off, a farewell. It has no
//! host, no spool on any disk, and answers no questions.

mod agent;
mod count;
mod enrol;
pub mod link;
mod machine;
pub mod mix;
pub mod oracle;
pub mod script;

pub use count::Counts;
pub use enrol::{Identity, enrol};
pub use script::Profile;

use agent::Agent;
use count::Counters;
use machine::Machine;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::Now;
use quorate_common::rng::{Rng, SeededRng};
use quorate_common::shutdown::Shutdown;
use quorate_proto::connect::Options;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// All virtual agents have said farewell by then, or are cut off.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Virtual hosts of one network.
const HOSTS: u32 = 250;

/// Where virtual agents call from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Each from an address of its own on the loopback network, 127.1.0.1 and so on: as many hosts.
    Apart,
    /// Wherever the kernel says, mostly all from one address.
    Together,
}

/// What a swarm is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The aggregator, `host:port`.
    pub address: String,
    /// What each node is like.
    pub profile: Profile,
    /// Where they call from.
    pub callers: Callers,
    /// From the first one's first attempt to the last one's.
    pub ramp: Duration,
}

/// One virtual agent, as others see it.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name in its certificate.
    pub name: String,
    /// Its number: its data follows from it.
    pub node: u64,
    /// When its tick 1 is.
    pub first: Now,
    standing: Arc<Standing>,
}

impl Member {
    /// The newest tick that was sent.
    pub fn sent(&self) -> u64 {
        self.standing.sent.load(Relaxed)
    }

    /// The newest tick that was acknowledged as received in the newest session.
    pub fn acknowledged(&self) -> u64 {
        self.standing.acknowledged.load(Relaxed)
    }

    /// All ticks up to this one were said to be durable.
    pub fn durable(&self) -> u64 {
        self.standing.durable.load(Relaxed)
    }

    /// Ticks that were said to be durable, and were not when a later session began.
    pub fn forgotten(&self) -> u64 {
        self.standing.forgotten.load(Relaxed)
    }

    /// Ticks that were never sent, because too many waited.
    pub fn overflowed(&self) -> u64 {
        self.standing.overflowed.load(Relaxed)
    }

    /// Why its last session, or its last attempt, ended; empty if none has.
    pub fn last_word(&self) -> String {
        self.standing.last_word.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, Default)]
struct Standing {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    durable: AtomicU64,
    forgotten: AtomicU64,
    overflowed: AtomicU64,
    last_word: Mutex<String>,
}

impl Standing {
    fn say(&self, word: String) {
        *self.last_word.lock().unwrap_or_else(PoisonError::into_inner) = word;
    }
}

/// Virtual agents that run. When this is dropped they vanish without a farewell.
#[derive(Debug)]
pub struct Swarm {
    members: Vec<Member>,
    counters: Arc<Counters>,
    live: watch::Receiver<usize>,
    stop: Shutdown,
    tasks: JoinSet<()>,
}

impl Swarm {
    /// Starts one virtual agent for each identity.
    pub fn start(plan: &Plan, identities: Vec<Identity>) -> Swarm {
        let (counters, stop) = (Arc::<Counters>::default(), Shutdown::new());
        let (live, seen) = watch::channel(0);
        let (mut members, mut tasks) = (Vec::with_capacity(identities.len()), JoinSet::new());
        let (begin, address): (Now, Arc<str>) = (SystemClock.now(), plan.address.as_str().into());
        let share = |part: usize| plan.ramp * part as u32 / identities.len().max(1) as u32;
        for (at, delay) in (0..identities.len()).map(share).enumerate() {
            let Identity { name, node, tls } = identities[at].clone();
            let mut rng = SeededRng::new(plan.profile.seed ^ node.rotate_left(32));
            let phase = rng.jitter(Duration::ZERO, Duration::from_millis(plan.profile.interval_ms.into()));
            let first = later(begin, delay + phase);
            // A later start of the same swarm has a greater number.
            let order = begin.wall.0.unsigned_abs() / 1_000_000_000;
            let standing = Arc::<Standing>::default();
            let agent = Agent {
                machine: Machine::new(&plan.profile, (node, order), first),
                address: address.clone(),
                options: Options { source: plan.callers.address(at), ..Options::AGENT },
                tls,
                rng,
                counters: counters.clone(),
                live: live.clone(),
                standing: standing.clone(),
            };
            members.push(Member { name, node, first, standing });
            tasks.spawn(agent.run(delay, stop.clone()));
        }
        Swarm { members, counters, live: seen, stop, tasks }
    }

    /// Who is in it.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// How many sessions are live.
    pub fn live(&self) -> usize {
        *self.live.borrow()
    }

    /// Waits until all sessions are live; `false` if they are not by `limit`.
    pub async fn until_all_live(&self, limit: Duration) -> bool {
        self.until_live(limit, |live| live == self.members.len()).await
    }

    /// Waits until so many sessions are live as `enough` wants; `false` if they are not by `limit`.
    pub async fn until_live(&self, limit: Duration, enough: impl Fn(usize) -> bool) -> bool {
        let mut live = self.live.clone();
        tokio::time::timeout(limit, live.wait_for(|live| enough(*live))).await.is_ok_and(|seen| seen.is_ok())
    }

    /// Stops all with a farewell, and gives who there was and what was counted.
    pub async fn stop(mut self) -> (Vec<Member>, Counts) {
        self.stop.ask();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(STOP_MAX, ended).await.ok();
        (std::mem::take(&mut self.members), self.counters.counts())
    }
}

impl Callers {
    fn address(self, at: usize) -> Option<IpAddr> {
        let at = at as u32;
        let network = at / HOSTS;
        let host = Ipv4Addr::new(127, 1 + (network >> 8) as u8, network as u8, 1 + (at % HOSTS) as u8);
        (self == Callers::Apart).then_some(host.into())
    }
}

fn later(now: Now, by: Duration) -> Now {
    let wall = now.wall.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX));
    Now { boot: now.boot + by, wall: quorate_common::model::time::WallTime(wall) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_caller_has_an_address_of_its_own() {
        let addresses: BTreeSet<IpAddr> = (0..20_000).filter_map(|at| Callers::Apart.address(at)).collect();
        assert_eq!(addresses.len(), 20_000);
        assert!(addresses.iter().all(IpAddr::is_loopback));
        assert_eq!(Callers::Together.address(7), None);
    }
}
