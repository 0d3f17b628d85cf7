//! `make bench`: measures what the design promises and writes it down. Release builds only; nothing here is shipped.
//!
//! The server is the program as it is shipped, with its default configuration, on a core of its own; the loader
//! has another. A rate is samples ÷ processor seconds of the server, so a busy machine disturbs it little.

#![allow(clippy::print_stdout, reason = "a table is what it is run for")]

mod agent;
mod burner;
mod codec;
mod crowd;
mod fleet;
mod full;
mod host;
mod ingest;
mod load;
mod meter;
mod outage;
mod peer;
mod promql;
mod record;
mod replay;
mod report;
mod server;
mod store;
mod wire;

use agent::Plan;
use anyhow::Context;
use clap::Parser;
use codec::Cost;
use ingest::Outcome;
use load::Load;
use quorate_tests::Programs;
use quorate_tests::swarm::mix::Mix;
use record::Wanted;
use report::Figure;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// VictoriaMetrics 1.79 on the same kind of data and machine. Not measured in this run.
const PEER: &str =
    "VictoriaMetrics 1.79, remote write, one core: published/earlier measurement (2026-11-20), not same run";
const PEER_SAMPLES_PER_S_CORE: f64 = 611_000.0;
const SERVER_CORE: usize = 0;
/// Everything was sampled once: the longest interval is a minute.
const SETTLE: u32 = 60;
/// A cluster as it is: every node once a second.
const PACED: Load =
    Load { nodes: 1_000, series: 500, ticks: 20, mix: Mix::Hard, pace: Some(Duration::from_secs(1)) };

/// Measures and prints the figures.
#[derive(Debug, Parser)]
struct Flags {
    /// Virtual agents.
    #[arg(long, default_value_t = 200)]
    nodes: usize,
    /// Series of each.
    #[arg(long, default_value_t = 500)]
    series: usize,
    /// Measured ticks of each, one second apart by their stamps. The aggregator keeps 15 minutes and takes 1000
    /// messages at once, so 800 is as far as a default configuration can be checked.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=800))]
    ticks: u32,
    /// Virtual agents at their real pace.
    #[arg(long, default_value_t = 5_000)]
    swarm_nodes: usize,
    /// Runs of each figure; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Milliseconds between two ticks of one agent, instead of full throttle.
    #[arg(long)]
    pace_ms: Option<u64>,
    /// Only this mix and no codec; writes nothing.
    #[arg(long, value_enum)]
    only: Option<Mix>,
    /// Only this part; writes nothing.
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// How many ticks `--part record` records: at the default interval, seconds.
    #[arg(long, default_value_t = 3660)]
    seconds: u32,
    /// What `--part record` writes.
    #[arg(long, default_value = "target/bench/host.qrec")]
    into: PathBuf,
    /// A value of labels that `--part record` calls otherwise, `from=to`.
    #[arg(long, value_parser = renamed)]
    rename: Vec<(String, String)>,
    #[command(flatten)]
    replay: ReplayFlags,
    /// How long the outage of `--part outage` is.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(2..))]
    hours: u32,
    #[command(flatten)]
    store: store::Flags,
    /// Where the figures are written to.
    #[arg(long, default_value = "target/bench/results.json")]
    results: PathBuf,
}

