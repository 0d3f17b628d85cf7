//! Stretch: ticks as messages, each a difference to those before it, from a beginning that needs nothing before it.
//!
//! ```text
//!   all that is registered · key frame · frame · what begins and ends · frame …
//! ```
//!
//! A session is one, and so is every piece of the journal.

use super::{Catalogue, Changes, GroupInfo, NewSeries, Tick};
use quorate_common::cell::{CellError, Encoder, Form};
use quorate_common::model::series::Window;
use quorate_common::model::session::{AgentMessage, Frame, Register, RegisterGroup};
use std::collections::{BTreeMap, HashMap};

/// Registrations are cut at about this size.
const REGISTER_BYTES_MAX: usize = 256 * 1024;

/// One stretch under way.
#[derive(Debug)]
pub struct Stretch {
    encoder: Encoder,
    /// What was registered so far; the position is the number of the group.
    groups: Vec<GroupInfo>,
    /// The index of every live slot in this stretch.
    index_of: HashMap<u32, u32>,
    /// The slot behind every index. Behind one that has ended it may be another series' by now; what stands in the
    /// row there is not read.
    slot_of: Vec<u32>,
    row: Vec<i64>,
}

impl Default for Stretch {
    fn default() -> Self {
        let (groups, index_of, slot_of, row) = Default::default();
        Stretch { encoder: Encoder::new(), groups, index_of, slot_of, row }
    }
}

impl Stretch {
    /// Registers what began before the first tick of the stretch.
    pub fn begin(&mut self, base: &Catalogue, messages: &mut Vec<AgentMessage>) {
        self.register(Vec::new(), (&base.groups, &base.series), messages);
    }

    /// Adds what begins and ends with a tick, and the tick, a frame that carries `echo`.
    ///
    /// # Errors
    /// It cannot be encoded; the stretch is over.
    pub fn tick(
        &mut self,
        tick: &Tick,
        echo: u64,
        messages: &mut Vec<AgentMessage>,
    ) -> Result<(), CellError> {
        self.change(&tick.changes, messages);
        messages.push(AgentMessage::Frame(self.frame(tick, echo)?));
        Ok(())
    }

    fn change(&mut self, changes: &Changes, messages: &mut Vec<AgentMessage>) {
        let ended = changes.retired.iter().filter_map(|slot| self.index_of.remove(slot));
        let mut retire: Vec<u32> = ended.collect();
        retire.sort_unstable();
        for &index in &retire {
            // An index that stands in the map is registered and live: it can be retired.
            self.encoder.retire(index).ok();
        }
        self.register(retire, (&changes.groups, &changes.registered), messages);
    }

    /// Says what ends, registers new groups, in order and even when empty, and adds series to groups that are known.
    fn register(
        &mut self,
        retire: Vec<u32>,
        (groups, series): (&[GroupInfo], &[NewSeries]),
        messages: &mut Vec<AgentMessage>,
    ) {
        let mut parts = Parts::new(retire, messages);
        let mut members: BTreeMap<u32, Vec<&NewSeries>> =
            groups.iter().map(|g| (g.group, Vec::new())).collect();
        for one in series {
            members.entry(one.group).or_default().push(one);
        }
        self.groups.extend(groups.iter().cloned());
        for (group, members) in members {
            if let Some(info) = self.groups.get(group as usize).cloned() {
                self.register_group(&info, &members, &mut parts);
            }
        }
        parts.finish();
    }

    fn register_group(&mut self, info: &GroupInfo, members: &[&NewSeries], parts: &mut Parts<'_>) {
        let forms: Vec<Form> = members.iter().map(|s| s.spec.metric.form.into()).collect();
        let window = Window::of_interval_ms(info.interval_ms);
        // Groups come in order and indices are dense, so the encoder has no reason to refuse.
        let Ok(first) = self.encoder.register(info.group, window, &forms) else { return };
        for (index, member) in (first..).zip(members) {
            self.index_of.insert(member.slot, index);
            self.slot_of.push(member.slot);
            self.row.push(0);
        }
        parts.add(info, first, members);
    }

    fn frame(&mut self, tick: &Tick, echo: u64) -> Result<Frame, CellError> {
        for (cell, slot) in self.row.iter_mut().zip(&self.slot_of) {
            *cell = tick.cells.get(*slot as usize).copied().unwrap_or(*cell);
        }
        let mut frame = Frame {
            seq: tick.seq,
            window: tick.window,
            boot_ns: tick.at.boot.0,
            wall_ns: tick.at.wall.0,
            next_due_ms: tick.next_due_ms,
            collected_total: tick.collected_total,
            echo,
            ..Frame::default()
        };
        if let Some(window) = tick.window {
            let encoded = self.encoder.encode(tick.seq, window, &tick.sampled, &self.row, false)?;
            (frame.predecessor, frame.groups, frame.cells) =
                (encoded.predecessor, encoded.groups, encoded.cells);
        }
        Ok(frame)
    }
}

/// Collects registrations into messages of bounded size.
struct Parts<'a> {
    messages: &'a mut Vec<AgentMessage>,
    open: Register,
    bytes: usize,
}

impl<'a> Parts<'a> {
    /// What ends comes first.
    fn new(retire: Vec<u32>, messages: &'a mut Vec<AgentMessage>) -> Self {
        Parts { messages, open: Register { groups: Vec::new(), retire }, bytes: 0 }
    }

    fn add(&mut self, info: &GroupInfo, first: u32, members: &[&NewSeries]) {
        self.open.groups.push(empty_group(info, first));
        for (index, member) in (first..).zip(members) {
            let bytes = size_of_series(member);
            if self.bytes + bytes > REGISTER_BYTES_MAX && self.bytes > 0 {
                self.finish_part();
                self.open.groups.push(empty_group(info, index));
            }
            self.bytes += bytes;
            if let Some(group) = self.open.groups.last_mut() {
                group.series.push(member.spec.clone());
            }
        }
    }

    fn finish_part(&mut self) {
        self.bytes = 0;
        self.messages.push(AgentMessage::Register(std::mem::take(&mut self.open)));
    }

    fn finish(mut self) {
        if !(self.open.groups.is_empty() && self.open.retire.is_empty()) {
            self.finish_part();
        }
    }
}

fn empty_group(info: &GroupInfo, first_index: u32) -> RegisterGroup {
    RegisterGroup {
        group: info.group,
        collector: info.collector.clone(),
        interval_ms: info.interval_ms,
        class: info.class,
        first_index,
        series: Vec::new(),
    }
}

fn size_of_series(series: &NewSeries) -> usize {
    let labels: usize = series.spec.labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    series.spec.metric.name.len() + labels + 16
}
