//! What an agent sends of earlier, as a machine without I/O and without a clock: pieces become history, losses are
//! counted, and both are answered by what is durable, once it can be.
//!
//! It touches no newest value and nobody's liveness: what is old says nothing of now. A piece that cannot be read is
//! refused, with what was read of it before kept; the connection goes on.

use super::intake::{Intake, IntakeError, Place};
use crate::agents::delivery::Delivery;
use crate::limit::AgentLimits as Limits;
use crate::store::{Append, Lane, Ticket};
use quorate_common::error::chain;
use quorate_common::model::backfill::{Backfill as Message, Known, Piece};
use quorate_common::model::node::NodeId;
use quorate_common::model::session::{AgentMessage, Epoch, Frame};
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
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error("a {0} has no place in it")]
    OutOfPlace(&'static str),
}

/// A message that was taken and not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    epoch: Epoch,
    refused: Option<String>,
    /// The batch that it is in.
    pub ticket: Ticket,
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

    /// Takes one message. It is answered by [`Backfill::known`] when the batch that it is in is decided.
    pub fn receive(&mut self, message: Message, now: WallTime) -> Taken {
        let (epoch, refused) = match message {
            Message::Piece(piece) => (piece.epoch, self.piece(&piece, now).err().map(|error| chain(&error))),
            Message::Loss(loss) => {
                self.delivery.lost(loss);
                (loss.epoch, None)
            }
        };
        Taken { epoch, refused, ticket: self.store.ticket() }
    }

    /// What is durable now of the epoch of a message.
    pub fn known(&self, Taken { epoch, refused, .. }: Taken) -> Known {
        let (durable, above) = self.delivery.durable(epoch);
        Known { epoch, durable, above, refused }
    }

    fn piece(&self, piece: &Piece, now: WallTime) -> Result<(), Refusal> {
        let bytes = unpack(&piece.packed, self.limits.piece_bytes_max)?;
        let series_max = self.limits.indices_max() as usize;
        let messages = SessionReader::new(RegisterLimits { series_max }).all(&bytes)?;
        let (delivery, store) = (self.delivery.clone(), self.store.clone());
        let place = Place { node: self.node, lane: Lane::Late, delivery, store };
        let mut stretch = Stretch {
            epoch: piece.epoch,
            offset_ns: self.delivery.known_offset(piece.boot_id),
            now,
            delivery: self.delivery.clone(),
            intake: Intake::begin(place, self.limits),
        };
        messages.into_iter().try_for_each(|message| stretch.take(message))
    }
}

/// A piece that is read.
struct Stretch {
    epoch: Epoch,
    /// Our time less the host's boot clock; `None` for a boot that was never heard live.
    offset_ns: Option<i64>,
    now: WallTime,
    delivery: Arc<Delivery>,
    intake: Intake,
}

impl Stretch {
    fn take(&mut self, message: AgentMessage) -> Result<(), Refusal> {
        match message {
            AgentMessage::Register(register) => {
                self.intake.retire(&register.retire)?;
                register.groups.iter().try_for_each(|group| self.intake.register(group).map(drop))?;
                Ok(())
            }
            AgentMessage::Frame(frame) => {
                let at = self.aligned(&frame);
                self.delivery.gaps.filled(at);
                Ok(self.intake.frame(self.epoch, &frame, (at, self.now)).map(|_| ())?)
            }
            AgentMessage::Hello(_) => Err(Refusal::OutOfPlace("hello")),
            AgentMessage::Bye(_) => Err(Refusal::OutOfPlace("farewell")),
        }
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
    use quorate_common::model::series::Window;
    use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
    use quorate_common::model::session::{Held, Register, RegisterGroup};
    use quorate_common::model::time::{BootTime, Now};
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
            let store = Arc::<Embedded>::default();
            let delivery = Arc::new(Delivery::new(NODE, store.clone()));
            delivery.begin(EPOCH, &[Held { epoch: EPOCH, first: 1, last: 100 }]);
            let backfill = Backfill::new(NODE, delivery.clone(), store.clone(), limits);
            Rig { backfill, delivery, store }
        }

        fn receive(&mut self, message: Message) -> Known {
            let taken = self.backfill.receive(message, WallTime(WALL + 100 * SECOND.cast_signed()));
            self.backfill.known(taken)
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
        let known = rig.receive(piece(messages(4..=6)));
        assert_eq!((known.durable, known.above.len(), known.refused), (0, 1, None));
        assert_eq!(rig.delivery.counts().open(), 3, "three are known to have been collected before");
        for _ in 0..2 {
            assert_eq!(rig.receive(piece(messages(1..=5))).durable, 6);
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
        let now = Now { boot: BootTime(0), wall: WallTime(WALL + SECOND.cast_signed()) };
        rig.delivery.offset(BOOT, 0, now);
        rig.receive(piece(messages(1..=2)));
        assert_eq!(rig.stored(), [(2, 1.0), (3, 2.0)]);
    }

    #[test]
    fn losses_are_counted_with_their_cause() {
        let mut rig = Rig::new(Limits::default());
        rig.receive(piece(messages(4..=6)));
        let loss = Loss { epoch: EPOCH, first: 1, last: 5, collected_total: 0, cause: LossCause::Damaged };
        assert_eq!(rig.receive(Message::Loss(loss)).durable, 6);
        let counts = rig.delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.dropped[&Cause::Damaged]), (6, 3, 3));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_what_came_before_stays() {
        let mut rig = Rig::new(Limits::default());
        let mut broken = messages(1..=3);
        broken.remove(2);
        let known = rig.receive(piece(broken));
        assert_eq!(known.durable, 1);
        assert!(known.refused.unwrap().starts_with("failed to decode frame 3: "));
        let refused = |rig: &mut Rig, message| rig.receive(message).refused.unwrap();
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
        rig.receive(piece(wide(2, 1..=3)));
        let counts = rig.delivery.counts();
        assert_eq!((counts.collected, counts.stored, counts.dropped.get(&Cause::Quota)), (6, 3, Some(&3)));
    }
}
