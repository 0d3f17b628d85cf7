//! The figures of the agent and of its wire, for the table and the file.

use crate::agent::{self, Plan};
use crate::report::Figure;
use crate::wire;
use std::path::Path;
use std::time::Duration;

const COMMAND_AGENT: &str = "make bench BENCH='--part agent'";
const COMMAND_WIRE: &str = "make bench BENCH='--part wire'";
const COMMAND_REPLAY: &str = "make bench BENCH='--part replay'";
/// Debian's node_exporter knows no processes. What netdata costs with its groups of processes stands in our
/// notes: 20.3 ms/s and 50.8 MiB, 10.1 B a value.
const PEER_EXPORTER: &str =
    "prometheus-node-exporter (Debian), no processes, scraped each second with gzip, same run";
const PEER_NETDATA: &str =
    "netdata 1.37 child, LZ4 stream, bytes a value: earlier measurement (2026-11-20), not same run";
const PEER_NETDATA_BYTES_PER_SAMPLE: f64 = 10.1;

impl Plan {
    /// The figures of `make bench`, with the programs that lie beside the aggregator's.
    pub fn for_real(aggregator: &Path) -> anyhow::Result<Plan> {
        Ok(Plan {
            agent: aggregator.with_file_name("agent"),
            aggregator: aggregator.to_owned(),
            burner: std::env::current_exe()?,
            idle: 300,
            settle: Duration::from_secs(40),
            window: Duration::from_secs(60),
            burners: 20,
            with_peer: true,
        })
    }
}

impl agent::Outcome {
    /// Ours, and the peer's if there was one.
    pub fn figures(&self) -> Vec<Figure> {
        let peer = |value: Option<f64>| (value.map(|_| PEER_EXPORTER), value);
        [
            ("agent.cpu_ms_per_s", "ms/s", self.cpu_ms_per_s, Some(5.0), peer(self.peer_cpu_ms_per_s)),
            ("agent.pss_mib", "MiB", self.pss_mib, Some(15.0), peer(self.peer_pss_mib)),
            ("agent.burner_found", "of 20", f64::from(self.found), Some(20.0), (None, None)),
            ("agent.samples_per_s", "samples/s", self.samples_per_s, None, (None, None)),
        ]
        .map(|row| figure(row, COMMAND_AGENT))
        .into()
    }
}

/// What a figure of the wire is called live, and on the recording.
type Names = [&'static str; 6];

const LIVE: Names = [
    "wire.bytes_per_changed_cell",
    "wire.overhead_bytes_per_tick",
    "wire.steady_overhead_bytes_per_tick",
    "wire.bytes_per_sample",
    "wire.samples_per_tick",
    "wire.unchanged_percent",
];
const RECORDED: Names = [
    "wire.recorded_bytes_per_changed_cell",
    "wire.recorded_overhead_bytes_per_tick",
    "wire.recorded_steady_overhead_bytes_per_tick",
    "wire.recorded_bytes_per_sample",
    "wire.recorded_samples_per_tick",
    "wire.recorded_unchanged_percent",
];

impl wire::Outcome {
    /// Of the agent on this host.
    pub fn figures(&self) -> Vec<Figure> {
        self.named(LIVE, COMMAND_WIRE)
    }

    /// Of the committed recording.
    pub fn figures_of_recording(&self) -> Vec<Figure> {
        self.named(RECORDED, COMMAND_REPLAY)
    }

    /// Goals are what the design's formats are for.
    fn named(&self, names: Names, command: &str) -> Vec<Figure> {
        let [changed, overhead, steady, sample, samples, unchanged] = names;
        let netdata = (Some(PEER_NETDATA), Some(PEER_NETDATA_BYTES_PER_SAMPLE));
        let none = (None, None);
        [
            (changed, "B", self.bytes_per_changed_cell(), Some(3.0), none),
            (overhead, "B/tick", self.overhead_bytes_per_tick(), Some(90.0), none),
            (steady, "B/tick", self.steady_overhead_bytes_per_tick(), None, none),
            (sample, "B", self.bytes_per_sample(), None, netdata),
            (samples, "samples", self.samples as f64 / self.ticks as f64, None, none),
            (unchanged, "%", self.unchanged_percent(), None, none),
        ]
        .map(|row| figure(row, command))
        .into()
    }
}

/// Name, unit, value, goal, and the peer with its value.
type Row = (&'static str, &'static str, f64, Option<f64>, (Option<&'static str>, Option<f64>));

fn figure((name, unit, value, goal, (peer, peer_value)): Row, command: &str) -> Figure {
    Figure { name, value, unit, goal, peer, peer_value, command: command.to_owned() }
}
