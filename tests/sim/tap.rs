//! The way into the store, where some mutants live.

use super::mutant::Mutant;
use quorate_aggregator::store::embedded::Embedded;
use quorate_aggregator::store::{
    Append, Boot, Commits, FrameRecord, Lane, Lost, NewColumns, Origin, SeriesId, Ticket,
};
use quorate_common::cell::{Decoder, Index};
use quorate_common::ledger::{Ledger, Totals};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::SeriesSpec;
use quorate_common::model::session::{Epoch, SeqRange};
use quorate_common::model::time::WallTime;
use std::sync::Arc;
use tokio::sync::watch;

/// See the module.
pub struct Tap {
    store: Arc<Embedded>,
    mutant: Option<Mutant>,
}

impl Tap {
    /// In front of a store.
    pub fn new(store: Arc<Embedded>, mutant: Option<Mutant>) -> Tap {
        Tap { store, mutant }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// What the store will have of an epoch if nothing fails.
    fn ledger(&self, node: NodeId, epoch: Epoch) -> Option<Ledger> {
        self.store.known(node).into_iter().find(|(known, _)| *known == epoch).map(|(_, ledger)| ledger)
    }
}

impl Append for Tap {
    fn intern(&self, node: NodeId, spec: &SeriesSpec) -> SeriesId {
        let id = self.store.intern(node, spec);
        if self.is(Mutant::NumberUsedAgain) && id.0 == 7 { SeriesId(4) } else { id }
    }

    fn begin(&self, node: NodeId, lane: Lane) {
        self.store.begin(node, lane);
    }

    fn register(&self, node: NodeId, lane: Lane, columns: &NewColumns) {
        self.store.register(node, lane, columns);
    }

    fn retire(&self, node: NodeId, lane: Lane, indices: &[Index]) {
        self.store.retire(node, lane, indices);
    }

    fn keep(
        &self,
        place: (NodeId, Lane),
        origin: Option<Origin>,
        record: FrameRecord<'_>,
        decoder: &Decoder,
    ) -> bool {
        let record = FrameRecord { again: record.again && !self.is(Mutant::KeptAgain), ..record };
        match origin {
            Some(origin) if self.is(Mutant::CountedAndNotKept) && place.1 == Lane::Late => {
                self.store.beat(place.0, record.head.seq, origin)
            }
            Some(origin) if self.is(Mutant::CountedTwice) && place.1 == Lane::Late => {
                let after = origin.totals.after + origin.admitted;
                let totals = Totals { before: origin.totals.after, after };
                let taken = self.store.keep(place, Some(origin), record, decoder);
                self.store.beat(place.0, record.head.seq + 1, Origin { totals, ..origin }) && taken
            }
            origin => self.store.keep(place, origin, record, decoder),
        }
    }

    fn beat(&self, node: NodeId, seq: u64, origin: Origin) -> bool {
        self.store.beat(node, seq, origin)
    }

    fn close(&self, node: NodeId, lost: Lost) -> bool {
        let SeqRange { first, last } = lost.range;
        if self.is(Mutant::LossForgotten) {
            return true;
        }
        if self.is(Mutant::EndedTooEarly) {
            self.store.end(node, lost.epoch);
        }
        let last = if self.is(Mutant::LossOffByOne) { last - u64::from(first < last) } else { last };
        self.store.close(node, Lost { range: SeqRange { first, last }, ..lost })
    }

    fn boot(&self, node: NodeId, boot: Boot) {
        self.store.boot(node, boot);
    }

    fn boots(&self, node: NodeId) -> Vec<Boot> {
        self.store.boots(node)
    }

    fn end(&self, node: NodeId, epoch: Epoch) {
        self.store.end(node, epoch);
    }

    fn durable(&self, node: NodeId, epoch: Epoch) -> Ledger {
        if self.is(Mutant::ReceivedIsDurable) {
            return self.ledger(node, epoch).unwrap_or_default();
        }
        self.store.durable(node, epoch)
    }

    fn known(&self, node: NodeId) -> Vec<(Epoch, Ledger)> {
        self.store.known(node)
    }

    fn ticket(&self) -> Ticket {
        self.store.ticket()
    }

    fn commits(&self) -> watch::Receiver<Commits> {
        self.store.commits()
    }

    fn expire(&self, before: WallTime) {
        self.store.expire(before);
    }

    fn forget(&self, node: NodeId) {
        self.store.forget(node);
    }
}
