//! Samples: the newest, the last minutes, and the process table of a node.

use super::cluster::known_node;
use super::gap;
use super::range::{Answers, Question, Ranges};
use crate::agents::Agents;
use crate::query::selector::Selector;
use crate::query::series::{Answer, Source, latest, recent};
use crate::store::live::Live;
use crate::store::{Sample, Select};
use quorate_common::clock::Clock;
use quorate_common::model::cluster::Snapshot;
use quorate_common::model::label::check_metric_name;
use quorate_common::model::node::Member;
use quorate_common::model::process::ProcessRow;
use quorate_common::model::session::{RecordedSeries, RecorderRange, RequestKind, ResponseBody};
use quorate_proto::convert::timestamp;
use quorate_proto::v1::query_service_server::QueryService;
use quorate_proto::{status, v1};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// How long an agent has for its process table.
const ASK_DEADLINE: Duration = Duration::from_secs(5);
/// How far back the last minutes reach.
const RECENT_SECONDS_MAX: u32 = 900;
/// How far back a flight recorder can be configured to reach.
const RECORDER_SECONDS_MAX: u32 = 3600;

/// The service.
#[derive(Clone)]
pub struct Queries {
    /// The newest verdicts.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The newest values.
    pub live: Arc<Live>,
    /// History.
    pub store: Arc<dyn Select>,
    /// Current sessions.
    pub agents: Agents,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Range queries in work.
    pub ranges: Ranges,
}

impl Queries {
    fn members(&self) -> Vec<Member> {
        self.snapshots.borrow().nodes.iter().map(|node| node.member.clone()).collect()
    }

    fn ask(
        &self,
        selector: &str,
        run: impl FnOnce(Source<'_>, &Selector) -> Answer,
    ) -> Result<Answer, Status> {
        let selector =
            Selector::parse(selector).map_err(|error| status::field("selector", error.to_string()))?;
        let (members, now) = (self.members(), self.clock.now().wall);
        Ok(run(Source { members: &members, live: &self.live, store: &*self.store, now }, &selector))
    }
}

#[tonic::async_trait]
impl QueryService for Queries {
    async fn query_latest(
        &self,
        request: Request<v1::QueryLatestRequest>,
    ) -> Result<Response<v1::QueryLatestResponse>, Status> {
        let request = request.into_inner();
        let limit = within("limit", request.limit, 1000, 10_000)? as usize;
        let answer = self.ask(&request.selector, |source, selector| latest(source, selector, limit))?;
        let series = answer
            .series
            .into_iter()
            .map(|found| v1::LatestSeries {
                labels: labels(found.labels),
                sample: found.samples.first().map(sample),
            })
            .collect();
        let warnings = warnings(answer.left_out);
        Ok(Response::new(v1::QueryLatestResponse { series, left_out: answer.left_out, warnings }))
    }

    async fn query_recent(
        &self,
        request: Request<v1::QueryRecentRequest>,
    ) -> Result<Response<v1::QueryRecentResponse>, Status> {
        let request = request.into_inner();
        let limit = within("limit", request.limit, 100, 1000)? as usize;
        let seconds = within("seconds", request.seconds, 300, RECENT_SECONDS_MAX)?;
        let span = Duration::from_secs(u64::from(seconds));
        let answer = self.ask(&request.selector, |source, selector| recent(source, selector, span, limit))?;
        let series = answer
            .series
            .into_iter()
            .map(|found| v1::RecentSeries {
                labels: labels(found.labels),
                samples: found.samples.iter().map(sample).collect(),
            })
            .collect();
        let warnings = warnings(answer.left_out);
        Ok(Response::new(v1::QueryRecentResponse { series, left_out: answer.left_out, warnings }))
    }

    type QueryRangeStream = Answers;

    async fn query_range(
        &self,
        request: Request<v1::QueryRangeRequest>,
    ) -> Result<Response<Self::QueryRangeStream>, Status> {
        let question = Question::read(request.into_inner(), self.clock.now().wall)?;
        let answers = self.ranges.ask(question, self.store.clone(), self.members()).await?;
        Ok(Response::new(answers))
    }

