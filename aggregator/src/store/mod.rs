//! Store: the floor. It keeps what was received and gives it back, and imports nothing of ours but the words.
//!
//! Writers and readers meet at two small traits, [`Append`] and [`Select`], so that another engine can take
//! the place of the embedded one. The newest value of every series is held apart, in [`live`].

pub mod bucket;
pub mod embedded;
pub mod live;

pub use bucket::{Bucket, Resolution};

use quorate_common::cell::{Decoder, FrameHead, GroupId, Index};
use quorate_common::ledger::{Ledger, Totals};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{CellForm, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::{Epoch, SeqRange};
use quorate_common::model::time::WallTime;
use quorate_common::tally::{Cause, Tally};
use tokio::sync::watch;

/// A series of one node. Numbers are dense for each node and not used again while the series is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u32);

/// What stands at one session index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// The series; `None` for one that was rejected, whose cells are decoded and dropped.
    pub id: Option<SeriesId>,
    /// How its cells become values.
    pub form: CellForm,
    /// The group that it is sampled with.
    pub group: GroupId,
}

/// Columns of one group that begin in a session, without a hole from `first`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewColumns {
    /// The group.
    pub group: GroupId,
    /// The delta chain of the group.
    pub window: Window,
    /// How long its history is kept.
    pub class: SeriesClass,
    /// Session index of the first.
    pub first: Index,
    /// The columns.
    pub columns: Vec<Column>,
}

/// One frame as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct FrameRecord<'a> {
    /// When it was sampled, on the aggregator's time line.
    pub at: WallTime,
    /// Its place in its chain.
    pub head: FrameHead,
    /// Bitmap of the sampled groups, as received.
    pub groups: &'a [u8],
    /// Changed cells, as received.
    pub cells: &'a [u8],
    /// It was kept before, in an earlier session: it is only there for the frames that follow it.
    pub again: bool,
}

/// Where a frame stands among all that its agent collected: what its ledger learns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The start of the agent that its number counts in.
    pub epoch: Epoch,
    /// Samples collected in the epoch before it, and with it.
    pub totals: Totals,
    /// Of those in it, how many belong to series that are kept.
    pub admitted: u64,
}

impl Origin {
    /// What becomes of its samples when it is kept.
    pub fn tally(&self) -> Tally {
        Tally::of_frame(self.totals.after.wrapping_sub(self.totals.before), self.admitted)
    }
}

/// Frames that will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Whose numbers these are.
    pub epoch: Epoch,
    /// All that are unknown of these.
    pub range: SeqRange,
    /// Why.
    pub cause: Cause,
    /// What had been collected after the last; 0 if nobody knows.
    pub collected_total: u64,
}

/// A boot of a node's host, and where it lies on our time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// As the kernel names it.
    pub id: [u8; 16],
    /// Our time less the host's time since boot, in nanoseconds.
    pub offset_ns: i64,
    /// When that was learned.
    pub at: WallTime,
}

/// How batches went since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Batches that are durable.
    pub done: u64,
    /// Batches that failed: what was in them and not durable before must be sent again.
    pub failed: u64,
    /// The last one failed.
    pub is_failing: bool,
}

impl Commits {
    /// Whether a batch was decided.
    pub fn has(&self, ticket: Ticket) -> bool {
        self.done + self.failed >= ticket.0
    }
}

/// Of the batch that something is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One value of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When it was sampled.
    pub at: WallTime,
    /// Its value.
    pub value: f64,
}

/// Which of a node's two streams of frames. Each has sessions, indices and chains of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// As it is sampled.
    Live,
    /// Of earlier.
    Late,
}

/// Ended epochs of a node that are remembered.
pub const ENDED_MAX: usize = 64;

/// Takes what sessions receive. Calls for one lane of a node come from one session at a time.
pub trait Append: Send + Sync + 'static {
    /// The number of a series of a node; given anew if the series is not known.
    fn intern(&self, node: NodeId, spec: &SeriesSpec) -> SeriesId;
    /// A new session: indices and groups count from zero again.
    fn begin(&self, node: NodeId, lane: Lane);
    /// Columns begin.
    fn register(&self, node: NodeId, lane: Lane, columns: &NewColumns);
    /// Columns end.
    fn retire(&self, node: NodeId, lane: Lane, indices: &[Index]);
    /// A frame was decoded; `decoder` is the state after it. Its ledger learns it once it is durable, which it will
    /// never be if this is false. Without `origin` nobody counts it.
    fn keep(
        &self,
        place: (NodeId, Lane),
        origin: Option<Origin>,
        record: FrameRecord<'_>,
        decoder: &Decoder,
    ) -> bool;
    /// A frame without samples, which its ledger learns once it is durable; as with [`Append::keep`].
    fn beat(&self, node: NodeId, seq: u64, origin: Origin) -> bool;
    /// Frames will not come: their ledger closes them once that is durable; as with [`Append::keep`].
    fn close(&self, node: NodeId, lost: Lost) -> bool;
    /// Where a boot of the node's host lies; the newest word on it counts.
    fn boot(&self, node: NodeId, boot: Boot);
    /// The boots that are remembered.
    fn boots(&self, node: NodeId) -> Vec<Boot>;
    /// The agent holds nothing of an epoch any more: its ledger is closed, so that what comes all the same, from a
    /// copy of the agent's disk, is known. The last [`ENDED_MAX`] are remembered.
    fn end(&self, node: NodeId, epoch: Epoch);
    /// What is durable of an epoch.
    fn durable(&self, node: NodeId, epoch: Epoch) -> Ledger;
    /// All epochs of a node, and what will be durable of them if nothing fails.
    fn known(&self, node: NodeId) -> Vec<(Epoch, Ledger)>;
    /// The batch that has everything that was appended so far.
    fn ticket(&self) -> Ticket;
    /// Tells of every batch.
    fn commits(&self) -> watch::Receiver<Commits>;
    /// Lets go of what is older than `before`.
    fn expire(&self, before: WallTime);
    /// Lets go of everything of a node.
    fn forget(&self, node: NodeId);
}

/// Gives back what was appended.
pub trait Select: Send + Sync + 'static {
    /// All series of a node that match.
    fn find(&self, node: NodeId, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)>;
    /// No sample of a node is older than this. Some store may not know better than that.
    fn oldest(&self, _node: NodeId) -> WallTime {
        WallTime(0)
    }
    /// All series of a node that have this name and match; an engine that keeps a list of names looks at no others.
    fn named(
        &self,
        node: NodeId,
        name: &str,
        matches: &dyn Fn(&SeriesSpec) -> bool,
    ) -> Vec<(SeriesId, SeriesSpec)> {
        self.find(node, &|spec| *spec.metric.name == *name && matches(spec))
    }
    /// The samples of some series of a node from `from` to `to`, both included, oldest first; one list for each.
    fn samples(&self, node: NodeId, series: &[SeriesId], from: WallTime, to: WallTime) -> Vec<Vec<Sample>>;
    /// The buckets of some series of a node that begin from `from` to `to`, both included, oldest first; one list
    /// for each. They reach back further than samples do.
    fn rolled(
        &self,
        node: NodeId,
        series: &[SeriesId],
        resolution: Resolution,
        from: WallTime,
        to: WallTime,
    ) -> Vec<Vec<Bucket>>;
}
