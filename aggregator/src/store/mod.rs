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
}

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
    /// A frame was decoded; `decoder` is the state after it. Nobody counts it: see [`Append::keep`].
    fn frame(&self, node: NodeId, lane: Lane, record: FrameRecord<'_>, decoder: &Decoder) {
        self.keep((node, lane), None, record, decoder);
    }
    /// A frame was decoded; `decoder` is the state after it. Its ledger learns it once it is durable.
    fn keep(&self, place: (NodeId, Lane), origin: Option<Origin>, record: FrameRecord<'_>, decoder: &Decoder);
    /// A frame without samples, which its ledger learns once it is durable.
    fn beat(&self, node: NodeId, at: WallTime, seq: u64, origin: Origin);
    /// Frames will not come: their ledger closes them once that is durable.
    fn close(&self, node: NodeId, at: WallTime, epoch: Epoch, range: SeqRange);
    /// The agent holds nothing of an epoch any more: its ledger goes.
    fn end(&self, node: NodeId, at: WallTime, epoch: Epoch);
    /// What is durable of an epoch; `None` if nothing is, or nothing ever will be.
    fn durable(&self, node: NodeId, epoch: Epoch) -> Option<Ledger>;
    /// Lets go of what is older than `before`.
    fn expire(&self, before: WallTime);
    /// Lets go of everything of a node.
    fn forget(&self, node: NodeId);
}

/// Gives back what was appended.
pub trait Select: Send + Sync + 'static {
    /// All series of a node that match.
    fn find(&self, node: NodeId, matches: &dyn Fn(&SeriesSpec) -> bool) -> Vec<(SeriesId, SeriesSpec)>;
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
