//! History: a value for each step of a series.

#![allow(missing_docs, reason = "the fields are those of the protocol and explained there")]

use super::{Gap, Sample, Stamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a range query found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RangeAnswer {
    pub start: Stamp,
    pub end: Stamp,
    pub step_ms: u64,
    /// `raw`, `1m` or `1h`, or `unknown` to this client.
    pub resolution: &'static str,
    pub series: Vec<RangeSeries>,
    pub left_out: u64,
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
    pub gaps: Vec<Gap>,
}

/// One series; a step without a value has no sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RangeSeries {
    pub labels: BTreeMap<String, String>,
    pub samples: Vec<Sample>,
}
