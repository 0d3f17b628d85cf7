//! A whole fleet at its real pace: what a connected stream costs in memory, what its samples cost in processor time,
//! and how soon all are back after the aggregator was killed.
//!
//! ```text
//!   enrol all ──→ kill, start: memory before ──→ all connect, few series: memory of a stream
//!     ──→ all again with many series: the window ──→ kill, start: until all are live ──→ farewell, proof
//! ```
//!
//! The aggregator begins anew before its memory is read, so that what enrolment left behind hides nothing.

use crate::server::Server;
use anyhow::{Context, ensure};
use quorate_common::clock::{Clock, SystemClock};
use quorate_proto::v1;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::oracle::Oracle;
use quorate_tests::swarm::{Callers, Counts, Identity, Member, Plan as SwarmPlan, Profile, Swarm, enrol};
use quorate_tests::usage;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

const SEED: u64 = 4;
/// So few that their rows weigh little beside the stream.
const SERIES_FEW: usize = 10;
/// Anything in here is over by then, or fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Members whose data is compared, and series of each.
const COMPARED: usize = 5;
const SLOTS: [usize; 4] = [0, 1, 5, 9];

/// How to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The aggregator.
    pub aggregator: PathBuf,
    /// Its core.
    pub core: Option<usize>,
    /// Virtual agents.
    pub nodes: usize,
    /// Series of each, in the window.
    pub series: usize,
    /// What moves.
    pub mix: Mix,
    /// From the first connection to the last.
    pub ramp: Duration,
    /// What is measured.
    pub window: Duration,
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Streams.
    pub nodes: usize,
    /// How long enrolling all of them took.
    pub enrolled_in: Duration,
    /// Memory of a connected stream of few series.
    pub kib_per_stream: f64,
    /// Memory of a connected stream with all of its series.
    pub kib_per_full_stream: f64,
    /// Samples of the window for one second of one core of the aggregator.
    pub samples_per_s_core: f64,
    /// Processor time of the aggregator in the window, in ms a second.
    pub cpu_ms_per_s: f64,
    /// The same of the swarm.
    pub swarm_cpu_ms_per_s: f64,
    /// Memory of the swarm.
    pub swarm_mib: f64,
    /// From the ready file of the aggregator that was killed until all were live.
    pub back_in: Duration,
    /// What the swarm counted.
    pub counts: Counts,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} nodes enrolled in {:.1} s; ", self.nodes, self.enrolled_in.as_secs_f64())?;
        write!(
            f,
            "{:.1} KiB a stream, {:.1} with all series; ",
            self.kib_per_stream, self.kib_per_full_stream
        )?;
        let rate = self.samples_per_s_core / 1e6;
        write!(f, "{rate:.2} M samples/s/core in {:.0} ms/s of cpu; ", self.cpu_ms_per_s)?;
        write!(f, "swarm {:.0} ms/s, {:.0} MiB; ", self.swarm_cpu_ms_per_s, self.swarm_mib)?;
        write!(f, "all back in {} ms; {}; all verified", self.back_in.as_millis(), self.counts)
    }
}

