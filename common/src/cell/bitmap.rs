//! The bitmap of sampled groups: bit `n % 8` of byte `n / 8` stands for group `n`; no zero byte at the end.

use super::GroupId;

/// Sets a group's bit; false if it was set.
pub(super) fn set(bytes: &mut Vec<u8>, group: GroupId) -> bool {
    let position = group as usize / 8;
    if bytes.len() <= position {
        bytes.resize(position + 1, 0);
    }
    let Some(byte) = bytes.get_mut(position) else { return false };
    let mask = 1 << (group % 8);
    let new = *byte & mask == 0;
    *byte |= mask;
    new
}

/// Whether a group's bit is set.
#[inline]
pub(super) fn has(bytes: &[u8], group: GroupId) -> bool {
    bytes.get(group as usize / 8).is_some_and(|byte| byte >> (group % 8) & 1 == 1)
}

/// The highest bit that is set, or `Err` for a zero byte at the end; `None` for the empty bitmap.
pub(super) fn highest(bytes: &[u8]) -> Result<Option<u64>, ()> {
    match bytes {
        [] => Ok(None),
        [.., 0] => Err(()),
        [rest @ .., last] => Ok(Some(rest.len() as u64 * 8 + u64::from(last.ilog2()))),
    }
}

/// The groups whose bits are set, ascending.
pub(super) fn groups(bytes: &[u8]) -> impl Iterator<Item = GroupId> {
    (0u32..).step_by(8).zip(bytes).flat_map(|(base, &byte)| {
        let mut left = byte;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(base + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_survive() {
        for ids in [vec![], vec![0], vec![7, 8], vec![0, 1, 2, 63, 64, 1000]] {
            let mut bytes = Vec::new();
            for &group in ids.iter().rev() {
                assert!(set(&mut bytes, group));
                assert!(!set(&mut bytes, group), "set twice");
            }
            assert_eq!(groups(&bytes).collect::<Vec<_>>(), ids);
            assert_eq!(highest(&bytes), Ok(ids.last().map(|&group| u64::from(group))));
            assert!((0..1100).all(|group| has(&bytes, group) == ids.contains(&group)));
        }
    }

    #[test]
    fn a_zero_byte_at_the_end_is_refused() {
        assert_eq!(highest(&[1, 0]), Err(()));
        assert_eq!(highest(&[0]), Err(()));
        assert_eq!(highest(&[0, 0x80]), Ok(Some(15)));
    }
}
