//! Binary operators: which there are, and those with a scalar. Two vectors are in `join` and `set`.

mod join;
mod operator;
mod set;

use super::cell::{is_float, is_histogram, map, number};
use super::error::Error;
use super::evaluate::{Evaluator, on_step};
use super::grid::Grid;
use super::matrix::{Matrix, Value};
use super::native::Joined;
use operator::{Natives, Operator, Outcome};
use promql_parser::parser::token::T_SUB;
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
                self.with_scalar(binary, operator, vector, &scalar, false).map(Value::Vector)
            }
            (Value::Scalar(scalar), Value::Vector(vector)) => {
                self.with_scalar(binary, operator, vector, &scalar, true).map(Value::Vector)
            }
            _ => Error::data("operator between something else than numbers and vectors"),
        }
    }

    /// The value of a minus sign.
    pub(super) fn negate(&mut self, value: Value) -> Result<Value, Error> {
        let mut matrix = match value {
            Value::Vector(matrix) => matrix,
            Value::Scalar(values) => {
                return Ok(Value::Scalar(
                    values.into_iter().map(|value| map(value, |value| -value)).collect(),
                ));
            }
            Value::Text(_) => return Error::data("minus sign before a text"),
        };
        for series in &mut matrix {
            series.drops_name = true;
            for value in &mut series.values {
                match () {
                    () if is_float(*value) => *value = number(-*value),
                    () if is_histogram(*value) => *value = self.pool.map(*value, |own| own.scale(-1.0)),
                    () => {}
                }
            }
            self.pay()?;
        }
        Ok(Value::Vector(matrix))
    }

    fn with_scalar(
        &mut self,
        binary: &BinaryExpr,
        operator: Operator,
        mut vector: Matrix,
        scalar: &[f64],
        is_swapped: bool,
    ) -> Result<Matrix, Error> {
        let (mut has_misfit, mut natives) = (None, Natives::new(&mut self.pool));
        for series in &mut vector {
            series.drops_name |= operator.drops_name();
            for (step, value) in series.values.iter_mut().enumerate() {
                let (own, other) = (*value, on_step(scalar, step));
                let outcome = match is_swapped {
                    true => operator.apply(other, own, &mut natives),
                    false => operator.apply(own, other, &mut natives),
                };
                if outcome == Outcome::Misfit {
                    has_misfit = Some((kind_of(own), is_swapped));
                }
                *value = outcome.value(own);
            }
            self.budget.take(natives.pool.take_bytes())?;
        }
        if let Some((own, is_swapped)) = has_misfit {
            let (left, right) = if is_swapped { ("float", own) } else { (own, "float") };
            self.misfit(binary, left, right);
        }
        Ok(vector)
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

impl Evaluator<'_, '_> {
    /// Says what was odd about native histograms that an operator was applied to.
    fn say_joined(&mut self, binary: &BinaryExpr, joined: Joined, is_incompatible: bool) {
        let place = start_of(self, &binary.lhs);
        let operation = if binary.op.id() == T_SUB { "subtraction" } else { "addition" };
        self.notes.joined(joined, operation, &place);
        if is_incompatible {
            let text = format!("incompatible bucket layout encountered for binary operator {}", binary.op);
            self.notes.inform(text, &place);
        }
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
