//! What is tortured: virtual agents whose data can be recomputed, and real ones with their journals.
//!
//! Virtual agents hold in memory what is not durable, and outlive every kill of the aggregator; a real agent has its
//! journal, and is killed, too. What a real one samples cannot be recomputed, but when: each second that it ran.

use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1;
use quorate_proto::v1::{Liveness, MemberRole};
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::process::Process;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::oracle::Oracle;
use quorate_tests::swarm::{Callers, Plan, Profile, Swarm};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything that is on its way has arrived by then.
const SETTLED_MAX: Duration = Duration::from_secs(60);
/// Real agents sample each second; whatever is further apart lacks one.
const APART_S_MAX: f64 = 1.9;
/// An agent that was killed samples again by then.
const AGAIN_S_MAX: f64 = 8.0;

/// Agents of both kinds at one aggregator.
pub struct Fleet {
    /// The virtual ones.
    pub swarm: Swarm,
    profile: Profile,
    /// The real ones.
    pub agents: Vec<Process>,
    /// When each real one was killed, in seconds of the wall clock.
    killed: BTreeMap<String, Vec<f64>>,
    /// Those that stood still once.
    still: BTreeSet<String>,
}

/// What is not as it was collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    /// Ticks that are neither there nor declared.
    pub missing: u64,
    /// Samples that count more than once.
    pub duplicate: u64,
    /// Samples that were declared lost.
    pub declared: u64,
}

impl Fleet {
    /// So many virtual agents of so many series, and so many real agents; all are up.
    pub async fn start(cluster: &Cluster, (nodes, series): (usize, usize), real: usize) -> Fleet {
        let identities = cluster.enrol_observers((0..nodes).map(|at| format!("swarm-{at:02}"))).await;
        let mut agents = Vec::new();
        for name in (0..real).map(|at| format!("real-{at}")) {
            cluster.enrol(&name, MemberRole::Voter, "").await;
            agents.push(cluster.start_agent(&name));
        }
        let profile = Profile::new(5, Mix::Hard, series);
        let plan = Plan {
            address: cluster.doors.grpc.clone(),
            profile: profile.clone(),
            callers: Callers::Together,
            ramp: Duration::from_secs(1),
        };
        let fleet = Fleet {
            swarm: Swarm::start(&plan, identities),
            profile,
            agents,
            killed: BTreeMap::new(),
            still: BTreeSet::new(),
        };
        fleet.until_up(cluster).await;
        fleet
    }

    /// Waits until all are connected.
    pub async fn until_up(&self, cluster: &Cluster) {
        let Fleet { swarm, agents, .. } = self;
        assert!(swarm.until_all_live(UP_MAX).await, "{} are live: {}", swarm.live(), swarm.counts());
        let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
        cluster.until_all("are up", &names, Liveness::Up, UP_MAX).await;
    }

    /// Kills a real agent and starts it again.
    pub async fn kill_agent(&mut self, cluster: &Cluster, at: usize) {
        let agent = &mut self.agents[at];
        agent.kill();
        agent.ended().await;
        self.killed.entry(agent.name.clone()).or_default().push(wall_s());
        *agent = cluster.start_agent(&agent.name.clone());
    }

    /// A real agent stood still until now: what it slept through was never sampled.
    pub fn stood_still(&mut self, name: &str) {
        self.still.insert(name.to_owned());
    }

    /// Ticks that the aggregator called durable once and knew nothing of later.
    pub fn forgotten(&self) -> u64 {
        self.swarm.members().iter().map(|member| member.forgotten()).sum()
    }

    /// The newest tick of each virtual agent that it was told is durable.
    pub fn durable(&self) -> u64 {
        self.swarm.members().iter().map(|member| member.durable()).sum()
    }

    /// Waits until whatever was sent by now is durable, and says how long that took.
    pub async fn until_durable(&self, limit: Duration) -> Duration {
        let begin = SystemClock.now().boot;
        let members = self.swarm.members();
        let sent: Vec<u64> = members.iter().map(|member| member.sent()).collect();
        let mut look = tokio::time::interval(Duration::from_millis(50));
        let settled = async {
            while members.iter().zip(&sent).any(|(member, sent)| member.durable() < *sent) {
                look.tick().await;
            }
        };
        tokio::time::timeout(limit, settled).await.expect("what was sent becomes durable in time");
        SystemClock.now().boot.since(begin)
    }

