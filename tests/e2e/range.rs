//! History by selector and step, through the API and through the program.

use crate::gap::{seconds, until_gap};
use crate::membership::until;
use quorate_proto::v1::query_range_response::Part;
use quorate_proto::{status, v1};
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::time::Duration;
use tonic::{Code, Status};

const PATIENCE: Duration = Duration::from_secs(60);

struct Answer {
    head: v1::RangeHead,
    series: Vec<v1::RangeSeries>,
    end: v1::RangeEnd,
}

async fn ask(cluster: &Cluster, request: v1::QueryRangeRequest) -> Result<Answer, Status> {
    let mut parts = cluster.query_service().query_range(request).await?.into_inner();
    let (mut head, mut series, mut end) = (None, Vec::new(), None);
    while let Some(message) = parts.message().await? {
        assert!(end.is_none(), "nothing follows the end");
        match message.part.unwrap() {
            Part::Head(part) => head = Some(part),
            Part::Series(part) => series.push(part),
            Part::End(part) => end = Some(part),
        }
    }
    Ok(Answer { head: head.unwrap(), series, end: end.unwrap() })
}

fn every_second(selector: &str, back: i64) -> v1::QueryRangeRequest {
    let now = quorate_common::clock::Clock::now(&quorate_common::clock::SystemClock).wall.0 / 1_000_000_000;
    let stamp = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    v1::QueryRangeRequest {
        selector: selector.into(),
        start: stamp(now - back),
        end: stamp(now),
        step: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_range_has_a_value_for_each_step_and_says_what_is_missing() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    until("it was sampled for some seconds", PATIENCE, async || {
        crate::delivery::times(&cluster).await.get(3).copied()
    })
    .await;
    let mut killed = agents.remove(0);
    killed.kill();
    killed.ended().await;
    until_gap(&cluster, "unknown", |gap| gap.to.is_none()).await;
    let _again = cluster.start_agent("n1");
    until_gap(&cluster, "agent_stopped", |gap| gap.to.is_some()).await;

    let answer = ask(&cluster, every_second("node_time_seconds", 60)).await.unwrap();
    assert_eq!((answer.head.resolution(), answer.series.len()), (v1::Resolution::Raw, 2));
    let start = answer.head.start.unwrap().seconds as f64;
    for series in &answer.series {
        assert!(series.steps.windows(2).all(|pair| pair[0] < pair[1]), "{series:?}");
        let label = |name: &str| series.labels.iter().find(|label| label.name == name).unwrap().value.clone();
        assert_eq!(label("__name__"), "node_time_seconds");
        for (step, value) in series.steps.iter().zip(&series.values) {
            // The host's clock when it was sampled: at the step or before it.
            let late = start + f64::from(*step) - value;
            assert!((-0.1..300.0).contains(&late), "{step} {value}");
        }
    }
    let other = answer.series.iter().find(|series| series.labels.iter().any(|it| it.value == "n2")).unwrap();
    let late = other.steps.iter().zip(&other.values).map(|(step, value)| start + f64::from(*step) - value);
    assert!(late.fold(0.0, f64::max) < 3.0, "each second has a sample of its own: {other:?}");
    let warning = answer.end.warnings.iter().find(|it| it.starts_with("node n1: no samples ")).unwrap();
    assert!(warning.ends_with(", agent stopped"), "{warning}");
    let gap = answer.end.gaps.iter().find(|gap| gap.cause == "agent_stopped").unwrap();
    assert!(seconds(gap.from.as_ref()) > start, "{gap:?}");
    assert!(
        answer.end.gaps.iter().all(|gap| gap.node == "n1" || !gap.collector.is_empty()),
        "{:?}",
        answer.end
    );

    let minutes = v1::QueryRangeRequest {
        resolution: v1::Resolution::Minute.into(),
        aggregate: v1::Aggregate::Max.into(),
        ..every_second("node_time_seconds{node=\"n2\"}", 60)
    };
    let answer = ask(&cluster, minutes).await.unwrap();
    assert_eq!(answer.end.infos.first().unwrap(), "values are the max of buckets of 1m");

    let chart = cluster.run_client(&["query", "range", "node_load1{node=\"n1\"}", "--start", "-1m"]).await;
    assert_eq!(chart.code, Some(0), "{}", chart.stderr);
    assert!(chart.stdout.contains("node_load1{") && chart.stdout.contains("   last "), "{}", chart.stdout);
    assert!(chart.stdout.contains("agent stopped"), "{}", chart.stdout);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let cluster = Cluster::start(programs!()).await;
    let fields = async |request| {
        let error = ask(&cluster, request).await.err().unwrap();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        status::fields(&error).remove(0).0
    };
    assert_eq!(fields(every_second("sum(up)", 60)).await, "selector");
    assert_eq!(fields(every_second("up", -60)).await, "end");
    assert_eq!(fields(every_second("up", 20_000)).await, "step");
    let ended = cluster.run_client(&["query", "range", "up", "--start", "-1h", "--end", "-2h"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("is before `start`"), "{}", ended.stderr);
}
