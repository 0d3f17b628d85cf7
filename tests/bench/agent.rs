//! What the real agent costs its host, and whether it sees what happens there: all collectors on, every process
//! read each second, connected to the real aggregator.
//!
//! ```text
//!   start, enrol, settle ──→ window: cpu, memory (a peer beside it) ──→ burners, one after another
//! ```
//!
//! The burners come after the window: asking for the process table costs the agent something, too.

use crate::crowd::{Burnt, Crowd};
use crate::meter::Meter;
use crate::peer::Exporter;
use crate::server::Server;
use anyhow::ensure;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::rng::{Rng, SystemRng};
use quorate_tests::usage;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The node of these runs.
pub const NODE: &str = "bench";
/// A burner must be in the table this soon after its second.
const FOUND_MAX: Duration = Duration::from_secs(2);
/// And its processor time must be right to this share.
const ERROR_MAX: f64 = 0.2;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// How to measure an agent.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The agent.
    pub agent: PathBuf,
    /// The aggregator.
    pub aggregator: PathBuf,
    /// The program that burns when told [`crate::crowd::BURN`].
    pub burner: PathBuf,
    /// Idle processes beside what the host has.
    pub idle: usize,
    /// From the first frame to the window: groups of processes become series after 30 s.
    pub settle: Duration,
    /// What is measured.
    pub window: Duration,
    /// Processes that burn a second.
    pub burners: u32,
    /// Whether node_exporter, if it is installed, runs beside the agent.
    pub with_peer: bool,
}

/// What a run showed.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Processor time, in ms of one core a second.
    pub cpu_ms_per_s: f64,
    /// Proportional share of memory at the end.
    pub pss_mib: f64,
    /// Processes in its table.
    pub processes: usize,
    /// Samples a second.
    pub samples_per_s: f64,
    /// Bytes on the wire a second, both ways.
    pub wire_bytes_per_s: f64,
    /// node_exporter in the same window, if there is one.
    pub peer_cpu_ms_per_s: Option<f64>,
    /// And its memory.
    pub peer_pss_mib: Option<f64>,
    /// Burners that were found in time, with the right figure.
    pub found: u32,
    /// The longest time until one was found.
    pub found_after_max: Duration,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { cpu_ms_per_s, pss_mib, processes, samples_per_s, wire_bytes_per_s, .. } = self;
        write!(f, "{cpu_ms_per_s:.2} ms/s of cpu, {pss_mib:.1} MiB PSS, {processes} processes, ")?;
        write!(f, "{samples_per_s:.0} samples/s in {wire_bytes_per_s:.0} B/s; ")?;
        if let (Some(cpu), Some(pss)) = (self.peer_cpu_ms_per_s, self.peer_pss_mib) {
            write!(f, "node_exporter beside it {cpu:.2} ms/s, {pss:.1} MiB; ")?;
        }
        write!(f, "{} burners found, the last after {} ms", self.found, self.found_after_max.as_millis())
    }
}

/// Runs the plan.
pub async fn measure(plan: &Plan) -> anyhow::Result<Outcome> {
    let server = Server::start(&plan.aggregator, None).await?;
    server.enrol(NODE).await?;
    let meter = Meter::start(server.grpc.clone()).await?;
    let mut crowd = Crowd::start(plan.idle)?;
    let mut exporter = if plan.with_peer { Exporter::start().await? } else { None };
    let agent = server.start_agent(NODE, &plan.agent, &meter.address)?;
    server.until_heard(NODE).await?;
    tokio::time::sleep(plan.settle).await;

    let (begin, cpu, bytes) = (SystemClock.now().boot, usage::cpu(agent.pid)?, meter.bytes());
    let peer_cpu = exporter.as_ref().map(|peer| usage::cpu(peer.pid)).transpose()?;
    let collected = server.delivery(NODE).await?.collected;
    scrape(exporter.as_mut(), plan.window).await?;
    let seconds = SystemClock.now().boot.since(begin).as_secs_f64();
    let rate = |cpu: Duration| cpu.as_secs_f64() * 1e3 / seconds;
    let cpu_ms_per_s = rate(usage::cpu(agent.pid)?.saturating_sub(cpu));
    let wire_bytes_per_s = meter.bytes().since(bytes).all() as f64 / seconds;
    let (mut peer_cpu_ms_per_s, mut peer_pss_mib) = (None, None);
    if let (Some(peer), Some(before)) = (&exporter, peer_cpu) {
        peer_cpu_ms_per_s = Some(rate(usage::cpu(peer.pid)?.saturating_sub(before)));
        peer_pss_mib = Some(usage::pss_mib(peer.pid)?);
    }
    drop(exporter);
    let delivery = server.delivery(NODE).await?;
    ensure!(delivery.dropped_by_cause.is_empty(), "samples were lost: {delivery:?}");
    let samples_per_s = (delivery.collected - collected) as f64 / seconds;

    let (found, found_after_max) = burners(&server, plan).await?;
    let processes = server.processes(NODE).await?.len();
    ensure!(processes > plan.idle, "only {processes} processes are seen");
    crowd.check()?;
    // The dearer of two moments: answering requests needs memory, too.
    let pss_mib = usage::pss_mib(agent.pid)?;
    agent.release().await;
    server.stop().await?;
    Ok(Outcome {
        cpu_ms_per_s,
        pss_mib,
        processes,
        samples_per_s,
        wire_bytes_per_s,
        peer_cpu_ms_per_s,
        peer_pss_mib,
        found,
        found_after_max,
    })
}

/// Lets the window pass; the peer, if there is one, is scraped meanwhile.
async fn scrape(mut exporter: Option<&mut Exporter>, window: Duration) -> anyhow::Result<()> {
    let over = tokio::time::sleep(window);
    tokio::pin!(over);
    let mut due = tokio::time::interval(SCRAPE_EVERY);
    loop {
        tokio::select! {
            () = &mut over => return Ok(()),
            _ = due.tick() => {
                if let Some(exporter) = &mut exporter {
                    exporter.scrape().await?;
                }
            }
        }
    }
}

/// How many burners were found, and the longest search among those.
async fn burners(server: &Server, plan: &Plan) -> anyhow::Result<(u32, Duration)> {
    let (mut found, mut longest) = (0, Duration::ZERO);
    for _ in 0..plan.burners {
        // Anywhere between two ticks.
        tokio::time::sleep(SystemRng.jitter(Duration::ZERO, Duration::from_secs(1))).await;
        let burnt = Burnt::watch(&plan.burner).await?;
        let begin = SystemClock.now().boot;
        let after = loop {
            let is_right = is_right(server, &burnt).await?;
            let after = SystemClock.now().boot.since(begin);
            if is_right || after > FOUND_MAX {
                break after;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        if after <= FOUND_MAX {
            found += 1;
            longest = longest.max(after);
        }
        burnt.end().await?;
    }
    Ok((found, longest))
}

/// Whether the node's table has the burner with what it has used.
async fn is_right(server: &Server, burnt: &Burnt) -> anyhow::Result<bool> {
    let rows = server.processes(NODE).await?;
    let used = burnt.cpu.as_secs_f64();
    let right = |told: f64| (told - used).abs() <= used * ERROR_MAX;
    Ok(rows.iter().any(|row| row.pid == burnt.pid && right(row.cpu_seconds)))
}
