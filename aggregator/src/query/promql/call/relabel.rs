//! Labels made from labels.

use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::grid::Grid;
use super::super::labels::{LabelSet, NAME};
use super::super::matrix::{Matrix, merge};
use super::sort::text_of;
use promql_parser::parser::Expr;
use regex::{Regex, RegexBuilder};

/// Largest pattern, compiled.
const PATTERN_BYTES_MAX: usize = 1 << 19;

impl Evaluator<'_, '_> {
    /// `label_replace` and `label_join`.
    pub(super) fn relabel(&mut self, name: &str, args: &[&Expr], grid: Grid) -> Result<Matrix, Error> {
        let [arg, texts @ ..] = args else { return Error::data("labels of nothing") };
        let texts: Vec<&str> = texts.iter().filter_map(|text| text_of(text)).collect();
        let change = match (name, texts.as_slice()) {
            ("label_replace", [to, replacement, from, pattern]) => {
                Change::Replace { to, replacement, from, pattern: pattern_of(pattern)? }
            }
            ("label_join", [to, separator, from @ ..]) => Change::Join { to, separator, from },
            _ => return Error::data(format!("{name}: texts are expected")),
        };
        change.check(name)?;
        let mut matrix = self.eval_vector(arg, grid)?;
        for series in &mut matrix {
            if let Some(value) = change.value(&series.labels) {
                series.labels.set(change.to(), &value);
                series.drops_name &= change.to() != NAME;
            }
        }
        merge(matrix)
    }
}

enum Change<'a> {
    Replace { to: &'a str, replacement: &'a str, from: &'a str, pattern: Regex },
    Join { to: &'a str, separator: &'a str, from: &'a [&'a str] },
}

impl Change<'_> {
    fn to(&self) -> &str {
        match self {
            Change::Replace { to, .. } | Change::Join { to, .. } => to,
        }
    }

    /// Any text is a name but an empty one, and one that was no text: the parser replaces what is not UTF-8.
    fn check(&self, name: &str) -> Result<(), Error> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(char::REPLACEMENT_CHARACTER);
        if !is_name(self.to()) {
            return Error::data(format!("invalid destination label name in {name}(): {}", self.to()));
        }
        if let Change::Join { from, .. } = self
            && let Some(from) = from.iter().find(|from| !is_name(from))
        {
            return Error::data(format!("invalid source label name in {name}(): {from}"));
        }
        Ok(())
    }

    /// The new value, if there is one.
    fn value(&self, labels: &LabelSet) -> Option<String> {
        match self {
            Change::Replace { replacement, from, pattern, .. } => {
                let captures = pattern.captures(labels.get(from))?;
                let mut value = String::new();
                captures.expand(replacement, &mut value);
                Some(value)
            }
            Change::Join { separator, from, .. } => {
                let values: Vec<&str> = from.iter().map(|name| labels.get(name)).collect();
                Some(values.join(separator))
            }
        }
    }
}

fn pattern_of(pattern: &str) -> Result<Regex, Error> {
    RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|_| Error::Evaluate(format!("invalid regular expression in label_replace(): {pattern}")))
}
