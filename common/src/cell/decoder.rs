//! The receiving twin. It reads what a stranger sent, so nothing is indexed unchecked and nothing is allocated
//! for what is out of bounds; a frame is read whole before any of it is applied.

use super::encoder::zero;
use super::layout::{Chains, Layout, Slot, Span};
use super::{CellError, Form, FrameHead, GroupId, Index, bitmap, varint};
use crate::model::series::Window;

/// Decodes the frames of one session or journal segment.
#[derive(Clone, Debug)]
pub struct Decoder {
    layout: Layout,
    pub(super) chains: Chains,
    row: Vec<i64>,
    /// For each group: sampled since its window's last key frame.
    seen: Vec<bool>,
    /// Series that no frame has stated since they were registered or since their window's last key frame, in
    /// order of indices. Empty in the steady state.
    unstated: Vec<Span>,
    /// Of the newest frame; kept to be used again.
    groups: Vec<GroupId>,
    changed: Vec<(Index, i64)>,
    /// What `unstated` and `changed` are merged through.
    merged: Vec<(Index, i64)>,
}

/// What a frame said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The sampled groups, ascending.
    pub groups: &'a [GroupId],
    /// The new cell of every index that changed, ascending. A live series that is sampled for the first time
    /// since it was registered, or since its window's last key frame, stands here too, whatever its cell: who
    /// only follows this list misses nothing.
    pub changed: &'a [(Index, i64)],
    /// Live series of the sampled groups.
    pub samples: u64,
}

impl Decoder {
    /// A decoder without series that takes at most `index_max` of them, in at most `group_max` groups.
    pub fn new(index_max: u32, group_max: u32) -> Decoder {
        Decoder {
            layout: Layout::new(index_max, group_max),
            chains: Chains::default(),
            row: Vec::new(),
            seen: Vec::new(),
            unstated: Vec::new(),
            groups: Vec::new(),
            changed: Vec::new(),
            merged: Vec::new(),
        }
    }

    /// Appends series from index `first` on to a group. New series start at cell 0.
    ///
    /// # Errors
    /// [`CellError::IndexOrder`], [`CellError::GroupOrder`], [`CellError::GroupWindow`] and the two limits;
    /// nothing has changed then.
    pub fn register(
        &mut self,
        group: GroupId,
        window: Window,
        first: Index,
        forms: &[Form],
    ) -> Result<(), CellError> {
        let expected = self.layout.next();
        if first != expected {
            return Err(CellError::IndexOrder { first, expected });
        }
        let span = self.layout.register(group, window, forms)?;
        self.row.resize(self.layout.len(), 0);
        self.seen.resize(self.layout.group_count(), false);
        if !forms.is_empty() {
            self.unstated.push(span);
        }
        Ok(())
    }

    /// Ends a series; its index is never used again.
    ///
    /// # Errors
    /// [`CellError::IndexUnknown`] and [`CellError::IndexRetired`].
    pub fn retire(&mut self, index: Index) -> Result<(), CellError> {
        self.layout.retire(index)
    }

    /// The group of a live series; `None` for one that is unknown or has ended.
    pub fn group_of(&self, index: Index) -> Option<GroupId> {
        self.layout.slots().get(index as usize).filter(|slot| !slot.retired()).map(|slot| slot.group())
    }

    /// The newest cell of every index. That of a retired series, and of one whose group was not sampled since
    /// its window's last key frame, means nothing.
    pub fn row(&self) -> &[i64] {
        &self.row
    }

    /// Whether a group was sampled since its window's last key frame; false for an unknown one.
    pub fn sampled(&self, group: GroupId) -> bool {
        self.seen.get(group as usize).copied().unwrap_or(false)
    }

