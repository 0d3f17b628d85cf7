//! Packets that each processor took from the network, or could not: `/proc/net/softnet_stat`.

use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Lines, cell};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::{self, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::Path;

/// The columns that are wanted: the first three.
const COLUMNS: [&MetricDef; 3] =
    [&catalog::SOFTNET_PROCESSED, &catalog::SOFTNET_DROPPED, &catalog::SOFTNET_TIMES_SQUEEZED];
/// How many columns stand before the number of the processor, which old kernels leave out.
const BEFORE_NUMBER: usize = 12;

/// Reads `/proc/net/softnet_stat`.
pub(super) struct Softnet {
    file: File,
    interval_ms: u32,
    parsed: Vec<(Slot, i64)>,
    cores: Keyed<[Slot; COLUMNS.len()]>,
}

impl Softnet {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Softnet {
        let file = File::new(root, "proc/net/softnet_stat");
        Softnet { file, interval_ms, parsed: Vec::new(), cores: Keyed::default() }
    }

    fn parse(&mut self, out: &mut Sink) -> Result<(), SampleError> {
        self.parsed.clear();
        let Some((path, bytes)) = self.file.read_if_any()? else { return Ok(()) };
        for (row, mut line) in (0..).zip(Lines::new(path, bytes)) {
            let mut cells = [0; COLUMNS.len()];
            for (place, def) in cells.iter_mut().zip(COLUMNS) {
                *place = cell(line.hexadecimal(def.name)?);
            }
            line.skip(BEFORE_NUMBER - COLUMNS.len());
            // Processors that are off have no line, so that the row alone may lie.
            let number = line.hexadecimal_if_any("cpu")?.unwrap_or(row);
            let slots = self.cores.entry(&number.to_be_bytes(), || register(number, out))?;
            self.parsed.extend(slots.iter().copied().zip(cells));
        }
        Ok(())
    }
}

fn register(number: u64, out: &mut Sink) -> Result<[Slot; COLUMNS.len()], SampleError> {
    let labels = Labels::new([("cpu", number.to_string())])?;
    Ok(COLUMNS.map(|def| out.slot(def, labels.clone())))
}

impl Sampler for Softnet {
    fn name(&self) -> &'static str {
        "softnet"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        self.parse(out)?;
        self.parsed.iter().for_each(|(slot, cell)| out.set(*slot, *cell));
        self.cores.finish(|slots| slots.into_iter().for_each(|slot| out.retire(slot)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn processors_are_numbered_by_the_kernel_or_by_their_row() {
        let tree = Tree::empty();
        let check = |text: &str, expect: &str| {
            tree.write("proc/net/softnet_stat", text);
            let said = sample(&mut Softnet::new(tree.root(), 1000), &mut Board::default());
            let said = said.unwrap_or_else(|error| error.replace(&tree.display(), ""));
            assert!(said.contains(expect), "{said}");
        };
        check("0000000f 00000001 00000000\n", "node_softnet_dropped_total{cpu=\"0\"} 1\n");
        check("0 0 0\n0 0 2\n", "node_softnet_times_squeezed_total{cpu=\"1\"} 2\n");
        let modern = "ff 0 0 0 0 0 0 0 0 0 0 0 0000001f 0 0\n";
        check(modern, "node_softnet_processed_total{cpu=\"31\"} 255\n");
        let error = "failed to parse `/proc/net/softnet_stat` line 1: `node_softnet_dropped_total` is ";
        check("1\n", &format!("{error}missing"));
        check("1 g\n", &format!("{error}`g`, expected a hexadecimal number"));
        check("1 10000000000000000\n", &format!("{error}`10000000000000000`, expected"));
    }
}