/// What is sent of a recording.
#[derive(Clone, Debug, clap::Args)]
struct ReplayFlags {
    /// What `--part replay` sends.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/host-1h.qrec"))]
    recording: PathBuf,
    /// How many stretches of it, one after another in the recording and all at once on the wire.
    #[arg(long, default_value_t = 30)]
    stretches: u32,
    /// Measured ticks of each stretch.
    #[arg(long, default_value_t = 120)]
    window: u32,
    /// The first measured tick; a session begins 60 ticks before each stretch.
    #[arg(long, default_value_t = SETTLE, value_parser = clap::value_parser!(u32).range(i64::from(SETTLE)..))]
    first: u32,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Aggregator and codec, under a load that is made up.
    Ingest,
    /// The real agent on this host.
    Agent,
    /// Its session on the wire.
    Wire,
    /// The committed recording of a host, sent by the agent's own code.
    Replay,
    /// Nothing is measured: the real agent of this host is recorded.
    Record,
    /// Thousands of virtual agents at their real pace.
    Swarm,
    /// How soon a lost node is told.
    Detect,
    /// A day in the journal of a node, and how soon it is sent.
    Outage,
    /// The embedded store, beside Prometheus and VictoriaMetrics.
    Store,
    /// The evaluator of PromQL alone.
    Promql,
}

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).is_some_and(|word| word == crowd::BURN) {
        return burner::burn();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(done) = store::run_child(&arguments) {
        return done;
    }
    let flags = Flags::parse();
    let cores = std::thread::available_parallelism()?.get();
    // With one core only, loader and server have to share it.
    let core = (cores > 1).then_some(SERVER_CORE);
    // What is recorded is a host as it is.
    if core.is_some() && flags.part != Some(Part::Record) {
        let mut others = sched_getaffinity(None)?;
        others.unset(SERVER_CORE);
        sched_setaffinity(None, &others as &CpuSet)?;
    }
    let program = std::env::current_exe()?.with_file_name("aggregator");
    println!("load of the machine: {}", machine_load()?);
    println!("aggregator: default configuration and limits, pinned to core {core:?} of {cores}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(all(&flags, &program, core))?;
    report::print(&figures);
    // Another load would stand there under the name of the usual one.
    if flags.only.is_some() || flags.pace_ms.is_some() || flags.part.is_some() {
        return Ok(());
    }
    report::write(&flags.results, &figures)?;
    println!("written to {}", flags.results.display());
    Ok(())
}

/// The mixes, with the name and the goal of their figure.
const RATES: [(Mix, &str, Option<f64>); 2] = [
    (Mix::Hard, "ingest.live_samples_per_s_core", Some(5e6)),
    (Mix::Quiet, "ingest.live_samples_per_s_core_quiet", None),
];

async fn all(flags: &Flags, program: &Path, core: Option<usize>) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if flags.part == Some(Part::Record) {
        return record(flags, program).await.map(|()| figures);
    }
    let is_asked = |part| flags.part.unwrap_or(part) == part;
    if is_asked(Part::Ingest) {
        figures.extend(ingest(flags, program, core).await?);
    }
    // Another load of the aggregator was asked for: what follows has none.
    if flags.only.is_some() || flags.pace_ms.is_some() {
        return Ok(figures);
    }
    let plan = Plan::for_real(program)?;
    if is_asked(Part::Agent) {
        let outcome = agent::measure(&plan).await.context("the run of the agent failed")?;
        println!("agent: {outcome}; load of the machine: {}", machine_load()?);
        figures.extend(outcome.figures());
    }
    if is_asked(Part::Wire) {
        let outcome = wire::measure(&plan).await.context("the run on the wire failed")?;
        println!("wire: {outcome}; load of the machine: {}", machine_load()?);
        figures.extend(outcome.figures());
    }
    if is_asked(Part::Replay) {
        let outcome = replay::measure(&flags.replay.plan(program)).await.context("the replay failed")?;
        println!("replay: {outcome}; load of the machine: {}", machine_load()?);
        figures.extend(outcome.figures_of_recording());
    }
    if is_asked(Part::Swarm) {
        figures.extend(swarm(flags, program, core).await?);
    }
    if is_asked(Part::Outage) {
        let (aggregator, recording) = (program.to_owned(), flags.replay.recording.clone());
        let plan = outage::Plan { aggregator, recording, hours: flags.hours };
        let outcome = outage::measure(&plan).await.context("the outage failed")?;
        println!("outage: {outcome}; load of the machine: {}", machine_load()?);
        figures.extend(outcome.figures());
    }
    if is_asked(Part::Detect) {
        let programs = Programs {
            agent: plan.agent.clone(),
            aggregator: plan.aggregator.clone(),
            client: program.with_file_name("client"),
        };
        figures.extend(full::trials(programs).await);
    }
    if is_asked(Part::Promql) {
        figures.extend(promql::measure().context("the queries failed")?);
    }
    if is_asked(Part::Store) {
        figures
            .extend(store::measure(&flags.store, &flags.replay.recording).await.context("the store failed")?);
    }
    Ok(figures)
}

