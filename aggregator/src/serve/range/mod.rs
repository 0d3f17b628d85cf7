//! A range query: what is asked, which series that is, and their values, some series at a time.
//!
//! ```text
//!   request ─ read ─→ Question ─ find ─→ Found ─ answer ─→ head, series …, end
//! ```
//!
//! Files are read off the runtime, one node after another. Nothing is read ahead of a slow reader, and nothing
//! any more for one that is gone.

mod question;

pub use question::Question;

use super::gap;
use super::query::{labels, warnings};
use crate::identity::registry::{GapFilter, Registry};
use crate::limit::{Current, Reason, Slot, Slots, counted, millis};
use crate::query::range::{self, Point, READ_MAX, RangeError};
use crate::query::selector::labels_of;
use crate::store::{Select, SeriesId};
use question::at;
use quorate_common::model::node::{Member, NodeId};
use quorate_common::shutdown::Shutdown;
use quorate_proto::v1::query_range_response::Part;
use quorate_proto::{status, v1};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Most values of one answer.
const VALUES_MAX: usize = 20_000_000;
/// Series of a node that are read at once: as many as a chunk holds.
const TOGETHER: usize = 64;
/// Series that wait for a reader.
const WAITING_MAX: usize = 2;

/// What is sent, in order.
pub type Answers = ReceiverStream<Result<v1::QueryRangeResponse, Status>>;
type Replies = mpsc::Sender<Result<v1::QueryRangeResponse, Status>>;

/// Range queries in work.
#[derive(Clone)]
pub struct Ranges {
    limits: Current,
    slots: Slots,
    shutdown: Shutdown,
    registry: Registry,
}

impl Ranges {
    /// As many as the limits allow, each for as long as a call may take.
    pub fn new(limits: Current, shutdown: Shutdown, registry: Registry) -> Ranges {
        Ranges { limits, slots: Slots::default(), shutdown, registry }
    }

    /// Where gaps are kept.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Answers a question.
    ///
    /// # Errors
    /// There are too many, or it would have too many values. What fails later is said in the answer.
    pub async fn ask(
        &self,
        question: Question,
        store: Arc<dyn Select>,
        members: Vec<Member>,
    ) -> Result<Answers, Status> {
        let limits = self.limits.borrow().call;
        let slot = self.slots.take(limits.ranges_max).ok_or_else(|| {
            let text = format!("too many range queries are in work, the limit is {}", limits.ranges_max);
            counted(Reason::Ranges, Status::resource_exhausted(text))
        })?;
        let found = Found::find(question, store.clone(), members).await?;
        let (work, answers) =
            found.answer((store, self.registry.clone()), slot, millis(limits.deadline_ms_max));
        let shutdown = self.shutdown.clone();
        self.shutdown.spawn("range", async move {
            tokio::select! { () = work => {}, () = shutdown.asked() => {} }
        });
        Ok(answers)
    }
}

/// A series, and how its reader knows it.
type Named = (SeriesId, Vec<v1::Label>);

/// The series that are asked for.
pub struct Found {
    question: Question,
    nodes: Vec<(NodeId, Vec<Named>)>,
    /// Of the nodes that have any.
    names: gap::Names,
    left_out: u64,
}

impl Found {
    /// Finds the series that a question asks for.
    ///
    /// # Errors
    /// They would have too many values.
    async fn find(question: Question, store: Arc<dyn Select>, members: Vec<Member>) -> Result<Found, Status> {
        let search = move || {
            let mut found = Found { question, nodes: Vec::new(), names: gap::Names::new(), left_out: 0 };
            members.iter().for_each(|member| found.search(&*store, member));
            found
        };
        let found = tokio::task::spawn_blocking(search).await.map_err(stopped)?;
        let series: usize = found.nodes.iter().map(|(_, series)| series.len()).sum();
        let steps = found.question.grid.count;
        if series.saturating_mul(steps) > VALUES_MAX {
            let text = format!(
                "field `step`: {series} series of {steps} steps are more than {VALUES_MAX} values, raise it or lower `limit`"
            );
            return Err(status::field("step", text));
        }
        Ok(found)
    }

