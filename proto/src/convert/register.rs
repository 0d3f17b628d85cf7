//! Registration of series: on the wire every text and every metric stands once, in tables.

use super::{ConvertError, pair, word};
use crate::v1;
use quorate_common::model::label::{Labels, check_metric_name};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
use quorate_common::model::session::{Register, RegisterGroup};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

pair!(MetricKind, MetricKind, "metrics.kind", { Counter, Gauge });
pair!(SeriesClass, SeriesClass, "groups.class", { System, Process, Other });

/// Longest accepted sampling interval.
const INTERVAL_MS_MAX: u32 = 3_600_000;
/// Longest accepted name of a collector.
const COLLECTOR_BYTES_MAX: usize = 64;

/// What a registration may hold at most; the message size bounds the rest.
#[derive(Clone, Copy, Debug)]
pub struct RegisterLimits {
    /// Series in one message.
    pub series_max: usize,
}

impl From<&Register> for v1::Register {
    fn from(register: &Register) -> Self {
        let mut strings = Table::default();
        let mut metrics = Table::default();
        let groups =
            register.groups.iter().map(|group| group_to_wire(group, &mut strings, &mut metrics)).collect();
        let metrics = metrics
            .items
            .iter()
            .map(|metric| {
                let (float, scale, unit) = match metric.form {
                    CellForm::Integer { scale, unit } => (false, u32::from(scale), unit),
                    CellForm::Float => (true, 0, 0),
                };
                let kind = v1::MetricKind::from(metric.kind).into();
                v1::Metric { name: strings.index(&metric.name), kind, float, scale, unit }
            })
            .collect();
        let strings = strings.items.iter().map(|text| text.to_string()).collect();
        v1::Register { strings, metrics, groups, retire: register.retire.clone() }
    }
}

fn group_to_wire(
    group: &RegisterGroup,
    strings: &mut Table<Arc<str>>,
    metrics: &mut Table<Metric>,
) -> v1::Group {
    let series = group
        .series
        .iter()
        .map(|spec| {
            let labels = spec.labels.iter().flat_map(|(name, value)| [name, value]);
            v1::Series {
                metric: metrics.index(&spec.metric),
                labels: labels.map(|text| strings.index(&text.into())).collect(),
            }
        })
        .collect();
    v1::Group {
        group: group.group,
        collector: strings.index(&group.collector.as_str().into()),
        interval_ms: group.interval_ms,
        class: v1::SeriesClass::from(group.class).into(),
        first_index: group.first_index,
        series,
    }
}

/// Items numbered in the order in which they were first met.
struct Table<T> {
    items: Vec<T>,
    known: HashMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { items: Vec::new(), known: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn index(&mut self, item: &T) -> u32 {
        if let Some(&index) = self.known.get(item) {
            return index;
        }
        let index = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.items.push(item.clone());
        self.known.insert(item.clone(), index);
        index
    }
}

impl v1::Register {
    /// The registration as values; nothing is allocated beyond what the message itself holds.
    pub fn into_model(self, limits: RegisterLimits) -> Result<Register, ConvertError> {
        let count: usize = self.groups.iter().map(|group| group.series.len()).sum();
        if count > limits.series_max {
            let reason = format!("{count} series in one message, limit {}", limits.series_max);
            return Err(ConvertError::invalid("groups.series", reason));
        }
        let strings: Vec<Arc<str>> = self.strings.into_iter().map(Arc::from).collect();
        let metrics = self
            .metrics
            .iter()
            .map(|metric| metric_from_wire(metric, &strings))
            .collect::<Result<Vec<_>, _>>()?;
        let groups = self
            .groups
            .into_iter()
            .map(|group| group_from_wire(group, &strings, &metrics))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Register { groups, retire: self.retire })
    }
}

fn text<'a>(strings: &'a [Arc<str>], index: u32, field: &'static str) -> Result<&'a Arc<str>, ConvertError> {
    strings.get(index as usize).ok_or_else(|| {
        ConvertError::invalid(field, format!("no string {index} in a table of {}", strings.len()))
    })
}

fn metric_from_wire(metric: &v1::Metric, strings: &[Arc<str>]) -> Result<Metric, ConvertError> {
    let name = text(strings, metric.name, "metrics.name")?;
    check_metric_name(name).map_err(|error| ConvertError::invalid("metrics.name", error))?;
    let form = match (metric.float, metric.scale, metric.unit) {
        (true, ..) => CellForm::Float,
        (false, _, 0) => return Err(ConvertError::invalid("metrics.unit", "0, must be at least 1")),
        (false, scale @ 0..=9, unit) => CellForm::Integer { scale: scale as u8, unit },
        (false, scale, _) => return Err(ConvertError::invalid("metrics.scale", format!("{scale}, limit 9"))),
    };
    Ok(Metric { name: name.clone(), kind: word::<v1::MetricKind, _>(metric.kind, "metrics.kind")?, form })
}

