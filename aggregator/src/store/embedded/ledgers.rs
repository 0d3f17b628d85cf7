//! What is known to be durable of every epoch of every node.

use super::log::Learned;
use super::record::Record;
use crate::store::{Boot, ENDED_MAX, Lost};
use quorate_common::ledger::{Ledger, Piece};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::{Epoch, SeqRange};
use quorate_common::tally::Cause;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Boots of one host that are remembered.
const BOOTS_MAX: usize = 16;

/// By node and epoch; and where each node's boots lie on our time line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledgers {
    ledgers: BTreeMap<(NodeId, Epoch), Ledger>,
    boots: BTreeMap<NodeId, Vec<Boot>>,
}

/// What files say of one epoch.
#[derive(Debug, Default)]
pub struct Found {
    arrived: Vec<Piece>,
    lost: Vec<(SeqRange, Cause, u64)>,
}

enum Step {
    Arrived(Piece),
    Lost(SeqRange, Cause, u64),
}

impl Found {
    /// A piece of a ledger.
    pub fn piece(&mut self, piece: Piece) {
        match (piece.totals, piece.below.or(piece.above)) {
            (None, cause) => self.lost.push((piece.range, cause.unwrap_or(Cause::Node), 0)),
            (Some(_), _) => self.arrived.push(piece),
        }
    }

    /// Frames that were declared lost, those that had come before left out.
    pub fn lost(&mut self, lost: &Lost) {
        self.lost.push((lost.range, lost.cause, lost.collected_total));
    }

    /// What other files say.
    pub fn join(&mut self, other: Found) {
        self.arrived.extend(other.arrived);
        self.lost.extend(other.lost);
    }

    /// Everything without an overlap, from the bottom up. What lies within a wider piece is said by that already.
    fn steps(mut self) -> Vec<Step> {
        self.arrived.sort_by_key(|piece| (piece.range.first, Reverse(piece.range.last)));
        let mut top = 0;
        self.arrived.retain(|piece| {
            let is_new = piece.range.first > top;
            top = top.max(piece.range.last);
            is_new
        });
        let mut steps = Vec::new();
        for (range, cause, total) in self.lost {
            let mut next = range.first;
            let from = self.arrived.partition_point(|piece| piece.range.last < next);
            for piece in self.arrived.iter().skip(from).take_while(|piece| piece.range.first <= range.last) {
                let gap = SeqRange { first: next, last: piece.range.first - 1 };
                steps.push((next, Step::Lost(gap, cause, 0)));
                next = piece.range.last.saturating_add(1);
            }
            steps.push((next, Step::Lost(SeqRange { first: next, last: range.last }, cause, total)));
        }
        steps.extend(self.arrived.into_iter().map(|piece| (piece.range.first, Step::Arrived(piece))));
        steps.sort_by_key(|(first, step)| (*first, matches!(step, Step::Arrived(_))));
        steps.into_iter().map(|(_, step)| step).collect()
    }
}

impl Ledgers {
    /// One ledger.
    pub fn get(&self, node: NodeId, epoch: Epoch) -> Option<&Ledger> {
        self.ledgers.get(&(node, epoch))
    }

    /// Those of one node.
    pub fn only(&self, node: NodeId) -> Ledgers {
        let ledgers = self.of(node).map(|(epoch, ledger)| ((node, epoch), ledger.clone())).collect();
        Ledgers { ledgers, boots: BTreeMap::new() }
    }

