//! What agent and aggregator say to one another in a session, as values.

use super::node::HostFacts;
use super::process::ProcessRow;
use super::series::{SeriesClass, SeriesSpec, Window};
use super::time::WallTime;
use super::words;
use bytes::Bytes;
use std::time::Duration;

/// Version of the session protocol that this build speaks.
pub const PROTOCOL: u32 = 2;

/// Longest time for which an aggregator leaves a frame unacknowledged, if the next one comes when it was announced.
/// A few of them fit into the time after which an agent gives a silent aggregator up.
pub const ACK_EVERY: Duration = Duration::from_millis(4_500);

/// One start of an agent: a counter kept on its disk for order, and random bits against a copied or lost disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    /// Counts up with each start.
    pub order: u64,
    /// Drawn anew with each start.
    pub nonce: u64,
}

/// Frames that the agent still holds, all numbers from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whose numbers these are.
    pub epoch: Epoch,
    /// The oldest frame.
    pub first: u64,
    /// The newest frame.
    pub last: u64,
}

impl Held {
    /// Ranges in order, those that touch as one.
    pub fn joined(mut held: Vec<Held>) -> Vec<Held> {
        held.sort_unstable_by_key(|held| (held.epoch, held.first));
        held.dedup_by(|next, before| {
            let touches = next.epoch == before.epoch && next.first <= before.last.saturating_add(1);
            if touches {
                before.last = before.last.max(next.last);
            }
            touches
        });
        held
    }
}

/// The first message of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Version of the protocol.
    pub protocol: u32,
    /// This start of the agent.
    pub epoch: Epoch,
    /// Random number of this boot of the host.
    pub boot_id: [u8; 16],
    /// The host's `CLOCK_BOOTTIME` when this was said, in nanoseconds.
    pub boot_ns: u64,
    /// The host's wall clock when this was said, in nanoseconds since the Unix epoch.
    pub wall_ns: i64,
    /// Distance between frames.
    pub interval_ms: u32,
    /// What the agent holds and has not been told is durable.
    pub held: Vec<Held>,
    /// What the host is.
    pub facts: HostFacts,
}

/// Series of one group, registered together.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterGroup {
    /// Number of the group in this session; a known number adds series to that group.
    pub group: u32,
    /// Which collector samples it.
    pub collector: String,
    /// How often it is sampled.
    pub interval_ms: u32,
    /// Retention class.
    pub class: SeriesClass,
    /// Session index of the first series; the others follow without a hole.
    pub first_index: u32,
    /// The series.
    pub series: Vec<SeriesSpec>,
}

/// Registers series, and retires them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Register {
    /// Series that begin.
    pub groups: Vec<RegisterGroup>,
    /// Session indices that end.
    pub retire: Vec<u32>,
}

/// One tick of one window class, encoded. See [`crate::cell`] for the bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Number of this frame in its epoch, from 1.
    pub seq: u64,
    /// Number of the frame that this one is a difference to; 0 for a key frame.
    pub predecessor: u64,
    /// Which delta chain it belongs to.
    pub window: Option<Window>,
    /// When it was sampled, by the host's `CLOCK_BOOTTIME`, in nanoseconds.
    pub boot_ns: u64,
    /// When it was sampled, by the host's wall clock, in nanoseconds since the Unix epoch.
    pub wall_ns: i64,
    /// When the next frame of any class is due after this one.
    pub next_due_ms: u32,
    /// Samples collected in this epoch, this frame included.
    pub collected_total: u64,
    /// The echo number of the last acknowledgement that arrived; 0 before the first.
    pub echo: u64,
    /// Bitmap of the groups that were sampled.
    pub groups: Bytes,
    /// Changed cells.
    pub cells: Bytes,
}

words! {
    /// Why an agent says farewell.
    ByeReason {
        /// It was told to stop.
        Stop = "stop",
        /// It restarts itself.
        Restart = "restart",
        /// Its host goes down.
        HostShutdown = "host_shutdown",
        /// It was asked to reconnect.
        Drain = "drain",
    }
}

