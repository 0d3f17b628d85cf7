//! Configuration: TOML files, then the environment, into one value, or every mistake at once.
//!
//! ```text
//!   defaults ← conf.d/10-a.toml ← conf.d/20-b.toml ← known names ← QUORATE_SECTION__KEY
//!              (what stands further right wins; tables merge, everything else is replaced)
//! ```
//!
//! This is the only file that reads the environment; everything else is handed an [`Environment`].
//! A configuration type must deny unknown fields and take its defaults for what is absent
//! (`#[serde(default, deny_unknown_fields)]` on every struct), so that each file can be checked alone.

mod document;
mod problem;

pub use problem::{ConfigError, Problem, nearest};

use crate::quantity::Period;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Largest configuration file that is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Most braces in one file.
pub const BRACES_MAX: usize = 4_000;
/// For the parser; only what is used of it is taken.
const STACK_BYTES: usize = 64 << 20;

/// The environment variables of this process, captured once; or, in a test, any others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

/// A configuration, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// The variables that were heeded, each with the key that it sets.
    pub variables: Vec<(String, String)>,
}

/// A variable that other monitoring systems use and that works here too.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// The variable.
    pub name: &'static str,
    /// Which programs heed it.
    pub programs: &'static [&'static str],
    /// The key that it sets, sections joined by dots.
    pub key: &'static str,
    /// What becomes of its text; `None` says that it asks for nothing.
    convert: fn(&str) -> Option<String>,
}

/// Every known name. A name whose key does not exist yet is added together with the key.
pub const ALIASES: &[Alias] = &[
    Alias {
        name: "METRICS_COLLECTION_INTERVAL",
        programs: &["agent"],
        key: "sample.interval_ms",
        convert: seconds_as_millis,
    },
    Alias { name: "DEBUG", programs: PROGRAMS, key: "log.level", convert: debug },
    Alias { name: "LOG_LEVEL", programs: PROGRAMS, key: "log.level", convert: level },
    Alias { name: "STRUCTURED_LOGGING", programs: PROGRAMS, key: "log.format", convert: structured },
];

const PROGRAMS: &[&str] = &["agent", "aggregator"];

