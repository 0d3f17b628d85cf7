//! Figures of hosts over time, derived from the series they come from. A step of which they tell nothing has no value.

use super::Rest;
use super::hostname::hostname_of;
use crate::query::promql::Grid;
use crate::query::range::{self, Aggregate, READ_MAX, RangeError, Reading, resolution_of};
use crate::serve::http::envelope::{Failure, FailureKind};
use quorate_common::catalog;
use quorate_common::model::cluster::NodeVerdict;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::time::WallTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricType {
    /// Processor time in use, in percent of all processors.
    CpuUsagePercent,
    /// Memory in use, in percent.
    MemoryPercent,
    /// File systems in use, in percent.
    DiskUsagePercent,
    /// Bytes sent a second.
    NetworkBytesSentPerSecond,
    /// Bytes received a second.
    NetworkBytesReceivedPerSecond,
}

const ALL: [MetricType; 5] = [
    MetricType::CpuUsagePercent,
    MetricType::MemoryPercent,
    MetricType::DiskUsagePercent,
    MetricType::NetworkBytesSentPerSecond,
    MetricType::NetworkBytesReceivedPerSecond,
];

/// What is asked, checked. Times in seconds.
pub struct Asked {
    /// From when.
    pub from: f64,
    /// Until when.
    pub to: f64,
    /// Most values of each figure of each node.
    pub most: usize,
    /// Which figure; `None` for all.
    pub metric_type: Option<MetricType>,
}

/// One value.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Point {
    /// Of which node.
    pub node: String,
    /// Its hostname.
    pub hostname: String,
    /// Which figure.
    pub metric_type: MetricType,
    /// How much.
    pub value: f64,
    /// When.
    pub timestamp: String,
}

/// Values by step.
type Steps = BTreeMap<u32, f64>;

/// Reads all that is asked. May block.
///
/// # Errors
/// It would read too much.
pub fn read(rest: &Rest, nodes: &[NodeVerdict], asked: &Asked) -> Result<Vec<Point>, Failure> {
    let (from, to) = ((asked.from * 1000.0) as i64, (asked.to * 1000.0) as i64);
    let step_ms = ((to - from) / asked.most as i64).max(1000);
    // The last step is the newest; one more than asked gives the first its growth.
    let count = usize::try_from((to - from) / step_ms).unwrap_or(0).clamp(1, asked.most) + 1;
    let grid = Grid { start_ms: to - step_ms * (count as i64 - 1), step_ms, count };
    let mut reader = Reader { rest, grid, node: NodeId(0), left: READ_MAX };
    let mut points = Vec::new();
    for node in nodes {
        reader.node = node.member.id;
        let wanted = ALL.into_iter().filter(|it| asked.metric_type.is_none_or(|one| one == *it));
        for metric_type in wanted {
            let steps = reader.figure(metric_type).map_err(too_much)?;
            points.extend(steps.into_iter().filter(|(step, _)| *step > 0).map(|(step, value)| Point {
                node: node.member.name.to_string(),
                hostname: hostname_of(node),
                metric_type,
                value,
                timestamp: WallTime((grid.start_ms + step_ms * i64::from(step)) * 1_000_000).to_string(),
            }));
        }
    }
    Ok(points)
}

fn too_much(error: RangeError) -> Failure {
    Failure::new(FailureKind::TooMuch, error.to_string())
}

struct Reader<'a> {
    rest: &'a Rest,
    grid: Grid,
    node: NodeId,
    left: usize,
}

impl Reader<'_> {
    fn figure(&mut self, metric_type: MetricType) -> Result<Steps, RangeError> {
        let any = |_: &SeriesSpec| true;
        let wired = |spec: &SeriesSpec| spec.labels.get("device") != Some("lo");
        Ok(match metric_type {
            MetricType::CpuUsagePercent => {
                let idle = |spec: &SeriesSpec| matches!(spec.labels.get("mode"), Some("idle" | "iowait"));
                let total = self.growth(catalog::CPU_SECONDS.name, &any)?;
                let idle = self.growth(catalog::CPU_SECONDS.name, &idle)?;
                percent(&minus(&total, &idle), &total)
            }
            MetricType::MemoryPercent => {
                let total = self.sum(catalog::MEMORY_MEM_TOTAL.name)?;
                let available = self.sum(catalog::MEMORY_MEM_AVAILABLE.name)?;
                percent(&minus(&total, &available), &total)
            }
            MetricType::DiskUsagePercent => {
                let size = self.sum(catalog::FILESYSTEM_SIZE.name)?;
                let used = minus(&size, &self.sum(catalog::FILESYSTEM_FREE.name)?);
                let available = self.sum(catalog::FILESYSTEM_AVAIL.name)?;
                let both = |(step, used): (&u32, &f64)| Some((*step, used + available.get(step)?));
                percent(&used, &used.iter().filter_map(both).collect())
            }
            MetricType::NetworkBytesSentPerSecond => {
                self.growth(catalog::NETWORK_TRANSMIT_BYTES.name, &wired)?
            }
            MetricType::NetworkBytesReceivedPerSecond => {
                self.growth(catalog::NETWORK_RECEIVE_BYTES.name, &wired)?
            }
        })
    }

    fn points(
        &mut self,
        metric: &str,
        wanted: &dyn Fn(&SeriesSpec) -> bool,
    ) -> Result<Vec<Vec<range::Point>>, RangeError> {
        let store = &*self.rest.store;
        let found = store.find(self.node, &|spec| *spec.metric.name == *metric && wanted(spec));
        let series: Vec<_> = found.iter().map(|(id, _)| *id).collect();
        let source = range::Source { store, node: self.node, series: &series, is_over: &|| false };
        let reading = match resolution_of(self.grid.step_ms) {
            Some(resolution) => Reading::Buckets(resolution, Aggregate::Last),
            None => Reading::Samples,
        };
        range::read(&source, self.grid, reading, &mut self.left)
    }

    fn sum(&mut self, metric: &str) -> Result<Steps, RangeError> {
        let mut steps = Steps::new();
        for point in self.points(metric, &|_| true)?.iter().flatten() {
            *steps.entry(point.step).or_default() += point.value;
        }
        Ok(steps)
    }

    /// Growth a second of all counters that have a value on a step and on the one before, and did not fall.
    fn growth(&mut self, metric: &str, wanted: &dyn Fn(&SeriesSpec) -> bool) -> Result<Steps, RangeError> {
        let (mut steps, seconds) = (Steps::new(), self.grid.step_ms as f64 / 1000.0);
        for series in self.points(metric, wanted)? {
            for pair in series.windows(2) {
                let [before, after] = pair else { continue };
                let growth = after.value - before.value;
                if after.step == before.step + 1 && growth >= 0.0 {
                    *steps.entry(after.step).or_default() += growth / seconds;
                }
            }
        }
        Ok(steps)
    }
}

fn minus(all: &Steps, part: &Steps) -> Steps {
    all.iter().filter_map(|(step, value)| Some((*step, value - part.get(step)?))).collect()
}

fn percent(part: &Steps, all: &Steps) -> Steps {
    let share = |(step, part): (&u32, &f64)| {
        let all = all.get(step).filter(|all| **all > 0.0)?;
        Some((*step, 100.0 * part / all))
    };
    part.iter().filter_map(share).collect()
}
