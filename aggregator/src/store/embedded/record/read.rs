//! Bytes into records. Memory is taken only for what the bytes can hold.

use super::write::{AGAIN, COUNTED, LATE, SERIES};
use super::{
    Base, Boot, Column, Epoch, Frame, Lane, Layout, Lost, Origin, Piece, Record, RecordError, SeriesId,
    Totals,
};
use crate::store::NewColumns;
use crate::store::embedded::layout::Group;
use quorate_common::cell::FrameHead;
use quorate_common::cell::varint::{take, unzigzag};
use quorate_common::ledger::RANGES_MAX;
use quorate_common::model::label::{Labels, check_metric_name};
use quorate_common::model::node::NodeId;
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::SeqRange;
use quorate_common::model::time::WallTime;
use quorate_common::tally::{Cause, Tally};

/// Most columns that a run may claim: a base of a million series is no base.
const COLUMNS_MAX: usize = 1 << 20;

impl<'a> Record<'a> {
    /// Reads a record of this kind.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(kind: u8, payload: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let mut reader = Reader(payload);
        let record = reader.record(kind)?;
        if reader.0.is_empty() { Ok(record) } else { Err(RecordError::Long) }
    }
}

/// A record of a series whose bytes were not read yet: those of equal series are equal.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Whose.
    pub node: NodeId,
    /// Its number.
    pub id: SeriesId,
    /// A sample of it may be as new as this.
    pub seen: WallTime,
    /// The series.
    pub bytes: &'a [u8],
}

impl<'a> Named<'a> {
    /// Reads a record of kind [`SERIES`].
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn read(payload: &'a [u8]) -> Result<Named<'a>, RecordError> {
        Reader(payload).named()
    }

    /// The series.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn spec(&self) -> Result<SeriesSpec, RecordError> {
        let mut reader = Reader(self.bytes);
        let spec = reader.spec()?;
        if reader.0.is_empty() { Ok(spec) } else { Err(RecordError::Long) }
    }
}

/// What is left to read.
pub(in crate::store::embedded) struct Reader<'a>(pub(in crate::store::embedded) &'a [u8]);

