//! The ingest figure in small form: the real aggregator takes everything exactly, and not slowly.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

mod ingest;
mod load;
mod mix;
mod server;

use load::Load;
use mix::Mix;
use std::path::Path;

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
