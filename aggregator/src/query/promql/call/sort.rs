//! Sorting, which only the result of an instant query shows.

use super::super::cell::is_float;
use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::grid::Grid;
use super::super::labels::LabelSet;
use super::super::matrix::{Matrix, Series};
use super::super::parse::bare;
use promql_parser::parser::Expr;
use std::cmp::Ordering;

impl Evaluator<'_, '_> {
    /// Sorts by value or by labels; says so where it has no effect.
    pub(super) fn sort(
        &mut self,
        expr: &Expr,
        name: &str,
        args: &[&Expr],
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let [arg, names @ ..] = args else { return Error::data("sort of nothing") };
        let mut matrix = self.eval_vector(arg, grid)?;
        if !self.is_instant() {
            let place = self.query.spans().call(expr).to_owned();
            let text = "sort is ineffective for range queries since results are always ordered by labels";
            self.notes.warn(text, &place);
            return Ok(matrix);
        }
        let names: Vec<&str> = names.iter().filter_map(|name| text_of(name)).collect();
        match name {
            "sort" | "sort_desc" => {
                matrix.retain(|series| is_float(series.at(0)));
                matrix.sort_by(|left, right| by_value(left, right, name == "sort_desc"));
            }
            "sort_by_label" => matrix.sort_by(|left, right| by_labels(&left.labels, &right.labels, &names)),
            _ => matrix.sort_by(|left, right| by_labels(&right.labels, &left.labels, &names)),
        }
        Ok(matrix)
    }
}

/// The text that a literal stands for.
pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match bare(expr) {
        Expr::StringLiteral(literal) => Some(&literal.val),
        _ => None,
    }
}

/// By value on the only step, NaN at the end in both directions.
fn by_value(left: &Series, right: &Series, is_descending: bool) -> Ordering {
    let (left, right) = (left.at(0), right.at(0));
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ if is_descending => right.total_cmp(&left),
        _ => left.total_cmp(&right),
    }
}

/// By some labels, numbers in them by their value, then by all.
fn by_labels(left: &LabelSet, right: &LabelSet, names: &[&str]) -> Ordering {
    let by_names = names.iter().map(|name| natural(left.get(name), right.get(name)));
    by_names.fold(Ordering::Equal, Ordering::then).then_with(|| left.cmp(right))
}

/// Compares texts, runs of digits in them as numbers.
pub(super) fn natural(mut left: &str, mut right: &str) -> Ordering {
    loop {
        let ((own, left_rest), (other, right_rest)) = (chunk(left), chunk(right));
        if own.is_empty() || other.is_empty() {
            return own.len().cmp(&other.len());
        }
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let order = match is_number(own) && is_number(other) {
            true => {
                let (own, other) = (own.trim_start_matches('0'), other.trim_start_matches('0'));
                own.len().cmp(&other.len()).then_with(|| own.cmp(other))
            }
            false => own.cmp(other),
        };
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
}

/// The first run of digits or of other characters, and what follows.
fn chunk(text: &str) -> (&str, &str) {
    let is_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_labels_are_numbers() {
        let mut texts = ["v10", "v9", "v", "10", "2", "v9a", "v09b"];
        texts.sort_by(|left, right| natural(left, right));
        assert_eq!(texts, ["2", "10", "v", "v9", "v9a", "v09b", "v10"]);
    }
}