/// What an agent sends in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentMessage {
    /// The greeting; first, once.
    Hello(Hello),
    /// Series that begin or end.
    Register(Register),
    /// One tick.
    Frame(Frame),
    /// The farewell; last, once.
    Bye(ByeReason),
}

/// Frames known to the receiver, all numbers from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqRange {
    /// The lowest number.
    pub first: u64,
    /// The highest number.
    pub last: u64,
}

/// The answer to a Hello.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// Which aggregator this is.
    pub aggregator: String,
    /// Its wall clock, in nanoseconds since the Unix epoch.
    pub wall_ns: i64,
    /// Frames of this epoch that are durable, as one watermark.
    pub durable: u64,
    /// Further durable frames above the watermark.
    pub above: Vec<SeqRange>,
    /// Most series that it keeps of this node.
    pub series_max: u32,
}

/// What has arrived and what is safe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ack {
    /// Number of this acknowledgement in the session, echoed by the next frame.
    pub echo: u64,
    /// Highest frame that arrived in this session.
    pub received: u64,
    /// Watermark: all frames of the epoch up to here are durable or declared lost.
    pub durable: u64,
    /// Further durable frames above the watermark.
    pub above: Vec<SeqRange>,
}

words! {
    /// What an aggregator may ask of an agent. Nothing else can be asked.
    RequestKind {
        /// The whole process table, now.
        ProcessTable = "process_table",
        /// One more round of all collectors, now.
        CollectNow = "collect_now",
        /// What the flight recorder has of one metric.
        Recorder = "recorder",
        /// End this session and begin another, elsewhere or later.
        Drain = "drain",
        /// Sample more often for a while.
        SetRate = "set_rate",
    }
}

/// What an interval may be.
pub const RATE_INTERVAL_MS: std::ops::RangeInclusive<u32> = 100..=60_000;
/// Shortest time for which a rate is set: each change costs a new registration of its series.
pub const RATE_FOR_MS_MIN: u32 = 10_000;
/// Longest time for which a rate is set without being asked again.
pub const RATE_FOR_MS_MAX: u32 = 600_000;

/// How often to sample, and for how long, before the configured interval counts again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Which collector; empty for all.
    pub collector: String,
    /// Distance between its samples.
    pub interval_ms: u32,
    /// For how long.
    pub for_ms: u32,
}

/// A question to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the aggregator; the answer carries it.
    pub id: u64,
    /// What is asked.
    pub kind: RequestKind,
    /// Nobody waits for the answer after this long.
    pub deadline_ms: u32,
    /// The rate that is asked for; with [`RequestKind::SetRate`] only.
    pub rate: Option<Rate>,
    /// What of the recorder; only for that kind.
    pub range: Option<RecorderRange>,
}

/// One metric and how far back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecorderRange {
    /// Its name.
    pub metric: String,
    /// How many seconds before the newest sample.
    pub seconds: u32,
}

/// One series as the flight recorder has it.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedSeries {
    /// What it is.
    pub spec: SeriesSpec,
    /// Samples by the host's wall clock, oldest first.
    pub samples: Vec<(WallTime, f64)>,
}

/// What an aggregator sends in a session.
#[derive(Clone, Debug, PartialEq)]
pub enum AggregatorMessage {
    /// The answer to Hello; first, once.
    Welcome(Welcome),
    /// What has arrived.
    Ack(Ack),
    /// A question; the answer comes over the second connection.
    Request(Request),
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ResponseBody {
    /// Rows of the process table.
    Processes(Vec<ProcessRow>),
    /// Series of the flight recorder.
    Recording(Vec<RecordedSeries>),
    /// Done, nothing to tell.
    Done,
    /// It could not be done, and why.
    Failed(String),
}

/// One part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The request's number.
    pub id: u64,
    /// Number of this part, from 0.
    pub part: u32,
    /// No part follows.
    pub last: bool,
    /// The content.
    pub body: ResponseBody,
}
