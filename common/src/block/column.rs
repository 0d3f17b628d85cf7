//! One column of a block: which rows have a sample, and the samples in the shortest of some ways.
//!
//! ```text
//!   how       form and way in one byte
//!   presence  nothing if every row has a sample; else how many runs, and their lengths: with, without, with …
//!   values    constant  one number
//!             plain     each number
//!             once      first, then differences                   counters that move unevenly
//!             twice     first, then differences of differences    counters that move evenly
//!             bits      first, then differing bits, reversed      doubles
//! ```
//!
//! Doubles that are decimal fractions are whole numbers times a power of ten: they are written as those.

use super::{BlockError, Column};
use crate::cell::Form;
use crate::cell::varint::{self, unzigzag, zigzag};

const CONSTANT: u8 = 0;
const PLAIN: u8 = 1;
const ONCE: u8 = 2;
const TWICE: u8 = 3;
const BITS: u8 = 4;
const WAY: u8 = 0x07;
const FLOAT: u8 = 0x08;
const GAPS: u8 = 0x10;
/// Powers of ten that are tried on doubles, and the largest whole number that a double holds exactly.
const SCALE_MAX: u32 = 9;
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn write(column: &Column) -> Vec<u8> {
    let values: Vec<i64> = if column.present.is_empty() {
        column.cells.clone()
    } else {
        column
            .cells
            .iter()
            .zip(&column.present)
            .filter(|(_, present)| **present)
            .map(|(cell, _)| *cell)
            .collect()
    };
    let mut out = vec![0];
    if column.present.contains(&false) {
        out[0] |= GAPS;
        put_runs(&mut out, &column.present);
    }
    match column.form {
        Form::Integer => out[0] |= put_shortest(&mut out, &values),
        Form::Float => {
            out[0] |= FLOAT;
            match decimal(&values) {
                Some((scale, whole)) => {
                    varint::put(&mut out, u64::from(scale));
                    out[0] |= put_shortest(&mut out, &whole);
                }
                None => {
                    out[0] |= BITS;
                    put_bits(&mut out, &values);
                }
            }
        }
    }
    out
}

pub(super) fn read(bytes: &[u8], rows: usize) -> Result<Column, BlockError> {
    let (&how, mut rest) = bytes.split_first().ok_or(BlockError::Damaged("an empty column"))?;
    let present = if how & GAPS == 0 { Vec::new() } else { take_runs(&mut rest, rows)? };
    let count = if present.is_empty() { rows } else { present.iter().filter(|present| **present).count() };
    let (form, way) = (if how & FLOAT == 0 { Form::Integer } else { Form::Float }, how & WAY);
    let values = match (form, way) {
        (Form::Float, BITS) => take_bits(&mut rest, count)?,
        (Form::Float, _) => {
            let scale = u32::try_from(varint::take(&mut rest)?).unwrap_or(u32::MAX);
            if scale > SCALE_MAX {
                return Err(BlockError::Damaged("a scale beyond nine"));
            }
            let whole = take_way(&mut rest, way, count)?;
            whole.into_iter().map(|whole| undecimal(whole, scale)).collect()
        }
        (Form::Integer, _) => take_way(&mut rest, way, count)?,
    };
    if !rest.is_empty() {
        return Err(BlockError::Damaged("a column goes on after its end"));
    }
    let cells = if present.is_empty() { values } else { spread(values, &present) };
    Ok(Column { form, cells, present })
}

/// Values back to their rows; a row without a sample has the value before it.
fn spread(values: Vec<i64>, present: &[bool]) -> Vec<i64> {
    let mut values = values.into_iter();
    let mut last = 0;
    present
        .iter()
        .map(|present| {
            if *present {
                last = values.next().unwrap_or(last);
            }
            last
        })
        .collect()
}

fn put_runs(out: &mut Vec<u8>, present: &[bool]) {
    // The first run is one with samples, of length 0 if need be.
    let mut runs = Vec::new();
    let (mut length, mut kind) = (0_u64, true);
    for row in present {
        if *row != kind {
            runs.push(length);
            (length, kind) = (0, *row);
        }
        length += 1;
    }
    runs.push(length);
    varint::put(out, runs.len() as u64);
    runs.into_iter().for_each(|length| varint::put(out, length));
}

