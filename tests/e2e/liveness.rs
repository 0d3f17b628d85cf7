//! A node that is lost is found in time, and nobody is called lost who is not.

use quorate_proto::v1::{Health, Liveness, MemberRole, QuorumStatus};
use quorate_tests::cluster::{Cluster, now};
use quorate_tests::figure::{at_most, figure};
use quorate_tests::programs;
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Longer than any promise, so that a broken one is told with its figure.
const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_killed_agent_is_suspect_at_once_then_down_and_quorum_counts_it() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &NODES).await;
    let (mut suspect, mut down) = (Vec::new(), Vec::new());
    cluster.until("quorum is available", PATIENCE, |r| r.quorum() == QuorumStatus::Available).await;
    for (agent, quorum) in agents.iter().zip([QuorumStatus::AtRisk, QuorumStatus::Lost, QuorumStatus::Lost]) {
        let begin = now();
        agent.kill();
        suspect.push(cluster.until_became(&agent.name, Liveness::Suspect, begin, PATIENCE).await);
        down.push(cluster.until_became(&agent.name, Liveness::Down, begin, PATIENCE).await);
        cluster.until(&format!("quorum {quorum:?}"), PATIENCE, |r| r.quorum() == quorum).await;
        let expect = if quorum == QuorumStatus::Lost { Health::Unhealthy } else { Health::Degraded };
        cluster.until(&format!("cluster {expect:?}"), PATIENCE, |r| r.health() == expect).await;
    }
    at_most("detect.kill_suspect_ms_max", &suspect, Duration::from_millis(600));
    at_most("detect.kill_ms_max", &down, Duration::from_millis(2500));
}

#[tokio::test]
async fn a_frozen_agent_is_down_within_4_s_and_up_again_when_it_goes_on() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &NODES).await;
    let begin = now();
    agents[1].freeze();
    let suspect = cluster.until_became("n2", Liveness::Suspect, begin, PATIENCE).await;
    let down = cluster.until_became("n2", Liveness::Down, begin, PATIENCE).await;
    let again = now();
    agents[1].thaw();
    let up = cluster.until_became("n2", Liveness::Up, again, PATIENCE).await;
    assert!(suspect < down, "{}", cluster.recorder.record().story());
    at_most("detect.freeze_ms", &[down], Duration::from_secs(4));
    at_most("detect.thaw_ms", &[up], Duration::from_secs(10));
    cluster.until("the cluster is healthy", PATIENCE, |record| record.health() == Health::Healthy).await;
}

#[tokio::test]
async fn a_farewell_is_no_loss_and_a_restart_is_not_even_a_farewell() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &NODES).await;
    let begin = now();
    let (leaving, restarting) = (agents.remove(0), agents.remove(0));
    leaving.stop().await;
    restarting.stop().await;
    let stopped = now().since(begin);
    let _again = cluster.start_agent("n2");
    let left = cluster.until_became("n1", Liveness::Left, begin, PATIENCE).await;
    let record = cluster.recorder.observe(Duration::from_secs(5)).await;
    record.assert_never(Liveness::Down, &NODES, begin);
    record.assert_never(Liveness::Left, &["n2", "n3"], begin);
    assert!(record.all(&["n2", "n3"], Liveness::Up), "{}", record.story());
    assert_eq!(record.liveness("n1"), Some(Liveness::Left));
    figure("stop.two_agents_ms", stopped.as_millis());
    figure("detect.left_ms", left.as_millis());
}

#[tokio::test]
async fn an_aggregator_frozen_for_5_s_blames_nobody() {
    frozen(Duration::from_secs(5)).await;
}

/// Begins first of all tests, see `.config/nextest.toml`.
#[tokio::test]
async fn an_aggregator_frozen_for_60_s_blames_nobody() {
    frozen(Duration::from_secs(60)).await;
}

async fn frozen(span: Duration) {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &NODES).await;
    cluster.enrol("n4", MemberRole::Observer, "").await;
    let _fourth = cluster.start_agent("n4");
    let nodes = ["n1", "n2", "n3", "n4"];
    cluster.until_all("are up", &nodes, Liveness::Up, PATIENCE).await;
    let begin = now();
    cluster.aggregator.freeze();
    tokio::time::sleep(span).await;
    cluster.aggregator.thaw();
    let thawed = now();
    // What was published before says that all are up: only a frame since then is proof.
    let wall = i64::try_from(wall_seconds()).unwrap();
    let heard = |node: &quorate_proto::v1::Node| node.last_heard.is_some_and(|at| at.seconds > wall);
    let all_up = async {
        let mut ask = tokio::time::interval(Duration::from_millis(100));
        loop {
            ask.tick().await;
            let listed = cluster.list().await;
            assert!(listed.iter().all(|node| node.liveness() != Liveness::Down), "{listed:?}");
            if listed.len() == 4 && listed.iter().all(|node| node.liveness() == Liveness::Up && heard(node)) {
                return now().since(thawed);
            }
        }
    };
    let up = tokio::time::timeout(PATIENCE, all_up).await;
    let up = up.unwrap_or_else(|_| panic!("not up again\n{}", cluster.recorder.record().story()));
    // The timers that could still blame somebody run out in this time.
    let record = cluster.recorder.observe(Duration::from_secs(5)).await;
    record.assert_never(Liveness::Down, &nodes, begin);
    record.assert_never(Liveness::Left, &nodes, begin);
    assert!(record.all(&nodes, Liveness::Up), "{}", record.story());
    let lost = record.transitions.iter().find(|told| told.kind == "quorum" && told.to == "lost");
    assert!(lost.is_none(), "{}", record.story());
    at_most(&format!("freeze.up_again_after_{}_s_ms", span.as_secs()), &[up], Duration::from_secs(10));
    for node in nodes {
        let delivery = cluster.node(node).await.delivery.unwrap();
        assert_eq!(delivery.dropped_by_cause.values().sum::<u64>(), 0, "{node}: {delivery:?}");
    }
}

fn wall_seconds() -> u64 {
    use quorate_common::clock::{Clock, SystemClock};
    SystemClock.now().wall.as_secs_f64() as u64
}