/// Runs the plan.
pub async fn measure(plan: &Plan) -> anyhow::Result<Outcome> {
    let server = Server::start(&plan.aggregator, plan.core).await?;
    let begin = SystemClock.now().boot;
    let identities = enrol(server.admin(), declarations(plan.nodes)).await?;
    let enrolled_in = SystemClock.now().boot.since(begin);
    let server = server.kill_and_restart().await?;
    let before = settled(&server, Duration::from_secs(2)).await?;

    let few = start(plan, &server, (SERIES_FEW, &identities)).await?;
    let kib_per_stream = kib_per(plan, settled(&server, plan.window / 2).await?, before);
    few.stop().await;

    let swarm = start(plan, &server, (plan.series, &identities)).await?;
    let (begin, cpu, own, counts) =
        (SystemClock.now().boot, server.cpu()?, usage::cpu(std::process::id())?, swarm.counts());
    tokio::time::sleep(plan.window).await;
    let seconds = SystemClock.now().boot.since(begin).as_secs_f64();
    let (cpu, own) = (server.cpu()? - cpu, usage::cpu(std::process::id())? - own);
    let samples = (swarm.counts().samples - counts.samples) as f64;
    let kib_per_full_stream = kib_per(plan, server.resident_bytes()?, before);
    let swarm_mib = usage::resident_bytes(std::process::id())? as f64 / (1 << 20) as f64;

    let (server, back_in) = kill(server, &swarm).await?;
    // Ticks that follow one another across the gap are part of the proof.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (members, counts) = swarm.stop().await;
    prove(plan, &server, &members).await?;
    server.stop().await?;
    Ok(Outcome {
        nodes: plan.nodes,
        enrolled_in,
        kib_per_stream,
        kib_per_full_stream,
        samples_per_s_core: samples / cpu.as_secs_f64(),
        cpu_ms_per_s: cpu.as_secs_f64() * 1e3 / seconds,
        swarm_cpu_ms_per_s: own.as_secs_f64() * 1e3 / seconds,
        swarm_mib,
        back_in,
        counts,
    })
}

fn declarations(nodes: usize) -> Vec<v1::NodeDeclaration> {
    let role = v1::MemberRole::Observer.into();
    let name = |at| format!("swarm-{at:05}");
    (0..nodes)
        .map(|at| v1::NodeDeclaration { name: name(at), role, ..v1::NodeDeclaration::default() })
        .collect()
}

fn profile(plan: &Plan, series: usize) -> Profile {
    Profile::new(SEED, plan.mix, series)
}

async fn start(
    plan: &Plan,
    server: &Server,
    (series, identities): (usize, &[Identity]),
) -> anyhow::Result<Swarm> {
    let swarm_plan = SwarmPlan {
        address: server.grpc.clone(),
        profile: profile(plan, series),
        callers: Callers::Apart,
        ramp: plan.ramp,
    };
    let swarm = Swarm::start(&swarm_plan, identities.to_vec());
    ensure!(
        swarm.until_all_live(PATIENCE).await,
        "{} of {} are live: {}",
        swarm.live(),
        plan.nodes,
        swarm.counts()
    );
    Ok(swarm)
}

/// Kills the aggregator and starts it again; gives the time from then on until all are live.
async fn kill(server: Server, swarm: &Swarm) -> anyhow::Result<(Server, Duration)> {
    let server = server.kill_and_restart().await?;
    let begin = SystemClock.now().boot;
    let all = swarm.members().len();
    // Whoever has not noticed the loss yet still counts as live.
    let is_back = |live| live == all && swarm.counts().lost >= all as u64;
    ensure!(
        swarm.until_live(PATIENCE, is_back).await,
        "{} of {all} are back: {}",
        swarm.live(),
        swarm.counts()
    );
    Ok((server, SystemClock.now().boot.since(begin)))
}

/// The memory of the aggregator, after a while.
async fn settled(server: &Server, wait: Duration) -> anyhow::Result<u64> {
    tokio::time::sleep(wait).await;
    server.resident_bytes()
}

fn kib_per(plan: &Plan, bytes: u64, before: u64) -> f64 {
    bytes.saturating_sub(before) as f64 / 1024.0 / plan.nodes as f64
}

/// What the last aggregator has is what was sent, up to the last tick.
async fn prove(plan: &Plan, server: &Server, members: &[Member]) -> anyhow::Result<()> {
    let oracle = Oracle::new(profile(plan, plan.series), server.admin().clone());
    let every = (members.len() / COMPARED).max(1);
    for member in members.iter().step_by(every) {
        let found = oracle.check(member, &SLOTS).await.context("the data is not what was sent")?;
        ensure!(*found.ticks.end() == member.sent(), "{}: {found:?}, sent {}", member.name, member.sent());
        ensure!(member.overflowed() == 0, "{} had no room for {} ticks", member.name, member.overflowed());
        ensure!(found.delivery.dropped_by_cause.is_empty(), "{}: {:?}", member.name, found.delivery);
    }
    Ok(())
}
