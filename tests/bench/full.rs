//! The fleet and the trials of detection in their full size, and their figures. `small.rs` has the small form.

use crate::fleet::{Outcome, Plan};
use crate::report::Figure;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::{Programs, detect};
use std::path::Path;
use std::time::Duration;

/// Trials of each kind of loss: 30.
const ROUNDS: usize = 5;
const COMMAND_SWARM: &str = "make bench BENCH='--part swarm'";
const COMMAND_DETECT: &str = "make bench BENCH='--part detect'";

impl Plan {
    /// So many nodes with a hundred series each.
    pub fn full(aggregator: &Path, core: Option<usize>, nodes: usize) -> Plan {
        Plan {
            aggregator: aggregator.to_owned(),
            core,
            nodes,
            series: 100,
            mix: Mix::Hard,
            ramp: Duration::from_secs(10),
            window: Duration::from_secs(20),
        }
    }
}

impl Outcome {
    /// Goals are the design's.
    pub fn figures(&self) -> Vec<Figure> {
        [
            ("ingest.rss_kib_per_stream", "KiB", self.kib_per_stream, Some(70.0)),
            ("swarm.rss_kib_per_stream_100_series", "KiB", self.kib_per_full_stream, None),
            ("swarm.paced_samples_per_s_core", "samples/s/core", self.samples_per_s_core, None),
            ("swarm.paced_cpu_ms_per_s", "ms/s", self.cpu_ms_per_s, None),
            ("swarm.back_after_kill_ms", "ms", millis(self.back_in), Some(10_000.0)),
            ("swarm.enrol_s", "s", self.enrolled_in.as_secs_f64(), None),
        ]
        .map(|(name, unit, value, goal)| figure((name, unit, value, goal), COMMAND_SWARM))
        .into()
    }
}

/// Runs the trials. Where no network can be made for it, the figure of silent losses is missing, and that is said.
pub async fn trials(programs: Programs) -> Vec<Figure> {
    let killed = detect::kills(programs.clone(), ROUNDS).await;
    let mut figures = vec![longest("detect.kill_ms_max", &killed, 2_500.0)];
    match detect::cuts(programs, ROUNDS) {
        Ok(spans) => figures.push(longest("detect.silent_ms_max", &spans, 4_000.0)),
        Err(error) => println!("no network for silent losses: {error}"),
    }
    figures
}

fn longest(name: &'static str, spans: &[Duration], goal: f64) -> Figure {
    println!("{name}: {spans:?}");
    let value = spans.iter().copied().map(millis).fold(0.0, f64::max);
    figure((name, "ms", value, Some(goal)), COMMAND_DETECT)
}

fn figure(
    (name, unit, value, goal): (&'static str, &'static str, f64, Option<f64>),
    command: &str,
) -> Figure {
    Figure { name, value, unit, goal, peer: None, peer_value: None, command: command.to_owned() }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
