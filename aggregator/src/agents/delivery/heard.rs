//! What was heard of one start of an agent.

use super::{Arrival, Cause};
use crate::store::Origin;
use quorate_common::ledger::{Ledger, LedgerError};
use quorate_common::model::session::SeqRange;

/// See the module.
#[derive(Debug)]
pub struct Heard {
    /// The frames that are known.
    pub ledger: Ledger,
    /// Why frames are lost that nobody declared.
    pub cause: Cause,
    /// The lowest number that the agent may still send. What is unknown below it is lost.
    held_from: u64,
    /// What the last Hello said by not naming it, and whether that was all of the epoch: said once, and to be kept in
    /// mind until it is durable.
    pub unheld: Vec<SeqRange>,
    pub is_over: bool,
}

impl Default for Heard {
    fn default() -> Self {
        let (ledger, unheld, is_over) = Default::default();
        Heard { ledger, cause: Cause::Earlier, held_from: u64::MAX, unheld, is_over }
    }
}

impl Heard {
    /// What the agent has; everything else that is unknown, up to the newest that is known, is lost: these ranges.
    pub fn hold(&mut self, mut ranges: Vec<(u64, u64)>) -> Vec<SeqRange> {
        self.is_over = false;
        ranges.sort_unstable();
        self.held_from = ranges.first().map_or(u64::MAX, |range| range.0);
        self.cause = if self.ledger.last() > 0 { Cause::Node } else { Cause::Earlier };
        let mut lost = Vec::new();
        let mut next = 1;
        for (first, last) in ranges {
            lost.extend(self.unknown(next, first.saturating_sub(1)));
            next = next.max(last.saturating_add(1));
        }
        lost.extend(self.unknown(next, self.ledger.last()));
        self.unheld.clone_from(&lost);
        lost
    }

    /// A range in which something is unknown.
    fn unknown(&self, first: u64, last: u64) -> Option<SeqRange> {
        let first = first.max(self.ledger.watermark().saturating_add(1));
        (first <= last).then_some(SeqRange { first, last })
    }

    /// A frame arrived; what it turned out to be, and what is lost below it.
    pub fn arrive(&mut self, seq: u64, origin: &Origin) -> Result<(Arrival, Option<SeqRange>), LedgerError> {
        if self.ledger.contains(seq) {
            return Ok((Arrival::Known, None));
        }
        match self.ledger.insert(seq, seq, origin.totals, origin.tally()) {
            Err(LedgerError::Full { .. }) => return Ok((Arrival::Unkept, None)),
            inserted => inserted?,
        }
        // An agent that holds nothing older sends the oldest that it has first.
        self.held_from = self.held_from.min(seq);
        Ok((Arrival::New, self.unknown(1, self.held_from - 1)))
    }
}