impl Environment {
    /// The variables of this process. One that is not UTF-8 is left out: no key of ours could take it.
    #[allow(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
    pub fn capture() -> Environment {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Environment(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable; `None` if it is not set or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl<T> Loaded<T> {
    /// Where the value of a key (sections joined by dots) comes from: `aggregator.toml:12:3`, or a variable. `None`
    /// for a default.
    pub fn place(&self, key: &str) -> Option<String> {
        let within = |outer: &str| key == outer || key.starts_with(&format!("{outer}."));
        let variable = self.variables.iter().rev().find(|(_, set)| within(set)).map(|(name, _)| name.clone());
        variable.or_else(|| {
            let mut nothing = Vec::new();
            self.files.iter().rev().find_map(|file| document::place(file, &read(file, &mut nothing)?, key))
        })
    }

    /// What is wrong with a key that could be read and cannot be used; `message` names it.
    pub fn problem(&self, program: &str, key: &str, message: &str) -> ConfigError {
        let place = self.place(key).unwrap_or_else(|| format!("{program} configuration"));
        ConfigError { problems: vec![Problem { place, message: message.to_owned() }] }
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Environment {
        Environment(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// The path in a variable of this process; `None` if it is not set or empty. Need not be UTF-8.
#[allow(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub fn environment_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Loads one file, or the `*.toml` of a directory in the order of their names, and the environment.
///
/// `program` is `agent`, `aggregator` or `client`, and decides which known names count.
pub fn load<T>(
    program: &str,
    path: Option<&Path>,
    environment: &Environment,
) -> Result<Loaded<T>, ConfigError>
where
    T: DeserializeOwned + Default,
{
    load_all(program, path.as_slice(), environment)
}

/// Loads several files or directories in the order given, and the environment.
pub fn load_all<T>(
    program: &str,
    paths: &[&Path],
    environment: &Environment,
) -> Result<Loaded<T>, ConfigError>
where
    T: DeserializeOwned + Default,
{
    let (mut problems, mut files, mut merged) = (Vec::new(), Vec::new(), Table::new());
    for file in paths.iter().flat_map(|path| expand(path, &mut problems)).collect::<Vec<_>>() {
        if let Some(text) = read(&file, &mut problems) {
            match parse::<T>(&file, &text) {
                Ok((found, table)) => {
                    problems.extend(found);
                    merge(&mut merged, table);
                }
                Err(error) => problems.push(Problem::unreadable(&file, &error)),
            }
        }
        files.push(file);
    }
    let mut variables = Vec::new();
    for (name, key, text) in overrides(program, environment) {
        match typed::<T>(&key, &text) {
            Ok(value) => merge(&mut merged, nest(&key, value)),
            Err(error) => problems.push(Problem::in_variable(&name, &key.join("."), error.message())),
        }
        variables.push((name, key.join(".")));
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    match T::deserialize(merged) {
        Ok(value) => Ok(Loaded { value, files, variables }),
        Err(error) => Err(ConfigError { problems: vec![Problem::in_whole(program, error.message())] }),
    }
}

/// The file itself, or the configuration files of a directory.
fn expand(path: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let listed = std::fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
    });
    let mut files = listed.unwrap_or_else(|error| {
        problems.push(Problem::unreadable(path, &error));
        Vec::new()
    });
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn read(file: &Path, problems: &mut Vec<Problem>) -> Option<String> {
    let mut text = String::new();
    let limited = File::open(file).and_then(|opened| {
        // Asked of the open file, so that it cannot be another one by the time it is read.
        let mode = opened.metadata()?.permissions().mode() & 0o7777;
        Ok((mode, opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?))
    });
    match limited {
        // Whoever may write it says what the program does.
        Ok((mode, _)) if mode & 0o022 != 0 => problems.push(Problem::exposed(file, mode)),
        Ok((_, bytes)) if bytes as u64 <= FILE_BYTES_MAX => return Some(text),
        Ok(_) => problems.push(Problem::large(file)),
        Err(error) => problems.push(Problem::unreadable(file, &error)),
    }
    None
}

/// What is wrong with a file, and what stands in it.
///
/// In a broken file the parser forgets how deep it is and takes 5 KiB of stack for each brace: it is given a
/// stack that all of them fit into.
fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> std::io::Result<(Vec<Problem>, Table)> {
    if text.matches('{').count() > BRACES_MAX {
        return Ok((vec![Problem::nested(file)], Table::new()));
    }
    let run = || (document::check::<T>(file, text), text.parse().unwrap_or_default());
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let parsed = std::thread::scope(|scope| thread.spawn_scoped(scope, run).map(|thread| thread.join()))?;
    parsed.map_err(|_| std::io::Error::other("the parser ended before the file"))
}

/// Tables merge key by key; everything else, lists too, is replaced.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// What the environment says, weakest first: (variable, key, text).
fn overrides(program: &str, environment: &Environment) -> Vec<(String, Vec<String>, String)> {
    let known = ALIASES.iter().filter(|alias| alias.programs.contains(&program)).filter_map(|alias| {
        let text = (alias.convert)(environment.get(alias.name)?)?;
        Some((alias.name.to_owned(), alias.key.split('.').map(String::from).collect(), text))
    });
    let ours = environment.0.iter().filter_map(|(name, text)| {
        let rest = name.strip_prefix("QUORATE_")?;
        // `QUORATE__KEY` is a key outside every section; without two underscores it is no key of ours.
        let path = rest.strip_prefix('_').or_else(|| rest.contains("__").then_some(rest))?.to_lowercase();
        Some((name.clone(), path.split("__").map(String::from).collect(), text.clone()))
    });
    known.chain(ours).collect()
}

/// The text as whichever value the key takes: as TOML reads it, else as a string.
fn typed<T: DeserializeOwned>(key: &[String], text: &str) -> Result<Value, toml::de::Error> {
    let string = Value::String(text.to_owned());
    let read = format!("value = {text}").parse::<Table>().ok().filter(|table| table.len() == 1);
    let candidate = read.and_then(|mut table| table.remove("value")).unwrap_or_else(|| string.clone());
    match T::deserialize(nest(key, candidate.clone())) {
        Ok(_) => Ok(candidate),
        Err(error) => T::deserialize(nest(key, string.clone())).map(|_| string).map_err(|_| error),
    }
}

/// A document with nothing but this key.
fn nest(key: &[String], value: Value) -> Table {
    let inner =
        key.iter().rev().fold(value, |value, part| Value::Table(Table::from_iter([(part.clone(), value)])));
    match inner {
        Value::Table(table) => table,
        _ => Table::new(),
    }
}

/// Bare numbers are seconds there; a duration with a unit is understood too.
fn seconds_as_millis(text: &str) -> Option<String> {
    let bare = text.parse().ok().and_then(|seconds: u64| seconds.checked_mul(1000));
    let ms = bare.or_else(|| text.parse().ok().map(Period::as_millis));
    Some(ms.map_or_else(|| text.to_owned(), |ms| ms.to_string()))
}

fn level(text: &str) -> Option<String> {
    let word = text.to_lowercase();
    Some(match word.as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        _ => word,
    })
}

/// Other programs give this name other meanings, so only a clear yes counts.
fn debug(text: &str) -> Option<String> {
    is_yes(text).then(|| "debug".to_owned())
}

fn structured(text: &str) -> Option<String> {
    Some(if is_yes(text) { "json" } else { "text" }.to_owned())
}

fn is_yes(text: &str) -> bool {
    matches!(text.to_lowercase().as_str(), "1" | "true" | "yes" | "on")
}

#[cfg(test)]
mod tests;