    /// Stops all, and compares what is kept with what was collected; `slots` are the series that are read.
    pub async fn judge(self, cluster: &Cluster, slots: &[usize]) -> Wrong {
        let Fleet { swarm, profile, agents, killed, still } = self;
        let forgotten = swarm.members().iter().map(|member| member.forgotten()).sum();
        let mut wrong = Wrong { missing: forgotten, ..Wrong::default() };
        let (members, counts) = swarm.stop().await;
        let (series, oracle) =
            (profile.layout.series() as u64, Oracle::new(profile, cluster.channel.clone()));
        for member in &members {
            let found = oracle.check(member, slots).await;
            let found = found.unwrap_or_else(|error| panic!("{error:#}; {counts}"));
            let (delivery, kept) = (&found.delivery, found.ticks.clone().count() as u64);
            wrong.missing += member.sent() - kept;
            wrong.duplicate += delivery.stored.saturating_sub(member.sent() * series);
            wrong.declared += delivery.dropped_by_cause.values().sum::<u64>();
        }
        for agent in &agents {
            let kills = killed.get(&agent.name).map(Vec::as_slice).unwrap_or_default();
            let mut found = real(cluster, &agent.name, kills).await;
            // The time that it slept through is one gap.
            found.missing -= u64::from(still.contains(&agent.name)).min(found.missing);
            wrong.add(found);
        }
        wrong
    }
}

impl Wrong {
    fn add(&mut self, other: Wrong) {
        self.missing += other.missing;
        self.duplicate += other.duplicate;
        self.declared += other.declared;
    }
}

/// Of a real agent: each second that it ran is there, once.
async fn real(cluster: &Cluster, name: &str, kills: &[f64]) -> Wrong {
    let delivery = settled(cluster, name).await;
    let times = times(cluster, name).await;
    assert!(times.len() > 3, "{name}: {times:?}");
    let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] > APART_S_MAX);
    let is_killed = |from: f64, to: f64| {
        kills.iter().any(|at| (from - 0.1..=to).contains(at))
            && to - from <= AGAIN_S_MAX + kills_in(kills, from, to)
    };
    Wrong {
        missing: gaps.filter(|pair| !is_killed(pair[0], pair[1])).count() as u64,
        duplicate: times.windows(2).filter(|pair| pair[1] <= pair[0]).count() as u64,
        declared: delivery.dropped_by_cause.values().sum(),
    }
}

/// An agent that is killed again before it sampled is away for longer: by so much.
fn kills_in(kills: &[f64], from: f64, to: f64) -> f64 {
    kills.iter().filter(|at| (from..=to).contains(*at)).count() as f64 * AGAIN_S_MAX
}

async fn settled(cluster: &Cluster, name: &str) -> v1::Delivery {
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let settled = async {
        loop {
            look.tick().await;
            let Some(delivery) = cluster.node(name).await.delivery else { continue };
            if delivery.collected == delivery.stored + delivery.dropped_by_cause.values().sum::<u64>() {
                return delivery;
            }
        }
    };
    tokio::time::timeout(SETTLED_MAX, settled).await.unwrap_or_else(|_| panic!("{name} does not add up"))
}

/// When a node's load was sampled, oldest first.
async fn times(cluster: &Cluster, name: &str) -> Vec<f64> {
    let selector = format!("node_load1{{node=\"{name}\"}}");
    let request = v1::QueryRecentRequest { selector, seconds: 900, limit: 1 };
    let answer = cluster.query_service().query_recent(request).await.unwrap().into_inner();
    let stamps = answer.series.iter().flat_map(|series| &series.samples).filter_map(|one| one.timestamp);
    stamps.map(|at| at.seconds as f64 + f64::from(at.nanos) / 1e9).collect()
}

/// Now, in seconds of the wall clock.
pub fn wall_s() -> f64 {
    SystemClock.now().wall.0 as f64 / 1e9
}
