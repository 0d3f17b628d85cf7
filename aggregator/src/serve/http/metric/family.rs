//! A family: one metric, and all its values.

use quorate_common::catalog::MetricDef;
use quorate_common::model::series::MetricKind;
use quorate_common::model::time::WallTime;
use std::borrow::Cow;

/// One metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, `_total` included.
    pub name: Cow<'static, str>,
    /// One sentence; empty if nobody wrote one.
    pub help: &'static str,
    /// `None` if it is not ours to say.
    pub kind: Option<MetricKind>,
    /// Its values.
    pub points: Vec<Point>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Names and values, without that of the metric.
    pub labels: Vec<(Cow<'static, str>, String)>,
    /// The value.
    pub value: f64,
    /// When it was sampled; `None` for now.
    pub at: Option<WallTime>,
}

impl Family {
    /// One of ours, with no values yet.
    pub fn of(def: &'static MetricDef) -> Family {
        Family { name: def.name.into(), help: def.help, kind: Some(def.kind), points: Vec::new() }
    }

    /// One of ours, with a single value.
    pub fn single(def: &'static MetricDef, value: f64) -> Family {
        Family::of(def).with(&[], value)
    }

    /// One value more.
    pub fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Family {
        self.push(labels, value);
        self
    }

    /// One value more.
    pub fn push(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (Cow::Borrowed(*name), (*value).to_owned())).collect();
        self.points.push(Point { labels, value, at: None });
    }
}

/// Yes or no as a value.
pub fn yes(is: bool) -> f64 {
    f64::from(u8::from(is))
}
