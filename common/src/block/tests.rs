//! Blocks of every kind of column read back; damaged ones are refused and take no memory.

use super::*;
use crate::rng::{Rng, SeededRng};
use proptest::prelude::*;

fn integers(cells: &[i64]) -> Column {
    Column { form: Form::Integer, cells: cells.to_vec(), present: Vec::new() }
}

fn floats(values: &[f64]) -> Column {
    let cells = values.iter().map(|value| value.to_bits().cast_signed()).collect();
    Column { form: Form::Float, cells, present: Vec::new() }
}

/// What a block gives back of a column where there are samples.
fn round(times: &[i64], columns: &[Column]) -> usize {
    let bytes = encode(times, columns).unwrap();
    let block = Block::open(&bytes).unwrap();
    assert_eq!((block.rows(), block.columns()), (times.len(), columns.len()));
    assert_eq!(block.times().unwrap(), times);
    for (at, column) in columns.iter().enumerate() {
        let read = block.column(at).unwrap();
        assert_eq!(read.form, column.form);
        for row in 0..times.len() {
            let is_there = column.present.get(row).copied().unwrap_or(true);
            assert_eq!(read.present.get(row).copied().unwrap_or(true), is_there, "column {at}, row {row}");
            assert!(!is_there || read.cells[row] == column.cells[row], "column {at}, row {row}");
        }
    }
    bytes.len()
}

#[test]
fn columns_of_every_kind_read_back() {
    let times: Vec<i64> = (0..300).map(|row| 1_795_000_000_000 + row * 1000 + row % 3).collect();
    let rows = || 0..300_i64;
    let mut gaps = integers(&rows().map(|row| row * row).collect::<Vec<_>>());
    gaps.present = rows().map(|row| row % 7 != 0 && !(100..150).contains(&row)).collect();
    let mut never = integers(&[5; 300]);
    never.present = vec![false; 300];
    round(
        &times,
        &[
            integers(&[42; 300]),
            integers(&rows().map(|row| 1_000_000 + row * 100).collect::<Vec<_>>()),
            integers(&rows().map(|row| (row * 7919) % 1000 - 500).collect::<Vec<_>>()),
            integers(&[&[i64::MIN, i64::MAX, 0, -1][..], &[7; 296]].concat()),
            floats(&rows().map(|row| row as f64 / 4.0).collect::<Vec<_>>()),
            floats(&rows().map(|row| row as f64 * 0.1).collect::<Vec<_>>()),
            floats(&rows().map(|row| (row as f64).sqrt()).collect::<Vec<_>>()),
            floats(&[&[f64::NAN, f64::INFINITY, -0.0, 5e-324, f64::MAX][..], &[0.5; 295]].concat()),
            gaps,
            never,
        ],
    );
    round(&[i64::MIN], &[]);
    round(&[1, 0, i64::MAX, i64::MIN], &[integers(&[1, 2, 3, 4])]);
}

#[test]
fn what_does_not_move_costs_nearly_nothing() {
    let times: Vec<i64> = (0..300).map(|row| row * 1000).collect();
    let constant: Vec<Column> = (0..64).map(|at| integers(&[at * 1_000_003; 300])).collect();
    let bytes = round(&times, &constant);
    assert!(bytes < 64 * 8, "{bytes} bytes for 19,200 samples");
    let even: Vec<Column> =
        (0..64).map(|at| integers(&(0..300).map(|row| row * (at + 1) * 997).collect::<Vec<_>>())).collect();
    let bytes = round(&times, &even);
    assert!(bytes < 64 * 8, "{bytes} bytes for 19,200 samples of counters that move evenly");
}

