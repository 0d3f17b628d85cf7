//! The command line of Quorate. Asks an aggregator through its public API and shows what it says.
//!
//! ```text
//!   cli ──→ config ──→ conn ──→ view ──→ command ──→ text, table ──→ output
//!  words    target     calls    values   drawing      one line        stdout
//! ```
//!
//! It has no privilege: what it can do, grpcurl with the same certificate can do. Results go to stdout,
//! messages to stderr, and nothing that another machine said reaches a terminal uncleaned.

mod cli;
mod command;
mod config;
mod conn;
mod environment;
mod mark;
mod output;
mod quantity;
mod table;
mod text;
mod view;

use clap::{CommandFactory, Parser};
use cli::Cli;
use command::token::WrongRole;
use config::ConfigError;
use conn::OpenError;
use environment::Environment;
use output::{Output, is_closed_pipe};
use std::process::ExitCode;

/// The flags do not fit one another in a way that clap cannot know.
const USAGE: u8 = 2;
/// `EX_CONFIG` of sysexits: the configuration cannot be used.
const BAD_CONFIG: u8 = 78;

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
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let environment = Environment::read();
    let failure = cli.command.failure_code();
    let mut output = Output::new(cli.global.output, cli.global.color, &environment);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context("failed to start"))
        .and_then(|runtime| runtime.block_on(command::run(cli, &environment, &mut output)));
    ExitCode::from(result.unwrap_or_else(|error| report(&error, failure, &mut output)))
}

/// Says what went wrong, in one line, and gives the exit code for it: `failure` unless it is a special one.
fn report(error: &anyhow::Error, failure: u8, output: &mut Output) -> u8 {
    if is_closed_pipe(error) {
        return 0;
    }
    output.message(&format!("{error:#}"));
    let credential = matches!(error.downcast_ref(), Some(OpenError::Credential(_)));
    if error.is::<ConfigError>() || credential {
        BAD_CONFIG
    } else if error.is::<WrongRole>() {
        USAGE
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::conn::TlsError;
    use crate::output::tests::captured;

    fn check(error: anyhow::Error, code: u8, text: &str) {
        let (mut output, results, messages) = captured(Format::Table);
        assert_eq!(report(&error, 1, &mut output), code);
        assert_eq!((results.text().as_str(), messages.text().as_str()), ("", text));
    }

    #[test]
    fn failures_have_their_codes_and_one_line() {
        let io = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let missing = ConfigError::Read("a.toml".into(), io());
        check(missing.into(), 78, "quorate: failed to read `a.toml`: entity not found\n");
        let key = TlsError::Read("a.key".into(), io());
        check(OpenError::from(key).into(), 78, "quorate: failed to read `a.key`: entity not found\n");
        let refused = OpenError::Connect("127.0.0.1:7443".into(), "connection refused".into());
        check(refused.into(), 1, "quorate: failed to connect to 127.0.0.1:7443: connection refused\n");
        check(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(), 0, "");
    }
}
