//! What an agent sends of earlier, beside its live session: pieces of its journal, and what it can no longer send.

use super::session::{Epoch, SeqRange};
use super::words;
use bytes::Bytes;

/// Consecutive frames of one epoch that can be read by themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose frames they are.
    pub epoch: Epoch,
    /// The boot of the host in which they were sampled.
    pub boot_id: [u8; 16],
    /// The messages of a session that carries them, without Hello, packed.
    pub packed: Bytes,
}

words! {
    /// Why frames cannot be sent any more.
    LossCause {
        /// There was no room for them on the node.
        Overflow = "overflow",
        /// The node's disk did not take them.
        Unwritten = "unwritten",
        /// The node's disk gave something else back, or the aggregator could not read them.
        Damaged = "damaged",
    }
}

/// Frames that are lost, all numbers from `first` to `last`, unless they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Whose numbers these are.
    pub epoch: Epoch,
    /// The lowest.
    pub first: u64,
    /// The highest.
    pub last: u64,
    /// Samples collected in the epoch when `last` was; 0 if nobody knows.
    pub collected_total: u64,
    /// Why.
    pub cause: LossCause,
}

/// One message of back-filling; each is answered by a [`Known`] before the next is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backfill {
    /// Frames.
    Piece(Piece),
    /// No frames.
    Loss(Loss),
}

/// What an aggregator knows of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whose numbers these are.
    pub epoch: Epoch,
    /// Watermark: all frames up to here are durable or declared lost.
    pub durable: u64,
    /// Further durable frames above the watermark.
    pub above: Vec<SeqRange>,
    /// Why what was sent cannot be read, and need not be sent again.
    pub refused: Option<String>,
}

impl Known {
    /// Whether all frames from `first` to `last` are known.
    pub fn covers(&self, first: u64, last: u64) -> bool {
        let first = first.max(self.durable.saturating_add(1));
        first > last || self.above.iter().any(|range| range.first <= first && last <= range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_covers_what_lies_below_and_in_one_range() {
        let above = vec![SeqRange { first: 8, last: 9 }, SeqRange { first: 12, last: 20 }];
        let known = Known { durable: 5, above, ..Known::default() };
        for (first, last, expect) in
            [(1, 5, true), (4, 6, false), (8, 9, true), (8, 12, false), (13, 20, true), (13, 21, false)]
        {
            assert_eq!(known.covers(first, last), expect, "{first} to {last}");
        }
        let known = Known { durable: 5, above: vec![SeqRange { first: 6, last: 9 }], ..Known::default() };
        assert!(known.covers(3, 9), "from below the watermark into a range");
    }
}
