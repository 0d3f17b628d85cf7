//! A bad network loses no node: packets are lost and late, both processors are busy, and nobody is called down.

use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1::{Liveness, MemberRole};
use quorate_tests::chaos::{Chaos, Way, Weather};
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::figure::figure;
use quorate_tests::process::Process;
use quorate_tests::programs;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::{Callers, Plan, Profile, Swarm};
use std::ffi::OsStr;
use std::time::Duration;

const AGENTS: [&str; 3] = ["n1", "n2", "n3"];
const VIRTUAL: usize = 30;
const STORM: Duration = Duration::from_secs(120);
const SEED: u64 = 11;

/// Begins before other tests, see `.config/nextest.toml`.
#[tokio::test]
async fn a_storm_of_two_minutes_calls_nobody_down() {
    let cluster = Cluster::start(programs!()).await;
    let chaos = Chaos::start(cluster.doors.grpc.clone(), SEED).await.unwrap();
    let mut agents = Vec::new();
    for name in AGENTS {
        cluster.enrol(name, MemberRole::Voter, "").await;
        cluster.redirect(name, &chaos.address);
        agents.push(cluster.start_agent(name));
    }
    let names: Vec<String> = (0..VIRTUAL).map(|at| format!("virtual-{at}")).collect();
    let identities = cluster.enrol_observers(names.iter().cloned()).await;
    let profile = Profile::new(SEED, Mix::Quiet, 20);
    let plan =
        Plan { address: chaos.address.clone(), profile, callers: Callers::Together, ramp: Duration::ZERO };
    let swarm = Swarm::start(&plan, identities);
    let all: Vec<&str> = AGENTS.into_iter().chain(names.iter().map(String::as_str)).collect();
    cluster.until_all("are up", &all, Liveness::Up, UP_MAX).await;

    let way = Way { loss: 0.05, jitter: Duration::from_millis(200), ..Way::default() };
    let (begin, before) = (now(), chaos.carried());
    chaos.set(Weather::both(way));
    let hogs = [hog(&cluster, "hog-1"), hog(&cluster, "hog-2")];
    let record = cluster.recorder.observe(STORM).await;
    drop(hogs);
    record.assert_never(Liveness::Down, &all, begin);
    record.assert_never(Liveness::Left, &all, begin);
    let suspects = record.changes.iter().filter(|change| change.liveness == Some(Liveness::Suspect)).count();
    figure("storm.false_downs_in_120_s", 0);
    figure("storm.suspects_in_120_s", suspects);
    let counts = swarm.counts();
    figure("storm.ack_gap_ms_max", counts.ack_gap_max.as_millis());
    // The storm was one: it reached everybody, and everybody went on.
    assert!(chaos.carried().0 > before.0 && counts.ack_gap_max > Duration::from_secs(1), "{counts}");
    assert!(counts.frames >= (VIRTUAL as u64) * (STORM.as_secs() - 10), "{counts}");
    assert!(SystemClock.now().boot.since(begin) >= STORM);
}

/// A process that uses a whole processor.
fn hog(cluster: &Cluster, name: &str) -> Process {
    Process::start(cluster.dir(), name, "/bin/sh".as_ref(), &["-c", "while :; do :; done"].map(OsStr::new))
}
