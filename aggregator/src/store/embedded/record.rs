//! The records of log and dictionary as values, and their bytes.
//!
//! ```text
//!   stretch of one node and lane in one window:   base │ frame │ register │ frame │ retire │ frame …
//!                                        place 0   1       2         3       4        5
//! ```
//!
//! The place of a record in its stretch shows whether one before it is missing: what follows is not read then,
//! up to the next base. Everything is varints and texts with their length in front; a value has one encoding.
//! What comes from a disk is not trusted: any bytes at all are either a record or an error.

use super::layout::Layout;
use crate::store::{Boot, Column, Lane, Lost, NewColumns, Origin, SeriesId};
use quorate_common::cell::{FrameHead, Index, VarintError};
use quorate_common::ledger::{Piece, Totals};
use quorate_common::model::label::LabelError;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::session::Epoch;
use quorate_common::model::time::WallTime;
use std::sync::Arc;

mod read;
pub(super) mod write;

pub(super) use read::{Named, Reader};
pub(super) use write::SERIES;

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// A stretch begins.
    Base(Base<'a>),
    /// Columns begin.
    Register {
        /// Whose.
        node: NodeId,
        /// Of which stream.
        lane: Lane,
        /// Its place in the stretch.
        place: u64,
        /// The columns.
        new: NewColumns,
    },
    /// Columns end.
    Retire {
        /// Whose.
        node: NodeId,
        /// Of which stream.
        lane: Lane,
        /// Its place in the stretch.
        place: u64,
        /// Their indices.
        indices: Vec<Index>,
    },
    /// A frame as it was received.
    Frame {
        /// Its place in the stretch.
        place: u64,
        /// The frame.
        frame: Frame<'a>,
    },
    /// A frame without samples: it counts in the ledger only.
    Beat {
        /// Whose.
        node: NodeId,
        /// Its number.
        seq: u64,
        /// Where it stands among all that was collected.
        origin: Origin,
    },
    /// Frames that will not come.
    Closed {
        /// Whose.
        node: NodeId,
        /// Which, and why.
        lost: Lost,
    },
    /// Everything that is known of an epoch.
    Ledger {
        /// Whose.
        node: NodeId,
        /// Of which start of the agent.
        epoch: Epoch,
        /// As the ledger lists them.
        pieces: Vec<Piece>,
    },
    /// An epoch is over: its ledger goes.
    Ended {
        /// Whose.
        node: NodeId,
        /// Of which start of the agent.
        epoch: Epoch,
    },
    /// Where a boot lies on our time line.
    Boot {
        /// Of whose host.
        node: NodeId,
        /// Which, and where.
        boot: Boot,
    },
    /// A series has a number.
    Series {
        /// Whose.
        node: NodeId,
        /// Its number.
        id: SeriesId,
        /// A sample of it may be as new as this.
        seen: WallTime,
        /// The series.
        spec: SeriesSpec,
    },
    /// A node was forgotten; numbers of series go on where they were.
    Forgotten {
        /// Which.
        node: NodeId,
        /// The next number of a series.
        next: SeriesId,
    },
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// Whose.
    pub node: NodeId,
    /// Of which stream.
    pub lane: Lane,
    /// When it was sampled, on the aggregator's time line.
    pub at: WallTime,
    /// Its place in its chain.
    pub head: FrameHead,
    /// Where it stands among all that was collected; `None` if nobody counts.
    pub origin: Option<Origin>,
    /// It was kept before.
    pub again: bool,
    /// Bitmap of the sampled groups.
    pub groups: &'a [u8],
    /// Changed cells, as received; in a base, those of a key frame of all groups of the window.
    pub cells: &'a [u8],
}

/// Everything that the frames behind it need.
#[derive(Clone, Debug, PartialEq)]
pub struct Base<'a> {
    /// The first frame; its cells say the whole row.
    pub frame: Frame<'a>,
    /// What stands at each index.
    pub layout: Arc<Layout>,
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Of a kind that is not known.
    #[error("a record of kind {0}")]
    Kind(u8),
    /// It ends early.
    #[error("a record is cut short")]
    Short,
    /// It goes on after its end.
    #[error("a record goes on after its end")]
    Long,
    /// A number that nothing can be.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// A number is damaged.
    #[error("a record is damaged")]
    Varint(#[from] VarintError),
    /// A text is not UTF-8.
    #[error("a text of a record is damaged")]
    Text(#[from] std::str::Utf8Error),
    /// A series that nobody can have registered.
    #[error("a series of a record is damaged")]
    Series(#[from] LabelError),
}

#[cfg(test)]
mod tests;
