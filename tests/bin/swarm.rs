//! The swarm as a program: enrols virtual agents at a running aggregator, runs them, and checks what they sent.
//!
//! It takes an admin's credential, as `quorate` does. Nodes that it enrolled once can be enrolled again with
//! another `--prefix` only: a name belongs to a key.

#![allow(clippy::print_stdout, reason = "what it saw is what it is run for")]

use anyhow::{Context, ensure};
use clap::Parser;
use quorate_common::program::raise_descriptors;
use quorate_proto::v1;
use quorate_tests::door::Files;
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::oracle::Oracle;
use quorate_tests::swarm::{Callers, Plan, Profile, Swarm, enrol};
use quorate_tests::usage;
use std::path::PathBuf;
use std::time::Duration;

/// Members whose data is compared.
const COMPARED: usize = 20;
const LIVE_MAX: Duration = Duration::from_secs(60);

/// Virtual agents with real TLS and gRPC, and data that follows from a seed.
#[derive(Debug, Parser)]
struct Flags {
    /// The aggregator, host:port.
    #[arg(long)]
    address: String,
    /// Roots to trust.
    #[arg(long)]
    ca: PathBuf,
    /// The admin's certificate.
    #[arg(long)]
    cert: PathBuf,
    /// Its key.
    #[arg(long)]
    key: PathBuf,
    /// Virtual agents.
    #[arg(long, default_value_t = 100)]
    agents: usize,
    /// Series of each.
    #[arg(long, default_value_t = 100)]
    series: usize,
    /// What moves.
    #[arg(long, value_enum, default_value_t = Mix::Quiet)]
    mix: Mix,
    /// What the data follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Distance between two frames, in milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(100..=60_000))]
    interval_ms: u32,
    /// How long to run, in seconds.
    #[arg(long = "for", default_value_t = 60)]
    seconds: u64,
    /// What the nodes are called before their number.
    #[arg(long, default_value = "swarm-")]
    prefix: String,
    /// Call from addresses of the loopback network, one for each.
    #[arg(long)]
    apart: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    raise_descriptors();
    let flags = Flags::parse();
    let files = Files { ca: flags.ca.clone(), cert: flags.cert.clone(), key: flags.key.clone() };
    let admin = files.open(&flags.address).await?;
    let role = v1::MemberRole::Observer.into();
    let name = |at| format!("{}{at:05}", flags.prefix);
    let declared = |at| v1::NodeDeclaration { name: name(at), role, ..v1::NodeDeclaration::default() };
    let identities = enrol(&admin, (0..flags.agents).map(declared).collect()).await?;
    println!("{} enrolled", identities.len());

    let profile =
        Profile { interval_ms: flags.interval_ms, ..Profile::new(flags.seed, flags.mix, flags.series) };
    let plan = Plan {
        address: flags.address.clone(),
        profile: profile.clone(),
        callers: if flags.apart { Callers::Apart } else { Callers::Together },
        ramp: Duration::from_secs(1),
    };
    let swarm = Swarm::start(&plan, identities);
    ensure!(swarm.until_all_live(LIVE_MAX).await, "{} are live: {}", swarm.live(), swarm.counts());
    println!("all are live");
    tokio::time::sleep(Duration::from_secs(flags.seconds)).await;
    let (members, counts) = swarm.stop().await;
    let (cpu, mib) = (usage::cpu(std::process::id())?, usage::resident_bytes(std::process::id())? >> 20);
    println!("{counts}; {:.1} s of cpu, {mib} MiB", cpu.as_secs_f64());

    let oracle = Oracle::new(profile, admin);
    let slots: Vec<usize> = (0..flags.series).step_by(flags.series.div_ceil(5).max(1)).collect();
    let mut values = 0;
    for member in members.iter().step_by(members.len().div_ceil(COMPARED).max(1)) {
        let found = oracle.check(member, &slots).await.context("what is kept is not what was sent")?;
        ensure!(*found.ticks.end() == member.sent(), "{}: {found:?}, sent {}", member.name, member.sent());
        values += found.values;
    }
    println!("{values} values compared, all as they were sent");
    Ok(())
}
