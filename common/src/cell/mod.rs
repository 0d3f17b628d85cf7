//! The cell codec: rows of 64-bit cells into the bytes of frames, and back.
//!
//! Two twin state machines, one at each end of a session or journal segment. Both hold the same layout (which
//! index belongs to which group, with which form, retired or not) and the same row of newest cells; a frame
//! carries what changed. They do no I/O, know no wire type, and refuse rather than repair: a frame that does
//! not fit is an error, after which the decoder is what it was before.
//!
//! Each window class is a delta chain of its own:
//!
//! ```text
//!            key frame (predecessor 0)             frame whose predecessor is `last`
//!  [empty] ────────────────────────────→ [last] ───────────────────────────────────→ [last = its number]
//!                                           └── key frame: cells of the window become 0 first ──↗
//! ```
//!
//! The bytes of a frame:
//!
//! - `groups`: one bit for each group number, lowest bit first; a zero byte at the end is not written.
//! - `cells`: pairs of varints (LEB128, shortest form only). First the gap: how many indices lie between this
//!   one and the one mentioned before, over the indices of all windows. Then the change: for integers the zigzag
//!   of the wrapping difference; for floats the XOR of the bits, in reversed bit order. Reversed, because most
//!   doubles of real exporters hold whole numbers or halves, which differ in the upper bits only: measured on
//!   such gauges and counters, 2.2 to 5 bytes, against 6 to 8 in plain order and 2.2 to 5.3 with swapped bytes.
//!   Decimal fractions with a full mantissa cost 9.5 bytes (7 to 8 in plain order): register them scaled.

mod bitmap;
mod decoder;
mod encoder;
mod layout;
#[cfg(test)]
mod tests;
pub mod varint;

pub use decoder::{Decoded, Decoder};
pub use encoder::{EncodedFrame, Encoder};
pub use varint::VarintError;

use crate::model::series::{CellForm, Window};

/// Number of a group in a session, dense from 0.
pub type GroupId = u32;

/// Number of a series in a session, dense from 0 over all groups and never used again.
pub type Index = u32;

/// How a change of a cell is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// As a difference.
    Integer,
    /// As differing bits.
    Float,
}

impl From<CellForm> for Form {
    fn from(form: CellForm) -> Form {
        match form {
            CellForm::Integer { .. } => Form::Integer,
            CellForm::Float => Form::Float,
        }
    }
}

/// What stands at the head of a frame and places it in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Its number, from 1.
    pub seq: u64,
    /// The frame that it is a difference to; 0 for a key frame.
    pub predecessor: u64,
    /// The chain.
    pub window: Window,
}

/// Why a registration or a frame was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// A new group must have the next free number.
    #[error("group {group} is out of order, the next new group is {expected}")]
    GroupOrder {
        /// As given.
        group: GroupId,
        /// Number of groups so far.
        expected: u32,
    },
    /// A group never changes its window, and a frame holds groups of its own window only.
    #[error("group {group} belongs to window {registered}, not to {given}")]
    GroupWindow {
        /// The group.
        group: GroupId,
        /// As registered.
        registered: Window,
        /// As given.
        given: Window,
    },
    /// The number of groups is bounded.
    #[error("group {group} is beyond the limit of {limit} groups")]
    GroupLimit {
        /// As given.
        group: GroupId,
        /// Most groups.
        limit: u32,
    },
    /// A frame names a group that nobody registered.
    #[error("group {group} is not registered")]
    GroupUnknown {
        /// As given.
        group: u64,
    },
    /// Series are registered without a hole.
    #[error("index {first} is out of order, the next new series is {expected}")]
    IndexOrder {
        /// As given.
        first: Index,
        /// Number of series so far.
        expected: u32,
    },
    /// The number of series is bounded.
    #[error("{series} series are beyond the limit of {limit}")]
    IndexLimit {
        /// How many there would be.
        series: u64,
        /// Most series.
        limit: u32,
    },
    /// A frame or retirement names an index that nobody registered.
    #[error("index {index} is not registered")]
    IndexUnknown {
        /// As given, or where the gap leads; `u64::MAX` if further.
        index: u64,
    },
    /// A frame or retirement names an index that has ended.
    #[error("index {index} is retired")]
    IndexRetired {
        /// The index.
        index: Index,
    },
    /// A frame mentions a series of a group that it did not sample.
    #[error("index {index} changed, but its group {group} was not sampled")]
    IndexUnsampled {
        /// The index.
        index: Index,
        /// Its group.
        group: GroupId,
    },
    /// A row holds one cell for each registered series.
    #[error("row holds {cells} cells for {series} series")]
    RowLength {
        /// As given.
        cells: usize,
        /// Number of series.
        series: usize,
    },
    /// Frame numbers only grow.
    #[error("frame {seq} is not newer than frame {last} of window {window}")]
    Sequence {
        /// As given.
        seq: u64,
        /// The newest frame of the chain.
        last: u64,
        /// The chain.
        window: Window,
    },
    /// A frame between is missing.
    #[error("frame {seq} follows frame {predecessor}, but the last of window {window} is {last}")]
    Predecessor {
        /// As given.
        seq: u64,
        /// As given.
        predecessor: u64,
        /// The newest frame of the chain; 0 if none.
        last: u64,
        /// The chain.
        window: Window,
    },
    /// The bitmap has a zero byte at its end.
    #[error("groups end in a zero byte")]
    BitmapTail,
    /// A varint in the cells is wrong.
    #[error("cells are damaged at byte {offset}")]
    Varint {
        /// Where it begins.
        offset: usize,
        /// What is wrong.
        #[source]
        cause: VarintError,
    },
}
