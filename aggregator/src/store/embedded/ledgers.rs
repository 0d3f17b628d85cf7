//! What is known to be durable of every epoch of every node.

use super::log::Learned;
use super::record::Record;
use quorate_common::ledger::{Admission, Ledger, Totals};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::{Epoch, SeqRange};
use std::collections::BTreeMap;

/// By node and epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledgers(BTreeMap<(NodeId, Epoch), Ledger>);

/// Frames, and the totals around them if they arrived.
pub type Entry = (SeqRange, Option<Totals>);

impl Ledgers {
    /// One ledger.
    pub fn get(&self, node: NodeId, epoch: Epoch) -> Option<&Ledger> {
        self.0.get(&(node, epoch))
    }

    /// All epochs of a node.
    pub fn of(&self, node: NodeId) -> impl Iterator<Item = (Epoch, &Ledger)> {
        let all = (node, Epoch::default())..=(node, Epoch { order: u64::MAX, nonce: u64::MAX });
        self.0.range(all).map(|((_, epoch), ledger)| (*epoch, ledger))
    }

    /// Something became durable. What contradicts the ledger is not learned: it is never acknowledged then.
    pub fn learn(&mut self, learned: Learned) {
        match learned {
            Learned::Frame(node, epoch, seq, totals) => {
                let ledger = self.0.entry((node, epoch)).or_default();
                ledger.insert(seq, seq, totals).ok();
            }
            Learned::Closed(node, epoch, range) => {
                self.0.entry((node, epoch)).or_default().close(range.first, range.last).ok();
            }
            Learned::Ended(node, epoch) => drop(self.0.remove(&(node, epoch))),
            Learned::Forgotten(node) => self.0.retain(|(of, _), _| *of != node),
        }
    }

    /// Puts an epoch together from what several files say of it, in any order and more than once.
    pub fn restore(&mut self, node: NodeId, epoch: Epoch, mut entries: Vec<Entry>) {
        // From the bottom up there are never more holes than there are in the end; the widest first.
        entries.sort_by_key(|(range, _)| (range.first, std::cmp::Reverse(range.last)));
        let ledger = self.0.entry((node, epoch)).or_default();
        for (range, totals) in entries {
            let new = ledger.admit(range.first, range.last) == Admission::New;
            let inserted =
                totals.filter(|_| new).map(|totals| ledger.insert(range.first, range.last, totals));
            if !matches!(inserted, Some(Ok(_))) {
                ledger.close(range.first, range.last).ok();
            }
        }
    }

    /// Calls `take` with a record for each.
    pub fn records<E>(&self, mut take: impl FnMut(&Record<'_>) -> Result<(), E>) -> Result<(), E> {
        self.0.iter().try_for_each(|(&(node, epoch), ledger)| {
            take(&Record::Ledger { node, epoch, entries: ledger.entries().collect() })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);
    const EPOCH: Epoch = Epoch { order: 1, nonce: 2 };

    fn frame(seq: u64) -> Entry {
        (SeqRange { first: seq, last: seq }, Some(Totals { before: (seq - 1) * 10, after: seq * 10 }))
    }

    #[test]
    fn an_epoch_is_put_together_from_files_of_all_classes() {
        let mut expect = Ledgers::default();
        for seq in 1..=400 {
            expect.learn(Learned::Frame(NODE, EPOCH, seq, frame(seq).1.unwrap()));
        }
        // Every third frame lies in another file: on its own that file would be far more than 64 ranges.
        let (third, others): (Vec<u64>, Vec<u64>) = (1..=400).partition(|seq| seq % 3 == 0);
        let head = (SeqRange { first: 1, last: 50 }, Some(Totals { before: 0, after: 500 }));
        let entries = third.into_iter().chain(others).map(frame).chain([head, head]).collect();
        let mut restored = Ledgers::default();
        restored.restore(NODE, EPOCH, entries);
        assert_eq!(restored, expect);
        assert_eq!(restored.get(NODE, EPOCH).unwrap().watermark(), 400);
    }

    #[test]
    fn nodes_and_epochs_go() {
        let mut ledgers = Ledgers::default();
        let next = Epoch { order: 2, nonce: 0 };
        for (node, epoch) in [(NODE, EPOCH), (NODE, next), (NodeId(2), EPOCH)] {
            ledgers.learn(Learned::Frame(node, epoch, 1, Totals::default()));
        }
        assert_eq!(ledgers.of(NODE).map(|(epoch, _)| epoch).collect::<Vec<_>>(), [EPOCH, next]);
        ledgers.learn(Learned::Ended(NODE, EPOCH));
        assert_eq!(ledgers.of(NODE).count(), 1);
        ledgers.learn(Learned::Forgotten(NODE));
        assert_eq!((ledgers.of(NODE).count(), ledgers.of(NodeId(2)).count()), (0, 1));
    }
}
