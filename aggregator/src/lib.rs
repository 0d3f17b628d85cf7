//! The aggregator of Quorate: receives, stores, judges and serves what the agents see.
//!
//! ```text
//!   receive → store ← query        evaluate ← judge (its task)
//!                └───────── serve ─────┘
//!
//!   peer, limit: who calls, and how much anybody may; for receive and serve
//! ```
//!
//! Agents and people are told apart by the registry in [`identity`], on every call.

mod app;
mod cli;

pub mod agents;
pub mod config;
pub mod evaluate;
pub mod identity;
pub mod judge;
pub mod limit;
pub mod peer;
pub mod query;
pub mod receive;
pub mod serve;
pub mod store;

use clap::Parser;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    quorate_common::program::exit("quorate-aggregator", app::main(cli::Cli::parse()))
}
