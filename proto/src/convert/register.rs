//! Registration of series: on the wire every text, every metric and what a group is stand once in a session.
//!
//! Both ends keep the same tables. The writer begins them anew before they become large, the reader refuses larger ones:
//! what a peer can make it remember is bounded.

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
/// A writer whose tables are this large begins them anew with its next message.
const WRITTEN_BYTES_MAX: usize = 128 * 1024;
/// Largest tables of a reader. One message more than a writer's may become.
const READ_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What an entry costs beside its text.
const ENTRY_BYTES: usize = 32;

/// What a registration may hold at most; the message size bounds the rest.
#[derive(Clone, Copy, Debug)]
pub struct RegisterLimits {
    /// Series in one message.
    pub series_max: usize,
}

/// What a group was said to be: collector, interval and class.
type GroupHead = (String, u32, SeriesClass);

/// The tables of the end that registers.
#[derive(Debug, Default)]
pub(super) struct Written {
    strings: Table<Arc<str>>,
    metrics: Table<Metric>,
    groups: HashMap<u32, GroupHead>,
    bytes: usize,
    next_index: u32,
}

impl Written {
    /// The registration as it is sent after those that were sent before.
    pub(super) fn write(&mut self, register: &Register) -> v1::Register {
        let anew = self.bytes > WRITTEN_BYTES_MAX;
        if anew {
            (self.strings, self.metrics, self.bytes) = (Table::default(), Table::default(), 0);
        }
        let mut wire = v1::Register { anew, retire: runs(&register.retire), ..v1::Register::default() };
        for group in &register.groups {
            let group = self.group(group, &mut wire);
            wire.groups.push(group);
        }
        wire
    }

    fn group(&mut self, group: &RegisterGroup, wire: &mut v1::Register) -> v1::Group {
        let said = (group.collector.clone(), group.interval_ms, group.class);
        let head = (self.groups.get(&group.group) != Some(&said)).then(|| v1::GroupHead {
            collector: self.string(&group.collector.as_str().into(), wire),
            interval_ms: group.interval_ms,
            class: v1::SeriesClass::from(group.class).into(),
        });
        self.groups.insert(group.group, said);
        let first_index = (group.first_index != self.next_index).then_some(group.first_index);
        self.next_index = group.first_index.wrapping_add(group.series.len() as u32);
        let alike = group.series.chunk_by(|one, next| one.labels == next.labels);
        let series = alike.map(|series| self.series(series, wire)).collect();
        v1::Group { group: group.group, head, first_index, series }
    }

    /// Series with the same labels.
    fn series(&mut self, series: &[SeriesSpec], wire: &mut v1::Register) -> v1::Series {
        let metrics = series.iter().map(|spec| self.metric(&spec.metric, wire)).collect();
        let labels = series.first().into_iter().flat_map(|spec| spec.labels.iter());
        let labels = labels.flat_map(|(name, value)| [name, value]);
        v1::Series { metrics, labels: labels.map(|text| self.string(&text.into(), wire)).collect() }
    }

    fn string(&mut self, text: &Arc<str>, wire: &mut v1::Register) -> u32 {
        let (index, is_new) = self.strings.index(text);
        if is_new {
            self.bytes += text.len() + ENTRY_BYTES;
            wire.strings.push(text.to_string());
        }
        index
    }

    fn metric(&mut self, metric: &Metric, wire: &mut v1::Register) -> u32 {
        let (index, is_new) = self.metrics.index(metric);
        if is_new {
            self.bytes += ENTRY_BYTES;
            let (float, scale, unit) = match metric.form {
                CellForm::Integer { scale, unit } => (false, u32::from(scale), unit),
                CellForm::Float => (true, 0, 0),
            };
            let kind = v1::MetricKind::from(metric.kind).into();
            let name = self.string(&metric.name, wire);
            wire.metrics.push(v1::Metric { name, kind, float, scale, unit });
        }
        index
    }
}

/// Items numbered in the order in which they were first met.
#[derive(Debug)]
struct Table<T>(HashMap<T, u32>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(HashMap::new())
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    /// The number of an item, and whether it is new.
    fn index(&mut self, item: &T) -> (u32, bool) {
        if let Some(&index) = self.0.get(item) {
            return (index, false);
        }
        let index = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(item.clone(), index);
        (index, true)
    }
}

