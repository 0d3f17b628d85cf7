//! Whether there is nothing: one series where no series is.

use super::super::cell::{ABSENT, is_absent};
use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::grid::Grid;
use super::super::labels::{LabelSet, NAME};
use super::super::matrix::{Matrix, Series};
use super::super::parse::bare;
use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector};

impl Evaluator<'_, '_> {
    /// One on the steps where a vector is empty.
    pub(super) fn absent(&mut self, arg: &Expr, grid: Grid) -> Result<Matrix, Error> {
        let matrix = self.eval_vector(arg, grid)?;
        let mut values = vec![1.0; grid.count];
        for series in &matrix {
            for (own, value) in values.iter_mut().zip(&series.values) {
                *own = if is_absent(*value) { *own } else { ABSENT };
            }
        }
        Ok(vec![Series { labels: labels_of(arg), drops_name: false, values }])
    }

    /// One on the steps whose ranges are empty.
    pub(super) fn absent_over_time(&mut self, arg: &Expr, grid: Grid) -> Result<Matrix, Error> {
        let ranges = self.eval_ranges(arg, grid)?;
        let mut values = vec![1.0; grid.count];
        for series in &ranges.series {
            self.budget.check()?;
            ranges.sweep(series, grid, |window| {
                if let Some(value) = values.get_mut(window.step) {
                    *value = ABSENT;
                }
                Ok::<_, Error>(())
            })?;
        }
        Ok(vec![Series { labels: labels_of(arg), drops_name: false, values }])
    }
}

/// The labels that a series would have for sure: those a selector asks for as they are, once.
fn labels_of(expr: &Expr) -> LabelSet {
    match bare(expr) {
        Expr::VectorSelector(selector) => asked_for(selector),
        Expr::MatrixSelector(selector) => asked_for(&selector.vs),
        _ => LabelSet::default(),
    }
}

fn asked_for(selector: &VectorSelector) -> LabelSet {
    let mut labels = LabelSet::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in selector.matchers.matchers.iter().filter(|matcher| matcher.name != NAME) {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            seen.push(&matcher.name);
            labels.set(&matcher.name, &matcher.value);
        } else {
            labels.set(&matcher.name, "");
        }
    }
    labels
}
