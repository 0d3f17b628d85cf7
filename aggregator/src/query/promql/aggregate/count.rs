//! `count_values`: how many series have each value.

use super::super::cell::is_absent;
use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::grid::Grid;
use super::super::labels::LabelSet;
use super::super::matrix::{Matrix, Series};
use super::super::native::Pool;
use super::super::number::text_of;
use super::super::parse::bare;
use super::Group;
use promql_parser::parser::{AggregateExpr, Expr};
use std::collections::HashMap;

impl Evaluator<'_, '_> {
    /// One series a value and group, with the value in a label.
    pub(super) fn count_values(
        &mut self,
        aggregate: &AggregateExpr,
        matrix: &Matrix,
        groups: &[Group],
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let label = match aggregate.param.as_deref().map(bare) {
            Some(Expr::StringLiteral(literal)) => literal.val.as_str(),
            _ => return Error::data("count_values wants the name of a label"),
        };
        if label.is_empty() || label.contains(char::REPLACEMENT_CHARACTER) {
            return Error::data(format!("invalid label name {label:?}"));
        }
        let (mut places, mut result): (HashMap<LabelSet, usize>, Matrix) = (HashMap::new(), Vec::new());
        for group in groups {
            self.budget.make(result.len(), 0)?;
            for series in group.members.iter().filter_map(|at| matrix.get(*at)) {
                count(series, group, label, grid, &self.pool, &mut places, &mut result);
            }
        }
        self.budget.make(result.len(), grid.count)?;
        Ok(result)
    }
}

fn count(
    series: &Series,
    group: &Group,
    label: &str,
    grid: Grid,
    pool: &Pool<'_>,
    places: &mut HashMap<LabelSet, usize>,
    result: &mut Matrix,
) {
    let mut last: Option<(u64, usize)> = None;
    for (step, value) in series.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
        let place = match last.filter(|(bits, _)| *bits == value.to_bits()) {
            Some((_, place)) => place,
            None => {
                let mut labels = group.labels.clone();
                labels.set(label, &pool.get(*value).map_or_else(|| text_of(*value), |own| own.to_string()));
                *places.entry(labels).or_insert_with_key(|labels| {
                    result.push(Series::empty(labels.clone(), group.drops_name, grid.count));
                    result.len() - 1
                })
            }
        };
        last = Some((value.to_bits(), place));
        if let Some(own) = result.get_mut(place).and_then(|series| series.values.get_mut(step)) {
            *own = if is_absent(*own) { 1.0 } else { *own + 1.0 };
        }
    }
}
