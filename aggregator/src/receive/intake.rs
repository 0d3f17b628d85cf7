//! Intake: what both of an agent's streams of frames have in common. Series are admitted up to the quota, frames are
//! decoded, counted and handed to the store, and in that order: what is refused leaves no trace.
//!
//! It knows no time and answers nobody; whether a refusal ends a session or a piece is its caller's business.

use crate::agents::delivery::{Content, Counted, Delivery};
use crate::limit::AgentLimits as Limits;
use crate::store::{Append, Column, Lane, NewColumns};
use quorate_common::cell::{CellError, Decoded, Decoder, FrameHead};
use quorate_common::ledger::LedgerError;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::Window;
use quorate_common::model::session::{Epoch, Frame, RegisterGroup};
use quorate_common::model::time::WallTime;
use quorate_common::tally::Cause;
use std::sync::Arc;
use std::time::Duration;

/// Frames from further ahead are not kept: a host whose clock was wrong while nobody heard it.
const AHEAD_MAX: Duration = Duration::from_secs(120);
/// Nothing older is kept anywhere.
const AGE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A frame that is too long.
    #[error("frame {seq}: {bytes} bytes, limit {limit}")]
    Long {
        /// Which.
        seq: u64,
        /// How long.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// A frame whose running total contradicts the frames before it.
    #[error("failed to count frame {seq}")]
    Count {
        /// Which.
        seq: u64,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// A frame or registration that does not fit what came before.
    #[error("failed to decode {what}")]
    Decode {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: CellError,
    },
}

/// Where frames of a node go.
#[derive(Clone)]
pub struct Place {
    /// The registry's number.
    pub node: NodeId,
    /// Which of its streams.
    pub lane: Lane,
    /// Its ledgers.
    pub delivery: Arc<Delivery>,
    /// History.
    pub store: Arc<dyn Append>,
}

/// One stream of frames.
pub struct Intake {
    place: Place,
    limits: Limits,
    decoder: Decoder,
    /// For each index, whether it is kept.
    admitted: Vec<bool>,
    /// How many live series are kept, and how many of each group.
    live: u32,
    groups: Vec<u64>,
}

impl Intake {
    /// A new stream, whose indices and groups count from zero.
    pub fn begin(place: Place, limits: Limits) -> Intake {
        place.store.begin(place.node, place.lane);
        let decoder = Decoder::new(limits.indices_max(), limits.groups_max);
        Intake { place, limits, decoder, admitted: Vec::new(), live: 0, groups: Vec::new() }
    }

    /// Series end.
    pub fn retire(&mut self, indices: &[u32]) -> Result<(), IntakeError> {
        for &index in indices {
            let group = self.decoder.group_of(index);
            let retired = self.decoder.retire(index);
            retired.map_err(|source| decode(format!("the end of series {index}"), source))?;
            if let (Some(true), Some(group)) = (self.admitted.get(index as usize), group) {
                self.live -= 1;
                self.count(group, -1);
            }
        }
        if !indices.is_empty() {
            self.place.store.retire(self.place.node, self.place.lane, indices);
        }
        Ok(())
    }

    /// Series begin; those beyond the quota have no number.
    pub fn register(&mut self, group: &RegisterGroup) -> Result<NewColumns, IntakeError> {
        let window = Window::of_interval_ms(group.interval_ms);
        let forms: Vec<_> = group.series.iter().map(|spec| spec.metric.form.into()).collect();
        let registered = self.decoder.register(group.group, window, group.first_index, &forms);
        registered.map_err(|source| {
            decode(format!("the registration of group {} `{}`", group.group, group.collector), source)
        })?;
        self.groups.resize(self.groups.len().max(group.group as usize + 1), 0);
        let mut columns = Vec::with_capacity(group.series.len());
        for spec in &group.series {
            let admit = self.live < self.limits.series_per_node_max;
            self.admitted.push(admit);
            self.live += u32::from(admit);
            self.count(group.group, i64::from(admit));
            let id = admit.then(|| self.place.store.intern(self.place.node, spec));
            columns.push(Column { id, form: spec.metric.form, group: group.group });
        }
        let (class, first) = (group.class, group.first_index);
        let new = NewColumns { group: group.group, window, class, first, columns };
        self.place.store.register(self.place.node, self.place.lane, &new);
        Ok(new)
    }

    /// A frame that was sampled at `at` on our time line, on which it is `now`; what it says, which is nothing for a
    /// heartbeat.
    pub fn frame(
        &mut self,
        epoch: Epoch,
        frame: &Frame,
        (at, now): (WallTime, WallTime),
    ) -> Result<Decoded<'_>, IntakeError> {
        let (bytes, limit) = (frame.groups.len() + frame.cells.len(), self.limits.frame_bytes_max);
        if bytes > limit {
            return Err(IntakeError::Long { seq: frame.seq, bytes, limit });
        }
        let Frame { seq, predecessor, collected_total, ref groups, ref cells, .. } = *frame;
        let mut counted =
            Counted { seq, collected_total, sampled: 0, admitted: 0, outside: outside(at, now) };
        let delivery = &self.place.delivery;
        let refuse = |source| IntakeError::Count { seq, source };
        let Some(window) = frame.window else {
            delivery.arrive(epoch, counted, None).map_err(refuse)?;
            return Ok(Decoded { groups: &[], changed: &[], samples: 0 });
        };
        let head = FrameHead { seq, predecessor, window };
        let decoded = self.decoder.decode(head, groups, cells);
        let decoded = decoded.map_err(|source| decode(format!("frame {seq}"), source))?;
        let admitted = |group: &u32| self.groups.get(*group as usize).copied().unwrap_or(0);
        counted.sampled = decoded.samples;
        counted.admitted = decoded.groups.iter().map(admitted).sum();
        let content = Content { lane: self.place.lane, at, head, groups, cells, decoder: &self.decoder };
        delivery.arrive(epoch, counted, Some(content)).map_err(refuse)?;
        Ok(self.decoder.newest())
    }

    fn count(&mut self, group: u32, change: i64) {
        if let Some(count) = self.groups.get_mut(group as usize) {
            *count = count.saturating_add_signed(change);
        }
    }
}

/// Why a stamp cannot be kept, if it cannot.
fn outside(at: WallTime, now: WallTime) -> Option<Cause> {
    let after = |time: WallTime, least: Duration| time.0.saturating_add(least.as_nanos() as i64);
    if at.0 > after(now, AHEAD_MAX) {
        Some(Cause::New)
    } else if after(at, AGE_MAX) < now.0 {
        Some(Cause::Old)
    } else {
        None
    }
}

fn decode(what: String, source: CellError) -> IntakeError {
    IntakeError::Decode { what, source }
}
