//! Flags of the agent.

use clap::{Args, Parser, Subcommand, ValueEnum};
use quorate_common::telemetry::{Format, Level};
use std::path::PathBuf;

/// Samples this host once a second and streams it to the aggregator.
#[derive(Debug, Parser)]
#[command(name = "quorate-agent", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `run` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `run`.
    #[command(flatten)]
    pub run: Run,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Samples and streams until told to stop.
    Run(Run),
    /// Exchanges a token for a certificate.
    Enroll {
        /// The token that `quorate token create` printed.
        #[arg(long)]
        token: String,
        /// Flags that all commands have.
        #[command(flatten)]
        common: Common,
    },
    /// Finds out what keeps this node from being sampled and heard; exits with 0, 1 (warnings) or 2 (failures).
    Doctor {
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
        /// Flags that all commands have.
        #[command(flatten)]
        common: Common,
    },
    /// Says what is wrong with the configuration, if anything.
    CheckConfig {
        /// Flags that all commands have.
        #[command(flatten)]
        common: Common,
    },
}

/// Flags of `run`.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Prints one round of samples and ends; needs no aggregator.
    #[arg(long)]
    pub once: bool,
    /// How `--once` prints.
    #[arg(long, value_enum, default_value = "text", requires = "once")]
    pub format: OnceFormat,
    /// Stops when standard input ends.
    #[arg(long)]
    pub stop_on_stdin_eof: bool,
    /// Flags that all commands have.
    #[command(flatten)]
    pub common: Common,
}

/// Flags that all commands have.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Configuration: a file, or a directory of `*.toml`.
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Where certificate, key and epoch are kept.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The least severe events that are told.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<Level>,
    /// How events are told: auto, text or json.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<Format>,
}

/// How one round is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnceFormat {
    /// As Prometheus scrapes it.
    Text,
    /// One JSON document.
    Json,
}
