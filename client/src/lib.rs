//! The command line of Quorate. Asks an aggregator through its public API and shows what it says.
//!
//! ```text
//!   cli ──→ config ──→ conn ──→ view ──→ command ──→ text, table ──→ output
//!  words    target     calls    values   drawing      one line        stdout
//! ```
//!
//! It has no privilege: what it can do, grpcurl with the same certificate can do. Results go to stdout,
//! messages to stderr, and nothing that another machine said reaches a terminal uncleaned.

mod chart;
mod cli;
mod command;
pub mod config;
mod confirm;
mod conn;
mod moment;
mod output;
mod quantity;
mod table;
mod view;

use clap::{CommandFactory, Parser};
use cli::Cli;
use command::token::WrongRole;
use config::ConfigError;
use confirm::Unconfirmed;
use conn::OpenError;
use output::{Output, is_closed_pipe};
use quorate_common::config::Environment;
use quorate_common::program::{CONFIGURATION, SUCCESS, USAGE};
// The look is shared with the doctor of the agent; here it keeps its short names.
use quorate_common::terminal::{mark, text};
use std::process::ExitCode;

/// The words of the command line, for whoever writes documents about them.
pub fn words() -> clap::Command {
    Cli::command()
}

/// Runs the program and gives its exit code: 0 success, 1 failure, 2 wrong usage, 78 bad configuration.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, errors to stderr; clap knows which.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let environment = Environment::capture();
    let failure = cli.command.failure_code();
    let mut output = Output::new(cli.global.output, cli.global.color, &environment);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context("failed to start"))
        .and_then(|runtime| runtime.block_on(command::run(cli, &mut output)));
    ExitCode::from(result.unwrap_or_else(|error| report(&error, failure, &mut output)))
}

/// Says what went wrong, in one line, and gives the exit code for it: `failure` unless it is a special one.
fn report(error: &anyhow::Error, failure: u8, output: &mut Output) -> u8 {
    if is_closed_pipe(error) {
        return SUCCESS;
    }
    match error.downcast_ref() {
        Some(ConfigError::File(file)) => file.problems.iter().for_each(|it| output.message(&it.to_string())),
        _ => output.message(&format!("{error:#}")),
    }
    let credential = matches!(error.downcast_ref(), Some(OpenError::Credential(_)));
    if error.is::<ConfigError>() || credential {
        CONFIGURATION
    } else if error.is::<WrongRole>() || matches!(error.downcast_ref(), Some(Unconfirmed::Nobody(_))) {
        USAGE
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::output::tests::captured;
    use quorate_common::config::{ConfigError as Faults, Problem};
    use quorate_common::tls::TlsError;

    fn check(error: anyhow::Error, code: u8, text: &str) {
        let (mut output, results, messages) = captured(Format::Table);
        assert_eq!(report(&error, 1, &mut output), code);
        assert_eq!((results.text().as_str(), messages.text().as_str()), ("", text));
    }

    #[test]
    fn failures_have_their_codes_and_one_line() {
        let io = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let problem = |message: &str| Problem { place: "a.toml".into(), message: message.into() };
        let faults = ConfigError::from(Faults { problems: vec![problem("one"), problem("two")] });
        check(faults.into(), 78, "quorate: a.toml: one\nquorate: a.toml: two\n");
        let key = TlsError::Read { path: "a.key".into(), source: io() };
        check(OpenError::from(key).into(), 78, "quorate: failed to read `a.key`: entity not found\n");
        let refused = OpenError::Connect("127.0.0.1:7443".into(), "connection refused".into());
        check(refused.into(), 1, "quorate: failed to connect to 127.0.0.1:7443: connection refused\n");
        check(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(), 0, "");
        let nobody = Unconfirmed::Nobody("forget node n1".into());
        check(nobody.into(), 2, "quorate: forget node n1: say --yes where nobody can be asked\n");
        check(Unconfirmed::Declined.into(), 1, "quorate: nothing was changed\n");
    }
}
