//! `and`, `or` and `unless`: which series have a counterpart on a step.

use super::super::cell::ABSENT;
use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::grid::Grid;
use super::super::labels::LabelSet;
use super::super::matrix::{Matrix, Series};
use super::is_present;
use super::join::signature;
use promql_parser::parser::BinaryExpr;
use promql_parser::parser::token::{T_LAND, T_LOR};
use std::collections::HashMap;

/// For each signature, on which steps there is a series of it.
struct Presence(HashMap<LabelSet, Vec<bool>>);

impl Presence {
    fn of(matrix: &Matrix, binary: &BinaryExpr, grid: Grid) -> Presence {
        let mut steps: HashMap<LabelSet, Vec<bool>> = HashMap::with_capacity(matrix.len());
        for series in matrix {
            let own =
                steps.entry(signature(&series.labels, binary)).or_insert_with(|| vec![false; grid.count]);
            own.iter_mut().zip(&series.values).for_each(|(own, value)| *own |= is_present(*value));
        }
        Presence(steps)
    }

    /// Takes away the values on steps where there is (or is not) a counterpart.
    fn keep(&self, series: &mut Series, binary: &BinaryExpr, with_counterpart: bool) {
        let steps = self.0.get(&signature(&series.labels, binary));
        for (step, value) in series.values.iter_mut().enumerate() {
            let has_counterpart = steps.and_then(|steps| steps.get(step)).copied().unwrap_or(false);
            if has_counterpart != with_counterpart {
                *value = ABSENT;
            }
        }
    }
}

impl Evaluator<'_, '_> {
    /// The value of a set operation.
    pub(super) fn combine(
        &mut self,
        binary: &BinaryExpr,
        mut left: Matrix,
        mut right: Matrix,
        grid: Grid,
    ) -> Result<Matrix, Error> {
        self.budget.make(left.len() + right.len(), grid.count)?;
        if binary.op.id() == T_LOR {
            let presence = Presence::of(&left, binary, grid);
            right.iter_mut().for_each(|series| presence.keep(series, binary, false));
            left.append(&mut right);
        } else {
            let presence = Presence::of(&right, binary, grid);
            let with_counterpart = binary.op.id() == T_LAND;
            left.iter_mut().for_each(|series| presence.keep(series, binary, with_counterpart));
        }
        left.retain(Series::has_values);
        Ok(left)
    }
}
