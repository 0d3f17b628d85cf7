//! The swarm itself: what it sends can be read back exactly, through outages too, and the oracle finds what is wrong.

use quorate_common::rng::{Rng, SeededRng};
use quorate_tests::chaos::{Chaos, Door, Flow, Way, Weather};
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::programs;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::oracle::Oracle;
use quorate_tests::swarm::{Callers, Plan, Profile, Swarm};
use std::time::Duration;

const NODES: usize = 20;
const SLOTS: [usize; 4] = [0, 3, 17, 29];

/// What goes wrong, one after another; then all is well again.
const TROUBLE: [fn(&Chaos); 5] = [
    |chaos| chaos.reset(),
    |chaos| chaos.set(Weather::both(Way { flow: Flow::Hold, ..Way::default() })),
    |chaos| chaos.set(Weather { up: Way { corrupt: 0.2, ..Way::default() }, ..Weather::default() }),
    |chaos| {
        chaos.set(Weather { door: Door::Reset, ..Weather::default() });
        chaos.reset();
    },
    |chaos| chaos.set(Weather { down: Way { loss: 0.3, ..Way::default() }, ..Weather::default() }),
];

#[tokio::test]
async fn every_value_is_read_back_once_through_every_trouble() {
    for mix in [Mix::Hard, Mix::Quiet] {
        through_trouble(mix).await;
    }
}

async fn through_trouble(mix: Mix) {
    let cluster = Cluster::start(programs!()).await;
    let chaos = Chaos::start(cluster.doors.grpc.clone(), 5).await.unwrap();
    let identities = cluster.enrol_observers((0..NODES).map(|at| format!("node-{at}"))).await;
    let profile = Profile { interval_ms: 250, ..Profile::new(9, mix, 30) };
    let plan = Plan {
        address: chaos.address.clone(),
        profile: profile.clone(),
        callers: Callers::Together,
        ramp: Duration::ZERO,
    };
    let swarm = Swarm::start(&plan, identities);
    assert!(swarm.until_all_live(UP_MAX).await, "{}", swarm.counts());
    let mut rng = SeededRng::new(2);
    for trouble in TROUBLE {
        trouble(&chaos);
        tokio::time::sleep(rng.jitter(Duration::from_millis(300), Duration::from_millis(1500))).await;
        chaos.set(Weather::default());
        assert!(swarm.until_all_live(UP_MAX).await, "{} live, {}", swarm.live(), swarm.counts());
    }
    let (members, counts) = swarm.stop().await;
    assert!(counts.lost >= 2 * NODES as u64, "the trouble was none: {counts}");
    let oracle = Oracle::new(profile, cluster.channel.clone());
    for member in &members {
        let found = oracle.check(member, &SLOTS).await.unwrap_or_else(|error| panic!("{error:#}; {counts}"));
        assert_eq!(found.ticks, 1..=member.sent(), "{}: {found:?}", member.name);
        assert_eq!(found.delivery.dropped_by_cause.len(), 0, "{}: {found:?}", member.name);
        assert_eq!(found.delivery.stored, member.sent() * 30, "{}: {found:?}", member.name);
    }
    // An oracle that looked for other data finds it missing.
    let other = Oracle::new(Profile { seed: 10, ..plan.profile }, cluster.channel.clone());
    let error = other.check(&members[0], &SLOTS).await.unwrap_err();
    assert!(format!("{error:#}").contains(", sent "), "{error:#}");
}
