//! How a program of ours begins and ends: its exit codes, and the one place where its last error is printed.

use crate::error::chain;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::process::ExitCode;

/// Everything went as it should.
pub const SUCCESS: u8 = 0;
/// It did not.
pub const FAILURE: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The configuration is wrong: starting again would not help.
pub const CONFIGURATION: u8 = 78;

/// The way a program ended.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong; one line for each problem.
    Configuration(String),
    /// Something failed.
    Failed(String),
    /// Nothing failed: this exit code is the verdict, and was explained where it was found.
    Verdict(u8),
}

impl Failure {
    /// The configuration is wrong.
    pub fn configuration(error: &dyn Error) -> Failure {
        Failure::Configuration(chain(error))
    }

    /// Something failed.
    pub fn failed(error: &dyn Error) -> Failure {
        Failure::Failed(chain(error))
    }
}

/// Raises the soft limit of open files to the hard one, and gives the number that holds then; `None` is without
/// limit. The soft one is 1024 almost everywhere, for the sake of programs that wait with `select`.
pub fn raise_descriptors() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if raised.is_ok() { maximum } else { current }
}

/// Prints how a program failed, if it did, and gives its exit code.
#[allow(clippy::print_stderr, reason = "the last word of a program, whether or not events are told")]
pub fn exit(program: &str, result: Result<(), Failure>) -> ExitCode {
    let (text, code) = match result {
        Ok(()) => return ExitCode::from(SUCCESS),
        Err(Failure::Verdict(code)) => return ExitCode::from(code),
        Err(Failure::Configuration(text)) => (text, CONFIGURATION),
        Err(Failure::Failed(text)) => (text, FAILURE),
    };
    for line in text.lines() {
        eprintln!("{program}: {line}");
    }
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_are_allowed() {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: current.map(|files| files / 2), maximum }).unwrap();
        assert_eq!(raise_descriptors(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