    /// The boots of a node's host.
    pub fn boots(&self, node: NodeId) -> &[Boot] {
        self.boots.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The newest word on a boot counts, and of too many boots the oldest goes.
    fn boot(&mut self, node: NodeId, boot: Boot) {
        let boots = self.boots.entry(node).or_default();
        match boots.iter_mut().find(|known| known.id == boot.id) {
            Some(known) if known.at <= boot.at => *known = boot,
            Some(_) => {}
            None => boots.push(boot),
        }
        boots.sort_by_key(|boot| boot.at);
        let over = boots.len().saturating_sub(BOOTS_MAX);
        boots.drain(..over);
    }

    /// All epochs of a node.
    pub fn of(&self, node: NodeId) -> impl Iterator<Item = (Epoch, &Ledger)> {
        let all = (node, Epoch::default())..=(node, Epoch { order: u64::MAX, nonce: u64::MAX });
        self.ledgers.range(all).map(|((_, epoch), ledger)| (*epoch, ledger))
    }

    /// Something became durable. What contradicts the ledger is not learned: it is never acknowledged then.
    pub fn learn(&mut self, learned: Learned) {
        match learned {
            Learned::Frame(node, seq, origin) => {
                let ledger = self.ledgers.entry((node, origin.epoch)).or_default();
                ledger.insert(seq, seq, origin.totals, origin.tally()).ok();
            }
            Learned::Closed(node, lost) => {
                let ledger = self.ledgers.entry((node, lost.epoch)).or_default();
                ledger.lose(lost.range, lost.cause, lost.collected_total).ok();
            }
            Learned::Boot(node, boot) => self.boot(node, boot),
            Learned::Ended(node, epoch) => self.end(node, epoch),
            Learned::Forgotten(node) => {
                self.ledgers.retain(|(of, _), _| *of != node);
                self.boots.remove(&node);
            }
        }
    }

    /// Lets go of one.
    pub fn remove(&mut self, node: NodeId, epoch: Epoch) {
        self.ledgers.remove(&(node, epoch));
    }

    /// Files older than this may speak of the epoch for hours: one that was forgotten would be there again.
    fn end(&mut self, node: NodeId, epoch: Epoch) {
        self.ledgers.entry((node, epoch)).or_default().close(Cause::Node);
        let closed = self.of(node).filter(|(_, ledger)| ledger.is_closed()).map(|(epoch, _)| epoch);
        let mut closed: Vec<Epoch> = closed.collect();
        closed.truncate(closed.len().saturating_sub(ENDED_MAX));
        closed.into_iter().for_each(|epoch| drop(self.ledgers.remove(&(node, epoch))));
    }

    /// Puts an epoch together from what several files say of it, in any order and more than once.
    pub fn restore(&mut self, node: NodeId, epoch: Epoch, found: Found) {
        let ledger = self.ledgers.entry((node, epoch)).or_default();
        // From the bottom up there are never more holes than there are in the end.
        for step in found.steps() {
            match step {
                Step::Arrived(piece) => ledger.restore(piece).ok(),
                Step::Lost(range, cause, total) => ledger.lose(range, cause, total).ok(),
            };
        }
    }

    /// Calls `take` with a record for each.
    pub fn records<E>(&self, mut take: impl FnMut(&Record<'_>) -> Result<(), E>) -> Result<(), E> {
        self.ledgers.iter().try_for_each(|(&(node, epoch), ledger)| {
            take(&Record::Ledger { node, epoch, pieces: ledger.pieces().to_vec() })
        })?;
        let boots = self.boots.iter().flat_map(|(node, boots)| boots.iter().map(|boot| (*node, *boot)));
        boots.into_iter().try_for_each(|(node, boot)| take(&Record::Boot { node, boot }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Origin;
    use quorate_common::ledger::Totals;
    use quorate_common::tally::Tally;

    const NODE: NodeId = NodeId(1);
    const EPOCH: Epoch = Epoch { order: 1, nonce: 2 };

    fn origin(seq: u64) -> Origin {
        let totals = Totals { before: (seq - 1) * 10, after: seq * 10 };
        Origin { epoch: EPOCH, totals, admitted: 9 }
    }

    fn piece(seq: u64) -> Piece {
        Piece::arrived(SeqRange { first: seq, last: seq }, origin(seq).totals, origin(seq).tally())
    }

    #[test]
    fn an_epoch_is_put_together_from_files_of_all_classes() {
        let mut expect = Ledgers::default();
        for seq in 1..=400 {
            expect.learn(Learned::Frame(NODE, seq, origin(seq)));
        }
        // Every third frame lies in another file: on its own that file would be far more than 64 ranges.
        let (third, others): (Vec<u64>, Vec<u64>) = (1..=400).partition(|seq| seq % 3 == 0);
        let head = SeqRange { first: 1, last: 50 };
        let head = Piece::arrived(head, Totals { before: 0, after: 500 }, Tally::of_frame(500, 450));
        // What was lost is said in a range that covers some that had come.
        let lost = Lost {
            epoch: EPOCH,
            range: SeqRange { first: 390, last: 450 },
            cause: Cause::Damaged,
            collected_total: 4600,
        };
        expect.learn(Learned::Closed(NODE, lost));
        let mut found = Found::default();
        found.lost(&lost);
        third.into_iter().chain(others).map(piece).chain([head, head]).for_each(|piece| found.piece(piece));
        let mut restored = Ledgers::default();
        restored.restore(NODE, EPOCH, found);
        assert_eq!(restored, expect);
        let ledger = restored.get(NODE, EPOCH).unwrap();
        assert_eq!((ledger.watermark(), ledger.tally().stored, ledger.tally().all()), (450, 3600, 4600));
    }

    #[test]
    fn nodes_and_epochs_go() {
        let mut ledgers = Ledgers::default();
        let next = Epoch { order: 2, nonce: 0 };
        for (node, epoch) in [(NODE, EPOCH), (NODE, next), (NodeId(2), EPOCH)] {
            ledgers.learn(Learned::Frame(node, 1, Origin { epoch, ..origin(1) }));
        }
        assert_eq!(ledgers.of(NODE).map(|(epoch, _)| epoch).collect::<Vec<_>>(), [EPOCH, next]);
        ledgers.learn(Learned::Ended(NODE, EPOCH));
        assert!(
            ledgers.get(NODE, EPOCH).unwrap().is_closed() && !ledgers.get(NODE, next).unwrap().is_closed()
        );
        for order in 3..100 {
            ledgers.learn(Learned::Ended(NODE, Epoch { order, nonce: 0 }));
        }
        assert_eq!((ledgers.of(NODE).count(), ledgers.get(NODE, EPOCH)), (ENDED_MAX + 1, None));
        ledgers.learn(Learned::Forgotten(NODE));
        assert_eq!((ledgers.of(NODE).count(), ledgers.of(NodeId(2)).count()), (0, 1));
    }
}
