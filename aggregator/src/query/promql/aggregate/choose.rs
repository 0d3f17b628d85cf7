//! Aggregations that choose some of the series and leave them as they are.

use super::super::cell::{ABSENT, is_absent, is_float, is_histogram};
use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::labels::LabelSet;
use super::super::matrix::{Matrix, Series};
use super::super::number::text_of;
use super::Group;
use promql_parser::parser::Expr;
use promql_parser::parser::token::{T_BOTTOMK, T_LIMIT_RATIO, T_LIMITK, T_TOPK};
use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

impl Evaluator<'_, '_> {
    /// `topk`, `bottomk`, `limitk` and `limit_ratio`. For one step the chosen come in their order.
    pub(super) fn choose(
        &mut self,
        expr: &Expr,
        op: u16,
        parameter: &[f64],
        matrix: Matrix,
        groups: &[Group],
    ) -> Result<Matrix, Error> {
        self.check_parameter(expr, op, parameter)?;
        if matrix.is_empty() {
            return Ok(matrix);
        }
        let mut result: Vec<Series> = Vec::with_capacity(matrix.len());
        for group in groups {
            self.budget.make(group.members.len(), parameter.len())?;
            let members: Vec<&Series> = group.members.iter().filter_map(|at| matrix.get(*at)).collect();
            let (chosen, has_ignored) = choose(op, &members, parameter);
            result.extend(chosen);
            if has_ignored {
                let place = self.query.spans().argument(expr, 1).to_owned();
                self.ignored(if op == T_TOPK { "topk" } else { "bottomk" }, &place);
            }
        }
        Ok(result)
    }

    fn check_parameter(&mut self, expr: &Expr, op: u16, parameter: &[f64]) -> Result<(), Error> {
        if op != T_LIMIT_RATIO {
            return match parameter.iter().find(|value| value.is_nan() || value.abs() >= 9.2e18) {
                Some(value) if value.is_nan() => Error::data("Parameter value is NaN"),
                Some(value) => Error::data(format!("Scalar value {} overflows int64", text_of(*value))),
                None => Ok(()),
            };
        }
        for ratio in parameter.iter().filter(|ratio| !(-1.0..=1.0).contains(*ratio)) {
            if ratio.is_nan() {
                return Error::data("Ratio value is NaN");
            }
            let (ratio, bound) = (text_of(*ratio), text_of(ratio.signum()));
            let place = self.query.spans().argument(expr, 0);
            let text = format!("ratio value should be between -1 and 1, got {ratio}, capping to {bound}");
            self.notes.warn(text, place);
        }
        Ok(())
    }
}

/// The chosen of a group, with values on the steps where they are, and whether some could not be judged.
fn choose(op: u16, members: &[&Series], parameter: &[f64]) -> (Vec<Series>, bool) {
    let empty =
        |series: &&Series| Series::empty(series.labels.clone(), series.drops_name, series.values.len());
    let mut chosen: Vec<Series> = members.iter().map(empty).collect();
    let (mut order, mut has_ignored) = (Vec::with_capacity(members.len()), false);
    for (step, parameter) in parameter.iter().enumerate() {
        has_ignored |= rank(op, members, step, *parameter, &mut order);
        for at in &order {
            let own = chosen.get_mut(*at).and_then(|own| own.values.get_mut(step));
            if let (Some(own), Some(member)) = (own, members.get(*at)) {
                *own = member.at(step);
            }
        }
    }
    match parameter {
        [_] => (order.iter().filter_map(|at| chosen.get(*at)).cloned().collect(), has_ignored),
        _ => (chosen.into_iter().filter(Series::has_values).collect(), has_ignored),
    }
}

/// Writes down which members are chosen on a step, the best first. True if some could not be judged.
fn rank(op: u16, members: &[&Series], step: usize, parameter: f64, order: &mut Vec<usize>) -> bool {
    order.clear();
    let is_judged = |value: f64| matches!(op, T_LIMITK | T_LIMIT_RATIO) || is_float(value);
    let mut has_ignored = false;
    for (at, series) in members.iter().enumerate() {
        let value = series.at(step);
        if !is_absent(value) && is_judged(value) {
            order.push(at);
        }
        has_ignored |= is_histogram(value) && !is_judged(value);
    }
    if op == T_LIMIT_RATIO {
        order.retain(|at| members.get(*at).is_some_and(|series| is_drawn(&series.labels, parameter)));
        return false;
    }
    let count = if parameter >= 1.0 { parameter as usize } else { 0 };
    if matches!(op, T_TOPK | T_BOTTOMK) {
        let value = |at: usize| members.get(at).map_or(ABSENT, |series| series.at(step));
        // Of equal ones the first: so that the best can be found without sorting all.
        let by_value = |left: &usize, right: &usize| {
            nan_last(value(*left), value(*right), op == T_TOPK).then(left.cmp(right))
        };
        if (1..order.len()).contains(&count) {
            order.select_nth_unstable_by(count - 1, by_value);
            order.truncate(count);
        }
        order.sort_unstable_by(by_value);
    }
    order.truncate(count);
    has_ignored && parameter >= 1.0
}

fn nan_last(left: f64, right: f64, is_descending: bool) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ if is_descending => right.total_cmp(&left),
        _ => left.total_cmp(&right),
    }
}

/// Whether a series is in a share of all; a negative share is the rest of what a positive one leaves.
fn is_drawn(labels: &LabelSet, ratio: f64) -> bool {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    let place = hasher.finish() as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio || ratio >= 1.0 } else { place >= 1.0 + ratio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_their_rests_are_all() {
        for name in ["a", "b", "c", "d", "e"] {
            let labels = LabelSet::new([("name", name)]);
            for share in [0.0, 0.2, 0.5, 0.9] {
                assert_ne!(is_drawn(&labels, share), is_drawn(&labels, share - 1.0));
            }
            assert!(is_drawn(&labels, 1.0) && is_drawn(&labels, -1.0) && !is_drawn(&labels, 0.0));
        }
    }
}
