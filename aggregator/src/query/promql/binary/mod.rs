//! Binary operators: which there are, and those with a scalar. Two vectors are in `join` and `set`.

mod join;
mod operator;
mod set;

use super::cell::{is_float, is_histogram};
use super::error::Error;
use super::evaluate::{Evaluator, on_step};
use super::grid::Grid;
use super::matrix::{Matrix, Value};
use operator::{Operator, Outcome};
use promql_parser::parser::{BinaryExpr, Expr};

impl Evaluator<'_, '_> {
    /// The value of a binary expression.
    pub(super) fn binary(&mut self, binary: &BinaryExpr, grid: Grid) -> Result<Value, Error> {
        let (left, right) = (self.eval(&binary.lhs, grid)?, self.eval(&binary.rhs, grid)?);
        if binary.op.is_set_operator() {
            return match (left, right) {
                (Value::Vector(left), Value::Vector(right)) => {
                    self.combine(binary, left, right, grid).map(Value::Vector)
                }
                _ => Error::data("set operator between something else than vectors"),
            };
        }
        let Some(operator) = Operator::of(binary.op.id(), binary.return_bool()) else {
            return Err(Error::Unsupported(format!("operator {}", binary.op)));
        };
        match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let pairs = left.iter().zip(&right);
                Ok(Value::Scalar(pairs.map(|(left, right)| operator.scalar(*left, *right)).collect()))
            }
            (Value::Vector(left), Value::Vector(right)) => {
                self.join(binary, operator, left, right, grid).map(Value::Vector)
            }
            (Value::Vector(vector), Value::Scalar(scalar)) => {
                Ok(Value::Vector(self.with_scalar(binary, operator, vector, &scalar, false)))
            }
            (Value::Scalar(scalar), Value::Vector(vector)) => {
                Ok(Value::Vector(self.with_scalar(binary, operator, vector, &scalar, true)))
            }
            _ => Error::data("operator between something else than numbers and vectors"),
        }
    }

    fn with_scalar(
        &mut self,
        binary: &BinaryExpr,
        operator: Operator,
        mut vector: Matrix,
        scalar: &[f64],
        is_swapped: bool,
    ) -> Matrix {
        let mut has_misfit = None;
        for series in &mut vector {
            series.drops_name |= operator.drops_name();
            for (step, value) in series.values.iter_mut().enumerate() {
                let (own, other) = (*value, on_step(scalar, step));
                let outcome = match is_swapped {
                    true => operator.apply(other, own),
                    false => operator.apply(own, other),
                };
                if outcome == Outcome::Misfit {
                    has_misfit = Some((kind_of(own), is_swapped));
                }
                *value = outcome.value(own);
            }
        }
        if let Some((own, is_swapped)) = has_misfit {
            let (left, right) = if is_swapped { ("float", own) } else { (own, "float") };
            self.misfit(binary, left, right);
        }
        vector
    }

    /// Says that an operator cannot be applied to two kinds of values.
    fn misfit(&mut self, binary: &BinaryExpr, left: &str, right: &str) {
        let text = format!(
            "incompatible sample types encountered for binary operator {:?}: {left} {} {right}",
            binary.op.to_string(),
            binary.op
        );
        let place = start_of(self, &binary.lhs);
        self.notes.inform(text, &place);
    }
}

fn kind_of(value: f64) -> &'static str {
    if is_histogram(value) { "histogram" } else { "float" }
}

/// Where an operand starts, as far as it is known: only calls have a place.
fn start_of(evaluator: &Evaluator<'_, '_>, operand: &Expr) -> String {
    evaluator.query.spans().argument(operand, 0).to_owned()
}

/// Whether a step has anything.
fn is_present(value: f64) -> bool {
    is_float(value) || is_histogram(value)
}
