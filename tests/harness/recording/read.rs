//! Reading a recording. The file is a stranger's until it has been read: nothing in it is indexed unchecked.

use super::bytes::Cursor;
use super::{BLOCK_BYTES_MAX, HEAD_BYTES, MAGIC, Tick, VERSION, check};
use anyhow::{Context, bail, ensure};
use quorate_agent::encode::{GroupInfo, NewSeries};
use quorate_common::model::label::Labels;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::path::Path;
use std::sync::Arc;

/// Gives the ticks of a recording, one after another. After an error it gives nothing more.
#[derive(Debug)]
pub struct Reader {
    file: Arc<[u8]>,
    /// Where the next block begins.
    at: usize,
    blocks: u32,
    open: Vec<u8>,
    /// Where in `open` the next tick begins.
    next: usize,
    ticks: u32,
    is_over: bool,
    groups: u32,
    last: Now,
    /// Group, form and newest cell of every slot; no group once it has ended.
    slots: Vec<(Option<u32>, CellForm, i64)>,
}

impl Reader {
    /// Opens a file.
    pub fn open(path: &Path) -> anyhow::Result<Reader> {
        let file = std::fs::read(path).with_context(|| format!("failed to read `{}`", path.display()))?;
        Reader::new(file.into()).with_context(|| format!("`{}`", path.display()))
    }

    /// Reads what was the content of a file.
    pub fn new(file: Arc<[u8]>) -> anyhow::Result<Reader> {
        let rest = file.strip_prefix(MAGIC).context("is no recording")?;
        let version = *rest.first().context("is cut off after 4 bytes")?;
        ensure!(version == VERSION, "is a recording of version {version}, known is {VERSION}");
        Ok(Reader {
            at: MAGIC.len() + 1,
            file,
            blocks: 0,
            open: Vec::new(),
            next: 0,
            ticks: 0,
            is_over: false,
            groups: 0,
            last: Now::default(),
            slots: Vec::new(),
        })
    }

    fn tick(&mut self) -> anyhow::Result<Option<Tick>> {
        let block = (self.blocks, self.at);
        if self.next == self.open.len() && !self.unpack().with_context(|| place(block))? {
            return Ok(None);
        }
        let open = std::mem::take(&mut self.open);
        let mut cursor = Cursor(open.get(self.next..).unwrap_or_default());
        let number = self.ticks;
        let tick = self.parse(&mut cursor).with_context(|| format!("tick {number}"));
        self.next = open.len() - cursor.0.len();
        self.open = open;
        self.ticks += 1;
        let block = self.blocks.saturating_sub(1);
        tick.map(Some).with_context(|| format!("block {block}, before byte {}", self.at))
    }

