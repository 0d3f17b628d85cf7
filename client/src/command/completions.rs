//! `quorate completions SHELL`: the script that completes our words.

use crate::cli::Cli;
use crate::output::Output;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Prints the script.
pub fn run(shell: Shell, output: &mut Output) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "quorate", &mut script);
    output.raw(&script)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::output::tests::captured;
    use clap::ValueEnum;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in Shell::value_variants() {
            let (mut output, results, _) = captured(Format::Table);
            assert_eq!(run(*shell, &mut output).unwrap(), 0);
            for command in Cli::command().get_subcommands() {
                assert!(results.text().contains(command.get_name()), "{shell} {}", command.get_name());
            }
        }
    }
}
