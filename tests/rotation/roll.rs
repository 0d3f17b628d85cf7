//! Many renewals and a new root, with nodes that are left alone and nodes that are killed.

use super::{LEAF, borrowed, cluster, enrol, identity, names, start, until_generation};
use quorate_common::rng::{Rng, SystemRng};
use quorate_common::tls::load_certificates;
use quorate_proto::v1::{Liveness, Role};
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::figure::figure;
use quorate_tests::process::Process;
use rustix::process::Signal;
use std::time::Duration;

/// Five renewals after the key that was enrolled.
const GENERATIONS: u64 = 6;
/// What is not `up`.
const GAPS: [Liveness; 6] = [
    Liveness::Suspect,
    Liveness::Down,
    Liveness::Left,
    Liveness::Isolated,
    Liveness::AgentDead,
    Liveness::Unknown,
];

#[tokio::test]
async fn fifty_agents_renew_and_outlive_a_root() {
    let cluster = cluster().await;
    let (steady, killed) = (names("s", 42), names("k", 8));
    enrol(&cluster, &[&steady[..], &killed[..]].concat()).await;
    let agents: Vec<Process> = steady.iter().map(|name| start(&cluster, name)).collect();
    cluster.until_all("up", &borrowed(&steady), Liveness::Up, UP_MAX).await;
    let since = now();

    let rolled = async {
        until_generation(&cluster, &steady, 3, 4 * LEAF).await;
        roll(&cluster).await;
        until_generation(&cluster, &steady, GENERATIONS, 5 * LEAF).await;
    };
    let mut others: Vec<Process> = killed.iter().map(|name| start(&cluster, name)).collect();
    tokio::select! {
        () = rolled => {}
        () = kill_again_and_again(&cluster, &mut others) => {}
    }
    until_generation(&cluster, &killed, 3, 4 * LEAF).await;

    let record = cluster.recorder.record();
    GAPS.iter().for_each(|gap| record.assert_never(*gap, &borrowed(&steady), since));
    for (name, agent) in steady.iter().zip(&agents) {
        // First the sessions: a key may be followed by another between the two looks.
        let lives = agent.log().matches("session is live").count() as u64;
        let generation = identity(&cluster, name).await.generation;
        assert!(lives <= generation, "{name}: {lives} sessions for {generation} keys\n{}", agent.log());
        let dropped = cluster.node(name).await.delivery.unwrap().dropped_by_cause;
        assert!(dropped.is_empty(), "{name}: {dropped:?}");
        let roots = load_certificates(&cluster.node_files(name).ca).unwrap();
        assert_eq!(roots.len(), 2, "{name} was told of both roots");
    }
    for name in steady.iter().chain(&killed) {
        let identity = identity(&cluster, name).await;
        assert_eq!(identity.frozen, None, "{name}: {identity:?}");
    }
    retire(&cluster, &steady).await;
}

/// Kills one agent after the other, at any moment, and starts it again at once.
async fn kill_again_and_again(cluster: &Cluster, agents: &mut [Process]) {
    let mut kills = 0_u32;
    loop {
        for agent in &mut *agents {
            let wait = SystemRng.jitter(Duration::from_millis(50), Duration::from_millis(700));
            tokio::time::sleep(wait).await;
            agent.kill();
            agent.ended().await;
            *agent = start(cluster, &agent.name.clone());
            kills += 1;
            figure("rotation.kills", kills);
        }
    }
}

async fn roll(cluster: &Cluster) {
    let ended = cluster.run_aggregator(&["ca", "roll"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    cluster.aggregator.signal(Signal::HUP);
}

/// The old root goes once nobody needs it; agents do not notice.
async fn retire(cluster: &Cluster, steady: &[String]) {
    let since = now();
    let refused = cluster.run_aggregator(&["ca", "retire"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("certificates under the old root are held by admin admin ("),
        "{}",
        refused.stderr
    );
    // Their certificates are of the new root by now, and the admin has another one.
    let later = cluster.person("later", Role::Admin).await;
    let before = identity(cluster, &steady[0]).await.generation;
    let ended = cluster.run_aggregator(&["ca", "retire", "--force"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    cluster.aggregator.signal(Signal::HUP);
    until_generation(cluster, steady, before + 2, 3 * LEAF).await;
    cluster.recorder.record().assert_never(Liveness::Suspect, &borrowed(steady), since);
    assert!(later.open(&cluster.doors.grpc).await.is_ok());
    let roots = load_certificates(&cluster.node_files(&steady[0]).ca).unwrap();
    assert_eq!(roots.len(), 1, "the old root is forgotten");
}