    /// Opens the next block; `false` at the end.
    fn unpack(&mut self) -> anyhow::Result<bool> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        let (head, rest) = rest.split_at_checked(HEAD_BYTES).context("is cut off")?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (packed_bytes, unpacked_bytes) = (word(0) as usize, word(4) as usize);
        let packed = rest.get(..packed_bytes).context("is cut off")?;
        ensure!(check(self.blocks, &head[..8], packed) == word(8), "is damaged");
        self.blocks += 1;
        self.at += HEAD_BYTES + packed_bytes;
        if packed_bytes == 0 {
            ensure!(self.at == self.file.len(), "is the last, and something follows");
            ensure!(unpacked_bytes == self.ticks as usize, "says {unpacked_bytes} ticks, not {}", self.ticks);
            return Ok(false);
        }
        ensure!(unpacked_bytes <= BLOCK_BYTES_MAX, "has {unpacked_bytes} bytes, at most {BLOCK_BYTES_MAX}");
        self.open = zstd::bulk::decompress(packed, unpacked_bytes).context("cannot be unpacked")?;
        ensure!(self.open.len() == unpacked_bytes, "has {} bytes, not {unpacked_bytes}", self.open.len());
        ensure!(!self.open.is_empty(), "is empty");
        self.next = 0;
        Ok(true)
    }

    fn parse(&mut self, from: &mut Cursor<'_>) -> anyhow::Result<Tick> {
        let step = from.number()?;
        ensure!(step > 0, "is not later than the one before");
        let boot = self.last.boot.0.checked_add(step).context("is beyond all time")?;
        let wall = from.changed(self.last.wall.0)?;
        self.last = Now { boot: BootTime(boot), wall: WallTime(wall) };
        let next_due_ms = from.small()?;
        let groups = (0..from.count()?).map(|_| self.group(from)).collect::<anyhow::Result<_>>()?;
        let retired = numbers(from, self.slots.len())?;
        for slot in &retired {
            let (group, _, _) = &mut self.slots[*slot as usize];
            ensure!(group.take().is_some(), "slot {slot} ends twice");
        }
        let registered = (0..from.count()?).map(|_| self.series(from)).collect::<anyhow::Result<_>>()?;
        let sampled = numbers(from, self.groups as usize)?;
        let changed = self.cells(from, &sampled)?;
        Ok(Tick { at: self.last, next_due_ms, groups, registered, retired, sampled, changed })
    }

    fn group(&mut self, from: &mut Cursor<'_>) -> anyhow::Result<GroupInfo> {
        let (group, collector) = (self.groups, from.text()?.to_string());
        let interval_ms = from.small()?;
        let class = match from.number()? {
            0 => SeriesClass::System,
            1 => SeriesClass::Process,
            2 => SeriesClass::Other,
            other => bail!("class {other} of group {group} is not known"),
        };
        self.groups += 1;
        Ok(GroupInfo { group, collector, interval_ms, class })
    }

    fn series(&mut self, from: &mut Cursor<'_>) -> anyhow::Result<NewSeries> {
        let slot = u32::try_from(self.slots.len())?;
        let group = from.small()?;
        ensure!(group < self.groups, "group {group} of slot {slot} is not known");
        let name = from.text()?;
        let kind = if from.number()? == 0 { MetricKind::Counter } else { MetricKind::Gauge };
        let form = match from.small::<u8>()? {
            0 => CellForm::Float,
            scale @ 1..=10 => CellForm::Integer { scale: scale - 1, unit: from.small()? },
            other => bail!("form {other} of slot {slot} is not known"),
        };
        let count = from.count()?;
        let label = |_| Ok((from.text()?, from.text()?));
        let labels: Vec<_> = (0..count).map(label).collect::<anyhow::Result<_>>()?;
        let labels = Labels::new(labels).with_context(|| format!("labels of slot {slot}"))?;
        self.slots.push((Some(group), form, 0));
        Ok(NewSeries { group, slot, spec: SeriesSpec { metric: Metric { name, kind, form }, labels } })
    }

    fn cells(&mut self, from: &mut Cursor<'_>, sampled: &[u32]) -> anyhow::Result<Vec<(u32, i64)>> {
        let count = from.count()?;
        let mut changed = Vec::with_capacity(count);
        let mut next = 0u32;
        for _ in 0..count {
            let slot = next.checked_add(from.small()?).context("a slot is beyond all slots")?;
            let known = self.slots.get_mut(slot as usize);
            let (group, form, cell) = known.with_context(|| format!("slot {slot} is not known"))?;
            let is_sampled = group.is_some_and(|group| sampled.binary_search(&group).is_ok());
            ensure!(is_sampled, "slot {slot} changed and was not sampled");
            *cell = match form {
                CellForm::Integer { .. } => from.changed(*cell)?,
                CellForm::Float => *cell ^ from.number()?.reverse_bits().cast_signed(),
            };
            changed.push((slot, *cell));
            next = slot + 1;
        }
        Ok(changed)
    }
}

impl Iterator for Reader {
    type Item = anyhow::Result<Tick>;

    fn next(&mut self) -> Option<anyhow::Result<Tick>> {
        if self.is_over {
            return None;
        }
        let tick = self.tick().transpose();
        self.is_over = !matches!(tick, Some(Ok(_)));
        tick
    }
}

fn place((number, at): (u32, usize)) -> String {
    format!("block {number} at byte {at}")
}

/// Ascending numbers, all below `end`.
fn numbers(from: &mut Cursor<'_>, end: usize) -> anyhow::Result<Vec<u32>> {
    let count = from.count()?;
    let mut numbers = Vec::with_capacity(count);
    let mut next = 0u32;
    for _ in 0..count {
        let number = next.checked_add(from.small()?).context("a number is beyond all numbers")?;
        ensure!((number as usize) < end, "number {number} is not below {end}");
        numbers.push(number);
        next = number + 1;
    }
    Ok(numbers)
}
