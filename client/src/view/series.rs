//! Samples of series. Labels are an object here, with `__name__` among them.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::Stamp;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// The newest sample of each series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatestList {
    pub series: Vec<LatestSeries>,
    pub left_out: u64,
    pub warnings: Vec<String>,
}

/// One series and its newest sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatestSeries {
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// The last samples of each series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecentList {
    pub series: Vec<RecentSeries>,
    pub left_out: u64,
    pub warnings: Vec<String>,
}

/// One series and its samples, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecentSeries {
    pub labels: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}

/// A value at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Stamp>,
    pub value: Number,
}

/// A float that JSON can hold: what is not finite is a string, spelled as Prometheus does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value == f64::INFINITY => f.write_str("+Inf"),
            value if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            value => value.fmt(f),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(self) }
    }
}

/// A series as a selector would name it: `node_load1{node="n1"}`.
pub fn series_name(labels: &BTreeMap<String, String>) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(label, _)| *label != "__name__")
        .map(|(label, value)| format!("{label}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    if pairs.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", pairs.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_every_number() {
        let numbers = [1.0, 0.25, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(Number);
        assert_eq!(serde_json::to_string(&numbers).unwrap(), r#"[1.0,0.25,"NaN","+Inf","-Inf"]"#);
    }

    #[test]
    fn names_read_like_selectors() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(series_name(&labels(&[("__name__", "up")])), "up");
        let all = labels(&[("__name__", "node_load1"), ("node", "n\"1"), ("cluster", "a")]);
        assert_eq!(series_name(&all), r#"node_load1{cluster="a",node="n\"1"}"#);
    }
}
