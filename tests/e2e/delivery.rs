//! What is collected arrives, once and in order, and can be read back.

use crate::membership::until;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::BootTime;
use quorate_proto::v1;
use quorate_proto::v1::Liveness;
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::figure::figure;
use quorate_tests::programs;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(15);

fn labels(labels: &[v1::Label]) -> BTreeMap<&str, &str> {
    labels.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect()
}

/// The delivery of a node: at any moment no more is stored and declared than was collected.
pub async fn delivery(cluster: &Cluster, node: &str) -> Option<v1::Delivery> {
    let delivery = cluster.node(node).await.delivery?;
    let dropped: u64 = delivery.dropped_by_cause.values().sum();
    assert!(delivery.stored + dropped <= delivery.collected, "{delivery:?}");
    Some(delivery)
}

/// The delivery of a node once the aggregator waits for nothing of it any more: then it adds up. What was cut off takes
/// ten seconds until it is not waited for in the session.
pub async fn settled(cluster: &Cluster, node: &str) -> v1::Delivery {
    until("nothing is waited for", 2 * PATIENCE, async || {
        let is_settled = |delivery: &v1::Delivery| {
            delivery.collected == delivery.stored + delivery.dropped_by_cause.values().sum::<u64>()
        };
        delivery(cluster, node).await.filter(is_settled)
    })
    .await
}

#[tokio::test]
async fn everything_collected_is_stored_even_across_a_pause_of_the_aggregator() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let stored = async |more_than: u64| {
        let grown = until("more is stored", PATIENCE, async || {
            delivery(&cluster, "n1").await.filter(|delivery| delivery.stored > more_than)
        });
        let delivery = grown.await;
        assert_eq!(delivery.dropped_by_cause, Default::default(), "{delivery:?}");
        delivery.stored
    };
    let first = stored(0).await;
    let second = stored(first).await;
    cluster.aggregator.freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.aggregator.thaw();
    // Three rounds of the pause are among them, and some from before and after it.
    let times =
        until("twelve rounds", PATIENCE, async || Some(times(&cluster).await).filter(|t| t.len() >= 12))
            .await;
    stored(second).await;
    one_second_apart(&times);
}

/// What a node samples while its aggregator is away is on its disk: it outlives the agent, and is there afterwards.
#[tokio::test]
async fn what_is_sampled_during_an_outage_survives_a_killed_agent() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    until("more is stored", PATIENCE, async || delivery(&cluster, "n1").await.filter(|d| d.stored > 0)).await;
    let spool = cluster.agent_dir("n1").join("spool");
    cluster.aggregator.kill();
    grown(&spool, 3).await;
    let earlier = pieces(&spool);
    let mut killed = agents.remove(0);
    killed.kill();
    killed.ended().await;
    let killed_s = SystemClock.now().wall.0 as f64 / 1e9;
    let _again = cluster.start_agent("n1");
    until("another epoch is written", PATIENCE, async || {
        (pieces(&spool).len() > earlier.len()).then_some(())
    })
    .await;
    let cluster = cluster.revive_aggregator().await;
    cluster.until_all("is up", &["n1"], Liveness::Up, UP_MAX).await;
    until("what is old is sent", 2 * PATIENCE, async || {
        let left = pieces(&spool);
        earlier.iter().all(|piece| !left.contains_key(piece.0)).then_some(())
    })
    .await;
    let delivery = settled(&cluster, "n1").await;
    assert_eq!(delivery.dropped_by_cause, Default::default(), "nothing is lost");
    let times = times(&cluster).await;
    assert!(times.windows(2).all(|pair| pair[0] < pair[1] && pair[1] - pair[0] < 3.0), "{times:?}");
    let before = times.iter().filter(|at| **at < killed_s).count();
    assert!(before >= 3 && before < times.len(), "{times:?} {killed_s}");
}

/// The pieces of a journal, and how long they are.
fn pieces(spool: &Path) -> BTreeMap<OsString, u64> {
    let entries = std::fs::read_dir(spool).into_iter().flatten().map_while(Result::ok);
    let pieces = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "qj1"));
    pieces.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.len()))).collect()
}

/// Waits until a journal was added to so many times.
pub async fn grown(spool: &Path, times: usize) {
    for _ in 0..times {
        let before = pieces(spool);
        until("the journal grows", PATIENCE, async || (pieces(spool) != before).then_some(())).await;
    }
}

/// When the load of n1 was sampled, as far as it is kept.
pub async fn times(cluster: &Cluster) -> Vec<f64> {
    let selector = "node_load1{node=\"n1\"}".to_owned();
    let request = v1::QueryRecentRequest { selector, seconds: 60, limit: 0 };
    let answer = cluster.query_service().query_recent(request).await.unwrap().into_inner();
    assert!(answer.series.len() <= 1, "{answer:?}");
    let samples = answer.series.iter().flat_map(|series| &series.samples);
    samples.map(|sample| seconds(sample.timestamp.as_ref())).collect()
}

/// Every round is there, once. The first comes at once when an agent starts, the others at whole seconds.
fn one_second_apart(times: &[f64]) {
    let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap > 0.0), "times go back or repeat: {times:?}");
    let worst = gaps[1..].iter().map(|gap| (gap - 1.0).abs()).fold(0.0, f64::max);
    figure("sample.jitter_ms_max", (worst * 1000.0).round());
    assert!(worst < 0.5, "not one second apart: {gaps:?}");
}

fn seconds(at: Option<&prost_types::Timestamp>) -> f64 {
    let at = at.expect("a sample has a time");
    at.seconds as f64 + f64::from(at.nanos) / 1e9
}