    async fn list_gaps(
        &self,
        request: Request<v1::ListGapsRequest>,
    ) -> Result<Response<v1::ListGapsResponse>, Status> {
        let (snapshot, now) = (self.snapshots.borrow().clone(), self.clock.now().wall);
        let registry = self.ranges.registry();
        Ok(Response::new(gap::list(registry, &snapshot, request.into_inner(), now).await?))
    }

    async fn list_processes(
        &self,
        request: Request<v1::ListProcessesRequest>,
    ) -> Result<Response<v1::ListProcessesResponse>, Status> {
        let request = request.into_inner();
        let snapshot = self.snapshots.borrow().clone();
        let member = known_node(&snapshot, &request.node, "node")?.member.clone();
        let answer = self.agents.ask(member.id, &member.name, RequestKind::ProcessTable, ASK_DEADLINE).await;
        let body = answer.map_err(|error| status::of(error.kind(), &error))?;
        let ResponseBody::Processes(mut rows) = body else {
            return Err(Status::internal(format!("node `{}` answered something else", member.name)));
        };
        sort(&mut rows);
        let limit = if request.limit == 0 { rows.len() } else { request.limit as usize };
        Ok(Response::new(v1::ListProcessesResponse {
            node: member.name.to_string(),
            timestamp: Some(timestamp(self.clock.now().wall)),
            left_out: rows.len().saturating_sub(limit) as u64,
            processes: rows.iter().take(limit).map(Into::into).collect(),
        }))
    }

    async fn read_recorder(
        &self,
        request: Request<v1::ReadRecorderRequest>,
    ) -> Result<Response<v1::ReadRecorderResponse>, Status> {
        let request = request.into_inner();
        let seconds = within("seconds", request.seconds, 300, RECORDER_SECONDS_MAX)?;
        check_metric_name(&request.metric).map_err(|error| status::field("metric", error.to_string()))?;
        let snapshot = self.snapshots.borrow().clone();
        let member = known_node(&snapshot, &request.node, "node")?.member.clone();
        let question = RecorderRange { metric: request.metric, seconds };
        let answer = self.agents.ask(member.id, &member.name, question, ASK_DEADLINE).await;
        let body = answer.map_err(|error| status::of(error.kind(), &error))?;
        let ResponseBody::Recording(series) = body else {
            return Err(Status::internal(format!("node `{}` answered something else", member.name)));
        };
        let series = series.into_iter().map(recorded).collect();
        Ok(Response::new(v1::ReadRecorderResponse { node: member.name.to_string(), series }))
    }
}

/// A number that may be left out, and has a limit.
pub(super) fn within(field: &str, value: u32, default: u32, max: u32) -> Result<u32, Status> {
    match value {
        0 => Ok(default),
        value if value <= max => Ok(value),
        value => Err(status::field(field, format!("field `{field}`: {value}, limit {max}"))),
    }
}

pub(super) fn warnings(left_out: u64) -> Vec<String> {
    if left_out == 0 { Vec::new() } else { vec![format!("{left_out} more series match: raise the limit")] }
}

pub(super) fn labels(pairs: Vec<(String, String)>) -> Vec<v1::Label> {
    pairs.into_iter().map(|(name, value)| v1::Label { name, value }).collect()
}

fn sample(sample: &Sample) -> v1::Sample {
    v1::Sample { timestamp: Some(timestamp(sample.at)), value: sample.value }
}

fn recorded(RecordedSeries { spec, samples }: RecordedSeries) -> v1::RecentSeries {
    let own = spec.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let name = ("__name__".to_owned(), spec.metric.name.to_string());
    let samples = samples.into_iter().map(|(at, value)| sample(&Sample { at, value })).collect();
    v1::RecentSeries { labels: labels(std::iter::once(name).chain(own).collect()), samples }
}

/// The busiest first, then the largest, then by number.
fn sort(rows: &mut [ProcessRow]) {
    rows.sort_by(|a, b| {
        b.cpu_percent
            .total_cmp(&a.cpu_percent)
            .then(b.memory_bytes.cmp(&a.memory_bytes))
            .then(a.pid.cmp(&b.pid))
    });
}
