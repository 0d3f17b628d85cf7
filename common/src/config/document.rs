//! One configuration file, checked alone, with all its mistakes.
//!
//! The parser stops at the first key that does not fit. So that key is taken out and the rest is
//! read again, until it fits or nothing more can be taken out.

use super::problem::{Problem, phrase};
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

/// Most mistakes told about one file.
const PROBLEMS_MAX: usize = 50;

/// What is wrong with a file; empty if nothing is.
pub(super) fn check<T: DeserializeOwned>(file: &Path, text: &str) -> Vec<Problem> {
    let (mut document, errors) = DeTable::parse_recoverable(text);
    let place = |error: &Error| error.span().map_or(0, |span| span.start);
    let broken = |error: &Error| Problem::at(file, text, place(error), phrase("", error.message()));
    if !errors.is_empty() {
        return errors.iter().take(PROBLEMS_MAX).map(broken).collect();
    }
    let mut problems = Vec::new();
    while let Err(error) = T::deserialize(toml::Deserializer::from(document.clone())) {
        let mut path = Vec::new();
        let found = error.span().is_some_and(|span| take_out(document.get_mut(), &span, &mut path));
        path.reverse();
        problems.push(Problem::at(file, text, place(&error), phrase(&path.join("."), error.message())));
        if !found || problems.len() == PROBLEMS_MAX {
            break;
        }
    }
    problems
}

/// Where in a file a key has its value; `None` if it is not there. The file was found readable before.
pub(super) fn place(file: &Path, text: &str, key: &str) -> Option<String> {
    let (document, _) = DeTable::parse_recoverable(text);
    let mut table = document.get_ref();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let (_, value) = table.iter().find(|(name, _)| name.get_ref() == part)?;
        match value.get_ref() {
            DeValue::Table(inner) if parts.peek().is_some() => table = inner,
            _ => return Some(Problem::at(file, text, value.span().start, String::new()).place),
        }
    }
    None
}

/// Removes the innermost entry that covers `span`, and tells the keys to it, innermost first.
fn take_out(table: &mut DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    let mut hit = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref().to_string();
        if take_out_below(value, span, path) {
            path.push(name);
            return true;
        }
        if key.span() == *span || covers(&value.span(), span) {
            hit = Some((key.clone(), name));
        }
    }
    hit.is_some_and(|(key, name)| {
        path.push(name);
        table.remove(&key).is_some()
    })
}

fn take_out_below(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => take_out(table, span, path),
        DeValue::Array(items) => items.iter_mut().any(|item| take_out_below(item, span, path)),
        _ => false,
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
