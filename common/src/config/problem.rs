//! What is wrong with a configuration, in one line each, beginning with where.

use std::fmt;
use std::path::Path;

/// Everything that is wrong with a configuration; at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `agent.toml:12:3`, a path, or the name of a variable.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    /// One line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl Problem {
    /// At a byte of a file; `key` is the path of keys to it, as far as it is known.
    pub(super) fn at(file: &Path, text: &str, byte: usize, message: String) -> Problem {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Problem { place: format!("{}:{line}:{column}", file.display()), message }
    }

    pub(super) fn in_variable(name: &str, key: &str, message: &str) -> Problem {
        Problem { place: name.to_owned(), message: phrase(key, message) }
    }

    pub(super) fn in_whole(program: &str, message: &str) -> Problem {
        Problem { place: format!("{program} configuration"), message: phrase("", message) }
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
        Problem { place: path.display().to_string(), message: format!("failed to read: {error}") }
    }

    pub(super) fn exposed(path: &Path, mode: u32) -> Problem {
        let message = format!("has mode {mode:04o}, expected 0644 or less: others may write it");
        Problem { place: path.display().to_string(), message }
    }

    pub(super) fn large(path: &Path) -> Problem {
        let message = format!("larger than {} bytes", super::FILE_BYTES_MAX);
        Problem { place: path.display().to_string(), message }
    }

    pub(super) fn nested(path: &Path) -> Problem {
        let message = format!("more than {} braces: write tables as sections", super::BRACES_MAX);
        Problem { place: path.display().to_string(), message }
    }
}

/// The parser's message in our words, with the key named and the nearest known key suggested.
pub(super) fn phrase(key: &str, message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let Some((field, known)) = line.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, "))
    else {
        return if key.is_empty() { line.to_owned() } else { format!("`{key}`: {line}") };
    };
    let section = key.strip_suffix(field).and_then(|section| section.strip_suffix('.'));
    let place = section.map(|section| format!(" in [{section}]")).unwrap_or_default();
    format!("unknown key `{field}`{place}, {}", advice(field, known))
}

/// The known name that was probably meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let score = |known: &str| {
        let prefix = known.starts_with(name) || name.starts_with(known);
        strsim::jaro_winkler(name, known) + if prefix { 1.0 } else { 0.0 }
    };
    let nearest = known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)));
    nearest.filter(|nearest| score(nearest) > 0.8)
}

/// `known` is the parser's list: "expected one of `a`, `b`", "expected `a`" or "there are no fields".
fn advice(field: &str, known: &str) -> String {
    let names: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    match nearest(field, &names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => known.replace('`', ""),
    }
}