impl<'a> Reader<'a> {
    fn record(&mut self, kind: u8) -> Result<Record<'a>, RecordError> {
        Ok(match kind {
            1 => Record::Base(Base { frame: self.frame()?, layout: self.layout()?.into() }),
            2 => self.register()?,
            3 => Record::Retire {
                node: self.node()?,
                lane: self.lane()?,
                place: self.number()?,
                indices: self.indices()?,
            },
            4 => Record::Frame { place: self.number()?, frame: self.frame()? },
            5 => Record::Beat { node: self.node()?, seq: self.number()?, origin: self.origin()? },
            6 => Record::Closed { node: self.node()?, lost: self.lost()? },
            7 => Record::Ledger { node: self.node()?, epoch: self.epoch()?, pieces: self.pieces()? },
            8 => Record::Ended { node: self.node()?, epoch: self.epoch()? },
            SERIES => {
                let Named { node, id, seen, .. } = self.named()?;
                Record::Series { node, id, seen, spec: self.spec()? }
            }
            10 => Record::Forgotten { node: self.node()?, next: SeriesId(self.small("a series")?) },
            11 => Record::Boot { node: self.node()?, boot: self.boot()? },
            other => return Err(RecordError::Kind(other)),
        })
    }

    fn named(&mut self) -> Result<Named<'a>, RecordError> {
        let (node, id, seen) = (self.node()?, SeriesId(self.small("a series")?), self.time()?);
        Ok(Named { node, id, seen, bytes: self.0 })
    }

    fn register(&mut self) -> Result<Record<'a>, RecordError> {
        let (node, lane, place) = (self.node()?, self.lane()?, self.number()?);
        let (group, first) = (self.small("a group")?, self.small("an index")?);
        let Group { window, class } = self.group()?;
        let new = NewColumns { group, window, class, first, columns: self.columns()? };
        Ok(Record::Register { node, lane, place, new })
    }

    fn frame(&mut self) -> Result<Frame<'a>, RecordError> {
        let flags = self.byte()?;
        let window = window(flags & 3)?;
        if flags > LATE | AGAIN | COUNTED | 3 {
            return Err(RecordError::Range("a flag"));
        }
        let (node, at) = (self.node()?, self.time()?);
        let head = FrameHead { seq: self.number()?, predecessor: self.number()?, window };
        let origin = if flags & COUNTED == 0 { None } else { Some(self.origin()?) };
        let again = flags & AGAIN != 0;
        let lane = if flags & LATE == 0 { Lane::Live } else { Lane::Late };
        Ok(Frame { node, lane, at, head, origin, again, groups: self.bytes()?, cells: self.bytes()? })
    }

    fn layout(&mut self) -> Result<Layout, RecordError> {
        let count = self.count()?;
        let groups = (0..count).map(|_| self.group()).collect::<Result<_, _>>()?;
        Ok(Layout { groups, columns: self.columns()?, retired: self.indices()? })
    }

    fn columns(&mut self) -> Result<Vec<Column>, RecordError> {
        let count = self.number()? as usize;
        if count > COLUMNS_MAX {
            return Err(RecordError::Range("a number of columns"));
        }
        let mut columns = Vec::new();
        while columns.len() < count {
            let length = self.number()? as usize;
            if length == 0 || length > count - columns.len() {
                return Err(RecordError::Range("the length of a run"));
            }
            let (id, group, form) = (self.number()?, self.small("a group")?, self.form()?);
            for offset in 0..length as u64 {
                let id = match id.checked_sub(1) {
                    None => None,
                    Some(id) => Some(SeriesId(narrow(id.saturating_add(offset), "a series")?)),
                };
                columns.push(Column { id, form, group });
            }
        }
        Ok(columns)
    }

    pub(in crate::store::embedded) fn form(&mut self) -> Result<CellForm, RecordError> {
        match self.byte()? {
            u8::MAX => Ok(CellForm::Float),
            scale @ 0..=9 => match self.small("a unit")? {
                0 => Err(RecordError::Range("a unit")),
                unit => Ok(CellForm::Integer { scale, unit }),
            },
            _ => Err(RecordError::Range("a scale")),
        }
    }

    fn spec(&mut self) -> Result<SeriesSpec, RecordError> {
        let kind = if self.flag()? { MetricKind::Counter } else { MetricKind::Gauge };
        let (form, name) = (self.form()?, self.text()?);
        check_metric_name(name)?;
        let count = self.count()?;
        let pairs =
            (0..count).map(|_| Ok((self.text()?, self.text()?))).collect::<Result<Vec<_>, RecordError>>()?;
        Ok(SeriesSpec { metric: Metric { name: name.into(), kind, form }, labels: Labels::new(pairs)? })
    }

    fn origin(&mut self) -> Result<Origin, RecordError> {
        let (epoch, after, samples) = (self.epoch()?, self.number()?, self.number()?);
        let admitted = samples.wrapping_sub(self.number()?);
        Ok(Origin { epoch, totals: Totals { before: after.wrapping_sub(samples), after }, admitted })
    }

    fn boot(&mut self) -> Result<Boot, RecordError> {
        let (id, rest) = self.0.split_first_chunk().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(Boot { id: *id, offset_ns: unzigzag(self.number()?), at: self.time()? })
    }

    fn lost(&mut self) -> Result<Lost, RecordError> {
        let (epoch, range) = (self.epoch()?, self.range()?);
        let cause = self.cause()?.ok_or(RecordError::Range("a cause"))?;
        Ok(Lost { epoch, range, cause, collected_total: self.number()? })
    }

    fn cause(&mut self) -> Result<Option<Cause>, RecordError> {
        let Some(at) = self.number()?.checked_sub(1) else { return Ok(None) };
        let cause = usize::try_from(at).ok().and_then(|at| Cause::ALL.get(at));
        cause.map(|cause| Some(*cause)).ok_or(RecordError::Range("a cause"))
    }

    fn epoch(&mut self) -> Result<Epoch, RecordError> {
        let order = self.number()?;
        let (nonce, rest) = self.0.split_first_chunk().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(Epoch { order, nonce: u64::from_le_bytes(*nonce) })
    }

    fn pieces(&mut self) -> Result<Vec<Piece>, RecordError> {
        // There are never more, and each takes more memory than bytes.
        let count = self.count()?;
        if count > RANGES_MAX + 1 {
            return Err(RecordError::Range("a number of ranges"));
        }
        (0..count).map(|_| self.piece()).collect()
    }

    fn piece(&mut self) -> Result<Piece, RecordError> {
        let range = self.range()?;
        let totals =
            if self.flag()? { Some(Totals { before: self.number()?, after: self.number()? }) } else { None };
        let (below, above) = (self.cause()?, self.cause()?);
        let mut tally = Tally::stored(self.number()?);
        for _ in 0..self.count()? {
            let cause = self.cause()?.ok_or(RecordError::Range("a cause"))?;
            tally.drop(cause, self.number()?);
        }
        Ok(Piece { range, totals, tally, below, above })
    }

    fn range(&mut self) -> Result<SeqRange, RecordError> {
        Ok(SeqRange { first: self.number()?, last: self.number()? })
    }

    fn indices(&mut self) -> Result<Vec<u32>, RecordError> {
        let count = self.count()?;
        (0..count).map(|_| self.small("an index")).collect()
    }

    pub(in crate::store::embedded) fn node(&mut self) -> Result<NodeId, RecordError> {
        Ok(NodeId(unzigzag(self.number()?)))
    }

    pub(in crate::store::embedded) fn time(&mut self) -> Result<WallTime, RecordError> {
        Ok(WallTime(unzigzag(self.number()?)))
    }

    fn group(&mut self) -> Result<Group, RecordError> {
        let byte = self.byte()?;
        let class = match byte >> 2 {
            0 => SeriesClass::System,
            1 => SeriesClass::Process,
            2 => SeriesClass::Other,
            _ => return Err(RecordError::Range("a class")),
        };
        Ok(Group { window: window(byte & 3)?, class })
    }

    fn lane(&mut self) -> Result<Lane, RecordError> {
        Ok(if self.flag()? { Lane::Late } else { Lane::Live })
    }

    fn flag(&mut self) -> Result<bool, RecordError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::Range("a flag")),
        }
    }

    pub(in crate::store::embedded) fn text(&mut self) -> Result<&'a str, RecordError> {
        Ok(std::str::from_utf8(self.bytes()?)?)
    }

    pub(in crate::store::embedded) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// How many of something follow, each of at least a byte.
    pub(in crate::store::embedded) fn count(&mut self) -> Result<usize, RecordError> {
        let count = self.number()?;
        usize::try_from(count).ok().filter(|count| *count <= self.0.len()).ok_or(RecordError::Short)
    }

    pub(in crate::store::embedded) fn small(&mut self, what: &'static str) -> Result<u32, RecordError> {
        narrow(self.number()?, what)
    }

    pub(in crate::store::embedded) fn number(&mut self) -> Result<u64, RecordError> {
        Ok(take(&mut self.0)?)
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        let (byte, rest) = self.0.split_first().ok_or(RecordError::Short)?;
        self.0 = rest;
        Ok(*byte)
    }
}

fn window(byte: u8) -> Result<Window, RecordError> {
    match byte {
        0 => Ok(Window::Short),
        1 => Ok(Window::Medium),
        2 => Ok(Window::Long),
        _ => Err(RecordError::Range("a window")),
    }
}

fn narrow(number: u64, what: &'static str) -> Result<u32, RecordError> {
    u32::try_from(number).map_err(|_| RecordError::Range(what))
}
