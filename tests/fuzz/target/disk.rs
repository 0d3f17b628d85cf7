//! What lies on a disk: blocks of columns, journals. Both are read back whatever happened to them.

use super::{Pieces, Target, ended, pieces, then};
use quorate_common::block::{Block, BlockError, Column, encode};
use quorate_common::cell::Form;
use quorate_common::disk::{Disk, MemoryDisk};
use quorate_common::journal::{self, Journal, Piece, parse_name};
use quorate_common::rng::Rng;
use std::path::Path;
use std::sync::Arc;

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "block", run: block, seeds: block_seeds, words: BLOCK },
        Target { name: "journal", run: journal, seeds: journal_seeds, words: &[b"\x07\x00\x00\x00\x00"] },
    ]
}

// ── blocks ──

/// Heads of blocks, of compressed bodies, and of columns.
const BLOCK: &[&[u8]] = &[
    b"\x01\x40\x80\x80\x04",
    b"\x28\xb5\x2f\xfd",
    b"\x10\x01",
    b"\x18\x02",
    b"\x08\x00\x0c",
    b"\x08\x09",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];
/// Cells that are written again: more would only take long.
const CELLS_MAX: usize = 8 * 1024;

/// The bytes as they are; and as head, body and bits, packed as they should be: else hardly anything is unpacked.
fn block(input: &[u8]) -> u64 {
    let packed = input.split_first_chunk::<6>().and_then(|(head, rest)| {
        let &[columns, low, high, length, few, many] = head;
        let bits = usize::from(u16::from_le_bytes([few, many]));
        let (body, bits) = rest.split_at(rest.len().saturating_sub(bits));
        let packed = zstd::bulk::compress(body, 1).ok()?;
        // Mostly the length that is right, so that what is behind it is reached.
        let length = if length == 0 { 0 } else { body.len() as u64 };
        let rows = u64::from(u16::from_le_bytes([low, high]));
        let mut bytes = vec![2, columns];
        let numbers = [rows, length, packed.len() as u64];
        numbers.into_iter().for_each(|number| bytes.extend(crate::mutate::varint(number)));
        Some([&bytes, &packed[..], bits].concat())
    });
    let packed = packed.map_or(0, |bytes| opened(&bytes));
    then(opened(input), packed)
}

fn opened(bytes: &[u8]) -> u64 {
    let block = match Block::open(bytes) {
        Ok(block) => block,
        Err(error) => return ended(&Err::<(), BlockError>(error), |()| 0),
    };
    let times = block.times();
    let columns: Vec<_> = (0..block.columns()).map(|at| block.column(at)).collect();
    assert!(block.column(columns.len()).is_err(), "a column after the last");
    let mut ways = ended(&times, Vec::len);
    for column in &columns {
        ways = then(ways, ended(column, |column| column.present.iter().filter(|it| **it).count()));
    }
    let good: Result<Vec<Column>, BlockError> = columns.into_iter().collect();
    if let (Ok(times), Ok(columns)) = (times, good) {
        assert_eq!(times.len(), block.rows());
        again(&times, &columns);
    }
    ways
}

/// What was read can be written, and says the same.
fn again(times: &[i64], columns: &[Column]) {
    if times.len() * (columns.len() + 1) > CELLS_MAX {
        return;
    }
    let block = Block::open(&encode(times, columns).expect("what was read fits")).expect("it reads itself");
    assert_eq!(block.times().expect("its times"), times);
    for (at, column) in columns.iter().enumerate() {
        let read = block.column(at).expect("its columns");
        let has = |column: &Column, row: usize| column.present.get(row).copied().unwrap_or(true);
        assert_eq!(read.form, column.form);
        for row in 0..times.len() {
            assert_eq!(has(&read, row), has(column, row), "column {at}, row {row}");
            assert!(!has(column, row) || read.cells[row] == column.cells[row], "column {at}, row {row}");
        }
    }
}

