//! Which index belongs to which group, with which form, and what has ended: the part that both ends share.
//! It knows no cells. Limits are checked before anything grows.

use super::{CellError, Form, GroupId, Index};
use crate::model::series::Window;

/// Group numbers share a word with two flags.
const GROUPS_MAX: u32 = 1 << 30;
const RETIRED: u32 = 1 << 31;
const FLOAT: u32 = 1 << 30;

/// What is known of one index, in one word because the decoder reads it for every changed cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(u32);

impl Slot {
    fn new(group: GroupId, form: Form) -> Slot {
        Slot(group | if form == Form::Float { FLOAT } else { 0 })
    }

    #[inline]
    pub(super) fn group(self) -> GroupId {
        self.0 & !(RETIRED | FLOAT)
    }

    #[inline]
    pub(super) fn form(self) -> Form {
        if self.0 & FLOAT == 0 { Form::Integer } else { Form::Float }
    }

    #[inline]
    pub(super) fn retired(self) -> bool {
        self.0 & RETIRED != 0
    }
}

/// Indices from `first` up to, not including, `end`, of one group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) group: GroupId,
    pub(super) first: Index,
    pub(super) end: Index,
}

impl Span {
    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.first as usize..self.end as usize
    }
}

#[derive(Clone, Debug)]
struct Group {
    window: Window,
    live: u32,
}

/// Groups and series of a session.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    index_max: u32,
    group_max: u32,
    groups: Vec<Group>,
    slots: Vec<Slot>,
    /// In order of indices; neighbours of one group are merged.
    spans: Vec<Span>,
}

impl Layout {
    pub(super) fn new(index_max: u32, group_max: u32) -> Layout {
        let group_max = group_max.min(GROUPS_MAX);
        Layout { index_max, group_max, groups: Vec::new(), slots: Vec::new(), spans: Vec::new() }
    }

    /// Number of indices, retired ones too; at most `index_max`.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The index that the next series gets.
    pub(super) fn next(&self) -> Index {
        self.slots.len() as u32
    }

    /// Live series of a group; 0 for an unknown one.
    pub(super) fn live(&self, group: GroupId) -> u64 {
        self.groups.get(group as usize).map_or(0, |group| u64::from(group.live))
    }

    /// Refuses groups that are unknown or of another window.
    pub(super) fn check(&self, group: GroupId, window: Window) -> Result<(), CellError> {
        match self.groups.get(group as usize) {
            None => Err(CellError::GroupUnknown { group: u64::from(group) }),
            Some(known) if known.window != window => {
                Err(CellError::GroupWindow { group, registered: known.window, given: window })
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        self.spans.iter().copied()
    }

    pub(super) fn spans_of(&self, window: Window) -> impl Iterator<Item = Span> {
        self.spans().filter(move |span| self.check(span.group, window).is_ok())
    }

    /// Appends series to a known group or to the next new one.
    pub(super) fn register(
        &mut self,
        group: GroupId,
        window: Window,
        forms: &[Form],
    ) -> Result<Span, CellError> {
        let known = (group as usize) < self.groups.len();
        if known {
            self.check(group, window)?;
        } else {
            self.check_new(group)?;
        }
        let span = self.span(group, forms.len())?;
        if !known {
            self.groups.push(Group { window, live: 0 });
        }
        self.append(span, forms);
        Ok(span)
    }

    /// Ends a series.
    pub(super) fn retire(&mut self, index: Index) -> Result<(), CellError> {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Err(CellError::IndexUnknown { index: u64::from(index) });
        };
        if slot.retired() {
            return Err(CellError::IndexRetired { index });
        }
        if let Some(group) = self.groups.get_mut(slot.group() as usize) {
            group.live -= 1;
        }
        slot.0 |= RETIRED;
        Ok(())
    }

    fn check_new(&self, group: GroupId) -> Result<(), CellError> {
        let expected = self.groups.len() as u32;
        if group != expected {
            return Err(CellError::GroupOrder { group, expected });
        }
        if group >= self.group_max {
            return Err(CellError::GroupLimit { group, limit: self.group_max });
        }
        Ok(())
    }

    fn span(&self, group: GroupId, count: usize) -> Result<Span, CellError> {
        let first = self.next();
        let series = (count as u64).saturating_add(u64::from(first));
        match u32::try_from(series) {
            Ok(end) if end <= self.index_max => Ok(Span { group, first, end }),
            _ => Err(CellError::IndexLimit { series, limit: self.index_max }),
        }
    }

    fn append(&mut self, span: Span, forms: &[Form]) {
        if forms.is_empty() {
            return;
        }
        if let Some(group) = self.groups.get_mut(span.group as usize) {
            group.live += span.end - span.first;
        }
        self.slots.extend(forms.iter().map(|&form| Slot::new(span.group, form)));
        match self.spans.last_mut() {
            Some(last) if last.group == span.group => last.end = span.end,
            _ => self.spans.push(span),
        }
    }
}

/// The newest frame of each delta chain; 0 before the first.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    short: u64,
    medium: u64,
    long: u64,
}

impl Chains {
    pub(super) fn last(&self, window: Window) -> u64 {
        match window {
            Window::Short => self.short,
            Window::Medium => self.medium,
            Window::Long => self.long,
        }
    }

    pub(super) fn advance(&mut self, window: Window, seq: u64) {
        match window {
            Window::Short => self.short = seq,
            Window::Medium => self.medium = seq,
            Window::Long => self.long = seq,
        }
    }
}
