//! Bits: numbers of one width, one behind another, the lowest bit first. For what no compressor makes smaller.

/// Appends numbers below 2^`width`; the last byte is filled with zeros.
pub(super) fn put(out: &mut Vec<u8>, width: u32, numbers: impl Iterator<Item = u64>) {
    let (mut held, mut bits) = (0_u128, 0);
    for number in numbers {
        held |= u128::from(number) << bits;
        bits += width;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(held as u8);
    }
}

/// How many bytes so many take.
pub(super) fn length(width: u32, count: usize) -> usize {
    (count * width as usize).div_ceil(8)
}

/// All that [`put`] wrote; `None` if they are not as long as so many are.
pub(super) fn take(bytes: &[u8], width: u32, count: usize) -> Option<Vec<u64>> {
    if width > 64 || bytes.len() != length(width, count) {
        return None;
    }
    let mask = (1_u128 << width) - 1;
    let (mut held, mut bits, mut bytes) = (0_u128, 0, bytes.iter());
    let mut next = || {
        while bits < width {
            held |= u128::from(*bytes.next()?) << bits;
            bits += 8;
        }
        let number = (held & mask) as u64;
        held >>= width;
        bits -= width;
        Some(number)
    };
    (0..count).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back() {
        for width in 0..=64 {
            let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
            let numbers: Vec<u64> =
                (0..37_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask).collect();
            let mut out = Vec::new();
            put(&mut out, width, numbers.iter().copied());
            assert_eq!(out.len(), length(width, 37));
            assert_eq!(take(&out, width, 37), Some(numbers), "{width}");
            assert_eq!(take(&out, width, 50), None.or((width == 0).then(|| vec![0; 50])));
        }
        assert_eq!(take(&[0; 66], 65, 8), None);
    }
}
