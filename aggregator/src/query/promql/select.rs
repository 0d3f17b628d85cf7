//! Reading samples: the last one before every step, or all those in the ranges that end there.

use super::cell::{ABSENT, is_absent, is_histogram, is_stale, number};
use super::error::Error;
use super::evaluate::Evaluator;
use super::grid::Grid;
use super::matrix::{Matrix, Series};
use super::source::{Sample, Selection, SourceSeries};
use super::window::{Ranges, Samples};
use promql_parser::parser::{AtModifier, MatrixSelector, Offset, VectorSelector};
use std::time::{Duration, SystemTime};

/// Milliseconds of a duration.
pub fn ms_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds by which an offset looks back.
pub fn offset_ms(offset: Option<&Offset>) -> i64 {
    match offset {
        Some(Offset::Pos(duration)) => ms_of(*duration),
        Some(Offset::Neg(duration)) => -ms_of(*duration),
        None => 0,
    }
}

/// Where a selector looks from every step: a fixed time instead of the step, and then back.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// The time of `@`.
    pub at_ms: Option<i64>,
    /// How far back from there.
    pub offset_ms: i64,
}

impl View {
    /// What `@` and `offset` say; `whole` is the whole query.
    pub fn new(at: Option<&AtModifier>, offset: Option<&Offset>, whole: Grid) -> View {
        let at_ms = at.map(|at| match at {
            AtModifier::Start => whole.start_ms,
            AtModifier::End => whole.end_ms(),
            AtModifier::At(time) => match time.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(after) => ms_of(after),
                Err(before) => -ms_of(before.duration()),
            },
        });
        View { at_ms, offset_ms: offset_ms(offset) }
    }

    /// The time that is looked at from a step.
    pub fn from(&self, step_ms: i64) -> i64 {
        self.at_ms.unwrap_or(step_ms).saturating_sub(self.offset_ms)
    }
}

impl Evaluator<'_, '_> {
    /// The last sample before every step, no older than the look-back. `take` says what of it is wanted.
    pub fn vector(
        &mut self,
        selector: &VectorSelector,
        grid: Grid,
        take: impl Fn(Sample) -> f64,
    ) -> Result<Matrix, Error> {
        let view = View::new(selector.at.as_ref(), selector.offset.as_ref(), self.whole());
        let found = self.read(selector, view, grid, self.lookback_ms())?;
        self.budget.make(found.len(), grid.count)?;
        let mut matrix = Vec::with_capacity(found.len());
        for (labels, samples) in found {
            self.budget.check()?;
            let mut series = Series::empty(labels, false, grid.count);
            fill(&mut series.values, &samples, view, grid, self.lookback_ms(), &take);
            if series.has_values() {
                matrix.push(series);
            }
        }
        Ok(matrix)
    }

    /// All samples of the ranges that end at the steps, but the stale ones.
    pub fn ranges(&mut self, selector: &MatrixSelector, grid: Grid) -> Result<Ranges, Error> {
        let view = View::new(selector.vs.at.as_ref(), selector.vs.offset.as_ref(), self.whole());
        let range_ms = ms_of(selector.range);
        let found = self.read(&selector.vs, view, grid, range_ms)?;
        let mut series = Vec::with_capacity(found.len());
        for (labels, samples) in found {
            let mut own = Samples::new(labels, false, samples.len());
            for sample in samples.iter().filter(|sample| !is_stale(sample.value)) {
                own.push(sample.at_ms, clean(sample.value));
            }
            series.push(own);
        }
        Ok(Ranges { series, view, range_ms })
    }

    /// Asks the source, which takes from the budget, and sorts what it says by labels.
    fn read(
        &mut self,
        selector: &VectorSelector,
        view: View,
        grid: Grid,
        back_ms: i64,
    ) -> Result<Vec<SourceSeries>, Error> {
        self.budget.check()?;
        if grid.count == 0 {
            return Ok(Vec::new());
        }
        let from_ms = view.from(grid.start_ms).saturating_sub(back_ms).saturating_add(1);
        let to_ms = view.from(grid.end_ms());
        let selection = Selection::of(selector);
        let mut found = self.source.select(&selection, from_ms, to_ms, self.budget)?;
        found.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(found)
    }
}

/// A value of the source, which must not look like none.
fn clean(value: f64) -> f64 {
    if is_histogram(value) { value } else { number(value) }
}

fn fill(
    values: &mut [f64],
    samples: &[Sample],
    view: View,
    grid: Grid,
    lookback_ms: i64,
    take: impl Fn(Sample) -> f64,
) {
    let mut next = 0;
    for (value, step_ms) in values.iter_mut().zip(grid.times()) {
        let at_ms = view.from(step_ms);
        while samples.get(next).is_some_and(|sample| sample.at_ms <= at_ms) {
            next += 1;
        }
        let last = next.checked_sub(1).and_then(|last| samples.get(last));
        let is_fresh =
            |sample: &&Sample| sample.at_ms > at_ms.saturating_sub(lookback_ms) && !is_stale(sample.value);
        *value = last.filter(is_fresh).map_or(ABSENT, |sample| take(*sample));
    }
}

/// The value of a sample.
pub fn value_of(sample: Sample) -> f64 {
    clean(sample.value)
}

/// The time of a sample in seconds.
pub fn time_of(sample: Sample) -> f64 {
    debug_assert!(!is_absent(sample.value));
    sample.at_ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::cell::STALE;
    use super::*;

    fn filled(samples: &[(i64, f64)], view: View, grid: Grid) -> Vec<Option<f64>> {
        let samples: Vec<_> =
            samples.iter().map(|(at_ms, value)| Sample { at_ms: *at_ms, value: *value }).collect();
        let mut values = vec![ABSENT; grid.count];
        fill(&mut values, &samples, view, grid, 10, value_of);
        values.into_iter().map(|value| (!is_absent(value)).then_some(value)).collect()
    }

    #[test]
    fn lookback_is_left_open() {
        let here = View { at_ms: None, offset_ms: 0 };
        let grid = Grid { start_ms: 0, step_ms: 1, count: 12 };
        let values = filled(&[(1, 5.0)], here, grid);
        assert_eq!(values[0], None);
        assert_eq!(values[1..11], [Some(5.0); 10]);
        assert_eq!(values[11], None);
    }

    #[test]
    fn a_stale_sample_ends_a_series_until_the_next() {
        let grid = Grid { start_ms: 0, step_ms: 1, count: 4 };
        let here = View { at_ms: None, offset_ms: 0 };
        let values = filled(&[(0, 1.0), (1, STALE), (3, 2.0)], here, grid);
        assert_eq!(values, [Some(1.0), None, None, Some(2.0)]);
    }

    #[test]
    fn offset_and_at_move_the_view() {
        let grid = Grid { start_ms: 5, step_ms: 1, count: 2 };
        let samples = [(0, 0.0), (1, 1.0), (6, 6.0), (7, 7.0)];
        assert_eq!(filled(&samples, View { at_ms: None, offset_ms: -1 }, grid), [Some(6.0), Some(7.0)]);
        assert_eq!(filled(&samples, View { at_ms: Some(2), offset_ms: 2 }, grid), [Some(0.0); 2]);
    }
}