/// Ascending numbers as pairs: how many are left out, and how many follow one another then.
fn runs(numbers: &[u32]) -> Vec<u32> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut next = 0;
    let mut runs = Vec::new();
    for run in sorted.chunk_by(|one, other| one.checked_add(1) == Some(*other)) {
        runs.extend([run[0].wrapping_sub(next), run.len() as u32]);
        next = run[0].wrapping_add(run.len() as u32);
    }
    runs
}

/// The tables of the end that is told.
#[derive(Debug)]
pub(super) struct Read {
    limits: RegisterLimits,
    strings: Vec<Arc<str>>,
    metrics: Vec<Metric>,
    groups: HashMap<u32, GroupHead>,
    bytes: usize,
    next_index: u32,
}

impl Read {
    pub(super) fn new(limits: RegisterLimits) -> Read {
        let (strings, metrics, groups) = Default::default();
        Read { limits, strings, metrics, groups, bytes: 0, next_index: 0 }
    }

    /// The registration that was sent.
    pub(super) fn read(&mut self, wire: v1::Register) -> Result<Register, ConvertError> {
        let count: usize = wire.groups.iter().flat_map(|group| &group.series).map(|s| s.metrics.len()).sum();
        if count > self.limits.series_max {
            let reason = format!("{count} series in one message, limit {}", self.limits.series_max);
            return Err(ConvertError::invalid("groups.series", reason));
        }
        if wire.anew {
            (self.strings, self.metrics, self.bytes) = Default::default();
        }
        let texts: usize = wire.strings.iter().map(|text| text.len() + ENTRY_BYTES).sum();
        self.bytes += texts + wire.metrics.len() * ENTRY_BYTES;
        if self.bytes > READ_BYTES_MAX {
            let reason =
                format!("the tables of the session have {} bytes, limit {READ_BYTES_MAX}", self.bytes);
            return Err(ConvertError::invalid("strings", reason));
        }
        self.strings.extend(wire.strings.into_iter().map(Arc::from));
        for metric in &wire.metrics {
            self.metrics.push(self.metric(metric)?);
        }
        let retire = members(&wire.retire, self.limits.series_max)?;
        let groups = wire.groups.into_iter().map(|group| self.group(group)).collect::<Result<_, _>>()?;
        Ok(Register { groups, retire })
    }

    fn string(&self, index: u32, field: &'static str) -> Result<&Arc<str>, ConvertError> {
        self.strings.get(index as usize).ok_or_else(|| {
            ConvertError::invalid(field, format!("no string {index} in a table of {}", self.strings.len()))
        })
    }

    fn metric(&self, metric: &v1::Metric) -> Result<Metric, ConvertError> {
        let name = self.string(metric.name, "metrics.name")?;
        check_metric_name(name).map_err(|error| ConvertError::invalid("metrics.name", error))?;
        let form = match (metric.float, metric.scale, metric.unit) {
            (true, ..) => CellForm::Float,
            (false, _, 0) => return Err(ConvertError::invalid("metrics.unit", "0, must be at least 1")),
            (false, scale @ 0..=9, unit) => CellForm::Integer { scale: scale as u8, unit },
            (false, scale, _) => {
                return Err(ConvertError::invalid("metrics.scale", format!("{scale}, limit 9")));
            }
        };
        Ok(Metric { name: name.clone(), kind: word::<v1::MetricKind, _>(metric.kind, "metrics.kind")?, form })
    }

    fn group(&mut self, group: v1::Group) -> Result<RegisterGroup, ConvertError> {
        if let Some(head) = group.head {
            let head = self.head(&head)?;
            self.groups.insert(group.group, head);
        }
        let (collector, interval_ms, class) =
            self.groups.get(&group.group).cloned().ok_or(ConvertError::Missing("groups.head"))?;
        let first_index = group.first_index.unwrap_or(self.next_index);
        let mut series = Vec::with_capacity(group.series.iter().map(|alike| alike.metrics.len()).sum());
        for alike in &group.series {
            self.series(alike, &mut series)?;
        }
        self.next_index = first_index.wrapping_add(series.len() as u32);
        Ok(RegisterGroup { group: group.group, collector, interval_ms, class, first_index, series })
    }

