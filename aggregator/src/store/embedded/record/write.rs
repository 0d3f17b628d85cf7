//! Records into bytes. Nothing here can fail, and a frame costs no allocation of its own.

use super::{Base, Boot, Column, Epoch, Frame, Lane, Layout, Lost, Origin, Piece, Record};
use crate::store::embedded::layout::Group;
use quorate_common::cell::varint::{put, zigzag};
use quorate_common::model::series::{CellForm, MetricKind, SeriesClass, SeriesSpec, Window};
use quorate_common::model::session::SeqRange;
use quorate_common::tally::Cause;

/// What the journal calls a series.
pub const SERIES: u8 = 9;

impl Record<'_> {
    /// What the journal calls it.
    pub fn kind(&self) -> u8 {
        match self {
            Record::Base(_) => 1,
            Record::Register { .. } => 2,
            Record::Retire { .. } => 3,
            Record::Frame { .. } => 4,
            Record::Beat { .. } => 5,
            Record::Closed { .. } => 6,
            Record::Ledger { .. } => 7,
            Record::Ended { .. } => 8,
            Record::Series { .. } => SERIES,
            Record::Forgotten { .. } => 10,
            Record::Boot { .. } => 11,
        }
    }

    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Record::Base(base) => put_base(out, base),
            Record::Register { node, lane, place, new } => {
                put_numbers(
                    out,
                    [zigzag(node.0), is_late(*lane), *place, new.group.into(), new.first.into()],
                );
                out.push(group_byte(Group { window: new.window, class: new.class }));
                put_runs(out, new.columns.len(), new.columns.chunks(1));
            }
            Record::Retire { node, lane, place, indices } => {
                put_numbers(out, [zigzag(node.0), is_late(*lane), *place]);
                put_indices(out, indices);
            }
            Record::Frame { place, frame } => {
                put(out, *place);
                put_frame(out, frame);
            }
            Record::Beat { node, seq, origin } => {
                put_numbers(out, [zigzag(node.0), *seq]);
                put_origin(out, origin);
            }
            Record::Closed { node, lost: Lost { epoch, range, cause, collected_total } } => {
                put(out, zigzag(node.0));
                put_epoch(out, *epoch);
                put_range(out, *range);
                put_numbers(out, [code(Some(*cause)), *collected_total]);
            }
            Record::Ledger { node, epoch, pieces } => {
                put(out, zigzag(node.0));
                put_epoch(out, *epoch);
                put(out, pieces.len() as u64);
                pieces.iter().for_each(|piece| put_piece(out, piece));
            }
            Record::Ended { node, epoch } => {
                put(out, zigzag(node.0));
                put_epoch(out, *epoch);
            }
            Record::Boot { node, boot: Boot { id, offset_ns, at } } => {
                put(out, zigzag(node.0));
                out.extend_from_slice(id);
                put_numbers(out, [zigzag(*offset_ns), zigzag(at.0)]);
            }
            Record::Series { node, id, seen, spec } => {
                put_numbers(out, [zigzag(node.0), id.0.into(), zigzag(seen.0)]);
                put_spec(out, spec);
            }
            Record::Forgotten { node, next } => put_numbers(out, [zigzag(node.0), next.0.into()]),
        }
    }
}

pub(super) const AGAIN: u8 = 4;
pub(super) const COUNTED: u8 = 8;
pub(super) const LATE: u8 = 16;

fn is_late(lane: Lane) -> u64 {
    u64::from(lane == Lane::Late)
}

fn put_frame(out: &mut Vec<u8>, frame: &Frame<'_>) {
    let Frame { node, lane, at, head, origin, again, groups, cells } = frame;
    let flags = [(*again, AGAIN), (origin.is_some(), COUNTED), (*lane == Lane::Late, LATE)];
    let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, flag)| all | flag);
    out.push(window(head.window) | flags);
    put_numbers(out, [zigzag(node.0), zigzag(at.0), head.seq, head.predecessor]);
    origin.iter().for_each(|origin| put_origin(out, origin));
    put_bytes(out, groups);
    put_bytes(out, cells);
}

fn put_base(out: &mut Vec<u8>, Base { frame, layout }: &Base<'_>) {
    put_frame(out, frame);
    let Layout { groups, columns, retired } = &**layout;
    put(out, groups.len() as u64);
    out.extend(groups.iter().map(|group| group_byte(*group)));
    put_runs(out, columns.len(), layout.runs());
    put_indices(out, retired);
}

/// How many columns, and for each run its length and its first column.
fn put_runs<'a>(out: &mut Vec<u8>, columns: usize, runs: impl Iterator<Item = &'a [Column]>) {
    put(out, columns as u64);
    for run in runs {
        let Some(Column { id, form, group }) = run.first() else { continue };
        put_numbers(out, [run.len() as u64, id.map_or(0, |id| u64::from(id.0) + 1), u64::from(*group)]);
        put_form(out, *form);
    }
}

pub(in crate::store::embedded) fn put_form(out: &mut Vec<u8>, form: CellForm) {
    match form {
        CellForm::Float => out.push(u8::MAX),
        CellForm::Integer { scale, unit } => {
            out.push(scale);
            put(out, unit.into());
        }
    }
}

fn put_spec(out: &mut Vec<u8>, spec: &SeriesSpec) {
    out.push(u8::from(spec.metric.kind == MetricKind::Counter));
    put_form(out, spec.metric.form);
    put_bytes(out, spec.metric.name.as_bytes());
    put(out, spec.labels.iter().len() as u64);
    for (name, value) in spec.labels.iter() {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
}

fn put_origin(out: &mut Vec<u8>, Origin { epoch, totals, admitted }: &Origin) {
    let sampled = totals.after.wrapping_sub(totals.before);
    put_epoch(out, *epoch);
    put_numbers(out, [totals.after, sampled, sampled.wrapping_sub(*admitted)]);
}

fn put_piece(out: &mut Vec<u8>, Piece { range, totals, tally, below, above }: &Piece) {
    put_range(out, *range);
    out.push(u8::from(totals.is_some()));
    totals.iter().for_each(|totals| put_numbers(out, [totals.before, totals.after]));
    put_numbers(out, [code(*below), code(*above), tally.stored, tally.dropped().count() as u64]);
    tally.dropped().for_each(|(cause, samples)| put_numbers(out, [code(Some(cause)), samples]));
}

/// 0 for none. The order of declaration is part of the format.
fn code(cause: Option<Cause>) -> u64 {
    cause.map_or(0, |cause| cause as u64 + 1)
}

fn put_epoch(out: &mut Vec<u8>, epoch: Epoch) {
    put(out, epoch.order);
    out.extend_from_slice(&epoch.nonce.to_le_bytes());
}

fn put_range(out: &mut Vec<u8>, range: SeqRange) {
    put_numbers(out, [range.first, range.last]);
}

fn put_indices(out: &mut Vec<u8>, indices: &[u32]) {
    put(out, indices.len() as u64);
    indices.iter().for_each(|index| put(out, u64::from(*index)));
}

pub(in crate::store::embedded) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(in crate::store::embedded) fn put_numbers<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    numbers.into_iter().for_each(|number| put(out, number));
}

fn group_byte(Group { window: of, class }: Group) -> u8 {
    let class = match class {
        SeriesClass::System => 0,
        SeriesClass::Process => 1,
        SeriesClass::Other => 2,
    };
    window(of) | class << 2
}

pub(in crate::store::embedded) fn window(window: Window) -> u8 {
    match window {
        Window::Short => 0,
        Window::Medium => 1,
        Window::Long => 2,
    }
}
