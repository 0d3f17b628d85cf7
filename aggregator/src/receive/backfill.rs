//! What an agent sends of earlier, as a machine without I/O and without a clock: pieces become history, losses are
//! counted, and both are answered by what is known then.
//!
//! It touches no newest value and nobody's liveness: what is old says nothing of now. A piece that cannot be read is
//! refused, with what was read of it before kept; the connection goes on.

use crate::agents::delivery::{Arrival, Counted, Delivery};
use crate::limit::AgentLimits as Limits;
use crate::store::{Append, Column, FrameRecord, Lane, NewColumns};
use quorate_common::cell::{CellError, Decoder, FrameHead};
use quorate_common::error::chain;
use quorate_common::ledger::LedgerError;
use quorate_common::model::backfill::{Backfill as Message, Known, Piece};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::Window;
use quorate_common::model::session::{AgentMessage, Epoch, Frame, Register, RegisterGroup};
use quorate_common::model::time::WallTime;
use quorate_common::pack::{UnpackError, unpack};
use quorate_proto::convert::{ConvertError, RegisterLimits, SessionReader};
use std::sync::Arc;

/// Why a piece was refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error("failed to read its messages")]
    Convert(#[from] ConvertError),
    #[error("failed to decode {what}")]
    Decode {
        what: String,
        #[source]
        source: CellError,
    },
    #[error("failed to count frame {seq}")]
    Count {
        seq: u64,
        #[source]
        source: LedgerError,
    },
    #[error("a {0} has no place in it")]
    OutOfPlace(&'static str),
    #[error("frame {seq}: {bytes} bytes, limit {limit}")]
    Long { seq: u64, bytes: usize, limit: usize },
}

/// One connection that back-fills.
pub struct Backfill {
    node: NodeId,
    delivery: Arc<Delivery>,
    store: Arc<dyn Append>,
    limits: Limits,
}

impl Backfill {
    /// Of one node.
    pub fn new(node: NodeId, delivery: Arc<Delivery>, store: Arc<dyn Append>, limits: Limits) -> Backfill {
        Backfill { node, delivery, store, limits }
    }

    /// Takes one message, and says what is known then.
    pub fn receive(&mut self, message: Message) -> Known {
        let (epoch, refused) = match message {
            Message::Piece(piece) => (piece.epoch, self.piece(&piece).err().map(|error| chain(&error))),
            Message::Loss(loss) => {
                self.delivery.lost(loss);
                (loss.epoch, None)
            }
        };
        let (durable, above) = self.delivery.known(epoch);
        Known { epoch, durable, above, refused }
    }

    fn piece(&self, piece: &Piece) -> Result<(), Refusal> {
        let bytes = unpack(&piece.packed, self.limits.piece_bytes_max)?;
        let series_max = self.limits.indices_max() as usize;
        let messages = SessionReader::new(RegisterLimits { series_max }).all(&bytes)?;
        self.store.begin(self.node, Lane::Late);
        let mut stretch = Stretch {
            backfill: self,
            epoch: piece.epoch,
            offset_ns: self.delivery.known_offset(piece.boot_id),
            decoder: Decoder::new(self.limits.indices_max(), self.limits.groups_max),
            admitted: Vec::new(),
            live: 0,
            groups: Vec::new(),
        };
        messages.into_iter().try_for_each(|message| stretch.take(message))
    }
}

/// A piece that is read.
struct Stretch<'a> {
    backfill: &'a Backfill,
    epoch: Epoch,
    /// Our time less the host's boot clock; `None` for a boot that was never heard live.
    offset_ns: Option<i64>,
    decoder: Decoder,
    /// For each index, whether it is kept.
    admitted: Vec<bool>,
    /// How many live series are kept, and how many of each group.
    live: u32,
    groups: Vec<u64>,
}