    fn head(&self, head: &v1::GroupHead) -> Result<GroupHead, ConvertError> {
        let collector = self.string(head.collector, "groups.collector")?;
        if collector.is_empty() || collector.len() > COLLECTOR_BYTES_MAX {
            let reason = format!("{} bytes, 1 to {COLLECTOR_BYTES_MAX}", collector.len());
            return Err(ConvertError::invalid("groups.collector", reason));
        }
        if !(1..=INTERVAL_MS_MAX).contains(&head.interval_ms) {
            let reason = format!("{}, must be 1 to {INTERVAL_MS_MAX}", head.interval_ms);
            return Err(ConvertError::invalid("groups.interval_ms", reason));
        }
        let class = word::<v1::SeriesClass, _>(head.class, "groups.class")?;
        Ok((collector.to_string(), head.interval_ms, class))
    }

    fn series(&self, alike: &v1::Series, series: &mut Vec<SeriesSpec>) -> Result<(), ConvertError> {
        const FIELD: &str = "groups.series.labels";
        let (pairs, rest) = alike.labels.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ConvertError::invalid(FIELD, "a label name without a value"));
        }
        let pair = |&[name, value]: &[u32; 2]| {
            Ok((self.string(name, FIELD)?.clone(), self.string(value, FIELD)?.clone()))
        };
        let pairs = pairs.iter().map(pair).collect::<Result<Vec<_>, ConvertError>>()?;
        let labels = Labels::new(pairs);
        for index in &alike.metrics {
            let metric = self.metrics.get(*index as usize).ok_or_else(|| {
                ConvertError::invalid("groups.series.metrics", format!("no metric {index}"))
            })?;
            let labels = labels.clone().map_err(|error| {
                ConvertError::invalid(FIELD, format!("series of `{}`: {error}", metric.name))
            })?;
            series.push(SeriesSpec { metric: metric.clone(), labels });
        }
        Ok(())
    }
}

