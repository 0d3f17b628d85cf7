//! Load averages: `/proc/loadavg`.

use super::error::SampleError;
use super::reader::File;
use super::text::Line;
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{LOAD1, LOAD5, LOAD15};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::Path;

/// Reads `/proc/loadavg`.
pub(super) struct Load {
    file: File,
    interval_ms: u32,
    slots: Option<[Slot; 3]>,
}

impl Load {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Load {
        Load { file: File::new(root, "proc/loadavg"), interval_ms, slots: None }
    }
}

impl Sampler for Load {
    fn name(&self) -> &'static str {
        "load"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let (path, bytes) = self.file.read()?;
        let mut line = Line::whole(path, bytes);
        let cells = [line.hundredths("load1")?, line.hundredths("load5")?, line.hundredths("load15")?];
        let defs = [&LOAD1, &LOAD5, &LOAD15];
        let slots = self.slots.get_or_insert_with(|| defs.map(|def| out.slot(def, Labels::default())));
        slots.iter().zip(cells).for_each(|(slot, cell)| out.set(*slot, cell));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn reads_or_names_what_is_wrong() {
        let tree = Tree::empty();
        for (text, expect) in [
            ("0.55 1.91 107.75 2/91 28279\n", "node_load1 0.55\nnode_load15 107.75\nnode_load5 1.91\n"),
            ("0.55 0.91\n", "failed to parse `/proc/loadavg` line 1: `load15` is missing"),
            (
                "nan 1 1\n",
                "failed to parse `/proc/loadavg` line 1: `load1` is `nan`, expected a decimal number",
            ),
            ("", "failed to parse `/proc/loadavg` line 1: `load1` is missing"),
        ] {
            tree.write("proc/loadavg", text);
            let said = sample(&mut Load::new(tree.root(), 1000), &mut Board::default());
            assert_eq!(said.unwrap_or_else(|error| error.replace(&tree.display(), "")), expect);
        }
    }
}
