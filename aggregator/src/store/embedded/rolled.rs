//! Rolled chunks: the buckets of up to nine series of one node in one period, as columns.
//!
//! ```text
//!   of each series   first │ last − first │ min − first │ max − last │ sum − count × first │ count │ increase − (last − first)
//! ```
//!
//! Of a counter that does not fall, and of whatever stands still, most of these columns are nothing but zeros and
//! cost nothing. A series whose buckets its cells do not hold exactly is kept as plain numbers, without differences:
//! what is read is always what was written.

use super::chunk::{Chunk, ChunkError, TICK_NS};
use crate::store::{Bucket, SeriesId};
use quorate_common::block::{self, Block, BlockError, COLUMNS_MAX, Column};
use quorate_common::cell::Form;
use quorate_common::model::node::NodeId;
use quorate_common::model::series::CellForm;
use quorate_common::model::time::WallTime;
use std::collections::{BTreeSet, HashMap};

/// Columns of a series.
const WIDTH: usize = 7;
/// Series of a chunk.
pub const SERIES_MAX: usize = COLUMNS_MAX / WIDTH;

/// The buckets of a series, and how its values are held.
pub type Buckets = (SeriesId, CellForm, Vec<Bucket>);

/// A chunk of at most [`SERIES_MAX`] series.
///
/// # Errors
/// More series, or no bucket at all.
pub fn chunk(node: NodeId, series: &[Buckets]) -> Result<Chunk, BlockError> {
    let times: BTreeSet<WallTime> =
        series.iter().flat_map(|(_, _, buckets)| buckets).map(|bucket| bucket.at).collect();
    let mut columns = Vec::with_capacity(series.len() * WIDTH);
    let mut heads = Vec::with_capacity(series.len());
    for (id, form, buckets) in series {
        let form = if buckets.iter().all(|bucket| fits(*form, bucket)) { *form } else { CellForm::Float };
        heads.push((*id, form));
        columns.extend(spread(form, buckets, &times));
    }
    let times: Vec<i64> = times.iter().map(|at| at.0.div_euclid(TICK_NS)).collect();
    Ok(Chunk { node, series: heads, block: block::encode(&times, &columns)? })
}

/// Adds the buckets of some series that begin from `from` to `to` to their lists.
///
/// # Errors
/// A damaged block; lists may have some of it then.
pub fn buckets(
    chunk: &Chunk,
    wanted: &HashMap<SeriesId, usize>,
    (from, to): (WallTime, WallTime),
    lists: &mut [Vec<Bucket>],
) -> Result<(), ChunkError> {
    let block = Block::open(&chunk.block)?;
    let times = block.times()?;
    for (position, (id, form)) in chunk.series.iter().enumerate() {
        let Some(list) = wanted.get(id).and_then(|list| lists.get_mut(*list)) else { continue };
        let columns =
            (0..WIDTH).map(|at| block.column(position * WIDTH + at)).collect::<Result<Vec<_>, _>>()?;
        for (row, time) in times.iter().enumerate() {
            let at = WallTime(time.saturating_mul(TICK_NS));
            // All columns of a series have the same rows.
            let is_there =
                columns.first().is_some_and(|column| column.present.get(row).copied().unwrap_or(true));
            if is_there && from <= at && at <= to {
                let cell = |column: &Column| column.cells.get(row).copied();
                let cells = std::array::from_fn(|at| columns.get(at).and_then(cell).unwrap_or_default());
                list.push(bucket(*form, at, cells));
            }
        }
    }
    Ok(())
}

/// Whether the cells of a form say exactly what a bucket does.
fn fits(form: CellForm, bucket: &Bucket) -> bool {
    let Bucket { min, max, sum, first, last, increase, .. } = *bucket;
    let exact = |value: f64| form.value(form.cell(value)).to_bits() == value.to_bits();
    [min, max, sum, first, last, increase].into_iter().all(exact)
}

/// The columns of one series over all rows of its chunk.
fn spread(form: CellForm, buckets: &[Bucket], times: &BTreeSet<WallTime>) -> [Column; WIDTH] {
    let mut at = 0;
    let mut row = [0; WIDTH];
    let mut present = Vec::with_capacity(times.len());
    let mut cells: [Vec<i64>; WIDTH] = Default::default();
    for time in times {
        let found = buckets.get(at).filter(|bucket| bucket.at == *time);
        if let Some(bucket) = found {
            row = cells_of(form, bucket);
            at += 1;
        }
        present.push(found.is_some());
        cells.iter_mut().zip(row).for_each(|(column, cell)| column.push(cell));
    }
    if present.iter().all(|present| *present) {
        present.clear();
    }
    let mut position = 0;
    cells.map(|cells| {
        position += 1;
        let form = if position == COUNT + 1 { Form::Integer } else { form.into() };
        Column { form, cells, present: present.clone() }
    })
}

/// Where the count stands.
const COUNT: usize = 5;