async fn record(flags: &Flags, program: &Path) -> anyhow::Result<()> {
    let (ticks, into, renamed) = (flags.seconds, flags.into.clone(), flags.rename.clone());
    let series = record::record(&Plan::for_real(program)?, Wanted { ticks, into, renamed }).await?;
    let bytes = std::fs::metadata(&flags.into)?.len();
    println!("{ticks} ticks of {series} series in {bytes} bytes at {}", flags.into.display());
    Ok(())
}

fn renamed(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("expected from=to")?;
    Ok((from.to_owned(), to.to_owned()))
}

impl ReplayFlags {
    fn plan(&self, aggregator: &Path) -> replay::Plan {
        let ReplayFlags { recording, stretches, window, first } = self.clone();
        let aggregator = aggregator.to_owned();
        replay::Plan { aggregator, recording, first, step: window, stretches, settle: SETTLE, window }
    }
}

async fn swarm(flags: &Flags, program: &Path, core: Option<usize>) -> anyhow::Result<Vec<Figure>> {
    let plan = fleet::Plan::full(program, core, flags.swarm_nodes);
    let outcome = fleet::measure(&plan).await.context("the run of the swarm failed")?;
    println!("swarm: {outcome}; load of the machine: {}", machine_load()?);
    Ok(outcome.figures())
}

fn machine_load() -> anyhow::Result<String> {
    Ok(std::fs::read_to_string("/proc/loadavg")?.trim().to_owned())
}

async fn ingest(flags: &Flags, program: &Path, core: Option<usize>) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (mix, name, goal) in RATES {
        if flags.only.is_some_and(|only| only != mix) {
            continue;
        }
        let value = rate(flags, program, core, mix).await?;
        let (peer, peer_value) = (Some(PEER), Some(PEER_SAMPLES_PER_S_CORE));
        let command = command(flags);
        figures.push(Figure { name, value, unit: "samples/s/core", goal, peer, peer_value, command });
    }
    if flags.only.is_some() {
        return Ok(figures);
    }
    let costs: Vec<Cost> = (0..flags.repeats).map(|_| codec::measure()).collect::<anyhow::Result<_>>()?;
    for (name, unit, value) in [
        ("ingest.paced_1000_nodes_cpu_ms_per_s", "ms/s", paced(program, core).await?),
        (
            "codec.encode_ns_per_sample",
            "ns/sample",
            median(costs.iter().map(|cost| cost.encode_ns).collect()),
        ),
        (
            "codec.decode_ns_per_sample",
            "ns/sample",
            median(costs.iter().map(|cost| cost.decode_ns).collect()),
        ),
    ] {
        let command = command(flags);
        figures.push(Figure { name, value, unit, goal: None, peer: None, peer_value: None, command });
    }
    Ok(figures)
}

/// The median of some runs of one mix, at full throttle.
async fn rate(flags: &Flags, program: &Path, core: Option<usize>, mix: Mix) -> anyhow::Result<f64> {
    let Flags { nodes, series, .. } = *flags;
    let mut rates = Vec::new();
    for _ in 0..flags.repeats {
        let pace = flags.pace_ms.map(Duration::from_millis);
        let load = Load { nodes, series, ticks: flags.ticks as usize, mix, pace };
        rates.push(run(program, core, load).await?.samples_per_s_core());
    }
    Ok(median(rates))
}

/// All that the aggregator does for a real cluster at its real pace, wake-ups of an idle core, verdicts and
/// keepalives included: milliseconds of one core a second.
async fn paced(program: &Path, core: Option<usize>) -> anyhow::Result<f64> {
    let outcome = run(program, core, PACED).await?;
    Ok(outcome.cpu.as_secs_f64() * 1e3 / outcome.wall.as_secs_f64())
}

async fn run(program: &Path, core: Option<usize>, load: Load) -> anyhow::Result<Outcome> {
    let outcome = ingest::measure(program, core, load).await.context("a run failed")?;
    println!("{:?} {} × {}: {outcome}", load.mix, load.nodes, load.series);
    Ok(outcome)
}

fn command(flags: &Flags) -> String {
    let Flags { nodes, series, ticks, repeats, .. } = flags;
    format!("make bench BENCH='--nodes {nodes} --series {series} --ticks {ticks} --repeats {repeats}'")
}

/// The middle one, the upper of two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
