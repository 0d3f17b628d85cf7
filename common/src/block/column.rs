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
//!   narrow    plain, once or twice: the first numbers, the least of the others, how many bits each has above it
//!             bits: sign and exponent of each above the least, how many of the lowest bits are always zero
//! ```
//!
//! What moves at random has nothing that a compressor could find, and in varints it spoils for it what has: of such
//! a column the bits stand beside the body, as narrow as the widest needs.
//!
//! Doubles that are decimal fractions are whole numbers times a power of ten: they are written as those.

use super::{BlockError, Column, bits};
use crate::cell::Form;
use crate::cell::varint::{self, unzigzag, zigzag};
use std::borrow::Cow;

const CONSTANT: u8 = 0;
const PLAIN: u8 = 1;
const ONCE: u8 = 2;
const TWICE: u8 = 3;
const BITS: u8 = 4;
const WAY: u8 = 0x07;
const FLOAT: u8 = 0x08;
const GAPS: u8 = 0x10;
const NARROW: u8 = 0x20;
/// Below this a head costs more than bits save.
const NARROW_MIN: usize = 16;
/// Bits of a mantissa.
const MANTISSA: u32 = 52;
const NARROW_PLAIN: u8 = NARROW | PLAIN;
const NARROW_ONCE: u8 = NARROW | ONCE;
const NARROW_TWICE: u8 = NARROW | TWICE;
const NARROW_BITS: u8 = NARROW | BITS;
/// The compressor has one table for all columns of a block, so it makes more of each than it would alone.
const SPOILT: f64 = 1.1;
/// Powers of ten that are tried on doubles, and the largest whole number that a double holds exactly.
const SCALE_MAX: u32 = 9;
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Its part of the body, and its bits.
pub(super) fn write(column: &Column) -> (Vec<u8>, Vec<u8>) {
    let values: Cow<'_, [i64]> = if column.present.is_empty() {
        column.cells.as_slice().into()
    } else {
        let there = column.cells.iter().zip(&column.present).filter(|(_, present)| **present);
        there.map(|(cell, _)| *cell).collect()
    };
    let (mut out, mut beside) = (vec![0], Vec::new());
    if column.present.contains(&false) {
        out[0] |= GAPS;
        put_runs(&mut out, &column.present);
    }
    match column.form {
        Form::Integer => out[0] |= put_shortest(&mut out, &mut beside, &values),
        Form::Float => {
            out[0] |= FLOAT;
            match decimal(&values) {
                Some((scale, whole)) => {
                    varint::put(&mut out, u64::from(scale));
                    out[0] |= put_shortest(&mut out, &mut beside, &whole);
                }
                None => {
                    out[0] |= put_doubles(&mut out, &mut beside, &values);
                }
            }
        }
    }
    (out, beside)
}

