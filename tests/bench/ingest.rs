//! One run: a fresh aggregator, a cluster of virtual agents, the window that is measured, and the proof that
//! everything arrived. A run whose proof fails has no figure.

use crate::load::{Load, Session, prepare, profile};
use crate::server::Server;
use anyhow::{Context, ensure};
use quorate_common::clock::{Clock, SystemClock};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// Nodes whose values are compared one by one.
const COMPARED: usize = 3;
/// What becomes of a virtual agent at most.
const RUN_MAX: Duration = Duration::from_secs(300);

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Samples of the measured window.
    pub samples: u64,
    /// Frames of the measured window.
    pub frames: u64,
    /// Encoded bytes a sample, key frames included.
    pub bytes_per_sample: f64,
    /// Processor time of the server in the window.
    pub cpu: Duration,
    /// Length of the window.
    pub wall: Duration,
    /// Memory of the server at the end of the window, in bytes.
    pub resident_bytes: u64,
}

impl Outcome {
    /// Samples for one second of one core of the server.
    pub fn samples_per_s_core(&self) -> f64 {
        self.samples as f64 / self.cpu.as_secs_f64()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { samples, frames, bytes_per_sample, cpu, wall, resident_bytes } = self;
        let (cpu_s, wall_s) = (cpu.as_secs_f64(), wall.as_secs_f64());
        let rate = self.samples_per_s_core() / 1e6;
        let frame_us = cpu_s * 1e6 / *frames as f64;
        write!(f, "{samples} samples in {cpu_s:.2} s of server cpu, {wall_s:.2} s of wall: ")?;
        write!(
            f,
            "{rate:.2} M samples/s/core, {frame_us:.1} µs a frame, {bytes_per_sample:.2} B a sample, "
        )?;
        write!(f, "{} MiB resident; all verified", resident_bytes >> 20)
    }
}

/// What must be found in the end.
struct Expected {
    name: String,
    newest: Vec<f64>,
    samples: u64,
}

/// Runs a load against a fresh aggregator, which is kept on one core if one is named.
pub async fn measure(program: &Path, core: Option<usize>, load: Load) -> anyhow::Result<Outcome> {
    let server = Server::start(program, core).await?;
    let (mut sessions, mut expected, mut bytes) = (Vec::new(), Vec::new(), 0);
    let profile = profile(load);
    for node in 0..load.nodes {
        let name = format!("n{node}");
        let tls = server.enrol(&name).await.with_context(|| format!("failed to enrol {name}"))?;
        let prepared = prepare(load, &profile, node)?;
        bytes += prepared.bytes;
        expected.push(Expected { name, newest: prepared.newest.clone(), samples: prepared.samples });
        sessions.push(Session::open(&server.grpc, tls, prepared).await?);
    }
    let (begin, cpu) = (SystemClock.now().boot, server.cpu()?);
    tokio::time::timeout(RUN_MAX, run(sessions, load)).await.context("the run takes too long")??;
    let (cpu, wall) = (server.cpu()?.saturating_sub(cpu), SystemClock.now().boot.since(begin));
    let resident_bytes = server.resident_bytes()?;
    for (node, expected) in expected.iter().enumerate() {
        prove(&server, expected, load, node < COMPARED).await?;
    }
    server.stop().await?;
    let all: u64 = expected.iter().map(|expected| expected.samples).sum();
    let frames = (load.nodes * load.ticks) as u64;
    let samples = frames * load.series as u64;
    let bytes_per_sample = bytes as f64 / all as f64;
    Ok(Outcome { samples, frames, bytes_per_sample, cpu, wall, resident_bytes })
}

async fn run(sessions: Vec<Session>, load: Load) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    for (node, session) in (0u32..).zip(sessions) {
        // Agents do not tick in step.
        let phase = load.pace.unwrap_or_default() * node / load.nodes.max(1) as u32;
        running.spawn(session.run(load.pace, phase));
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

/// Every sample was kept, and the values are the loader's own.
async fn prove(server: &Server, expected: &Expected, load: Load, compare: bool) -> anyhow::Result<()> {
    let Expected { name, newest, samples } = expected;
    let delivery = server.delivery(name).await?;
    let found = (delivery.collected, delivery.stored, delivery.dropped_by_cause.len());
    ensure!(found == (*samples, *samples, 0), "{name}: {samples} samples sent, found {delivery:?}");
    if !compare {
        return Ok(());
    }
    let mut latest = server.latest(name).await?;
    latest.sort_by_key(|(slot, _)| *slot);
    ensure!(latest.len() == newest.len(), "{name}: {} series of {}", latest.len(), newest.len());
    for (slot, value) in latest {
        ensure!(value == newest[slot], "{name}: slot {slot} is {value}, sent {}", newest[slot]);
    }
    let kept = server.history(name, load.series - 1).await?;
    ensure!(kept.len() == load.ticks + 1, "{name}: {} ticks kept of {}", kept.len(), load.ticks + 1);
    ensure!(kept.last() == newest.last(), "{name}: history ends with {:?}", kept.last());
    Ok(())
}