fn block_seeds() -> Vec<Vec<u8>> {
    let times: Vec<i64> = (0..40).map(|row| 1_795_203_000_000 + row * 1000 + row % 3).collect();
    let column = |form, cells: Vec<i64>| Column { form, cells, present: Vec::new() };
    let double = |value: f64| value.to_bits().cast_signed();
    let columns = [
        column(Form::Integer, vec![7; 40]),
        column(Form::Integer, (0..40).map(|row| row * row).collect()),
        Column { present: (0..40).map(|row| row % 7 != 0).collect(), ..column(Form::Integer, times.clone()) },
        column(Form::Float, (0..40).map(|row| double(f64::from(row) * 0.25)).collect()),
        column(Form::Float, (0..40).map(|row| double(1.0 / f64::from(row + 3))).collect()),
    ];
    let whole = encode(&times, &columns).unwrap();
    // The same as head, body and bits, as `block` packs it.
    let (mut at, mut packed) = (2, 0);
    for _ in 0..3 {
        let length = whole[at..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let digits = whole[at..at + length].iter().rev();
        packed = digits.fold(0, |number, digit| number << 7 | usize::from(digit & 0x7f));
        at += length;
    }
    let (body, bits) = whole[at..].split_at(packed);
    let body = zstd::bulk::decompress(body, 1 << 20).unwrap();
    let [few, many] = u16::try_from(bits.len()).unwrap().to_le_bytes();
    let head = [5, 40, 0, 1, few, many];
    let unpacked = [&head[..], &body, bits].concat();
    vec![whole, unpacked, encode(&[5], &[]).unwrap()]
}

// ── journals ──

/// Every file has the same salt, so that a journal which was changed is still one.
struct Salt;

const SALT: u64 = 7;

impl Rng for Salt {
    fn fill(&mut self, buffer: &mut [u8]) {
        let salt = SALT.to_le_bytes();
        buffer.iter_mut().zip(salt.into_iter().cycle()).for_each(|(byte, salt)| *byte = salt);
    }
}

/// The bytes as the content of a file; then as records, of which a stretch is damaged.
fn journal(input: &[u8]) -> u64 {
    let mut ways = covered(input);
    if let Some((&[at, high, length, by], records)) = input.split_first_chunk::<4>() {
        let records: Vec<&[u8]> = Pieces(records).take(64).collect();
        let (mut content, places) = written(&records);
        let begin = usize::from(u16::from_le_bytes([at, high])).min(content.len());
        let end = (begin + usize::from(length)).min(content.len());
        content[begin..end].iter_mut().for_each(|byte| *byte ^= by | 1);
        ways = then(ways, covered(&content));
        whole(&content, (&records, &places), begin..end);
    }
    ways
}

/// Every byte of a file is in one piece, two stretches of damage are one, and a record is what was pushed there.
fn covered(content: &[u8]) -> u64 {
    let (mut next, mut was_damage, mut records) = (0, false, 0_u64);
    for piece in journal::pieces(content, SALT) {
        match piece {
            Piece::Record { payload, at, .. } => {
                assert_eq!(at, next);
                (next, was_damage, records) = (at + 13 + payload.len(), false, records + 1);
            }
            Piece::Damage { at, bytes } => {
                assert!(at == next && bytes > 0 && !was_damage, "{at} {bytes}");
                (next, was_damage) = (at + bytes, true);
            }
        }
    }
    assert_eq!(next, content.len());
    u64::from((records + 1).ilog2()) << 1 | u64::from(was_damage)
}

/// Records as a file, and where each of them begins and ends.
fn written(records: &[&[u8]]) -> (Vec<u8>, Vec<std::ops::Range<usize>>) {
    let disk = MemoryDisk::default();
    let mut file = Journal::begin(Arc::new(disk.clone()), Path::new("d"), "fuzz", &mut Salt);
    let mut places = Vec::new();
    for (kind, payload) in (0_u8..).zip(records) {
        let begin = file.bytes() as usize;
        file.push(kind, payload).unwrap();
        places.push(begin..file.bytes() as usize);
    }
    file.sync().unwrap();
    let name = file.path().file_name().unwrap();
    assert_eq!(parse_name(name), Some(("fuzz", SALT)));
    let content = if records.is_empty() { Vec::new() } else { disk.read(file.path(), u64::MAX).unwrap() };
    (content, places)
}

/// Every record that no damaged byte is in comes back, and nothing that was not written.
fn whole(
    content: &[u8],
    (records, places): (&[&[u8]], &[std::ops::Range<usize>]),
    damage: std::ops::Range<usize>,
) {
    let is_good = |place: &std::ops::Range<usize>| {
        damage.is_empty() || place.end <= damage.start || damage.end <= place.start
    };
    let expected: Vec<(usize, &[u8])> = places
        .iter()
        .zip(records)
        .filter(|(place, _)| is_good(place))
        .map(|(place, payload)| (place.start, *payload))
        .collect();
    let found: Vec<(usize, &[u8])> = journal::pieces(content, SALT)
        .filter_map(|piece| match piece {
            Piece::Record { payload, at, .. } => Some((at, payload)),
            Piece::Damage { .. } => None,
        })
        .collect();
    assert_eq!(found, expected);
}

fn journal_seeds() -> Vec<Vec<u8>> {
    let records: [&[u8]; 4] = [b"one", b"", &[0xff; 200], b"\x00\x03\x00\x00\x00"];
    let (content, _) = written(&records);
    let script = [&[9, 0, 30, 1][..], &pieces(records)].concat();
    vec![content, script]
}