fn group_from_wire(
    group: v1::Group,
    strings: &[Arc<str>],
    metrics: &[Metric],
) -> Result<RegisterGroup, ConvertError> {
    let collector = text(strings, group.collector, "groups.collector")?;
    if collector.is_empty() || collector.len() > COLLECTOR_BYTES_MAX {
        return Err(ConvertError::invalid("groups.collector", format!("{} bytes, 1 to 64", collector.len())));
    }
    if !(1..=INTERVAL_MS_MAX).contains(&group.interval_ms) {
        let reason = format!("{}, must be 1 to {INTERVAL_MS_MAX}", group.interval_ms);
        return Err(ConvertError::invalid("groups.interval_ms", reason));
    }
    let series = group
        .series
        .iter()
        .map(|series| series_from_wire(series, strings, metrics))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RegisterGroup {
        group: group.group,
        collector: collector.to_string(),
        interval_ms: group.interval_ms,
        class: word::<v1::SeriesClass, _>(group.class, "groups.class")?,
        first_index: group.first_index,
        series,
    })
}

fn series_from_wire(
    series: &v1::Series,
    strings: &[Arc<str>],
    metrics: &[Metric],
) -> Result<SeriesSpec, ConvertError> {
    let metric = metrics.get(series.metric as usize).ok_or_else(|| {
        ConvertError::invalid("groups.series.metric", format!("no metric {}", series.metric))
    })?;
    let (pairs, rest) = series.labels.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ConvertError::invalid("groups.series.labels", "a label name without a value"));
    }
    let field = "groups.series.labels";
    let pairs = pairs
        .iter()
        .map(|&[name, value]| Ok((text(strings, name, field)?.clone(), text(strings, value, field)?.clone())))
        .collect::<Result<Vec<_>, ConvertError>>()?;
    let labels = Labels::new(pairs)
        .map_err(|error| ConvertError::invalid(field, format!("series of `{}`: {error}", metric.name)))?;
    Ok(SeriesSpec { metric: metric.clone(), labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Register {
        let metric = |name: &str, form| Metric { name: name.into(), kind: MetricKind::Counter, form };
        let seconds = metric("node_cpu_seconds_total", CellForm::Integer { scale: 2, unit: 1 });
        let load = metric("node_load1", CellForm::Float);
        let spec = |metric: &Metric, labels: &[(&str, &str)]| SeriesSpec {
            metric: metric.clone(),
            labels: Labels::new(labels.iter().copied()).unwrap(),
        };
        Register {
            groups: vec![RegisterGroup {
                group: 0,
                collector: "cpu".into(),
                interval_ms: 1000,
                class: SeriesClass::System,
                first_index: 0,
                series: vec![
                    spec(&seconds, &[("cpu", "0"), ("mode", "idle")]),
                    spec(&seconds, &[("cpu", "1"), ("mode", "idle")]),
                    spec(&load, &[]),
                ],
            }],
            retire: vec![7],
        }
    }

    const LIMITS: RegisterLimits = RegisterLimits { series_max: 100 };

    #[test]
    fn reads_back_what_it_wrote() {
        let wire = v1::Register::from(&sample());
        assert_eq!(wire.metrics.len(), 2, "a metric stands once");
        assert_eq!(wire.strings.iter().filter(|text| *text == "idle").count(), 1, "a text stands once");
        assert_eq!(wire.into_model(LIMITS).unwrap(), sample());
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        let check = |change: fn(&mut v1::Register), expect: &str| {
            let mut wire = v1::Register::from(&sample());
            change(&mut wire);
            assert_eq!(wire.into_model(LIMITS).unwrap_err().to_string(), expect);
        };
        check(|r| r.metrics[0].name = 99, "field `metrics.name`: no string 99 in a table of 7");
        check(|r| r.metrics[0].unit = 0, "field `metrics.unit`: 0, must be at least 1");
        check(|r| r.metrics[0].scale = 10, "field `metrics.scale`: 10, limit 9");
        check(|r| r.metrics[0].kind = 0, "field `metrics.kind` is missing");
        check(|r| r.metrics[0].kind = 77, "field `metrics.kind`: unknown number 77");
        check(|r| r.groups[0].interval_ms = 0, "field `groups.interval_ms`: 0, must be 1 to 3600000");
        check(|r| r.groups[0].series[0].metric = 5, "field `groups.series.metric`: no metric 5");
        check(
            |r| r.groups[0].series[0].labels.truncate(1),
            "field `groups.series.labels`: a label name without a value",
        );
        check(
            |r| r.strings[0] = "__name__".into(),
            "field `groups.series.labels`: series of `node_cpu_seconds_total`: label name `__name__` is reserved",
        );
    }

    #[test]
    fn refuses_more_series_than_the_limit() {
        let error = v1::Register::from(&sample()).into_model(RegisterLimits { series_max: 2 }).unwrap_err();
        assert_eq!(error.to_string(), "field `groups.series`: 3 series in one message, limit 2");
    }
}
