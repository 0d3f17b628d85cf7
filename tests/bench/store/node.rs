//! One node's session as the aggregator has it, without its wire and its door: registrations are interned, frames
//! decoded, shown as newest values and kept with what their ledger is to learn.

use anyhow::{Context, bail};
use quorate_aggregator::store::embedded::Embedded;
use quorate_aggregator::store::live::{Live, NodeRow};
use quorate_aggregator::store::{Append, Column, FrameRecord, Lane, NewColumns, Origin};
use quorate_common::cell::{Decoder, FrameHead};
use quorate_common::ledger::Totals;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::Window;
use quorate_common::model::session::{AgentMessage, Epoch, Frame, Register};
use quorate_common::model::time::WallTime;
use std::sync::Arc;

/// More than any load here has.
const INDICES_MAX: u32 = 1 << 20;

/// See the module.
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its start.
    pub epoch: Epoch,
    /// Its newest frame.
    pub received: u64,
    /// Samples so far.
    pub samples: u64,
    row: Arc<NodeRow>,
    decoder: Decoder,
    collected: u64,
}

/// The number under which node `number` is kept.
pub fn node_id(number: usize) -> NodeId {
    NodeId(number as i64 + 1)
}

impl Node {
    /// Node `number` calls.
    pub fn begin(number: usize, live: &Live, store: &Embedded) -> anyhow::Result<Node> {
        let id = node_id(number);
        let row = live.row(id, &format!("n{number}").parse()?);
        store.begin(id, Lane::Live);
        row.begin();
        let decoder = Decoder::new(INDICES_MAX, INDICES_MAX);
        let epoch = Epoch { order: 1, nonce: number as u64 };
        Ok(Node { id, epoch, received: 0, samples: 0, row, decoder, collected: 0 })
    }

    /// Takes a message.
    pub fn take(&mut self, message: &AgentMessage, store: &Embedded) -> anyhow::Result<()> {
        match message {
            AgentMessage::Register(register) => self.register(register, store),
            AgentMessage::Frame(frame) => self.frame(frame, store),
            other => bail!("{other:?} came"),
        }
    }

    fn register(&mut self, register: &Register, store: &Embedded) -> anyhow::Result<()> {
        register.retire.iter().try_for_each(|index| self.decoder.retire(*index))?;
        if !register.retire.is_empty() {
            store.retire(self.id, Lane::Live, &register.retire);
            self.row.retire(&register.retire);
        }
        for group in &register.groups {
            let window = Window::of_interval_ms(group.interval_ms);
            let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
            self.decoder.register(group.group, window, group.first_index, &forms)?;
            let column = |spec| Column {
                id: Some(store.intern(self.id, spec)),
                form: spec.metric.form,
                group: group.group,
            };
            let columns = group.series.iter().map(column).collect();
            let (class, first) = (group.class, group.first_index);
            let new = NewColumns { group: group.group, window, class, first, columns };
            store.register(self.id, Lane::Live, &new);
            self.row.register(&new, &|_| None);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame, store: &Embedded) -> anyhow::Result<()> {
        let totals = Totals { before: self.collected, after: frame.collected_total };
        let admitted = frame.collected_total - self.collected;
        let origin = Origin { epoch: self.epoch, totals, admitted };
        (self.received, self.collected) = (frame.seq, frame.collected_total);
        let at = WallTime(frame.wall_ns);
        let Some(window) = frame.window else {
            store.beat(self.id, frame.seq, origin);
            return Ok(());
        };
        let head = FrameHead { seq: frame.seq, predecessor: frame.predecessor, window };
        let decoded = self.decoder.decode(head, &frame.groups, &frame.cells);
        let decoded = decoded.with_context(|| format!("frame {}", frame.seq))?;
        self.samples += decoded.samples;
        self.row.apply(at, decoded.groups, decoded.changed);
        let record = FrameRecord { at, head, groups: &frame.groups, cells: &frame.cells, again: false };
        store.keep((self.id, Lane::Live), Some(origin), record, &self.decoder);
        Ok(())
    }
}
