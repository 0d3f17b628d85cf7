//! The labels of a series in a query: sorted, `__name__` among them, and free to take any name.

use std::fmt;
use std::sync::Arc;

/// The label that holds the name of a metric.
pub const NAME: &str = "__name__";

/// Labels sorted by name, none twice, none empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelSet(Vec<(Arc<str>, Arc<str>)>);

impl LabelSet {
    /// Sorts pairs; the first of those with the same name stays, those without a value do not.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> LabelSet
    where
        N: Into<Arc<str>>,
        V: Into<Arc<str>>,
    {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        pairs.dedup_by(|left, right| left.0 == right.0);
        LabelSet(pairs)
    }

    /// The value of a label; empty if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).ok().and_then(|at| self.0.get(at)).map_or("", |(_, value)| value)
    }

    /// The name of the metric; empty if there is none.
    pub fn name(&self) -> &str {
        self.get(NAME)
    }

    /// Sets a label, or removes it if the value is empty.
    pub fn set(&mut self, name: &str, value: &str) {
        match (self.find(name), value.is_empty()) {
            (Ok(at), true) => drop(self.0.remove(at)),
            (Ok(at), false) => {
                if let Some(pair) = self.0.get_mut(at) {
                    pair.1 = value.into();
                }
            }
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (name.into(), value.into())),
        }
    }

    /// The same without one label.
    pub fn without(&self, name: &str) -> LabelSet {
        LabelSet(self.0.iter().filter(|(own, _)| **own != *name).cloned().collect())
    }

    /// Only the labels that are listed.
    pub fn keep(&self, names: &[String]) -> LabelSet {
        LabelSet(self.0.iter().filter(|(own, _)| names.iter().any(|name| **own == **name)).cloned().collect())
    }

    /// All labels but those listed and `__name__`.
    pub fn ignore(&self, names: &[String]) -> LabelSet {
        let is_kept = |own: &str| own != NAME && !names.iter().any(|name| own == *name);
        LabelSet(self.0.iter().filter(|(own, _)| is_kept(own)).cloned().collect())
    }

    /// Names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| (**own).cmp(name))
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_removes_and_shows() {
        let mut labels = LabelSet::new([("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(labels.to_string(), r#"{a="1", b="2"}"#);
        labels.set("a", "");
        labels.set(NAME, "x");
        assert_eq!(labels.to_string(), r#"{__name__="x", b="2"}"#);
        assert_eq!(labels.ignore(&[]).to_string(), r#"{b="2"}"#);
        assert_eq!(labels.keep(&[NAME.to_owned()]).name(), "x");
    }
}