fn cells_of(form: CellForm, bucket: &Bucket) -> [i64; WIDTH] {
    let Bucket { min, max, sum, count, first, last, increase, .. } = *bucket;
    let count = count.cast_signed();
    let [min, max, sum, first, last, increase] =
        [min, max, sum, first, last, increase].map(|value| form.cell(value));
    if form == CellForm::Float {
        return [first, last, min, max, sum, count, increase];
    }
    let step = last.wrapping_sub(first);
    let total = sum.wrapping_sub(count.wrapping_mul(first));
    [first, step, min.wrapping_sub(first), max.wrapping_sub(last), total, count, increase.wrapping_sub(step)]
}

/// What [`cells_of`] said.
fn bucket(
    form: CellForm,
    at: WallTime,
    [first, last, min, max, sum, count, increase]: [i64; WIDTH],
) -> Bucket {
    let of = |[min, max, sum, first, last, increase]: [i64; 6]| {
        let [min, max, sum, first, last, increase] =
            [min, max, sum, first, last, increase].map(|cell| form.value(cell));
        Bucket { at, min, max, sum, count: count.cast_unsigned(), first, last, increase }
    };
    if form == CellForm::Float {
        return of([min, max, sum, first, last, increase]);
    }
    let (step, last) = (last, first.wrapping_add(last));
    let sum = sum.wrapping_add(count.wrapping_mul(first));
    let (min, max) = (min.wrapping_add(first), max.wrapping_add(last));
    of([min, max, sum, first, last, increase.wrapping_add(step)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::bucket::roll;
    use crate::store::{Resolution, Sample};
    use quorate_common::rng::{Rng, SeededRng};

    const SECOND: i64 = 1_000_000_000;
    const ALL: (WallTime, WallTime) = (WallTime(0), WallTime(i64::MAX));

    fn series(id: u32, form: CellForm, value: impl Fn(i64) -> f64, seconds: std::ops::Range<i64>) -> Buckets {
        let sample = |second: i64| Sample { at: WallTime(second * SECOND), value: value(second) };
        let parts = seconds.map(|second| Bucket::of(sample(second)));
        (SeriesId(id), form, roll(Resolution::Minute, form, parts))
    }

    fn read(chunk: &Chunk, series: &[Buckets]) -> Vec<Vec<Bucket>> {
        let wanted = series.iter().enumerate().map(|(at, (id, _, _))| (*id, at)).collect();
        let mut lists = vec![Vec::new(); series.len()];
        buckets(chunk, &wanted, ALL, &mut lists).unwrap();
        lists
    }

    #[test]
    fn buckets_of_every_kind_are_read_as_they_were_written() {
        let tenth = CellForm::Integer { scale: 1, unit: 1 };
        let pages = CellForm::Integer { scale: 0, unit: 4_096 };
        let dice = |at: i64| SeededRng::new(at.unsigned_abs()).below(1_000) as f64;
        let all = [
            series(7, CellForm::COUNT, |at| at as f64, 0..3_600),
            series(8, CellForm::COUNT, |at| (at % 500) as f64, 0..3_600),
            series(3, tenth, |at| dice(at) / 10.0, 60..3_000),
            series(9, CellForm::Float, |at| (at as f64).sin(), 0..1_800),
            series(10, CellForm::COUNT, |_| 9e18, 0..600),
            series(11, pages, |at| dice(at) * 4_096.0, 0..3_600),
            series(12, CellForm::Float, |at| if at % 7 == 0 { f64::NEG_INFINITY } else { -0.0 }, 0..60),
            series(13, CellForm::COUNT, |at| -dice(at), 3_000..3_001),
        ];
        let chunk = chunk(NodeId(-2), &all).unwrap();
        assert_eq!(Chunk::read(&chunk.write()).unwrap(), chunk);
        let forms: Vec<CellForm> = chunk.series.iter().map(|(_, form)| *form).collect();
        let float = CellForm::Float;
        assert_eq!(
            forms,
            [CellForm::COUNT, CellForm::COUNT, tenth, float, float, pages, float, CellForm::COUNT]
        );
        for (list, (_, _, expect)) in read(&chunk, &all).iter().zip(&all) {
            assert_eq!(format!("{list:?}"), format!("{expect:?}"), "NaN is NaN");
        }
    }

    #[test]
    fn what_stands_still_or_only_grows_costs_little() {
        let grows: Vec<Buckets> =
            (0..9).map(|id| series(id, CellForm::COUNT, |at| (at * 3) as f64, 0..21_600)).collect();
        let chunk = chunk(NodeId(1), &grows).unwrap();
        assert!(chunk.block.len() < 1_000, "{} bytes of 3,240 buckets", chunk.block.len());
        let lists = read(&chunk, &grows);
        assert_eq!((lists[8].len(), lists[8][1].increase, lists[8][1].count), (360, 177.0, 60));
        let mut part = vec![Vec::new()];
        let (from, to) = (WallTime(60 * SECOND), WallTime(120 * SECOND));
        buckets(&chunk, &HashMap::from([(SeriesId(4), 0)]), (from, to), &mut part).unwrap();
        assert_eq!(part[0].iter().map(|bucket| bucket.at).collect::<Vec<_>>(), [from, to]);
    }
}