#[tokio::test]
async fn the_newest_values_carry_the_labels_of_their_node() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let latest = async |selector: &str| {
        let request = v1::QueryLatestRequest { selector: selector.into(), limit: 0 };
        cluster.query_service().query_latest(request).await.map(|answer| answer.into_inner())
    };
    let both = until("both nodes have a load", PATIENCE, async || {
        latest("node_load1").await.ok().filter(|answer| answer.series.len() == 2)
    });
    let both = both.await;
    for (series, node) in both.series.iter().zip(["n1", "n2"]) {
        let expect = [
            ("__name__", "node_load1"),
            ("cluster", "default"),
            ("instance", node),
            ("job", "quorate"),
            ("node", node),
        ];
        assert_eq!(labels(&series.labels), expect.into());
        let sample = series.sample.as_ref().unwrap();
        assert!((0.0..10_000.0).contains(&sample.value), "{sample:?}");
    }
    for selector in
        ["node_memory_MemTotal_bytes", "node_cpu_seconds_total{mode=\"idle\"}", "{__name__=~\"node_boot.*\"}"]
    {
        let some =
            until(selector, PATIENCE, async || latest(selector).await.ok().filter(|a| !a.series.is_empty()));
        some.await;
    }
    let total = latest("node_memory_MemTotal_bytes{node=\"n2\"}").await.unwrap();
    let facts = cluster.node("n2").await.node.unwrap().facts.unwrap();
    assert_eq!(total.series[0].sample.unwrap().value as u64, facts.memory_bytes);
    let error = latest("sum(node_load1)").await.unwrap_err();
    assert_eq!(
        (error.code(), quorate_proto::status::fields(&error)[0].0.as_str()),
        (tonic::Code::InvalidArgument, "selector")
    );
    assert_eq!(latest("nothing_like_it").await.unwrap().series, []);
}

#[tokio::test]
async fn the_process_table_is_read_when_it_is_asked_for() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let request = v1::ListProcessesRequest { node: "n1".into(), limit: 0 };
    let begin = now();
    let table = cluster.query_service().list_processes(request).await.unwrap().into_inner();
    figure("processes.answer_ms", now().since(begin).as_millis());
    let find =
        |pid: u32| table.processes.iter().find(|row| row.pid == pid).unwrap_or_else(|| panic!("no {pid}"));
    let own = find(std::process::id());
    let at = seconds(table.timestamp.as_ref());
    assert!(own.name.starts_with("e2e-"), "{own:?}");
    assert!(own.memory_bytes > 1 << 20 && own.threads >= 1 && own.parent_pid > 0, "{own:?}");
    assert!(own.started_unix_seconds < at && own.started_unix_seconds > at - 3600.0, "{own:?} at {at}");
    assert_eq!(find(agents[0].pid).parent_pid, own.pid);
    assert_eq!(table.left_out, 0);

    agents[0].freeze();
    let begin = now();
    let late = v1::ListProcessesRequest { node: "n1".into(), limit: 1 };
    let error = cluster.query_service().list_processes(late).await.unwrap_err();
    assert!(matches!(error.code(), tonic::Code::DeadlineExceeded | tonic::Code::Unavailable), "{error}");
    assert!(now().since(begin) < Duration::from_secs(7), "{error}");
    agents[0].thaw();
    cluster.until_all("is up", &["n1"], Liveness::Up, UP_MAX).await;
}

#[tokio::test]
async fn a_killed_agent_begins_anew_and_nothing_is_counted_twice() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let grown = |than: u64| {
        let cluster = &cluster;
        until("more is stored", PATIENCE, async move || {
            delivery(cluster, "n1").await.filter(|delivery| delivery.stored > than)
        })
    };
    let before = grown(0).await;
    let begin: BootTime = now();
    let mut killed = agents.remove(0);
    killed.kill();
    killed.ended().await;
    let _again = cluster.start_agent("n1");
    let after = grown(before.stored + u64::from(before.series)).await;
    figure("restart.agent_stores_again_ms", now().since(begin).as_millis());
    assert!(after.collected >= before.collected, "{before:?} {after:?}");
    // A new epoch registers the same series again; they are still one.
    let times = times(&cluster).await;
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
}

#[tokio::test]
async fn the_flight_recorder_is_read_when_it_is_asked_for() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let read = async |metric: &str| {
        let request = v1::ReadRecorderRequest { node: "n1".into(), metric: metric.into(), seconds: 60 };
        cluster.query_service().read_recorder(request).await.map(|answer| answer.into_inner().series)
    };
    let found = until("three seconds are recorded", PATIENCE, async || {
        read("node_time_seconds").await.ok()?.pop().filter(|series| series.samples.len() >= 3)
    });
    let found = found.await;
    assert_eq!(labels(&found.labels), BTreeMap::from([("__name__", "node_time_seconds")]));
    for pair in found.samples.windows(2) {
        let (from, to) = (seconds(pair[0].timestamp.as_ref()), seconds(pair[1].timestamp.as_ref()));
        assert!(to > from && (pair[1].value - to).abs() < 0.01, "{pair:?}");
    }
    let modes = read("node_cpu_seconds_total").await.unwrap();
    assert!(modes.iter().any(|series| labels(&series.labels)["mode"] == "idle"), "{modes:?}");
    assert_eq!(read("nothing_like_it").await.unwrap(), []);
    let error = read("no metric").await.unwrap_err();
    assert_eq!(quorate_proto::status::fields(&error)[0].0, "metric");
}
