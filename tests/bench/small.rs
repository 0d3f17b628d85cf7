//! The figures in small form: the real aggregator takes everything exactly, and not slowly; the real agent is
//! cheap, sees what happens, and says it in few bytes.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

mod agent;
mod crowd;
mod ingest;
mod load;
mod meter;
mod mix;
mod peer;
mod server;
mod usage;
mod wire;

use agent::Plan;
use load::Load;
use mix::Mix;
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

#[tokio::test]
async fn few_bytes_say_it() {
    let outcome = wire::measure(&plan()).await.unwrap();
    assert!(outcome.samples > 500 && outcome.changed > 0, "{outcome}");
    assert!(outcome.bytes_per_changed_cell() < 5.0, "{outcome}");
    assert!(outcome.overhead_bytes_per_tick() < 2000.0, "{outcome}");
}
