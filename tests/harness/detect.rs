//! How long it takes until a lost node is told to be down: real agents, lost at moments of their own, several at once.
//!
//! ```text
//!   for each of six victims:  any moment ──→ lost (killed | cut off) ──→ told: down      the span is one trial
//!   company of virtual agents that stay: six are never more than half, so that nobody sees a mass loss
//! ```

use crate::Programs;
use crate::cluster::{Cluster, UP_MAX, now};
use crate::netns::{Network, NetworkError};
use crate::process::Process;
use crate::swarm::mix::Mix;
use crate::swarm::{Callers, Plan, Profile, Swarm};
use futures_util::future::join_all;
use quorate_common::rng::{Rng, SystemRng};
use quorate_proto::v1::{Liveness, MemberRole};
use std::time::Duration;

/// Nodes that are lost at once.
pub const AT_ONCE: usize = 6;
const COMPANY: usize = 20;
/// A node is lost at any moment of this time.
const SPREAD: Duration = Duration::from_secs(3);
/// Longer than any promise, so that a broken one is told with its figure.
const PATIENCE: Duration = Duration::from_secs(20);

/// The spans of so many trials with agents that are killed, in rounds of [`AT_ONCE`].
pub async fn kills(programs: Programs, rounds: usize) -> Vec<Duration> {
    let cluster = Cluster::start(programs).await;
    let _company = company(&cluster, Callers::Apart).await;
    let names = victims(&cluster).await;
    let mut spans = Vec::new();
    for _ in 0..rounds {
        let agents: Vec<Process> = names.iter().map(|name| cluster.start_agent(name)).collect();
        until_up(&cluster, &names).await;
        spans.extend(join_all(agents.iter().map(|agent| lose(&cluster, &agent.name, || agent.kill()))).await);
    }
    spans
}

/// The spans of so many trials with hosts that are cut off without a word, in rounds of [`AT_ONCE`].
///
/// # Errors
/// There can be no network for it here.
pub fn cuts(programs: Programs, rounds: usize) -> Result<Vec<Duration>, NetworkError> {
    let network = Network::new(AT_ONCE as u8)?;
    network.hub.run(async || {
        let cluster = Cluster::start_at(programs, &network.hub.address, &[]).await;
        let _company = company(&cluster, Callers::Together).await;
        let names = victims(&cluster).await;
        let hosts = || network.leaves.iter().zip(&names);
        let _agents: Vec<Process> = hosts().map(|(host, name)| cluster.start_agent_on(host, name)).collect();
        let mut spans = Vec::new();
        for _ in 0..rounds {
            until_up(&cluster, &names).await;
            let trials = hosts().map(|(host, name)| lose(&cluster, name, || network.cut(host).unwrap()));
            spans.extend(join_all(trials).await);
            network.leaves.iter().for_each(|host| network.heal(host).unwrap());
        }
        spans
    })
}

/// One trial.
async fn lose(cluster: &Cluster, name: &str, lose: impl FnOnce()) -> Duration {
    tokio::time::sleep(SystemRng.jitter(Duration::ZERO, SPREAD)).await;
    let begin = now();
    lose();
    cluster.until_became(name, Liveness::Down, begin, PATIENCE).await
}

async fn company(cluster: &Cluster, callers: Callers) -> Swarm {
    let identities = cluster.enrol_observers((0..COMPANY).map(|at| format!("company-{at}"))).await;
    let profile = Profile::new(1, Mix::Quiet, 10);
    let plan = Plan { address: cluster.doors.grpc.clone(), profile, callers, ramp: Duration::ZERO };
    let company = Swarm::start(&plan, identities);
    assert!(company.until_all_live(UP_MAX).await, "the company is not live: {}", company.counts());
    company
}

async fn victims(cluster: &Cluster) -> Vec<String> {
    let names: Vec<String> = (0..AT_ONCE).map(|at| format!("victim-{at}")).collect();
    join_all(names.iter().map(|name| cluster.enrol(name, MemberRole::Observer, ""))).await;
    names
}

async fn until_up(cluster: &Cluster, names: &[String]) {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cluster.until_all("are up", &names, Liveness::Up, UP_MAX).await;
}
