//! The machine as its firmware names it: `/sys/class/dmi/id`. Serial numbers only if the agent may read them.

use super::error::SampleError;
use super::labelled::Labelled;
use super::reader::attribute;
use super::{Sampler, Sink};
use quorate_common::catalog::DMI_INFO;
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::{Path, PathBuf};

/// Labels; the files have the same names but for the vendor of the system.
const LABELS: [&str; 20] = [
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_asset_tag",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "system_vendor",
];

/// Reads the files once: a machine does not become another one while it runs.
pub(super) struct Dmi {
    directory: PathBuf,
    interval_ms: u32,
    labels: Option<Labels>,
    said: Labelled,
}

impl Dmi {
    /// Reads below `root`; said every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Dmi {
        Dmi { directory: root.join("sys/class/dmi/id"), interval_ms, labels: None, said: Labelled::default() }
    }

    fn read(&self) -> Result<Labels, SampleError> {
        let value = |label: &'static str| {
            let file = if label == "system_vendor" { "sys_vendor" } else { label };
            Some((label, attribute(&self.directory.join(file))?))
        };
        Ok(Labels::new(LABELS.into_iter().filter_map(value))?)
    }
}

impl Sampler for Dmi {
    fn name(&self) -> &'static str {
        "dmi"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let labels = match self.labels.clone() {
            Some(labels) => labels,
            None => self.labels.insert(self.read()?).clone(),
        };
        if !labels.is_empty() {
            self.said.set((&DMI_INFO, &labels), 1, out)?;
        }
        self.said.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn what_there_is_is_said() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        assert_eq!(sample(&mut Dmi::new(tree.root(), 60_000), &mut board).unwrap(), "");
        tree.write("sys/class/dmi/id/sys_vendor", "Acme \"Ltd\"\n");
        tree.write("sys/class/dmi/id/bios_date", "\n");
        tree.write("sys/class/dmi/id/product_name", " X 1 \nmore\n");
        let said = sample(&mut Dmi::new(tree.root(), 60_000), &mut board).unwrap();
        assert_eq!(said, "node_dmi_info{product_name=\"X 1\",system_vendor=\"Acme \\\"Ltd\\\"\"} 1\n");
    }
}