pub(super) fn read(bytes: &[u8], beside: &[u8], rows: usize) -> Result<Column, BlockError> {
    let (&how, mut rest) = bytes.split_first().ok_or(BlockError::Damaged("an empty column"))?;
    let present = if how & GAPS == 0 { Vec::new() } else { take_runs(&mut rest, rows)? };
    let count = if present.is_empty() { rows } else { present.iter().filter(|present| **present).count() };
    let (form, way) = (if how & FLOAT == 0 { Form::Integer } else { Form::Float }, how & (WAY | NARROW));
    if how & NARROW == 0 && !beside.is_empty() {
        return Err(BlockError::Damaged("bits of a column that has none"));
    }
    let values = match (form, way) {
        (Form::Float, NARROW_BITS) => take_narrow_doubles(&mut rest, beside, count)?,
        (Form::Float, BITS) => take_bits(&mut rest, count)?,
        (Form::Float, _) => {
            let scale = u32::try_from(varint::take(&mut rest)?).unwrap_or(u32::MAX);
            if scale > SCALE_MAX {
                return Err(BlockError::Damaged("a scale beyond nine"));
            }
            let whole = take_way(&mut rest, beside, way, count)?;
            whole.into_iter().map(|whole| undecimal(whole, scale)).collect()
        }
        (Form::Integer, _) => take_way(&mut rest, beside, way, count)?,
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
fn put_shortest(out: &mut Vec<u8>, beside: &mut Vec<u8>, values: &[i64]) -> u8 {
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        values.first().into_iter().for_each(|first| varint::put(out, zigzag(*first)));
        return CONSTANT;
    }
    let once: Vec<i64> = differences(values.iter().copied()).collect();
    let twice: Vec<i64> = differences(once.iter().copied()).collect();
    let ways = [(PLAIN, values), (ONCE, &once), (TWICE, &twice)];
    let [plain, by_once, by_twice] = ways.map(|(_, numbers)| wide(numbers));
    let shortest = if plain <= by_once && plain <= by_twice {
        0
    } else if by_once <= by_twice {
        1
    } else {
        2
    };
    let (way, numbers) = ways[shortest];
    let mut bytes = Vec::with_capacity(plain.min(by_once).min(by_twice));
    numbers.iter().for_each(|number| varint::put(&mut bytes, zigzag(*number)));
    if values.len() >= NARROW_MIN
        && let Some((heads, narrow)) =
            (0..3).map(|heads| (heads, narrow(ways[heads].1, heads))).min_by_key(|(_, narrow)| narrow.width)
        && is_narrower(bits::length(narrow.width, values.len()), &bytes)
    {
        narrow.put(out, beside, ways[heads].1, heads);
        return ways[heads].0 | NARROW;
    }
    out.append(&mut bytes);
    way
}

/// Bytes of numbers as varints.
fn wide(numbers: &[i64]) -> usize {
    numbers.iter().map(|number| length(zigzag(*number))).sum()
}

/// Whether so many bytes are fewer than a compressor makes of others, which finds no more than how often each comes.
fn is_narrower(narrow: usize, bytes: &[u8]) -> bool {
    if narrow >= bytes.len() {
        return false;
    }
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = bytes.len() as f64;
    let bits = |count: &u32| f64::from(*count) * (total / f64::from(*count)).log2();
    let packed = counts.iter().filter(|count| **count > 0).map(bits).sum::<f64>() / 8.0;
    (narrow as f64) < packed * SPOILT
}

/// Numbers less the least of them.
struct Narrow {
    least: i64,
    width: u32,
}

/// How narrow numbers are behind the first ones.
fn narrow(numbers: &[i64], heads: usize) -> Narrow {
    let numbers = numbers.get(heads..).unwrap_or_default();
    let least = numbers.iter().copied().min().unwrap_or_default();
    let most = numbers.iter().copied().max().unwrap_or_default();
    let width = u64::BITS - most.wrapping_sub(least).cast_unsigned().leading_zeros();
    Narrow { least, width }
}

impl Narrow {
    fn put(&self, out: &mut Vec<u8>, beside: &mut Vec<u8>, numbers: &[i64], heads: usize) {
        let (first, rest) = numbers.split_at_checked(heads).unwrap_or_default();
        first.iter().for_each(|number| varint::put(out, zigzag(*number)));
        varint::put(out, zigzag(self.least));
        out.push(self.width as u8);
        bits::put(
            beside,
            self.width,
            rest.iter().map(|number| number.wrapping_sub(self.least).cast_unsigned()),
        );
    }
}

/// What [`Narrow::put`] wrote.
fn take_narrow(bytes: &mut &[u8], beside: &[u8], heads: usize, count: usize) -> Result<Vec<i64>, BlockError> {
    let rest = count.checked_sub(heads).ok_or(BlockError::Damaged("fewer rows than first numbers"))?;
    let mut next = || Ok::<_, BlockError>(unzigzag(varint::take(bytes)?));
    let mut numbers = (0..heads).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
    let least = next()?;
    let narrow =
        bits::take(beside, take_byte(bytes)?, rest).ok_or(BlockError::Damaged("bits are missing"))?;
    numbers.extend(narrow.into_iter().map(|number| least.wrapping_add(number.cast_signed())));
    Ok(numbers)
}

fn take_byte(bytes: &mut &[u8]) -> Result<u32, BlockError> {
    let (&byte, rest) = bytes.split_first().ok_or(BlockError::Damaged("a column is cut off"))?;
    *bytes = rest;
    Ok(byte.into())
}

/// Each number is the one before it and the difference.
fn sums(mut numbers: Vec<i64>) -> Vec<i64> {
    let mut last = 0_i64;
    for number in &mut numbers {
        last = last.wrapping_add(*number);
        *number = last;
    }
    numbers
}

fn take_way(bytes: &mut &[u8], beside: &[u8], way: u8, count: usize) -> Result<Vec<i64>, BlockError> {
    match way {
        NARROW_PLAIN => take_narrow(bytes, beside, 0, count),
        NARROW_ONCE => take_narrow(bytes, beside, 1, count).map(sums),
        NARROW_TWICE => take_narrow(bytes, beside, 2, count).map(sums).map(sums),
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

/// Writes doubles in the shorter of two ways, and says which.
fn put_doubles(out: &mut Vec<u8>, beside: &mut Vec<u8>, values: &[i64]) -> u8 {
    let mut bytes = Vec::new();
    put_bits(&mut bytes, values);
    let shift = values.iter().map(|value| value.trailing_zeros()).min().unwrap_or(0).min(MANTISSA);
    let width = MANTISSA - shift;
    // The exponents are a byte each, and nearly the same.
    if values.len() < NARROW_MIN || !is_narrower(bits::length(width, values.len()) + values.len() / 4, &bytes)
    {
        out.append(&mut bytes);
        return BITS;
    }
    let exponents = || values.iter().map(|value| value.cast_unsigned() >> MANTISSA);
    let least = exponents().min().unwrap_or(0);
    out.push(shift as u8);
    varint::put(out, least);
    exponents().for_each(|exponent| varint::put(out, exponent - least));
    let mantissa = |value: &i64| (value.cast_unsigned() & ((1 << MANTISSA) - 1)) >> shift;
    bits::put(beside, width, values.iter().map(mantissa));
    NARROW_BITS
}

/// What [`put_doubles`] wrote in bits.
fn take_narrow_doubles(bytes: &mut &[u8], beside: &[u8], count: usize) -> Result<Vec<i64>, BlockError> {
    let shift = take_byte(bytes)?;
    let width = MANTISSA.checked_sub(shift).ok_or(BlockError::Damaged("more bits than a mantissa has"))?;
    let least = varint::take(bytes)?;
    let mantissas = bits::take(beside, width, count).ok_or(BlockError::Damaged("bits are missing"))?;
    let whole = |mantissa: u64| {
        let exponent = least.wrapping_add(varint::take(bytes)?);
        Ok((exponent << MANTISSA | mantissa << shift).cast_signed())
    };
    mantissas.into_iter().map(whole).collect()
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
