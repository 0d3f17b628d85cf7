//! LEB128 varints in their shortest form, and the maps that make small changes small numbers.
//! Longer forms of the same number are refused, so that a row has one encoding only.

use super::Form;

/// Most bytes of a varint.
const BYTES_MAX: usize = 10;

/// What is wrong with a varint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The bytes end in its middle.
    #[error("varint is cut short")]
    Truncated,
    /// It holds more than 64 bits.
    #[error("varint exceeds 64 bits")]
    TooLong,
    /// A shorter form exists.
    #[error("varint is not in its shortest form")]
    Overlong,
}

/// Appends `value`.
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes one varint off the front of `bytes`.
///
/// # Errors
/// [`VarintError`]; nothing is taken then.
#[inline]
pub fn take(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    // Nearly all are of one or two bytes.
    match **bytes {
        [low @ 0..0x80, ref rest @ ..] => {
            *bytes = rest;
            Ok(u64::from(low))
        }
        [low, high @ 1..0x80, ref rest @ ..] => {
            *bytes = rest;
            Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
        }
        _ => take_long(bytes),
    }
}

#[inline(never)]
fn take_long(bytes: &mut &[u8]) -> Result<u64, VarintError> {
    let mut value = 0;
    for (position, &byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        if position == BYTES_MAX - 1 && byte > 1 {
            return Err(VarintError::TooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            if byte == 0 && position > 0 {
                return Err(VarintError::Overlong);
            }
            *bytes = bytes.get(position + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(VarintError::Truncated)
}

/// A signed number as one that is small if it is near zero.
#[inline]
pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// The inverse of [`zigzag`].
#[inline]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// The change from one cell to the next, as a number that is small for small changes.
#[inline]
pub(super) fn change(form: Form, from: i64, to: i64) -> u64 {
    match form {
        Form::Integer => zigzag(to.wrapping_sub(from)),
        Form::Float => (from ^ to).cast_unsigned().reverse_bits(),
    }
}

/// The cell that `change` leads to; the inverse of [`change`].
#[inline]
pub(super) fn changed(form: Form, from: i64, change: u64) -> i64 {
    match form {
        Form::Integer => from.wrapping_add(unzigzag(change)),
        Form::Float => from ^ change.reverse_bits().cast_signed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in edges.chain([u64::MAX]) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let bits = 64 - value.leading_zeros() as usize;
            assert_eq!(bytes.len(), bits.div_ceil(7).max(1), "{value}");
            bytes.push(0xff);
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Ok(value));
            assert_eq!(rest, [0xff]);
        }
    }

    #[test]
    fn bad_forms_are_refused() {
        let long = |last| [[0x80; 9].as_slice(), &[last]].concat();
        for (bytes, expect) in [
            (vec![], VarintError::Truncated),
            (vec![0x80], VarintError::Truncated),
            (vec![0xff; 9], VarintError::Truncated),
            (vec![0x80, 0], VarintError::Overlong),
            (vec![0xff, 0x80, 0], VarintError::Overlong),
            (long(0), VarintError::Overlong),
            (long(2), VarintError::TooLong),
            (vec![0xff; 11], VarintError::TooLong),
        ] {
            let mut rest = bytes.as_slice();
            assert_eq!(take(&mut rest), Err(expect), "{bytes:?}");
            assert_eq!(rest, bytes, "a refused varint is not taken");
        }
        assert_eq!(take(&mut long(1).as_slice()), Ok(1 << 63));
    }

    #[test]
    fn changes_are_inverted() {
        let cells = [0, 1, -1, i64::MIN, i64::MAX, 1 << 62, f64::NAN.to_bits().cast_signed()];
        for form in [Form::Integer, Form::Float] {
            for (from, to) in cells.iter().flat_map(|&from| cells.map(|to| (from, to))) {
                assert_eq!(changed(form, from, change(form, from, to)), to, "{form:?} {from} {to}");
            }
        }
        assert_eq!(change(Form::Integer, 5, 4), 1);
        assert!(
            change(Form::Float, 1.0f64.to_bits().cast_signed(), 2.0f64.to_bits().cast_signed()) < 1 << 14
        );
    }
}
