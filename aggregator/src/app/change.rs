//! What differs between two configurations, key by key, for the audit log.

use crate::config::Config;
use serde_json::Value;
use std::collections::BTreeMap;

/// More stand in no line: who has changed everything is told how much.
const TOLD_MAX: usize = 20;

/// `limits.door.connections_max: 20000 → 5, …`; empty if they are the same.
pub(super) fn changes(old: &Config, new: &Config) -> String {
    let (old, new) = (leaves(old), leaves(new));
    let all: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|key| (key, ())).collect();
    let shown = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let mut told: Vec<String> = all
        .into_keys()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| format!("{key}: {} → {}", shown(old.get(key)), shown(new.get(key))))
        .collect();
    let untold = told.len().saturating_sub(TOLD_MAX);
    told.truncate(TOLD_MAX);
    if untold > 0 {
        told.push(format!("and {untold} more"));
    }
    told.join(", ")
}

/// Every value by its keys, joined by dots.
fn leaves(config: &Config) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    // A configuration is made of texts, numbers and tables, which can always be written.
    collect("", serde_json::to_value(config).unwrap_or_default(), &mut leaves);
    leaves
}

fn collect(path: &str, value: Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key } else { format!("{path}.{key}") };
                collect(&path, value, leaves);
            }
        }
        value => drop(leaves.insert(path.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_key_that_differs() {
        let old = Config::default();
        let mut new = old.clone();
        assert_eq!(changes(&old, &new), "");
        new.limits.door.connections_max = 5;
        new.advertise.grpc = vec!["agg:7443".into()];
        new.evaluate.quorum_need.insert("default".into(), 2.try_into().unwrap());
        assert_eq!(
            changes(&old, &new),
            "advertise.grpc: [] → [\"agg:7443\"], evaluate.quorum_need.default: nothing → 2, \
             limits.door.connections_max: 20000 → 5"
        );
        assert!(changes(&new, &old).contains("evaluate.quorum_need.default: 2 → nothing"));
    }

    #[test]
    fn one_line_however_much_differs() {
        let old = Config::default();
        let mut new = old.clone();
        new.evaluate.quorum_need = (0..100).map(|at| (format!("c{at}"), 1.try_into().unwrap())).collect();
        let told = changes(&old, &new);
        assert!(told.ends_with(", and 80 more") && told.matches('→').count() == TOLD_MAX, "{told}");
    }
}
