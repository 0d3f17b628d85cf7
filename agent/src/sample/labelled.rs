//! Series of subjects that are read seldom: each is begun when it is first said, and ends when it is not.
//!
//! Comfortable and not cheap: what is read each second keeps its slots by itself.

use super::error::SampleError;
use super::keyed::Keyed;
use super::{Sink, Slot};
use quorate_common::catalog::MetricDef;
use quorate_common::model::label::Labels;

/// The series of one collector.
#[derive(Default)]
pub(super) struct Labelled {
    slots: Keyed<Slot>,
}

impl Labelled {
    /// Says a value; other labels are another series.
    pub fn set(
        &mut self,
        (def, labels): (&'static MetricDef, &Labels),
        cell: i64,
        out: &mut Sink,
    ) -> Result<(), SampleError> {
        let key = format!("{}{labels}", def.name);
        let slot = self.slots.entry(key.as_bytes(), || Ok(out.slot(def, labels.clone())))?;
        out.set(*slot, cell);
        Ok(())
    }

    /// Ends the round: what was not said in it has gone.
    pub fn finish(&mut self, out: &mut Sink) {
        self.slots.finish(|slot| out.retire(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, show};
    use super::*;
    use quorate_common::catalog::UNAME_INFO;

    #[test]
    fn another_text_is_another_series() {
        let (mut said, mut board) = (Labelled::default(), Board::default());
        for name in ["a", "a", "b"] {
            let labels = Labels::new([("nodename", name)]).unwrap();
            said.set((&UNAME_INFO, &labels), 1, &mut board.sink).unwrap();
            said.finish(&mut board.sink);
            assert_eq!(show(&mut board), format!("node_uname_info{{nodename=\"{name}\"}} 1\n"));
        }
        said.finish(&mut board.sink);
        assert_eq!(show(&mut board), "");
    }
}