    /// Decodes one frame and applies it. All or nothing: after an error neither row nor chain has changed.
    ///
    /// # Errors
    /// Any that names a frame, group, index or varint.
    pub fn decode(&mut self, head: FrameHead, groups: &[u8], cells: &[u8]) -> Result<Decoded<'_>, CellError> {
        self.check_chain(head)?;
        self.read_groups(head.window, groups)?;
        self.read_cells(head.predecessor == 0, groups, cells)?;
        self.apply(head, groups);
        Ok(self.newest())
    }

    /// What the last frame said, if it could be decoded.
    pub fn newest(&self) -> Decoded<'_> {
        let samples = self.groups.iter().map(|&group| self.layout.live(group)).sum();
        Decoded { groups: &self.groups, changed: &self.changed, samples }
    }

    fn check_chain(&self, FrameHead { seq, predecessor, window }: FrameHead) -> Result<(), CellError> {
        let last = self.chains.last(window);
        if seq <= last {
            return Err(CellError::Sequence { seq, last, window });
        }
        if predecessor != 0 && predecessor != last {
            return Err(CellError::Predecessor { seq, predecessor, last, window });
        }
        Ok(())
    }

    fn read_groups(&mut self, window: Window, bytes: &[u8]) -> Result<(), CellError> {
        self.groups.clear();
        // The highest first: it bounds the length before anything is walked.
        match bitmap::highest(bytes) {
            Err(()) => return Err(CellError::BitmapTail),
            Ok(Some(group)) if group >= self.layout.group_count() as u64 => {
                return Err(CellError::GroupUnknown { group });
            }
            Ok(_) => {}
        }
        self.groups.extend(bitmap::groups(bytes));
        self.groups.iter().try_for_each(|&group| self.layout.check(group, window))
    }

    /// Reads all cells into `changed`, as they will be. Indices ascend, so there are at most as many as series.
    fn read_cells(&mut self, key: bool, groups: &[u8], cells: &[u8]) -> Result<(), CellError> {
        self.changed.clear();
        let (slots, row) = (self.layout.slots(), self.row.as_slice());
        let (mut rest, mut next) = (cells, 0u64);
        while !rest.is_empty() {
            let gap = take(cells, &mut rest)?;
            let index = next.saturating_add(gap);
            let found = usize::try_from(index).ok().and_then(|at| Some((slots.get(at)?, row.get(at)?)));
            let Some((&slot, &cell)) = found else { return Err(CellError::IndexUnknown { index }) };
            // Found, so it is below the number of series, which fits.
            let at = index as Index;
            if slot.retired() || !bitmap::has(groups, slot.group()) {
                return Err(misplaced(at, slot));
            }
            let change = take(cells, &mut rest)?;
            let from = if key { 0 } else { cell };
            self.changed.push((at, varint::changed(slot.form(), from, change)));
            next = index + 1;
        }
        Ok(())
    }

    /// Nothing below this line can fail.
    fn apply(&mut self, head: FrameHead, groups: &[u8]) {
        if head.predecessor == 0 {
            self.forget(head.window);
        }
        for &(index, cell) in &self.changed {
            if let Some(place) = self.row.get_mut(index as usize) {
                *place = cell;
            }
        }
        for &group in &self.groups {
            if let Some(seen) = self.seen.get_mut(group as usize) {
                *seen = true;
            }
        }
        if self.unstated.iter().any(|span| bitmap::has(groups, span.group)) {
            self.state(groups);
        }
        self.chains.advance(head.window, head.seq);
    }

    /// A key frame begins a window anew.
    fn forget(&mut self, window: Window) {
        let layout = &self.layout;
        self.unstated.retain(|span| layout.check(span.group, window).is_err());
        for span in layout.spans_of(window) {
            zero(&mut self.row, span);
            self.unstated.push(span);
        }
        for (group, seen) in (0..).zip(&mut self.seen) {
            *seen &= layout.check(group, window).is_err();
        }
        self.unstated.sort_unstable_by_key(|span| span.first);
    }

    /// Adds to `changed` the series that this frame states for the first time. The row holds their cells.
    fn state(&mut self, groups: &[u8]) {
        self.merged.clear();
        let mut mentioned = self.changed.iter().copied().peekable();
        for span in self.unstated.extract_if(.., |span| bitmap::has(groups, span.group)) {
            while let Some(cell) = mentioned.next_if(|&(index, _)| index < span.first) {
                self.merged.push(cell);
            }
            while mentioned.next_if(|&(index, _)| index < span.end).is_some() {}
            let slots = self.layout.slots().get(span.range()).unwrap_or_default();
            let cells = self.row.get(span.range()).unwrap_or_default();
            let live = (span.first..).zip(slots.iter().zip(cells)).filter(|(_, (slot, _))| !slot.retired());
            self.merged.extend(live.map(|(index, (_, &cell))| (index, cell)));
        }
        self.merged.extend(mentioned);
        std::mem::swap(&mut self.changed, &mut self.merged);
    }
}

#[inline]
fn take(cells: &[u8], rest: &mut &[u8]) -> Result<u64, CellError> {
    let left = rest.len();
    varint::take(rest).map_err(|cause| CellError::Varint { offset: cells.len() - left, cause })
}

#[cold]
fn misplaced(index: Index, slot: Slot) -> CellError {
    if slot.retired() {
        CellError::IndexRetired { index }
    } else {
        CellError::IndexUnsampled { index, group: slot.group() }
    }
}