    fn search(&mut self, store: &dyn Select, member: &Member) {
        if !self.question.selector.matches_node(member) {
            return;
        }
        let mut series = self.question.selector.select(store, member);
        if !series.is_empty() {
            self.names.insert(member.id, member.name.to_string());
        }
        let taken: usize = self.nodes.iter().map(|(_, series)| series.len()).sum();
        let room = self.question.limit.saturating_sub(taken);
        self.left_out += series.len().saturating_sub(room) as u64;
        series.truncate(room);
        let named = series.iter().map(|(id, spec)| (*id, labels(labels_of(member, spec)))).collect();
        self.nodes.push((member.id, named));
    }

    /// The answer, and the work that fills it; it ends with its reader, or after `limit`.
    pub fn answer(
        self,
        (store, registry): (Arc<dyn Select>, Registry),
        slot: Slot,
        limit: Duration,
    ) -> (impl Future<Output = ()> + Send, Answers) {
        let (replies, answers) = mpsc::channel(WAITING_MAX);
        let work = async move {
            let _slot = slot;
            let outcome = tokio::time::timeout(limit, self.fill((&store, &registry), &replies)).await;
            let late = |_| Err(Status::deadline_exceeded(format!("no whole answer within {limit:?}")));
            if let Err(status) = outcome.unwrap_or_else(late) {
                // A reader that takes nothing is told nothing, and sees that the end is missing.
                replies.try_send(Err(status)).ok();
            }
        };
        (work, ReceiverStream::new(answers))
    }

    async fn fill(
        self,
        (store, registry): (&Arc<dyn Select>, &Registry),
        replies: &Replies,
    ) -> Result<(), Status> {
        send(replies, Part::Head(self.question.head())).await?;
        let mut left = READ_MAX;
        for (node, series) in &self.nodes {
            for some in series.chunks(TOGETHER) {
                let ids = some.iter().map(|(id, _)| *id).collect();
                let work = read(store.clone(), (*node, ids), &self.question, (left, replies.clone()));
                let (points, rest) = work.await?;
                left = rest;
                for ((_, labels), points) in some.iter().zip(points).filter(|(_, it)| !it.is_empty()) {
                    send(replies, Part::Series(series_of(labels.clone(), &points))).await?;
                }
            }
        }
        send(replies, Part::End(self.end(registry).await?)).await
    }

    async fn end(&self, registry: &Registry) -> Result<v1::RangeEnd, Status> {
        let (infos, left_out) = (self.question.infos(), self.left_out);
        let mut end = v1::RangeEnd { left_out, warnings: warnings(left_out), infos, gaps: Vec::new() };
        let Question { grid, end_ms, .. } = &self.question;
        let filter = GapFilter { node: None, from: at(grid.start_ms), to: at(*end_ms) };
        let gaps = gap::of(registry, &self.names, filter).await?;
        gap::tell(&mut end, &self.names, &gaps);
        Ok(end)
    }
}

/// Reads some series off the runtime; the points of each, and how many samples may still be read.
async fn read(
    store: Arc<dyn Select>,
    (node, series): (NodeId, Vec<SeriesId>),
    question: &Question,
    (mut left, replies): (usize, Replies),
) -> Result<(Vec<Vec<Point>>, usize), Status> {
    let (grid, reading) = (question.grid, question.reading);
    let work = move || {
        let is_over = || replies.is_closed();
        let source = range::Source { store: &*store, node, series: &series, is_over: &is_over };
        range::read(&source, grid, reading, &mut left).map(|points| (points, left))
    };
    let outcome = tokio::task::spawn_blocking(work).await.map_err(stopped)?;
    outcome.map_err(|error| match error {
        RangeError::Samples => Status::resource_exhausted(error.to_string()),
        RangeError::Cancelled => Status::cancelled(error.to_string()),
    })
}

async fn send(replies: &Replies, part: Part) -> Result<(), Status> {
    let reply = Ok(v1::QueryRangeResponse { part: Some(part) });
    replies.send(reply).await.map_err(|_| Status::cancelled(RangeError::Cancelled.to_string()))
}

fn series_of(labels: Vec<v1::Label>, points: &[Point]) -> v1::RangeSeries {
    let steps = points.iter().map(|point| point.step).collect();
    v1::RangeSeries { labels, steps, values: points.iter().map(|point| point.value).collect() }
}

fn stopped(error: tokio::task::JoinError) -> Status {
    Status::internal(format!("a query failed: {error}"))
}
