//! Packed: many records of the dictionary as one, compressed together, for names are much alike.
//!
//! ```text
//!   records ─→ pieces of up to 256 KiB ─→ zstd ─→ one record each
//! ```
//!
//! What is damaged costs a piece; the dictionary has a second copy. A few records stay as they are.

use super::log::each;
use quorate_common::pack::{UnpackError, pack, unpack};
use std::io;

/// What the journal calls them.
pub const PACKED: u8 = 12;
/// Less than this is not worth it.
const LEAST_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 256 << 10;
/// A piece, and one record more.
const PIECE_BYTES_MAX: usize = 512 << 10;
/// Kind and length.
const HEAD_BYTES: usize = 5;

/// Kind and payload of records that say the same as these.
///
/// # Errors
/// The compressor failed.
pub fn packed(records: &[u8]) -> io::Result<Vec<(u8, Vec<u8>)>> {
    if records.len() < LEAST_BYTES {
        return Ok(each(records).map(|(kind, payload)| (kind, payload.to_vec())).collect());
    }
    pieces(records).map(|piece| Ok((PACKED, pack(piece)?))).collect()
}

/// The records of one.
///
/// # Errors
/// It is damaged.
pub fn unpacked(payload: &[u8]) -> Result<Vec<u8>, UnpackError> {
    unpack(payload, PIECE_BYTES_MAX)
}

/// Stretches of whole records.
fn pieces(mut records: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let ends = each(records).scan(0, |end, (_, payload)| {
            *end += HEAD_BYTES + payload.len();
            Some(*end)
        });
        let end = ends.take_while(|end| *end <= PIECE_BYTES).last().unwrap_or(records.len());
        let (piece, rest) = records.split_at_checked(end)?;
        records = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::super::log::frame;
    use super::super::record::Record;
    use super::*;
    use crate::store::SeriesId;
    use quorate_common::model::node::NodeId;

    fn records(count: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let one = |id| Record::Forgotten { node: NodeId(i64::from(id) << 40), next: SeriesId(id) };
        (0..count).for_each(|id| frame(&mut out, &one(id)));
        out
    }

    #[test]
    fn many_come_back_as_they_were_and_few_are_not_touched() {
        let few = packed(&records(3)).unwrap();
        assert_eq!(few.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [10, 10, 10]);
        let many = records(60_000);
        let pieces = packed(&many).unwrap();
        assert!(pieces.len() == many.len().div_ceil(PIECE_BYTES), "{} pieces", pieces.len());
        let back: Vec<u8> = pieces.iter().flat_map(|(_, piece)| unpacked(piece).unwrap()).collect();
        assert!(back == many, "whole records in their order");
        assert!(pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>() < many.len() / 2);
        assert!(unpacked(&pieces[0].1[1..]).is_err());
        assert_eq!(packed(&[]).unwrap(), []);
    }
}
