//! The words of the command line. Says what may be written, and does nothing.

use crate::config::{Address, Partial};
use crate::quantity::parse_duration;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use quorate_common::telemetry::Colour;
use std::path::PathBuf;
use std::time::Duration;

/// Asks a Quorate aggregator whether your clusters are quorate, healthy, and why not
#[derive(Debug, Parser)]
#[command(name = "quorate", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage, 78 bad configuration.")]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Configuration file [default: ~/.config/quorate/client.toml]
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the aggregator listens [default: 127.0.0.1:7443]
    #[arg(long, global = true, value_name = "HOST:PORT", env = "QUORATE_ADDRESS")]
    pub address: Option<Address>,
    /// Certificates of the authorities that vouch for the aggregator, PEM
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_CA")]
    pub ca: Option<PathBuf>,
    /// Your certificate, PEM
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_CERT")]
    pub cert: Option<PathBuf>,
    /// The key of your certificate, PEM
    #[arg(long, global = true, value_name = "FILE", env = "QUORATE_KEY")]
    pub key: Option<PathBuf>,
    /// How long a call may take [default: 10s]
    #[arg(long, global = true, value_name = "DURATION", env = "QUORATE_TIMEOUT", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    /// How results are written
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Whether to use colour; auto is on a terminal, with NO_COLOR, CLICOLOR_FORCE and TERM=dumb honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_parser = colours())]
    pub color: Colour,
}

impl Global {
    /// What was said about the target.
    pub fn target(&self) -> Partial {
        let Global { address, ca, cert, key, timeout, .. } = self.clone();
        Partial { address, ca, cert, key, timeout }
    }
}

/// The words of [`Colour`], which completions and errors name.
fn colours() -> impl TypedValueParser<Value = Colour> {
    let words = Colour::ALL.iter().map(|colour| colour.as_str());
    PossibleValuesParser::new(words).try_map(|word| word.parse::<Colour>())
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs; the names are those of the protocol.
    Json,
    /// For spreadsheets: a heading, then a row for each thing that is listed.
    Csv,
    /// As JSON, easier to read.
    Yaml,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show health and quorum of all clusters, and why they are not well
    Status(crate::command::status::Args),
    /// List the declared nodes, or change who belongs
    Nodes(crate::command::nodes::Args),
    /// Show one node: facts, components, resources, delivery
    Node(crate::command::node::Args),
    /// Show the state, then every change as it happens
    Watch(crate::command::watch::Args),
    /// Read samples
    Query(crate::command::query::Args),
    /// List when nodes have no samples though they should have, and why
    Gaps(crate::command::gaps::Args),
    /// Show the processes of a node, asked of its agent now
    Ps(crate::command::processes::Args),
    /// Make, list and revoke the tokens that enrol nodes and people
    Token(crate::command::token::Args),
    /// Show who changed what and when, and who was refused
    Audit(crate::command::audit::Args),
    /// Copy everything that another host needs to go on as this aggregator, while it runs
    Backup(crate::command::backup::Args),
    /// Show how the aggregator itself does: configuration, certificates, limits and how often they bit
    Aggregator(crate::command::aggregator::Args),
    /// Run an aggregator and agents of your own on this machine, to look around
    Demo(crate::command::demo::Args),
    /// Find out what keeps you or a node from being heard; exits with 0, 1 (warnings) or 2 (failures)
    Doctor,
    /// Exchange a token for a certificate of your own, so that later commands need no flags
    Enroll(crate::command::enroll::Args),
    /// Check configuration files of this program
    CheckConfig(crate::command::check_config::Args),
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

impl Command {
    /// The exit code of a failure. A state that could not be read is unknown, and must not look degraded to
    /// a script that asked for the state as the exit code.
    pub fn failure_code(&self) -> u8 {
        match self {
            Command::Status(args) if args.exit_code => 3,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    #[test]
    fn clap_agrees_with_itself() {
        Cli::command().debug_assert();
    }

    fn error(line: &str) -> ErrorKind {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        let usage = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        assert_eq!(error.exit_code(), if usage { 2 } else { 0 });
        error.kind()
    }

    #[test]
    fn wrong_usage_is_refused() {
        for (line, kind) in [
            ("quorate", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("quorate statsu", ErrorKind::InvalidSubcommand),
            ("quorate status -o xml", ErrorKind::InvalidValue),
            ("quorate status --address a:0", ErrorKind::ValueValidation),
            ("quorate status --timeout 5", ErrorKind::ValueValidation),
            ("quorate node", ErrorKind::MissingRequiredArgument),
            ("quorate query recent up --seconds 0", ErrorKind::ValueValidation),
            ("quorate query recent up --seconds 901", ErrorKind::ValueValidation),
            ("quorate query recorder n1", ErrorKind::MissingRequiredArgument),
            ("quorate query recorder n1 node_load1 --last 2h", ErrorKind::ValueValidation),
            ("quorate query range", ErrorKind::MissingRequiredArgument),
            ("quorate query range up --start yesterday", ErrorKind::ValueValidation),
            ("quorate query range up --resolution 5m", ErrorKind::InvalidValue),
            ("quorate gaps -n 0", ErrorKind::ValueValidation),
            ("quorate nodes maintenance n1", ErrorKind::MissingRequiredArgument),
            ("quorate nodes maintenance n1 maybe", ErrorKind::InvalidValue),
            ("quorate audit -n 0", ErrorKind::ValueValidation),
            ("quorate audit --since yesterday", ErrorKind::ValueValidation),
            ("quorate backup", ErrorKind::MissingRequiredArgument),
            ("quorate backup a.tar --verify --without-keys", ErrorKind::ArgumentConflict),
            ("quorate token create", ErrorKind::MissingRequiredArgument),
            ("quorate token create --node a --user b --role admin", ErrorKind::ArgumentConflict),
            ("quorate token create --user b", ErrorKind::MissingRequiredArgument),
            ("quorate token create --user b --role admin --zone z", ErrorKind::ArgumentConflict),
            ("quorate status --color maybe", ErrorKind::InvalidValue),
            ("quorate enroll", ErrorKind::MissingRequiredArgument),
            ("quorate demo --agents 0", ErrorKind::ValueValidation),
            ("quorate --version", ErrorKind::DisplayVersion),
        ] {
            assert_eq!(error(line), kind, "{line}");
        }
    }

    #[test]
    fn an_unread_state_is_unknown() {
        for (line, code) in [("quorate status", 1), ("quorate status --exit-code", 3), ("quorate nodes", 1)] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap().command.failure_code(), code);
        }
    }

    #[test]
    fn flags_may_stand_anywhere() {
        for line in ["quorate -o json --address a:1 status", "quorate status --address a:1 -o json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((cli.global.output, cli.global.address), (Format::Json, Some("a:1".parse().unwrap())));
        }
    }
}