impl Stretch<'_> {
    fn take(&mut self, message: AgentMessage) -> Result<(), Refusal> {
        match message {
            AgentMessage::Register(register) => self.register(register),
            AgentMessage::Frame(frame) => self.frame(&frame),
            AgentMessage::Hello(_) => Err(Refusal::OutOfPlace("hello")),
            AgentMessage::Bye(_) => Err(Refusal::OutOfPlace("farewell")),
        }
    }

    fn register(&mut self, register: Register) -> Result<(), Refusal> {
        for &index in &register.retire {
            let group = self.decoder.group_of(index);
            let retired = self.decoder.retire(index);
            retired
                .map_err(|source| Refusal::Decode { what: format!("the end of series {index}"), source })?;
            if let (Some(true), Some(group)) = (self.admitted.get(index as usize), group) {
                self.live -= 1;
                self.groups[group as usize] -= 1;
            }
        }
        if !register.retire.is_empty() {
            self.backfill.store.retire(self.backfill.node, Lane::Late, &register.retire);
        }
        register.groups.iter().try_for_each(|group| self.group(group))
    }

    fn group(&mut self, group: &RegisterGroup) -> Result<(), Refusal> {
        let window = Window::of_interval_ms(group.interval_ms);
        let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
        let registered = self.decoder.register(group.group, window, group.first_index, &forms);
        registered.map_err(|source| Refusal::Decode { what: format!("group {}", group.group), source })?;
        self.groups.resize(self.groups.len().max(group.group as usize + 1), 0);
        let Backfill { node, store, limits, .. } = self.backfill;
        let mut columns = Vec::with_capacity(group.series.len());
        for spec in &group.series {
            let admit = self.live < limits.series_per_node_max;
            self.admitted.push(admit);
            self.live += u32::from(admit);
            self.groups[group.group as usize] += u64::from(admit);
            let id = admit.then(|| store.intern(*node, spec));
            columns.push(Column { id, form: spec.metric.form, group: group.group });
        }
        let new = NewColumns { group: group.group, window, first: group.first_index, columns };
        store.register(*node, Lane::Late, &new);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), Refusal> {
        let Backfill { node, store, limits, .. } = self.backfill;
        let (bytes, limit) = (frame.groups.len() + frame.cells.len(), limits.frame_bytes_max);
        if bytes > limit {
            return Err(Refusal::Long { seq: frame.seq, bytes, limit });
        }
        let Some(window) = frame.window else { return self.count(frame, 0, 0).map(drop) };
        let head = FrameHead { seq: frame.seq, predecessor: frame.predecessor, window };
        let decoded = self.decoder.decode(head, &frame.groups, &frame.cells);
        let decoded =
            decoded.map_err(|source| Refusal::Decode { what: format!("frame {}", frame.seq), source })?;
        let admitted = decoded.groups.iter().map(|group| self.groups[*group as usize]).sum();
        let samples = decoded.samples;
        self.backfill.delivery.gaps.filled(self.aligned(frame));
        let again = self.count(frame, samples, admitted)? != Arrival::New;
        let record =
            FrameRecord { at: self.aligned(frame), head, groups: &frame.groups, cells: &frame.cells, again };
        store.frame(*node, Lane::Late, record, &self.decoder);
        Ok(())
    }

    fn count(&self, frame: &Frame, sampled: u64, admitted: u64) -> Result<Arrival, Refusal> {
        let Frame { seq, collected_total, .. } = *frame;
        let counted = Counted { seq, collected_total, sampled, admitted };
        let stored = self.backfill.delivery.stored(self.epoch, counted);
        stored.map_err(|source| Refusal::Count { seq, source })
    }

    /// On our time line. A boot that was never heard live has its own wall clock only.
    fn aligned(&self, frame: &Frame) -> WallTime {
        let ours = self.offset_ns.map(|offset| offset.saturating_add_unsigned(frame.boot_ns));
        WallTime(ours.unwrap_or(frame.wall_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::delivery::Cause;
    use crate::store::Select;
    use crate::store::embedded::Embedded;
    use quorate_common::cell::Encoder;
    use quorate_common::model::backfill::{Loss, LossCause};
    use quorate_common::model::label::Labels;
    use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
    use quorate_common::model::session::Held;
    use quorate_common::pack::pack;
    use quorate_proto::convert::SessionWriter;

    const NODE: NodeId = NodeId(1);
    const EPOCH: Epoch = Epoch { order: 1, nonce: 1 };
    const SECOND: u64 = 1_000_000_000;
    const WALL: i64 = 1_800_000_000 * SECOND as i64;
    const BOOT: [u8; 16] = [3; 16];

    struct Rig {
        backfill: Backfill,
        delivery: Arc<Delivery>,
        store: Arc<Embedded>,
    }

    impl Rig {
        fn new(limits: Limits) -> Rig {
            let (delivery, store) = (Arc::<Delivery>::default(), Arc::<Embedded>::default());
            delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 100 }]);
            let backfill = Backfill::new(NODE, delivery.clone(), store.clone(), limits);
            Rig { backfill, delivery, store }
        }

        /// The values that are there, in order of time.
        fn stored(&self) -> Vec<(i64, f64)> {
            let ids: Vec<_> = self.store.find(NODE, &|_| true).iter().map(|(id, _)| *id).collect();
            let samples = self.store.samples(NODE, &ids, WallTime(0), WallTime(i64::MAX));
            let mut all: Vec<_> =
                samples.iter().flatten().map(|one| ((one.at.0 - WALL) / SECOND as i64, one.value)).collect();
            all.sort_by(|one, other| one.partial_cmp(other).unwrap());
            all
        }
    }

    /// Frames of one gauge that shows the number of the frame, a second apart.
    fn messages(seqs: std::ops::RangeInclusive<u64>) -> Vec<AgentMessage> {
        wide(1, seqs)
    }

    /// The same with some gauges.
    fn wide(width: u64, seqs: std::ops::RangeInclusive<u64>) -> Vec<AgentMessage> {
        let mut encoder = Encoder::new();
        encoder.register(0, Window::Short, &vec![CellForm::COUNT.into(); width as usize]).unwrap();
        let series = |at: u64| {
            let metric =
                Metric { name: format!("g{at}").into(), kind: MetricKind::Gauge, form: CellForm::COUNT };
            SeriesSpec { metric, labels: Labels::default() }
        };
        let group = RegisterGroup {
            group: 0,
            collector: "c".into(),
            interval_ms: 1000,
            class: SeriesClass::System,
            first_index: 0,
            series: (0..width).map(series).collect(),
        };
        let mut all = vec![AgentMessage::Register(Register { groups: vec![group], retire: vec![] })];
        for seq in seqs {
            let encoded = encoder
                .encode(seq, Window::Short, &[0], &vec![seq.cast_signed(); width as usize], false)
                .unwrap();
            all.push(AgentMessage::Frame(Frame {
                seq,
                predecessor: encoded.predecessor,
                window: Some(Window::Short),
                boot_ns: seq * SECOND,
                wall_ns: WALL + (seq * SECOND).cast_signed() + 5 * SECOND.cast_signed(),
                next_due_ms: 1000,
                collected_total: seq * width,
                echo: 0,
                groups: encoded.groups,
                cells: encoded.cells,
            }));
        }
        all
    }

    fn piece(messages: Vec<AgentMessage>) -> Message {
        let mut writer = SessionWriter::default();
        let bytes: Vec<u8> = messages.into_iter().flat_map(|message| writer.bytes(message)).collect();
        Message::Piece(Piece { epoch: EPOCH, boot_id: BOOT, packed: pack(&bytes).unwrap().into() })
    }

    #[test]
    fn fills_the_hole_and_counts_nothing_twice() {
        let mut rig = Rig::new(Limits::default());
        let known = rig.backfill.receive(piece(messages(4..=6)));
        assert_eq!((known.durable, known.above.len(), known.refused), (0, 1, None));
        assert_eq!(rig.delivery.counts().open(), 3, "three are known to have been collected before");
        for _ in 0..2 {
            assert_eq!(rig.backfill.receive(piece(messages(1..=5))).durable, 6);
        }
        let counts = rig.delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.open()), (6, 6, 0));
        assert_eq!(
            rig.stored(),
            (1..=6).map(|seq| (seq + 5, seq as f64)).collect::<Vec<_>>(),
            "by its own clock"
        );
    }

    #[test]
    fn a_boot_that_was_heard_live_is_on_our_time_line() {
        let mut rig = Rig::new(Limits::default());
        rig.delivery.offset(BOOT, WALL + SECOND as i64);
        rig.backfill.receive(piece(messages(1..=2)));
        assert_eq!(rig.stored(), [(2, 1.0), (3, 2.0)]);
    }

    #[test]
    fn losses_are_counted_with_their_cause() {
        let mut rig = Rig::new(Limits::default());
        rig.backfill.receive(piece(messages(4..=6)));
        let loss = Loss { epoch: EPOCH, first: 1, last: 5, collected_total: 0, cause: LossCause::Damaged };
        assert_eq!(rig.backfill.receive(Message::Loss(loss)).durable, 6);
        let counts = rig.delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.dropped[&Cause::Damaged]), (6, 3, 3));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_came_before_stays() {
        let mut rig = Rig::new(Limits::default());
        let mut broken = messages(1..=3);
        broken.remove(2);
        let known = rig.backfill.receive(piece(broken));
        assert_eq!(known.durable, 1);
        assert!(known.refused.unwrap().starts_with("failed to decode frame 3: "));
        let refused = |rig: &mut Rig, message| rig.backfill.receive(message).refused.unwrap();
        let garbage = Piece { epoch: EPOCH, boot_id: BOOT, packed: vec![1, 2, 3].into() };
        assert!(refused(&mut rig, Message::Piece(garbage)).starts_with("failed to unpack: "));
        let bye = AgentMessage::Bye(quorate_common::model::session::ByeReason::Stop);
        assert_eq!(refused(&mut rig, piece(vec![bye])), "a farewell has no place in it");
        let small = Limits { piece_bytes_max: 10, ..Limits::default() };
        assert!(refused(&mut Rig::new(small), piece(messages(1..=3))).starts_with("failed to unpack: "));
        assert_eq!(rig.stored().len(), 1);
    }

    #[test]
    fn series_over_the_quota_are_dropped_and_counted() {
        let mut rig = Rig::new(Limits { series_per_node_max: 1, ..Limits::default() });
        rig.backfill.receive(piece(wide(2, 1..=3)));
        let counts = rig.delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.dropped.get(&Cause::Quota)), (6, 3, Some(&3)));
    }
}
