//! Writing a recording, block by block: of a recording that breaks off, all closed blocks can be read.
//!
//! ```text
//!   tick     boot clock │ wall clock │ next due ms │ groups │ ended │ begun │ sampled │ cells
//!   group    collector │ interval ms │ class u8
//!   begun    group │ name │ kind u8 │ form │ labels, name and value each           form: 0, or scale + 1 and unit
//!   cell     slots between it and the one before │ change                           floats: the changed bits
//! ```
//!
//! Lists come after their length; slots and groups as distances to the one before. Both clocks are differences to
//! the last tick. It refuses ticks that do not fit to those before.

use super::bytes::{put, put_change, put_text};
use super::{BLOCK_BYTES, MAGIC, Tick, VERSION, check};
use anyhow::{Context, ensure};
use quorate_agent::encode::{GroupInfo, NewSeries};
use quorate_common::model::series::{CellForm, MetricKind, SeriesClass};
use quorate_common::model::time::Now;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Written once, read often.
const LEVEL: i32 = 19;

/// A recording that is being made.
#[derive(Debug)]
pub struct Writer {
    file: File,
    blocks: u32,
    open: Vec<u8>,
    ticks: u32,
    groups: usize,
    last: Now,
    /// Form and newest cell of every slot.
    slots: Vec<(CellForm, i64)>,
}

impl Writer {
    /// Begins a file, in place of what is there.
    pub fn create(path: &Path) -> anyhow::Result<Writer> {
        let mut file =
            File::create(path).with_context(|| format!("failed to create `{}`", path.display()))?;
        file.write_all(MAGIC)
            .and_then(|()| file.write_all(&[VERSION]))
            .context("failed to write the head")?;
        let (open, slots) = (Vec::new(), Vec::new());
        Ok(Writer { file, blocks: 0, open, ticks: 0, groups: 0, last: Now::default(), slots })
    }

    /// Ticks so far.
    pub fn ticks(&self) -> u32 {
        self.ticks
    }

    /// Takes the next tick. After an error the file is of no use.
    pub fn push(&mut self, tick: &Tick) -> anyhow::Result<()> {
        self.head(tick)?;
        put(&mut self.open, tick.groups.len() as u64);
        tick.groups.iter().try_for_each(|group| self.group(group))?;
        self.numbers(&tick.retired, self.slots.len())?;
        put(&mut self.open, tick.registered.len() as u64);
        tick.registered.iter().try_for_each(|series| self.series(series))?;
        self.numbers(&tick.sampled, self.groups)?;
        self.cells(&tick.changed)?;
        self.ticks += 1;
        if self.open.len() >= BLOCK_BYTES {
            self.close()?;
        }
        Ok(())
    }

    /// Says where the recording ends, and brings it to the disk.
    pub fn finish(mut self) -> anyhow::Result<()> {
        if !self.open.is_empty() {
            self.close()?;
        }
        self.write(&[], self.ticks)?;
        self.file.sync_all().context("failed to sync the recording")
    }

    fn head(&mut self, tick: &Tick) -> anyhow::Result<()> {
        let Now { boot, wall } = self.last;
        ensure!(tick.at.boot > boot, "a tick at {} does not follow one at {}", tick.at.boot.0, boot.0);
        put(&mut self.open, tick.at.boot.0 - boot.0);
        put_change(&mut self.open, wall.0, tick.at.wall.0);
        put(&mut self.open, u64::from(tick.next_due_ms));
        self.last = tick.at;
        Ok(())
    }

    fn group(&mut self, group: &GroupInfo) -> anyhow::Result<()> {
        ensure!(group.group as usize == self.groups, "group {} is out of order", group.group);
        self.groups += 1;
        put_text(&mut self.open, &group.collector);
        put(&mut self.open, u64::from(group.interval_ms));
        self.open.push(match group.class {
            SeriesClass::System => 0,
            SeriesClass::Process => 1,
            SeriesClass::Other => 2,
        });
        Ok(())
    }

    fn series(&mut self, NewSeries { group, slot, spec }: &NewSeries) -> anyhow::Result<()> {
        ensure!(*slot as usize == self.slots.len(), "slot {slot} is out of order");
        ensure!((*group as usize) < self.groups, "group {group} is not known");
        self.slots.push((spec.metric.form, 0));
        put(&mut self.open, u64::from(*group));
        put_text(&mut self.open, &spec.metric.name);
        self.open.push(u8::from(spec.metric.kind == MetricKind::Gauge));
        match spec.metric.form {
            CellForm::Float => put(&mut self.open, 0),
            CellForm::Integer { scale, unit } => {
                put(&mut self.open, u64::from(scale) + 1);
                put(&mut self.open, u64::from(unit));
            }
        }
        put(&mut self.open, spec.labels.iter().len() as u64);
        for (name, value) in spec.labels.iter() {
            put_text(&mut self.open, name);
            put_text(&mut self.open, value);
        }
        Ok(())
    }

    /// Ascending numbers, all below `end`.
    fn numbers(&mut self, numbers: &[u32], end: usize) -> anyhow::Result<()> {
        put(&mut self.open, numbers.len() as u64);
        let mut next = 0;
        for &number in numbers {
            ensure!(number >= next && (number as usize) < end, "number {number} is out of order");
            put(&mut self.open, u64::from(number - next));
            next = number + 1;
        }
        Ok(())
    }

    fn cells(&mut self, changed: &[(u32, i64)]) -> anyhow::Result<()> {
        put(&mut self.open, changed.len() as u64);
        let mut next = 0;
        for &(slot, cell) in changed {
            let known = self.slots.get_mut(slot as usize).filter(|_| slot >= next);
            let (form, old) = known.with_context(|| format!("the cell of slot {slot} is out of order"))?;
            put(&mut self.open, u64::from(slot - next));
            match form {
                CellForm::Integer { .. } => put_change(&mut self.open, *old, cell),
                CellForm::Float => put(&mut self.open, (*old ^ cell).cast_unsigned().reverse_bits()),
            }
            (*old, next) = (cell, slot + 1);
        }
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        let open = std::mem::take(&mut self.open);
        let packed = zstd::bulk::compress(&open, LEVEL).context("failed to compress a block")?;
        self.write(&packed, u32::try_from(open.len())?)
    }

    fn write(&mut self, packed: &[u8], unpacked: u32) -> anyhow::Result<()> {
        let length = u32::try_from(packed.len())?;
        let lengths = [length.to_le_bytes(), unpacked.to_le_bytes()].concat();
        let check = check(self.blocks, &lengths, packed).to_le_bytes();
        let block = [&lengths, &check[..], packed].concat();
        self.file.write_all(&block).context("failed to write a block")?;
        self.blocks += 1;
        Ok(())
    }
}
