//! Asking before something that cannot be undone: on a terminal by a question, in a script by `--yes`.
//!
//! Where nobody can be asked and nobody said `--yes`, it is not done: a script that forgot the flag should
//! fail at its first run, not be surprised at its hundredth.

use crate::output::Output;
use std::io::{self, BufRead, IsTerminal};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256;

/// Who says whether it may be done.
pub enum Consent {
    /// It was said on the command line.
    Given,
    /// Somebody who can be asked.
    Ask(Box<dyn BufRead>),
    /// Nobody.
    Nobody,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Unconfirmed {
    /// There is no terminal.
    #[error("{0}: say --yes where nobody can be asked")]
    Nobody(String),
    /// The answer was no, or none.
    #[error("nothing was changed")]
    Declined,
    /// The answer could not be read.
    #[error("failed to read the answer")]
    Read(#[from] io::Error),
}

impl Consent {
    /// As the command line and the terminal have it.
    pub fn new(yes: bool) -> Consent {
        match yes {
            true => Consent::Given,
            false if io::stdin().is_terminal() && io::stderr().is_terminal() => {
                Consent::Ask(Box::new(io::stdin().lock()))
            }
            false => Consent::Nobody,
        }
    }

    /// Asks whether to do `what`, unless that is clear. Only a clear yes is one.
    pub fn confirm(self, what: &str, output: &mut Output) -> Result<(), Unconfirmed> {
        let mut input = match self {
            Consent::Given => return Ok(()),
            Consent::Nobody => return Err(Unconfirmed::Nobody(what.to_owned())),
            Consent::Ask(input) => input,
        };
        output.message(&format!("{what}? [y/N]"));
        let mut answer = String::new();
        io::Read::take(&mut input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Unconfirmed::Declined),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::output::tests::captured;

    fn check(consent: Consent, expect: Result<(), &str>, asked: &str) {
        let (mut output, results, messages) = captured(Format::Table);
        let answer = consent.confirm("forget node n1", &mut output);
        assert_eq!(answer.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
        assert_eq!((results.text().as_str(), messages.text().as_str()), ("", asked));
    }

    #[test]
    fn only_a_clear_yes_is_one() {
        let question = "quorate: forget node n1? [y/N]\n";
        let said = |text: &'static str| Consent::Ask(Box::new(text.as_bytes()));
        for yes in ["y\n", "Yes\r\n", " YES "] {
            check(said(yes), Ok(()), question);
        }
        for no in ["", "\n", "n\n", "yess\n", "yes please\n", "\0y\n"] {
            check(said(no), Err("nothing was changed"), question);
        }
        check(Consent::Given, Ok(()), "");
        check(Consent::Nobody, Err("forget node n1: say --yes where nobody can be asked"), "");
    }
}
