//! What stands at which index of a session: enough to decode its frames from any base on.
//!
//! A row of cells is kept as the key frame that would say it, so that it needs no codec of its own.

use crate::store::{Column, NewColumns, SeriesId};
use quorate_common::cell::{CellError, Decoder, Encoder, Form, FrameHead, GroupId, Index};
use quorate_common::model::series::{SeriesClass, Window};

/// What is said once of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its delta chain.
    pub window: Window,
    /// How long its history is kept.
    pub class: SeriesClass,
}

/// Groups and columns of a session, in order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Each group.
    pub groups: Vec<Group>,
    /// What stands at each index.
    pub columns: Vec<Column>,
    /// The indices that have ended.
    pub retired: Vec<Index>,
}

impl Layout {
    /// Columns begin.
    pub fn register(&mut self, new: &NewColumns) {
        if new.group as usize == self.groups.len() {
            self.groups.push(Group { window: new.window, class: new.class });
        }
        self.columns.extend_from_slice(&new.columns);
    }

    /// Columns end.
    pub fn retire(&mut self, indices: &[Index]) {
        self.retired.extend_from_slice(indices);
    }

    /// The cells of one window as a key frame. `row` holds the newest cell of every index.
    ///
    /// # Errors
    /// Groups that are out of order, and a row of another length.
    pub fn key_frame(&self, window: Window, row: &[i64]) -> Result<Vec<u8>, CellError> {
        let mut encoder = Encoder::new();
        for (group, Group { window, .. }) in (0..).zip(&self.groups) {
            encoder.register(group, *window, &[])?;
        }
        for (_, group, forms) in self.spans() {
            encoder.register(group, self.window_of(group)?, &forms)?;
        }
        self.retired.iter().try_for_each(|index| encoder.retire(*index))?;
        Ok(encoder.encode(1, window, &self.groups_of(window), row, true)?.cells.to_vec())
    }

    /// A decoder as it was after frame `seq` of `window`, whose cells are those of [`Layout::key_frame`].
    ///
    /// # Errors
    /// Whatever does not fit together.
    pub fn decoder(&self, window: Window, seq: u64, cells: &[u8]) -> Result<Decoder, CellError> {
        let mut decoder = Decoder::new(u32::MAX, u32::MAX);
        for (group, Group { window, .. }) in (0..).zip(&self.groups) {
            decoder.register(group, *window, 0, &[])?;
        }
        for (first, group, forms) in self.spans() {
            decoder.register(group, self.window_of(group)?, first, &forms)?;
        }
        self.retired.iter().try_for_each(|index| decoder.retire(*index))?;
        let mut bitmap = vec![0_u8; self.groups.len().div_ceil(8)];
        for group in self.groups_of(window) {
            bitmap[group as usize / 8] |= 1 << (group % 8);
        }
        let used = bitmap.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let head = FrameHead { seq, predecessor: 0, window };
        decoder.decode(head, &bitmap[..used], cells)?;
        Ok(decoder)
    }

    /// Neighbours of one group: first index, group, forms.
    fn spans(&self) -> impl Iterator<Item = (Index, GroupId, Vec<Form>)> {
        let mut first = 0;
        self.columns.chunk_by(|a, b| a.group == b.group).map(move |span| {
            let begin = first;
            first += span.len() as Index;
            (begin, span[0].group, span.iter().map(|column| column.form.into()).collect())
        })
    }

    fn window_of(&self, group: GroupId) -> Result<Window, CellError> {
        let window = self.groups.get(group as usize).map(|group| group.window);
        window.ok_or(CellError::GroupUnknown { group: u64::from(group) })
    }

    fn groups_of(&self, window: Window) -> Vec<GroupId> {
        (0..).zip(&self.groups).filter(|(_, of)| of.window == window).map(|(group, _)| group).collect()
    }

    /// Neighbours that a base can say at once: of one group and form, rejected or with numbers that count up.
    pub fn runs(&self) -> impl Iterator<Item = &[Column]> {
        self.columns.chunk_by(|a, b| a.group == b.group && a.form == b.form && follows(a.id, b.id))
    }
}

fn follows(before: Option<SeriesId>, id: Option<SeriesId>) -> bool {
    match (before, id) {
        (Some(before), Some(id)) => before.0.checked_add(1) == Some(id.0),
        (before, id) => before == id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::series::CellForm;

    #[test]
    fn a_decoder_goes_on_from_its_row() {
        let column = |id, group, form| Column { id, form, group };
        let mut layout = Layout::default();
        let mut encoder = Encoder::new();
        for (group, window, count) in [(0, Window::Short, 5), (1, Window::Medium, 3), (0, Window::Short, 2)] {
            let form = if count == 5 { CellForm::COUNT } else { CellForm::Float };
            let first = encoder.register(group, window, &vec![form.into(); count]).unwrap();
            let columns =
                (0..count as u32).map(|at| column(Some(SeriesId(first + at)), group, form)).collect();
            layout.register(&NewColumns { group, window, class: SeriesClass::Other, first, columns });
        }
        encoder.retire(1).unwrap();
        layout.retire(&[1]);
        let row = [5, 0, -7, 1 << 40, 9, 1, 2, 3, 8, 9];
        let cells = layout.key_frame(Window::Short, &row).unwrap();
        encoder.encode(4, Window::Short, &[0], &row, true).unwrap();
        let mut decoder = layout.decoder(Window::Short, 4, &cells).unwrap();
        let next = [6, 0, -7, 1 << 41, 9, 1, 2, 3, 8, 0];
        let frame = encoder.encode(7, Window::Short, &[0], &next, false).unwrap();
        let head = FrameHead { seq: 7, predecessor: frame.predecessor, window: Window::Short };
        decoder.decode(head, &frame.groups, &frame.cells).unwrap();
        assert_eq!(decoder.row(), [6, 0, -7, 1 << 41, 9, 0, 0, 0, 8, 0], "the other window has its own base");
        assert_eq!(decoder.group_of(1), None);
        assert!(layout.key_frame(Window::Short, &row[1..]).is_err());
        assert_eq!(layout.runs().map(<[_]>::len).collect::<Vec<_>>(), [5, 3, 2]);
    }
}
