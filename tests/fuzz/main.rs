//! `make fuzz`: hands every decoder what nobody would write, for as long as one likes.
//!
//! The nightly compiler that would steer by coverage is not needed: inputs are drawn from real ones, see
//! `drive.rs`. The tests run the same for a moment, see `small.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target says by panicking what is wrong")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is what it is run for")]

mod drive;
mod mutate;
mod target;

use clap::Parser;
use drive::{Until, drive, replay};
use quorate_common::rng::{Rng, SystemRng};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use target::Target;

/// Hands every decoder what nobody would write.
#[derive(Debug, Parser)]
struct Flags {
    /// How long in all, shared by the targets.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Draws the same inputs again.
    #[arg(long)]
    seed: Option<u64>,
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
    /// Runs this one input and nothing else; needs --target.
    #[arg(long, requires = "target")]
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut targets = target::all();
    if let Some(name) = &flags.target {
        targets.retain(|target| target.name == name.as_str());
    }
    if targets.is_empty() {
        let names: Vec<&str> = target::all().iter().map(|target| target.name).collect();
        eprintln!("no such target; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    match &flags.file {
        Some(file) => one(&targets[0], file),
        None => all(&targets, &flags),
    }
}

fn one(target: &Target, file: &PathBuf) -> ExitCode {
    let input = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let outcome = replay(target, &input);
    println!("{}: {outcome:?}", target.name);
    ExitCode::from(u8::from(outcome.is_err()))
}

fn all(targets: &[Target], flags: &Flags) -> ExitCode {
    let seed = flags.seed.unwrap_or_else(|| SystemRng.u64());
    let share = Duration::from_secs(flags.seconds) / u32::try_from(targets.len()).unwrap_or(u32::MAX);
    println!("seed {seed}, {share:?} each");
    // What panics is told in the end, with its input; not ten thousand times while it is made small.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut failed, mut sum) = (0_u8, 0);
    for target in targets {
        match drive(target, seed, Until { runs: u64::MAX, time: share }) {
            Ok(report) => {
                sum += report.runs;
                println!("{:<18} {report}", target.name);
            }
            Err(failure) => {
                failed = failed.saturating_add(1);
                println!("{}", failure.tell());
            }
        }
    }
    println!("{sum} executions, {failed} targets failed");
    ExitCode::from(u8::from(failed > 0))
}
