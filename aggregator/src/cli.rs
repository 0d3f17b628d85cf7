//! Flags of the aggregator.

use clap::{Args, Parser, Subcommand};
use quorate_common::telemetry::{Format, Level};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Receives, stores, judges and serves what the agents see.
#[derive(Debug, Parser)]
#[command(name = "quorate-aggregator", version, args_conflicts_with_subcommands = true)]
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
    /// Serves until told to stop.
    Run(Run),
    /// Makes authority, server certificate, registry and the first admin credential.
    Init(Init),
    /// Changes the authority: one root follows another.
    #[command(subcommand)]
    Ca(Ca),
    /// Makes a backup the state of this host; the aggregator must not run.
    Restore(Restore),
    /// Says what is wrong with the configuration, if anything.
    CheckConfig {
        /// Flags that all commands have.
        #[command(flatten)]
        common: Common,
    },
}

/// What becomes of the authority. A running aggregator sees it when it reloads.
#[derive(Debug, Subcommand)]
pub enum Ca {
    /// Makes another root, trusted beside the old one; what is signed from then on is signed under it.
    Roll {
        /// Flags that all commands have.
        #[command(flatten)]
        common: Common,
    },
    /// Stops trusting the old root, once nothing that was signed under it is in use.
    Retire {
        /// Even if somebody still has a certificate under it.
        #[arg(long)]
        force: bool,
        /// Flags that all commands have.
        #[command(flatten)]
        common: Common,
    },
}

/// Flags of `run`.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// Where to listen for agents and clients.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_grpc: Option<SocketAddr>,
    /// Where to listen for enrolment.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_enrol: Option<SocketAddr>,
    /// Where to listen for HTTP.
    #[arg(long, value_name = "ADDRESS")]
    pub listen_http: Option<SocketAddr>,
    /// A file to write, once it listens, with its addresses and its process number.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Stops when standard input ends.
    #[arg(long)]
    pub stop_on_stdin_eof: bool,
    /// Flags that all commands have.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `init`.
#[derive(Args, Clone, Debug)]
pub struct Init {
    /// The name of this aggregator, in its certificate.
    #[arg(long, default_value = "aggregator")]
    pub name: String,
    /// Host names and IP addresses that agents and clients reach it by, without port.
    #[arg(long, value_delimiter = ',', required_unless_present = "recover")]
    pub address: Vec<String>,
    /// What its authority vouches for.
    #[arg(long, default_value = "quorate")]
    pub trust_domain: String,
    /// Makes another admin credential instead; the one before is refused from then on.
    #[arg(long, conflicts_with = "address")]
    pub recover: bool,
    /// Flags that all commands have.
    #[command(flatten)]
    pub common: Common,
}

/// Flags of `restore`.
#[derive(Args, Clone, Debug)]
pub struct Restore {
    /// The file that `quorate backup` made.
    #[arg(value_name = "FILE")]
    pub from: PathBuf,
    /// Puts what is in the state directory aside, into `before-restore-N` there.
    #[arg(long, conflicts_with = "check")]
    pub force: bool,
    /// Only reads the backup, and says whether it is whole.
    #[arg(long)]
    pub check: bool,
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
    /// Where authority, certificates and registry are kept.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The least severe events that are told.
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<Level>,
    /// How events are told: auto, text or json.
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<Format>,
}