#[test]
fn what_moves_at_random_costs_little_more_than_its_bits() {
    let mut rng = SeededRng::new(1);
    let times: Vec<i64> = (0..300).collect();
    let mut drawn = |below: u64| (0..300).map(|_| rng.below(below)).collect::<Vec<u64>>();
    for (below, bits) in [(1 << 10, 10), (1 << 17, 17), (u64::MAX, 64)] {
        let columns: Vec<Column> = (0..8)
            .map(|_| integers(&drawn(below).iter().map(|cell| cell.cast_signed()).collect::<Vec<_>>()))
            .collect();
        let bytes = round(&times, &columns);
        assert!(bytes < 8 * (300 * bits / 8 + 16) + 40, "{bytes} bytes of {bits} bits");
    }
    let doubles = floats(&drawn(1 << 53).iter().map(|part| *part as f64 / 7e13).collect::<Vec<_>>());
    let mut gaps = doubles.clone();
    gaps.present = (0..300).map(|row| row % 9 != 0).collect();
    let bytes = round(&times, &[doubles]);
    assert!(bytes < 300 * 55 / 8 + 120, "{bytes} bytes of full mantissas");
    round(&times, &[gaps]);
}

#[test]
fn other_shapes_are_refused() {
    let shape = |times: &[i64], columns: &[Column]| encode(times, columns).unwrap_err().to_string();
    assert_eq!(shape(&[], &[]), "0 columns of 0 rows are no block");
    assert_eq!(shape(&[1], &[integers(&[1, 2])]), "1 columns of 1 rows are no block");
    assert_eq!(shape(&[1], &vec![integers(&[1]); 65]), "65 columns of 1 rows are no block");
    let mut short = integers(&[1, 2]);
    short.present = vec![true];
    assert_eq!(shape(&[1, 2], &[short]), "1 columns of 2 rows are no block");
}

#[test]
fn damaged_blocks_are_refused() {
    let times: Vec<i64> = (0..50).collect();
    let bytes = encode(&times, &[integers(&times), floats(&[0.1; 50])]).unwrap();
    let open = |bytes: &[u8]| Block::open(bytes).unwrap_err().to_string();
    assert_eq!(open(&[]), "block is damaged: it has no head");
    assert_eq!(open(&[9, 1, 1, 1]), "block version 9 is not known");
    assert_eq!(open(&[VERSION, 65, 1, 1]), "65 columns of 1 rows are no block");
    assert_eq!(open(&[VERSION, 1, 0, 1]), "1 columns of 0 rows are no block");
    let long = [&[VERSION, 1, 1][..], &[0xff, 0xff, 0xff, 0x7f]].concat();
    assert_eq!(open(&long), "block is damaged: its body is longer than any may be");
    for length in 0..bytes.len() {
        assert!(Block::open(&bytes[..length]).is_err(), "cut to {length}");
    }
    assert!(Block::open(&bytes).unwrap().column(2).is_err());
}

/// A body with anything in it, in a block that is well formed otherwise.
fn wrap(columns: u8, rows: u64, body: &[u8]) -> Vec<u8> {
    let packed = body::pack(body).unwrap();
    let mut out = vec![VERSION, columns];
    [rows, body.len() as u64, packed.len() as u64]
        .into_iter()
        .for_each(|number| varint::put(&mut out, number));
    out.extend(packed);
    out
}

fn column() -> impl Strategy<Value = (bool, Vec<(i64, bool)>)> {
    let cell = prop_oneof![
        any::<i64>(),
        -5_i64..5,
        (-1000_i64..1000).prop_map(|hundredths| (hundredths as f64 / 100.0).to_bits().cast_signed()),
    ];
    (any::<bool>(), proptest::collection::vec((cell, any::<bool>()), 40))
}

proptest! {
    #[test]
    fn drawn_columns_read_back(
        times in proptest::collection::vec(any::<i64>(), 40),
        drawn in proptest::collection::vec(column(), 0..6),
    ) {
        let columns: Vec<Column> = drawn
            .into_iter()
            .map(|(is_float, rows)| {
                let (cells, present) = rows.into_iter().unzip();
                Column { form: if is_float { Form::Float } else { Form::Integer }, cells, present }
            })
            .collect();
        round(&times, &columns);
    }

    #[test]
    fn drawn_bytes_are_read_or_refused(
        columns in 0_u8..5,
        rows in 0_u64..200,
        body in proptest::collection::vec(any::<u8>(), 0..400),
        bare in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        for bytes in [wrap(columns, rows, &body), bare] {
            let Ok(block) = Block::open(&bytes) else { continue };
            block.times().ok();
            for at in 0..block.columns() {
                if let Ok(column) = block.column(at) {
                    assert_eq!(column.cells.len(), block.rows());
                }
            }
        }
    }
}
