//! What became of samples: kept, or dropped for a cause.

use crate::model::backfill::LossCause;
use crate::model::words;

words! {
    /// Why samples were not kept.
    Cause {
        /// The agent had no room for them any more.
        Overflow = "overflow",
        /// The node has more series than it may.
        Quota = "quota",
        /// Collected before this aggregator first heard of this start of the agent: acknowledged to one whose history
        /// is gone, or pushed out on the node meanwhile.
        Earlier = "earlier",
        /// The node's disk did not take them.
        Unwritten = "unwritten",
        /// The node's disk gave something else back, or we could not read them.
        Damaged = "damaged",
        /// The node has them no more and does not say why: its disk was lost, wiped or set back.
        Node = "lost_on_node",
        /// They are older than anything that is kept.
        Old = "too_old",
        /// They come from the future: the node's clock was wrong when nobody heard it.
        New = "too_new",
    }
}

impl From<LossCause> for Cause {
    fn from(cause: LossCause) -> Cause {
        match cause {
            LossCause::Overflow => Cause::Overflow,
            LossCause::Unwritten => Cause::Unwritten,
            LossCause::Damaged => Cause::Damaged,
        }
    }
}

/// Samples by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kept.
    pub stored: u64,
    dropped: [u64; Cause::ALL.len()],
}

impl Tally {
    /// So many were kept.
    pub fn stored(samples: u64) -> Tally {
        Tally { stored: samples, ..Tally::default() }
    }

    /// So many of a frame were kept; the others belong to series that its node may not have.
    pub fn of_frame(sampled: u64, admitted: u64) -> Tally {
        let mut tally = Tally::stored(admitted.min(sampled));
        tally.drop(Cause::Quota, sampled.saturating_sub(admitted));
        tally
    }

    /// So many were not kept.
    pub fn drop(&mut self, cause: Cause, samples: u64) {
        if let Some(dropped) = self.dropped.get_mut(cause as usize) {
            *dropped += samples;
        }
    }

    /// Those of another as well.
    pub fn add(&mut self, other: &Tally) {
        self.stored += other.stored;
        self.dropped.iter_mut().zip(other.dropped).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What was dropped, by cause; only causes for which there was any.
    pub fn dropped(&self) -> impl Iterator<Item = (Cause, u64)> {
        Cause::ALL.iter().copied().zip(self.dropped).filter(|(_, samples)| *samples > 0)
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.stored + self.dropped.iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_goes_somewhere() {
        let mut tally = Tally::of_frame(10, 7);
        tally.drop(Cause::Node, 5);
        tally.add(&Tally::of_frame(3, 9));
        assert_eq!((tally.stored, tally.all()), (10, 18));
        assert_eq!(tally.dropped().collect::<Vec<_>>(), [(Cause::Quota, 3), (Cause::Node, 5)]);
    }
}
