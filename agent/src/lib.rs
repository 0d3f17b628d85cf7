//! The agent of Quorate: samples one host once a second and streams what it sees to the aggregator.
//!
//! ```text
//!   sample → encode → spool → session → send ══ mTLS gRPC ══→ aggregator
//!                       └──→ backfill ════════════════════════↗
//! ```
//!
//! It judges nothing, runs no programs, and listens on no port.

pub mod answer;
mod app;
pub mod backfill;
mod cli;
pub mod config;
pub mod doctor;
pub mod encode;
pub mod enrol;
pub mod epoch;
pub mod identity;
pub mod once;
pub mod recorder;
pub mod renew;
pub mod sample;
pub mod send;
pub mod session;
pub mod skew;
pub mod spool;
#[cfg(test)]
mod testing;

use clap::Parser;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    quorate_common::program::exit("quorate-agent", app::main(cli::Cli::parse()))
}