fn take_runs(bytes: &mut &[u8], rows: usize) -> Result<Vec<bool>, BlockError> {
    let mut present = Vec::new();
    let mut kind = true;
    for _ in 0..varint::take(bytes)? {
        let length = usize::try_from(varint::take(bytes)?).unwrap_or(usize::MAX);
        if length > rows - present.len() {
            return Err(BlockError::Damaged("more rows than there are"));
        }
        present.resize(present.len() + length, kind);
        kind = !kind;
    }
    if present.len() == rows { Ok(present) } else { Err(BlockError::Damaged("fewer rows than there are")) }
}

/// Writes whole numbers in the way that takes the fewest bytes, and says which.
fn put_shortest(out: &mut Vec<u8>, values: &[i64]) -> u8 {
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        values.first().into_iter().for_each(|first| varint::put(out, zigzag(*first)));
        return CONSTANT;
    }
    let bytes =
        |numbers: &mut dyn Iterator<Item = i64>| numbers.map(|number| length(zigzag(number))).sum::<usize>();
    let plain = bytes(&mut values.iter().copied());
    let once = bytes(&mut differences(values.iter().copied()));
    let twice = bytes(&mut differences(differences(values.iter().copied())));
    if plain <= once && plain <= twice {
        values.iter().for_each(|value| varint::put(out, zigzag(*value)));
        PLAIN
    } else if once <= twice {
        differences(values.iter().copied()).for_each(|value| varint::put(out, zigzag(value)));
        ONCE
    } else {
        put_twice(out, values.iter().copied());
        TWICE
    }
}

fn take_way(bytes: &mut &[u8], way: u8, count: usize) -> Result<Vec<i64>, BlockError> {
    match way {
        CONSTANT if count == 0 => Ok(Vec::new()),
        CONSTANT => Ok(vec![unzigzag(varint::take(bytes)?); count]),
        PLAIN => (0..count).map(|_| Ok(unzigzag(varint::take(bytes)?))).collect(),
        ONCE => take_once(bytes, count),
        TWICE => take_twice(bytes, count),
        _ => Err(BlockError::Damaged("a column of an unknown kind")),
    }
}

fn take_once(bytes: &mut &[u8], count: usize) -> Result<Vec<i64>, BlockError> {
    let mut last = 0_i64;
    let next = |_| {
        last = last.wrapping_add(unzigzag(varint::take(bytes)?));
        Ok(last)
    };
    (0..count).map(next).collect()
}

/// Differences of differences.
pub(super) fn put_twice(out: &mut Vec<u8>, values: impl Iterator<Item = i64>) {
    differences(differences(values)).for_each(|value| varint::put(out, zigzag(value)));
}

pub(super) fn take_twice(bytes: &mut &[u8], count: usize) -> Result<Vec<i64>, BlockError> {
    let (mut last, mut step) = (0_i64, 0_i64);
    let next = |_| {
        step = step.wrapping_add(unzigzag(varint::take(bytes)?));
        last = last.wrapping_add(step);
        Ok(last)
    };
    (0..count).map(next).collect()
}

fn put_bits(out: &mut Vec<u8>, values: &[i64]) {
    let mut last = 0;
    for value in values {
        varint::put(out, (last ^ value).cast_unsigned().reverse_bits());
        last = *value;
    }
}

fn take_bits(bytes: &mut &[u8], count: usize) -> Result<Vec<i64>, BlockError> {
    let mut last = 0;
    let next = |_| {
        last ^= varint::take(bytes)?.reverse_bits().cast_signed();
        Ok(last)
    };
    (0..count).map(next).collect()
}

/// Bits of doubles as whole numbers of the smallest power of ten that gives back every bit.
fn decimal(values: &[i64]) -> Option<(u32, Vec<i64>)> {
    (0..=SCALE_MAX).find_map(|scale| {
        let factor = 10_f64.powi(scale.cast_signed());
        let whole = |bits: &i64| {
            let whole = (f64::from_bits(bits.cast_unsigned()) * factor).round();
            let number = (whole.abs() < EXACT_MAX).then_some(whole as i64)?;
            (undecimal(number, scale) == *bits).then_some(number)
        };
        values.iter().map(whole).collect::<Option<Vec<i64>>>().map(|whole| (scale, whole))
    })
}

fn undecimal(whole: i64, scale: u32) -> i64 {
    (whole as f64 / 10_f64.powi(scale.cast_signed())).to_bits().cast_signed()
}

/// Each value less the one before; the first less nothing.
fn differences(values: impl Iterator<Item = i64>) -> impl Iterator<Item = i64> {
    let mut last = 0_i64;
    values.map(move |value| value.wrapping_sub(std::mem::replace(&mut last, value)))
}

/// Bytes of a varint.
fn length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}
