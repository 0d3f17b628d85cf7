//! Labels: sorted name-value pairs that, with a metric name, tell one series from another.

use std::fmt;
use std::sync::Arc;

/// Longest accepted label name or value.
pub const LABEL_BYTES_MAX: usize = 1024;
/// Most labels on one series, the metric name not counted.
pub const LABELS_MAX: usize = 32;

/// A set of labels, sorted by name, with no name twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

/// Why a set of labels was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A name that Prometheus could not name.
    #[error("label name `{0}` is not [a-zA-Z_][a-zA-Z0-9_]*")]
    Name(String),
    /// A name that only the aggregator may set.
    #[error("label name `{0}` is reserved")]
    Reserved(String),
    /// The same name twice.
    #[error("label `{0}` stands twice")]
    Duplicate(String),
    /// A name or value that is too long.
    #[error("label `{name}`: {bytes} bytes, limit {LABEL_BYTES_MAX}")]
    Long {
        /// Which label.
        name: String,
        /// How long.
        bytes: usize,
    },
    /// Too many labels.
    #[error("{0} labels, limit {LABELS_MAX}")]
    Many(usize),
    /// A metric name that Prometheus could not name.
    #[error("metric name `{0}` is not [a-zA-Z_:][a-zA-Z0-9_:]*")]
    Metric(String),
}

impl Labels {
    /// Sorts and checks pairs. Pairs with an empty value are left out: to Prometheus they are the same as absent.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Labels, LabelError>
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> =
            pairs.into_iter().map(|(n, v)| (n.into(), v.into())).filter(|(_, v)| !v.is_empty()).collect();
        pairs.sort();
        if pairs.len() > LABELS_MAX {
            return Err(LabelError::Many(pairs.len()));
        }
        for (name, value) in &pairs {
            check(name, value)?;
        }
        if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(LabelError::Duplicate(twice[0].0.to_string()));
        }
        Ok(Labels(pairs.into()))
    }

    /// The value of a label; `None` if it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    /// How many hold this very set, and not only an equal one.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check(name: &Arc<str>, value: &Arc<str>) -> Result<(), LabelError> {
    for bytes in [name.len(), value.len()] {
        if bytes > LABEL_BYTES_MAX {
            return Err(LabelError::Long { name: name.chars().take(80).collect(), bytes });
        }
    }
    if name.starts_with("__") {
        return Err(LabelError::Reserved(name.to_string()));
    }
    if !is_identifier(name, false) {
        return Err(LabelError::Name(name.to_string()));
    }
    Ok(())
}

/// Whether a text may name a metric.
pub fn check_metric_name(name: &str) -> Result<(), LabelError> {
    let fits = name.len() <= LABEL_BYTES_MAX && is_identifier(name, true);
    if fits { Ok(()) } else { Err(LabelError::Metric(name.chars().take(80).collect())) }
}

fn is_identifier(text: &str, colon: bool) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':');
    let mut bytes = text.bytes();
    bytes.next().is_some_and(first) && bytes.all(|b| first(b) || b.is_ascii_digit())
}

impl fmt::Display for Labels {
    /// As Prometheus writes them: `{a="b",c="d"}`, values escaped; nothing when there are none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        for (at, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}=\"", if at == 0 { "{" } else { "," })?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '"' => f.write_str("\\\"")?,
                    '\n' => f.write_str("\\n")?,
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_escapes_and_leaves_out_empty() {
        let labels = Labels::new([("b", "x\"\\\n"), ("a", "1"), ("c", "")]).unwrap();
        assert_eq!(labels.to_string(), r#"{a="1",b="x\"\\\n"}"#);
        assert_eq!(labels.get("a"), Some("1"));
        assert_eq!(labels.get("c"), None);
    }

    #[test]
    fn refuses_by_name() {
        let check = |pairs: &[(&str, &str)]| Labels::new(pairs.iter().copied()).unwrap_err().to_string();
        assert_eq!(check(&[("a", "1"), ("a", "2")]), "label `a` stands twice");
        assert_eq!(check(&[("__name__", "x")]), "label name `__name__` is reserved");
        assert_eq!(check(&[("1a", "x")]), "label name `1a` is not [a-zA-Z_][a-zA-Z0-9_]*");
        let long = "x".repeat(10_240);
        assert_eq!(check(&[("x", &long)]), "label `x`: 10240 bytes, limit 1024");
    }
}
