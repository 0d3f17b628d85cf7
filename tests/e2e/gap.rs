//! When there are no samples it is said, and why.

use crate::delivery::grown;
use crate::membership::until;
use quorate_proto::v1;
use quorate_proto::v1::{Liveness, MemberRole};
use quorate_tests::chaos::{Chaos, Door, Weather};
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::figure::figure;
use quorate_tests::programs;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// The gaps of n1 of which a collector has nothing to say, oldest first.
pub async fn gaps(cluster: &Cluster) -> Vec<v1::Gap> {
    let request = v1::ListGapsRequest { node: "n1".into(), ..Default::default() };
    let mut gaps = cluster.query_service().list_gaps(request).await.unwrap().into_inner().gaps;
    gaps.retain(|gap| gap.collector.is_empty());
    gaps.reverse();
    gaps
}

/// Waits for a gap with a cause of which this holds.
pub async fn until_gap(cluster: &Cluster, cause: &str, holds: impl Fn(&v1::Gap) -> bool) -> v1::Gap {
    until(cause, PATIENCE, async || {
        gaps(cluster).await.into_iter().find(|gap| gap.cause == cause && holds(gap))
    })
    .await
}

/// In seconds since the epoch.
pub fn seconds(at: Option<&prost_types::Timestamp>) -> f64 {
    let at = at.expect("it has a time");
    at.seconds as f64 + f64::from(at.nanos) / 1e9
}

/// How long it lasted, in seconds.
pub fn lasted(gap: &v1::Gap) -> f64 {
    seconds(gap.to.as_ref()) - seconds(gap.from.as_ref())
}

#[tokio::test]
async fn a_killed_agent_a_stopped_one_and_a_restarted_aggregator_are_told_apart() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let last = until("it was sampled for some seconds", PATIENCE, async || {
        crate::delivery::times(&cluster).await.get(3).copied()
    });
    let last = last.await;
    assert!(gaps(&cluster).await.iter().all(|gap| gap.cause != "agent_stopped"));
    let mut killed = agents.remove(0);
    killed.kill();
    killed.ended().await;
    // Nobody can know yet why it is silent.
    let silent = until_gap(&cluster, "unknown", |gap| gap.to.is_none()).await;
    assert!(seconds(silent.from.as_ref()) >= last, "{silent:?} {last}");
    let again = cluster.start_agent("n1");
    let stopped = until_gap(&cluster, "agent_stopped", |gap| gap.to.is_some()).await;
    assert!(lasted(&stopped) >= 4.0 && stopped.filled.is_none(), "{stopped:?}");
    figure("gap.agent_stopped_s", lasted(&stopped));
    let now = gaps(&cluster).await;
    assert!(now.iter().all(|gap| gap.cause != "unknown" || gap.from != silent.from), "{now:?}");
    // Our own absence, while the agent goes on.
    let spool = cluster.agent_dir("n1").join("spool");
    cluster.aggregator.kill();
    // What is younger than ten seconds when it is back comes in the session, and leaves no hole.
    grown(&spool, 20).await;
    let cluster = cluster.revive_aggregator().await;
    cluster.until_all("is up", &["n1"], Liveness::Up, UP_MAX).await;
    let ours = until_gap(&cluster, "aggregator_down", |gap| gap.filled.is_some()).await;
    assert!(lasted(&ours) >= 3.0, "{ours:?}");
    let kept = until_gap(&cluster, "agent_stopped", |gap| gap.from == stopped.from).await;
    assert_eq!(kept, stopped, "what was said before is still said");
    drop(again);
    let ended = cluster.run_client(&["gaps", "n1"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = |words: &str| ended.stdout.lines().any(|line| line.starts_with("n1 ") && line.contains(words));
    assert!(line("agent stopped") && line("aggregator down, back-filled"), "{}", ended.stdout);
    let node = cluster.node("n1").await;
    assert!(node.gaps_of_day >= Some(2), "{node:?}");
}

#[tokio::test]
async fn a_broken_link_is_a_gap_until_it_is_filled() {
    let cluster = Cluster::start(programs!()).await;
    let chaos = Chaos::start(cluster.doors.grpc.clone(), 3).await.unwrap();
    cluster.enrol("n1", MemberRole::Voter, "").await;
    cluster.redirect("n1", &chaos.address);
    let _agent = cluster.start_agent("n1");
    cluster.until_all("is up", &["n1"], Liveness::Up, UP_MAX).await;
    chaos.set(Weather { door: Door::Reset, ..Weather::default() });
    chaos.reset();
    let silent = until_gap(&cluster, "unknown", |gap| gap.to.is_none()).await;
    // What is younger than ten seconds when the link is back comes in the session, and leaves no hole.
    grown(&cluster.agent_dir("n1").join("spool"), 15).await;
    chaos.set(Weather::default());
    let is_it = |gap: &v1::Gap| gap.from == silent.from;
    until_gap(&cluster, "link_down", |gap| is_it(gap) && gap.filled.is_some()).await;
    // What it is filled with comes in pieces: in the end nothing of it is lacking.
    let whole = until("all of it is filled", PATIENCE, async || {
        let mut gaps = gaps(&cluster).await;
        gaps.retain(|gap| seconds(gap.from.as_ref()) >= seconds(silent.from.as_ref()));
        let is_whole = gaps.iter().all(|gap| gap.filled.is_some());
        gaps.into_iter().find(|gap| is_whole && is_it(gap))
    });
    let whole = whole.await;
    figure("gap.link_down_s", lasted(&whole));
    assert!(lasted(&whole) >= 4.0 && whole.cause == "link_down", "{whole:?}");
}
