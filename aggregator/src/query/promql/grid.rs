//! The steps of a query, in milliseconds.

use super::error::Error;

/// Most steps from the first to the last of one query, as Prometheus has it.
pub const STEPS_MAX: usize = 11_000;

/// Times `start_ms`, `start_ms + step_ms`, …: `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first step.
    pub start_ms: i64,
    /// Between two steps; positive.
    pub step_ms: i64,
    /// How many; at least one, but in a subquery whose range holds no step.
    pub count: usize,
}

impl Grid {
    /// One step.
    pub fn instant(at_ms: i64) -> Grid {
        Grid { start_ms: at_ms, step_ms: 1, count: 1 }
    }

    /// All steps from `start_ms` to `end_ms`, both included; `None` if there is none or the step is not positive.
    pub fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Option<Grid> {
        let span_ms = end_ms.checked_sub(start_ms).filter(|span| *span >= 0 && step_ms > 0)?;
        Some(Grid { start_ms, step_ms, count: usize::try_from(span_ms / step_ms).ok()?.checked_add(1)? })
    }

    /// The steps of a range query. Refuses what Prometheus refuses, in its words.
    pub fn query(start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Grid, Error> {
        if end_ms < start_ms {
            return Error::data("end timestamp must not be before start time");
        }
        if step_ms <= 0 {
            let text =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Error::data(text);
        }
        match Grid::range(start_ms, end_ms, step_ms) {
            Some(grid) => grid.bounded(),
            None => Grid { start_ms, step_ms, count: usize::MAX }.bounded(),
        }
    }

    /// The same, if it has not too many steps for a query.
    pub fn bounded(self) -> Result<Grid, Error> {
        if self.count.saturating_sub(1) > STEPS_MAX {
            return Error::data(
                "exceeded maximum resolution of 11,000 points per timeseries. \
                 Try decreasing the query resolution (?step=XX)",
            );
        }
        Ok(self)
    }

    /// The steps of a subquery: multiples of its step in the left-open ranges that end at the steps of this grid.
    pub fn within(&self, range_ms: i64, offset_ms: i64, step_ms: i64) -> Grid {
        let after = self.start_ms.saturating_sub(offset_ms).saturating_sub(range_ms);
        let start_ms = after.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
        let end_ms = self.end_ms().saturating_sub(offset_ms);
        Grid::range(start_ms, end_ms, step_ms).unwrap_or(Grid { start_ms, step_ms, count: 0 })
    }

    /// The last step.
    pub fn end_ms(&self) -> i64 {
        let last = i64::try_from(self.count.saturating_sub(1)).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(last.saturating_mul(self.step_ms))
    }

    /// All steps in order.
    pub fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let (start_ms, step_ms) = (self.start_ms, self.step_ms);
        (0..self.count).map(move |at| start_ms + at as i64 * step_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_steps() {
        assert_eq!(Grid::range(0, 10, 5), Some(Grid { start_ms: 0, step_ms: 5, count: 3 }));
        assert_eq!(Grid::range(0, 9, 5).unwrap().end_ms(), 5);
        assert_eq!(Grid::range(0, -1, 5), None);
        assert_eq!(Grid::range(0, 1, 0), None);
        assert_eq!(Grid::range(i64::MIN, i64::MAX, 1), None);
    }

    #[test]
    fn a_range_query_has_a_bound() {
        let says = |start, end, step| Grid::query(start, end, step).unwrap_err().to_string();
        assert_eq!(Grid::query(0, 11_000, 1).unwrap().count, STEPS_MAX + 1);
        assert!(
            says(0, 11_001, 1)
                .starts_with("exceeded maximum resolution of 11,000 points per timeseries. Try")
        );
        assert!(says(i64::MIN, i64::MAX, 1).starts_with("exceeded maximum resolution"));
        assert_eq!(says(1, 0, 1), "end timestamp must not be before start time");
        assert!(says(0, 1, 0).starts_with("zero or negative query resolution step widths"));
    }

    #[test]
    fn subqueries_are_aligned_and_left_open() {
        let steps = |grid: Grid| grid.times().collect::<Vec<_>>();
        assert_eq!(steps(Grid::instant(30).within(20, 0, 10)), [20, 30]);
        assert_eq!(steps(Grid::instant(35).within(20, 0, 10)), [20, 30]);
        assert_eq!(steps(Grid::instant(30).within(20, 5, 10)), [10, 20]);
        assert_eq!(steps(Grid::instant(-5).within(20, 0, 10)), [-20, -10]);
        assert!(steps(Grid::instant(35).within(3, 0, 10)).is_empty());
    }
}
