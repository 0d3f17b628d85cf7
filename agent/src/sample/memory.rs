//! Memory and swap: every line of `/proc/meminfo` that the catalog knows.

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

/// Reads `/proc/meminfo`.
pub(super) struct Memory {
    file: File,
    interval_ms: u32,
    parsed: Vec<(Slot, i64)>,
    fields: Keyed<Option<Slot>>,
}

impl Memory {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Memory {
        Memory {
            file: File::new(root, "proc/meminfo"),
            interval_ms,
            parsed: Vec::new(),
            fields: Keyed::default(),
        }
    }

    fn parse(&mut self, out: &mut Sink) -> Result<(), SampleError> {
        let (path, bytes) = self.file.read()?;
        let mut lines = Lines::new(path, bytes);
        self.parsed.clear();
        for mut line in lines.by_ref() {
            let name = line.until(b':').ok_or_else(|| line.error("no colon"))?;
            let value = line.number(&String::from_utf8_lossy(name))?;
            let known = |out: &mut Sink| Ok(definition(name).map(|def| out.slot(def, Labels::default())));
            if let Some(slot) = self.fields.entry(name, || known(out))? {
                self.parsed.push((*slot, cell(value)));
            }
        }
        if self.parsed.is_empty() { Err(lines.error("no line `MemTotal`")) } else { Ok(()) }
    }
}

impl Sampler for Memory {
    fn name(&self) -> &'static str {
        "memory"
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
        self.fields.finish(|slot| slot.into_iter().for_each(|slot| out.retire(slot)));
        Ok(())
    }
}

/// Memory that the kernel can use, in bytes.
///
/// # Errors
///
/// What could not be read or understood.
pub(super) fn total_bytes(root: &Path) -> Result<u64, SampleError> {
    let mut file = File::new(root, "proc/meminfo");
    let (path, bytes) = file.read()?;
    let mut lines = Lines::new(path, bytes);
    for mut line in lines.by_ref() {
        if line.until(b':') == Some(b"MemTotal") {
            return Ok(line.number("MemTotal")?.saturating_mul(1024));
        }
    }
    Err(lines.error("no line `MemTotal`"))
}

/// The metric of a line: `Active(anon)` is `node_memory_Active_anon_bytes`, and what has no unit has no
/// suffix.
fn definition(field: &[u8]) -> Option<&'static MetricDef> {
    let field = std::str::from_utf8(field).ok()?.replace('(', "_").replace(')', "");
    let plain = format!("node_memory_{field}");
    catalog::find(&format!("{plain}_bytes")).or_else(|| catalog::find(&plain))
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn lines_come_go_and_move() {
        let (tree, mut sink) = (Tree::empty(), Board::default());
        let mut memory = Memory::new(tree.root(), 1000);
        let mut check = |text: &str, expect: &str| {
            tree.write("proc/meminfo", text);
            assert_eq!(sample(&mut memory, &mut sink).unwrap(), expect);
        };
        let total = "node_memory_MemTotal_bytes 2048\n";
        check("MemTotal: 2 kB\n", total);
        check("Invented: 5 kB\nMemTotal: 2 kB\n", total);
        check(
            "Active(anon): 1 kB\nMemTotal: 2 kB\nHugePages_Total:   3\n",
            &format!("node_memory_Active_anon_bytes 1024\nnode_memory_HugePages_Total 3\n{total}"),
        );
        check("MemTotal: 2 kB\nMemTotal: 3 kB\n", "node_memory_MemTotal_bytes 3072\n");
    }

    #[test]
    fn garbage_is_named() {
        let tree = Tree::empty();
        for (text, expect) in [
            ("", "line 1: no line `MemTotal`"),
            ("MemTotal 2 kB\n", "line 1: no colon"),
            ("MemTotal: 2 kB\nMemFree: -1 kB\n", "line 2: `MemFree` is `-1`, expected a whole number"),
            ("MemTotal:\n", "line 1: `MemTotal` is missing"),
        ] {
            tree.write("proc/meminfo", text);
            let error = sample(&mut Memory::new(tree.root(), 1000), &mut Board::default()).unwrap_err();
            assert_eq!(
                error.replace(&tree.display(), ""),
                format!("failed to parse `/proc/meminfo` {expect}")
            );
        }
    }
}
