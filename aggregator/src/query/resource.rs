//! How much of its resources a node uses. What its series do not tell is absent, never 0.

use super::selector::Selector;
use super::series::{Found, Source, latest, recent};
use quorate_common::catalog;
use quorate_common::model::node::Member;
use quorate_common::model::resource::{ResourceType, ResourceUsage};
use quorate_common::model::time::WallTime;
use std::time::Duration;

/// Rates are taken over this long.
const RATE_SPAN: Duration = Duration::from_secs(15);
/// Series of one metric of one node that are looked at.
const SERIES_MAX: usize = 4096;

/// All resources of one node that its series tell of.
pub fn usage(source: Source<'_>, member: &Member) -> Vec<ResourceUsage> {
    let one = Source { members: std::slice::from_ref(member), ..source };
    [cpu(one), memory(one), disk(one), network(one)]
        .into_iter()
        .flatten()
        .map(|used| ResourceUsage {
            resource_type: used.resource_type,
            node: member.name.clone(),
            usage_percent: used.total.filter(|total| *total > 0.0).map(|total| 100.0 * used.used / total),
            total_available: used.total,
            current_used: Some(used.used),
            timestamp: used.at,
        })
        .collect()
}

struct Used {
    resource_type: ResourceType,
    used: f64,
    total: Option<f64>,
    at: WallTime,
}

/// Processors kept busy, of all processors.
fn cpu(source: Source<'_>) -> Option<Used> {
    let series = rates(source, catalog::CPU_SECONDS.name);
    let mode = |found: &Found| label(found, "mode").to_owned();
    let total: f64 = series.iter().map(|(_, rate)| rate).sum();
    let idle: f64 = series
        .iter()
        .filter(|(found, _)| matches!(mode(found).as_str(), "idle" | "iowait"))
        .map(|(_, rate)| rate)
        .sum();
    let processors = series.iter().filter(|(found, _)| mode(found) == "idle").count();
    let at = newest(&series)?;
    if total <= 0.0 {
        return None;
    }
    let used = (total - idle) / total * processors as f64;
    Some(Used { resource_type: ResourceType::Cpu, used, total: Some(processors as f64), at })
}

fn memory(source: Source<'_>) -> Option<Used> {
    let (total, at) = value(source, catalog::MEMORY_MEM_TOTAL.name)?;
    let (available, _) = value(source, catalog::MEMORY_MEM_AVAILABLE.name)?;
    Some(Used { resource_type: ResourceType::Memory, used: total - available, total: Some(total), at })
}

/// As `df` counts: of what is used and what users can still get; what is reserved for root is neither.
fn disk(source: Source<'_>) -> Option<Used> {
    let (size, at) = value(source, catalog::FILESYSTEM_SIZE.name)?;
    let (free, _) = value(source, catalog::FILESYSTEM_FREE.name)?;
    let (available, _) = value(source, catalog::FILESYSTEM_AVAIL.name)?;
    let used = size - free;
    Some(Used { resource_type: ResourceType::Disk, used, total: Some(used + available), at })
}

/// Bytes a second both ways over all interfaces but loopback; how many there could be is not known.
fn network(source: Source<'_>) -> Option<Used> {
    let series: Vec<(Found, f64)> =
        [catalog::NETWORK_RECEIVE_BYTES.name, catalog::NETWORK_TRANSMIT_BYTES.name]
            .into_iter()
            .flat_map(|name| rates(source, name))
            .filter(|(found, _)| label(found, "device") != "lo")
            .collect();
    let at = newest(&series)?;
    let used = series.iter().map(|(_, rate)| rate).sum();
    Some(Used { resource_type: ResourceType::Network, used, total: None, at })
}

/// The sum of the newest values of a metric.
fn value(source: Source<'_>, metric: &str) -> Option<(f64, WallTime)> {
    let answer = latest(source, &Selector::parse(metric).ok()?, SERIES_MAX);
    let samples: Vec<_> = answer.series.iter().filter_map(|found| found.samples.last()).collect();
    let at = samples.iter().map(|sample| sample.at).max()?;
    Some((samples.iter().map(|sample| sample.value).sum(), at))
}

/// The growth a second of every series of a counter that did not fall meanwhile.
pub(super) fn rates(source: Source<'_>, metric: &str) -> Vec<(Found, f64)> {
    let Ok(selector) = Selector::parse(metric) else { return Vec::new() };
    let answer = recent(source, &selector, RATE_SPAN, SERIES_MAX);
    answer
        .series
        .into_iter()
        .filter_map(|found| {
            let (first, last) = (found.samples.first()?, found.samples.last()?);
            let seconds = (last.at.0 - first.at.0) as f64 / 1e9;
            let growth = last.value - first.value;
            (seconds > 0.0 && growth >= 0.0).then(|| (found.clone(), growth / seconds))
        })
        .collect()
}

fn label<'a>(found: &'a Found, name: &str) -> &'a str {
    found.labels.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
}

fn newest(series: &[(Found, f64)]) -> Option<WallTime> {
    series.iter().filter_map(|(found, _)| Some(found.samples.last()?.at)).max()
}
