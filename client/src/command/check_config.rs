//! `quorate check-config FILE…`: everything that is wrong, at once, with file and line.

use crate::config::{ConfigError, Partial};
use crate::output::Output;
use crate::text::Text;
use quorate_common::tls::{Credential, load_certificates};
use std::path::{Path, PathBuf};

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The files to check
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Checks all files; 1 if anything is wrong with any.
pub fn run(args: &Args, output: &mut Output) -> anyhow::Result<u8> {
    let faults: Vec<String> = args.files.iter().flat_map(|file| check(file)).collect();
    for fault in &faults {
        output.message(fault);
    }
    if faults.is_empty() {
        let good = |file: &PathBuf| Text::plain(format!("{}: good", file.display()));
        output.lines(&args.files.iter().map(good).collect::<Vec<_>>())?;
    }
    Ok(u8::from(!faults.is_empty()))
}

/// The file itself, then the files that it names.
fn check(file: &Path) -> Vec<String> {
    let partial = match Partial::load(file) {
        Ok(partial) => partial,
        Err(ConfigError::File(error)) => {
            return error.problems.iter().map(ToString::to_string).collect();
        }
        Err(error) => return vec![quorate_common::error::chain(&error)],
    };
    let mut faults = Vec::new();
    let mut note = |error: &dyn std::error::Error| {
        faults.push(format!("{}: {}", file.display(), quorate_common::error::chain(error)));
    };
    if let Some(Err(error)) = partial.ca.as_deref().map(load_certificates) {
        note(&error);
    }
    if let (Some(cert), Some(key)) = (&partial.cert, &partial.key)
        && let Err(error) = Credential::load(cert, key)
    {
        note(&error);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::output::tests::captured;

    #[test]
    fn says_all_that_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let good = write("good.toml", "address = \"a:1\"\n");
        let bad = write("bad.toml", "adress = \"a\"\ntimeout = \"0s\"\n");
        let dangling = write("dangling.toml", "ca = \"absent.crt\"\n");
        let absent = dir.path().join("absent.toml");
        let (mut output, results, _) = captured(Format::Table);
        assert_eq!(run(&Args { files: vec![good.clone()] }, &mut output).unwrap(), 0);
        assert!(results.text().ends_with("good.toml: good\n"));
        let (mut output, results, messages) = captured(Format::Table);
        assert_eq!(run(&Args { files: vec![good, bad, dangling, absent] }, &mut output).unwrap(), 1);
        assert_eq!(results.text(), "");
        let text = messages.text();
        for part in [
            "unknown key `adress`",
            "bad.toml:2:",
            "absent.crt`: No such",
            "absent.toml: failed to read: No such",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.lines().count(), 4);
    }
}
