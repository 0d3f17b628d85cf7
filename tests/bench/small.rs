//! The figures in small form: the real aggregator takes everything exactly, and not slowly; the real agent is
//! cheap, sees what happens, and says it in few bytes.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

mod agent;
mod crowd;
mod fleet;
mod ingest;
mod load;
mod meter;
mod peer;
mod record;
mod replay;
#[allow(dead_code, reason = "the bench asks it more")]
mod server;
mod wire;

use agent::Plan;
use load::Load;
use quorate_common::model::series::SeriesSpec;
use quorate_tests::figure::figure;
use quorate_tests::recording::{Player, Reader};
use quorate_tests::swarm::mix::Mix;
use std::path::Path;
use std::time::Duration;

/// Not optimised and on a shared machine; `make bench` has the real goal.
const SAMPLES_PER_S_CORE_MIN: f64 = 100_000.0;

#[tokio::test]
async fn everything_arrives_and_not_slowly() {
    let program = Path::new(env!("CARGO_BIN_EXE_aggregator"));
    for mix in [Mix::Hard, Mix::Quiet] {
        let load = Load { nodes: 5, series: 100, ticks: 400, mix, pace: None };
        let outcome = ingest::measure(program, None, load).await.unwrap();
        let rate = outcome.samples_per_s_core();
        assert!(rate > SAMPLES_PER_S_CORE_MIN, "{mix:?}: {outcome}");
    }
}

/// Not optimised, with few processes, and no time for the groups of processes to settle.
fn plan() -> Plan {
    Plan {
        agent: env!("CARGO_BIN_EXE_agent").into(),
        aggregator: env!("CARGO_BIN_EXE_aggregator").into(),
        burner: env!("CARGO_BIN_EXE_bench").into(),
        idle: 50,
        settle: Duration::from_secs(2),
        window: Duration::from_secs(5),
        burners: 2,
        with_peer: false,
    }
}

#[tokio::test]
async fn the_agent_is_cheap_and_sees_who_burns() {
    let outcome = agent::measure(&plan()).await.unwrap();
    assert_eq!(outcome.found, 2, "{outcome}");
    assert!(outcome.cpu_ms_per_s > 0.0 && outcome.cpu_ms_per_s < 300.0, "{outcome}");
    assert!(outcome.pss_mib > 1.0 && outcome.pss_mib < 100.0, "{outcome}");
}

/// The gates are loose: the programs are not optimised, and share the machine with other tests.
#[tokio::test]
async fn a_fleet_is_cheap_and_comes_back() {
    let plan = fleet::Plan {
        aggregator: env!("CARGO_BIN_EXE_aggregator").into(),
        core: None,
        nodes: 200,
        series: 50,
        mix: Mix::Hard,
        ramp: Duration::from_secs(1),
        window: Duration::from_secs(5),
    };
    let outcome = fleet::measure(&plan).await.unwrap();
    figure("swarm.200", &outcome);
    assert!(outcome.kib_per_stream < 140.0, "{outcome}");
    assert!(outcome.back_in < Duration::from_secs(10), "{outcome}");
    assert!(outcome.samples_per_s_core > SAMPLES_PER_S_CORE_MIN / 2.0, "{outcome}");
}

#[tokio::test]
async fn few_bytes_say_it() {
    let outcome = wire::measure(&plan()).await.unwrap();
    assert!(outcome.samples > 500 && outcome.changed > 0, "{outcome}");
    assert!(outcome.bytes_per_changed_cell() < 5.0, "{outcome}");
    assert!(outcome.overhead_bytes_per_tick() < 2000.0, "{outcome}");
}

/// A minute of a real host, in stretches that are over before a door asks whether anybody has called. Nothing has
/// settled in so short a stretch: most of what is sent says what exists, so the gate is loose.
#[tokio::test]
async fn few_bytes_say_what_was_recorded() {
    let plan = replay::Plan {
        aggregator: env!("CARGO_BIN_EXE_aggregator").into(),
        recording: Path::new(env!("CARGO_MANIFEST_DIR")).join("data/host-1h.qrec"),
        first: 1,
        step: 3,
        stretches: 20,
        settle: 1,
        window: 3,
    };
    let outcome = replay::measure(&plan).await.unwrap();
    figure("wire.recording.60", outcome);
    assert_eq!(outcome.ticks, u64::from(plan.stretches * plan.window), "{outcome}");
    assert!(outcome.samples > 25_000 && outcome.changed > 2_500, "{outcome}");
    assert!(outcome.bytes_per_changed_cell() < 5.0, "{outcome}");
}

#[tokio::test]
async fn a_recording_is_what_the_agent_said() {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("recording");
    let renamed = vec![("user".to_owned(), "people".to_owned())];
    let wanted = record::Wanted { ticks: 4, into: into.clone(), renamed };
    let series = record::record(&plan(), wanted).await.unwrap();
    let mut player = Player::new(Reader::open(&into).unwrap());
    let rounds: Vec<_> = player.by_ref().collect::<anyhow::Result<_>>().unwrap();
    assert_eq!(rounds.len(), 4);
    assert_eq!(rounds.iter().map(|round| round.registered.len()).sum::<usize>(), series);
    let find = |name: &str, label: (&str, &str)| {
        let is_it =
            |spec: &SeriesSpec| &*spec.metric.name == name && spec.labels.get(label.0) == Some(label.1);
        player.newest().filter(|(series, _)| is_it(&series.spec)).count()
    };
    assert_eq!(find("node_uname_info", ("nodename", "host")), 1);
    assert!(find("node_cpu_seconds_total", ("mode", "people")) > 0);
    assert_eq!(find("node_cpu_seconds_total", ("mode", "user")), 0);
    let clock = player.newest().find(|(series, _)| &*series.spec.metric.name == "node_time_seconds").unwrap();
    let told = clock.0.spec.metric.form.value(clock.1);
    assert!((told - rounds[3].at.wall.as_secs_f64()).abs() < 1.0, "{told}");
}
