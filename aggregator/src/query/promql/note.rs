//! What a query says beside its result: warnings and infos, in the words of Prometheus.

use super::native::Joined;
use std::collections::BTreeSet;

/// Most notes of a kind: a query over thousands of series says the same of each.
const NOTES_MAX: usize = 100;

/// Warnings and infos, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Something is likely wrong.
    pub warnings: BTreeSet<String>,
    /// Something may be wrong.
    pub infos: BTreeSet<String>,
}

impl Notes {
    /// Adds a warning about the expression at a position, such as `1:7`.
    pub fn warn(&mut self, text: impl AsRef<str>, position: &str) {
        if self.warnings.len() < NOTES_MAX {
            self.warnings.insert(format!("PromQL warning: {} ({position})", text.as_ref()));
        }
    }

    /// Adds an info about the expression at a position.
    pub fn inform(&mut self, text: impl AsRef<str>, position: &str) {
        if self.infos.len() < NOTES_MAX {
            self.infos.insert(format!("PromQL info: {} ({position})", text.as_ref()));
        }
    }
}

impl Notes {
    /// Says what was odd about native histograms that were joined by an operation.
    pub fn joined(&mut self, joined: Joined, operation: &str, position: &str) {
        if joined.is_reconciled {
            let text = format!("mismatched custom buckets were reconciled during {operation}");
            self.inform(text, position);
        }
        if joined.is_collided {
            self.warn(format!("conflicting counter resets during histogram {operation}"), position);
        }
    }

    /// Says that native histograms could not be joined.
    pub fn incompatible(&mut self, metric: &str, position: &str) {
        let text = "vector contains a mix of histograms with exponential and custom buckets schemas";
        self.warn(of_metric(text, metric), position);
    }
}

/// How a message names a metric.
pub fn of_metric(text: &str, name: &str) -> String {
    if name.is_empty() { text.to_owned() } else { format!("{text} for metric name {name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_each_once() {
        let mut notes = Notes::default();
        for _ in 0..2 {
            notes.warn(of_metric("odd", "x"), "1:7");
        }
        assert_eq!(Vec::from_iter(notes.warnings), [r#"PromQL warning: odd for metric name "x" (1:7)"#]);
    }
}
