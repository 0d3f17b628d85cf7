//! `make fuzz`: hands every decoder what nobody would write, for as long as one likes.
//!
//! The nightly compiler that would steer by coverage is not needed: inputs are drawn from real ones, see
//! `drive.rs`. The tests run the same for a moment, see `small.rs`.
//!
//! Each target runs in a process of its own: one that overflows its stack ends it, is run again under the same
//! seed with every input written down first, and so tells by which.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target says by panicking what is wrong")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is what it is run for")]

mod drive;
mod mutate;
mod target;

use clap::Parser;
use drive::{Until, drive, replay};
use quorate_common::rng::{Rng, SystemRng};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
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
    /// Runs this one input and nothing else.
    #[arg(long, requires = "target")]
    file: Option<PathBuf>,
    /// Writes every input down before it is run; slow.
    #[arg(long, requires = "target")]
    trace: bool,
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
    // What panics is told in the end, with its input; not ten thousand times while it is made small.
    std::panic::set_hook(Box::new(|_| {}));
    let seed = flags.seed.unwrap_or_else(|| SystemRng.u64());
    match (&flags.target, &flags.file) {
        (Some(_), Some(file)) => one(&targets[0], file),
        (Some(_), None) => drawn(&targets[0], seed, &flags),
        _ => all(&targets, seed, flags.seconds),
    }
}

fn one(target: &Target, file: &PathBuf) -> ExitCode {
    let input = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let outcome = replay(target, &input);
    println!("{}: {outcome:?}", target.name);
    ExitCode::from(u8::from(outcome.is_err()))
}

fn drawn(target: &Target, seed: u64, flags: &Flags) -> ExitCode {
    let until = Until { runs: u64::MAX, time: Duration::from_secs(flags.seconds), is_traced: flags.trace };
    match drive(target, seed, until) {
        Ok(report) => {
            println!("{:<18} {report}", target.name);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}", failure.tell());
            ExitCode::FAILURE
        }
    }
}

fn all(targets: &[Target], seed: u64, seconds: u64) -> ExitCode {
    let share = (seconds / targets.len() as u64).max(1);
    println!("seed {seed}, {share} s each");
    let mut failed = 0;
    for target in targets {
        let ended = child(target, seed, share, &[]);
        failed += u32::from(!ended.success());
        if ended.code().is_none() {
            // Slower, so that it needs longer to come to the same place.
            child(target, seed, share * 20, &["--trace"]);
            println!("{}: {ended}, by {}", target.name, drive::trace(target.name).display());
        }
    }
    println!("{failed} of {} targets failed", targets.len());
    ExitCode::from(u8::from(failed > 0))
}

fn child(target: &Target, seed: u64, seconds: u64, more: &[&str]) -> ExitStatus {
    let program = std::env::current_exe().unwrap();
    let numbers = (seed.to_string(), seconds.to_string());
    let args = ["--target", target.name, "--seed", &numbers.0, "--seconds", &numbers.1];
    Command::new(program).args(args).args(more).status().unwrap()
}