/// The numbers behind [`runs`].
fn members(runs: &[u32], max: usize) -> Result<Vec<u32>, ConvertError> {
    let (pairs, rest) = runs.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ConvertError::invalid("retire", "a gap without a count"));
    }
    let count: usize = pairs.iter().map(|[_, count]| *count as usize).sum();
    if count > max {
        return Err(ConvertError::invalid("retire", format!("{count} series in one message, limit {max}")));
    }
    let mut members = Vec::with_capacity(count);
    let mut next = 0_u32;
    for [gap, count] in pairs {
        let first = next.wrapping_add(*gap);
        members.extend((0..*count).map(|at| first.wrapping_add(at)));
        next = first.wrapping_add(*count);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, form: CellForm) -> Metric {
        Metric { name: name.into(), kind: MetricKind::Counter, form }
    }

    fn spec(metric: &Metric, labels: &[(&str, &str)]) -> SeriesSpec {
        SeriesSpec { metric: metric.clone(), labels: Labels::new(labels.iter().copied()).unwrap() }
    }

    fn sample() -> Register {
        let seconds = metric("node_cpu_seconds_total", CellForm::Integer { scale: 2, unit: 1 });
        let load = metric("node_load1", CellForm::Float);
        let series = vec![
            spec(&seconds, &[("cpu", "0"), ("mode", "idle")]),
            spec(&seconds, &[("cpu", "1"), ("mode", "idle")]),
            spec(&load, &[]),
        ];
        Register { groups: vec![group(0, "cpu", 0, series)], retire: vec![7] }
    }

    fn group(group: u32, collector: &str, first_index: u32, series: Vec<SeriesSpec>) -> RegisterGroup {
        let collector = collector.into();
        RegisterGroup { group, collector, interval_ms: 1000, class: SeriesClass::System, first_index, series }
    }

    const LIMITS: RegisterLimits = RegisterLimits { series_max: 100 };

    #[test]
    fn a_text_a_metric_and_a_group_stand_once_in_a_session() {
        let (mut writer, mut reader) = (Written::default(), Read::new(LIMITS));
        let wire = writer.write(&sample());
        assert_eq!(wire.metrics.len(), 2);
        assert_eq!(wire.strings.iter().filter(|text| *text == "idle").count(), 1);
        assert_eq!(reader.read(wire).unwrap(), sample());

        let both = [metric("node_load1", CellForm::Float), metric("node_load5", CellForm::Float)];
        let series = both.iter().map(|metric| spec(metric, &[("cpu", "idle")])).collect();
        let more = Register { groups: vec![group(0, "cpu", 3, series)], retire: vec![9, 4, 5, 6] };
        let wire = writer.write(&more);
        assert_eq!(wire.strings, ["node_load5"]);
        let expect = v1::Group {
            group: 0,
            head: None,
            first_index: None,
            series: vec![v1::Series { metrics: vec![1, 2], labels: vec![0, 4] }],
        };
        assert_eq!((&wire.groups[..], &wire.retire[..]), (&[expect][..], &[4, 3, 2, 1][..]));
        assert_eq!(reader.read(wire).unwrap(), Register { retire: vec![4, 5, 6, 9], ..more });
    }

    #[test]
    fn large_tables_begin_anew() {
        let (mut writer, mut reader) = (Written::default(), Read::new(LIMITS));
        let mut begun = 0;
        for at in 0..200_u32 {
            let value = format!("{at:01000}");
            let series = vec![spec(&metric("m", CellForm::COUNT), &[("a", &value)])];
            let register = Register { groups: vec![group(0, "c", at, series)], retire: Vec::new() };
            let wire = writer.write(&register);
            begun += u32::from(wire.anew);
            assert_eq!(reader.read(wire).unwrap(), register);
        }
        assert_eq!(begun, 1);
    }

    #[test]
    fn tables_that_do_not_end_are_refused() {
        let mut reader = Read::new(LIMITS);
        let wire = v1::Register { strings: vec!["x".repeat(1024); 512], ..v1::Register::default() };
        for _ in 0..3 {
            reader.read(wire.clone()).unwrap();
        }
        let error = reader.read(wire).unwrap_err();
        let expect = "field `strings`: the tables of the session have 2162688 bytes, limit 2097152";
        assert_eq!(error.to_string(), expect);
    }

    #[test]
    fn names_the_field_that_is_wrong() {
        let check = |change: fn(&mut v1::Register), expect: &str| {
            let mut wire = Written::default().write(&sample());
            change(&mut wire);
            assert_eq!(Read::new(LIMITS).read(wire).unwrap_err().to_string(), expect);
        };
        fn head(register: &mut v1::Register) -> &mut v1::GroupHead {
            register.groups[0].head.as_mut().unwrap()
        }
        check(|r| r.metrics[0].name = 99, "field `metrics.name`: no string 99 in a table of 7");
        check(|r| r.metrics[0].unit = 0, "field `metrics.unit`: 0, must be at least 1");
        check(|r| r.metrics[0].scale = 10, "field `metrics.scale`: 10, limit 9");
        check(|r| r.metrics[0].kind = 0, "field `metrics.kind` is missing");
        check(|r| r.metrics[0].kind = 77, "field `metrics.kind`: unknown number 77");
        check(|r| r.groups[0].head = None, "field `groups.head` is missing");
        check(|r| head(r).interval_ms = 0, "field `groups.interval_ms`: 0, must be 1 to 3600000");
        check(|r| head(r).class = 0, "field `groups.class` is missing");
        check(|r| r.groups[0].series[0].metrics[0] = 5, "field `groups.series.metrics`: no metric 5");
        let expect = "field `groups.series.labels`: a label name without a value";
        check(|r| r.groups[0].series[0].labels.truncate(1), expect);
        check(|r| r.retire.truncate(1), "field `retire`: a gap without a count");
        check(|r| r.retire[1] = 101, "field `retire`: 101 series in one message, limit 100");
        let expect = "field `groups.series.labels`: series of `node_cpu_seconds_total`: label name `__name__` is reserved";
        check(|r| r.strings[0] = "__name__".into(), expect);
    }

    #[test]
    fn refuses_more_series_than_the_limit() {
        let wire = Written::default().write(&sample());
        let error = Read::new(RegisterLimits { series_max: 2 }).read(wire).unwrap_err();
        assert_eq!(error.to_string(), "field `groups.series`: 3 series in one message, limit 2");
    }
}
