//! Functions that are no aggregations: which one a name means, and the simple ones.

mod absent;
mod relabel;
mod sort;

use super::cell::{self, ABSENT, is_absent, is_float};
use super::error::Error;
use super::evaluate::{Evaluator, NO_SCALAR, on_step};
use super::grid::Grid;
use super::labels::LabelSet;
use super::matrix::{Matrix, Series, Value};
use super::number;
use super::parse::bare;
use super::select::time_of;
use promql_parser::parser::{Call, Expr};

impl Evaluator<'_, '_> {
    /// The value of a function call.
    pub(super) fn call(&mut self, expr: &Expr, call: &Call, grid: Grid) -> Result<Value, Error> {
        let args: Vec<&Expr> = call.args.args.iter().map(|arg| &**arg).collect();
        let vector = match (call.func.name, args.as_slice()) {
            ("scalar", [arg]) => return self.scalar(arg, grid).map(Value::Scalar),
            ("max_of" | "min_of", _) => return self.extreme_of(call.func.name, &args, grid),
            (name, []) if number::date(name).is_none() => {
                return self.constant(name, grid).map(Value::Scalar);
            }
            ("vector", [arg]) => vec![series_of(self.eval_scalar(arg, grid)?)],
            ("timestamp", [arg]) => self.timestamp(arg, grid)?,
            ("clamp" | "clamp_min" | "clamp_max", _) => self.clamp(call.func.name, &args, grid)?,
            ("round", _) => self.round(&args, grid)?,
            ("absent", [arg]) => self.absent(arg, grid)?,
            ("absent_over_time", [arg]) => self.absent_over_time(arg, grid)?,
            ("label_replace" | "label_join", _) => self.relabel(call.func.name, &args, grid)?,
            (name, _) if name.starts_with("sort") => self.sort(expr, name, &args, grid)?,
            (name, _) if name.starts_with("histogram_") => self.histogram(expr, name, &args, grid)?,
            (name, []) => {
                let times = grid.times().map(|at_ms| at_ms as f64 / 1000.0).collect();
                self.map_numbers(name, vec![series_of(times)])?
            }
            (name, [arg]) if number::function(name).is_some() => {
                let matrix = self.eval_vector(arg, grid)?;
                self.map_numbers(name, matrix)?
            }
            (name, _) => self.range_function(expr, name, &args, grid)?,
        };
        Ok(Value::Vector(vector))
    }

    fn map_numbers(&mut self, name: &str, matrix: Matrix) -> Result<Matrix, Error> {
        let Some(function) = number::function(name) else {
            return Err(Error::Unsupported(format!("function {name}")));
        };
        // Of a date there is no part if there is no date.
        let is_date = number::date(name).is_some();
        Ok(number::map(matrix, |_, value| if is_date && value.is_nan() { value } else { function(value) }))
    }

    fn constant(&self, name: &str, grid: Grid) -> Result<Vec<f64>, Error> {
        let whole = self.whole();
        let step_ms = if self.is_instant() { 0 } else { whole.step_ms };
        let value = match name {
            "time" => return Ok(grid.times().map(|at_ms| at_ms as f64 / 1000.0).collect()),
            "pi" => std::f64::consts::PI,
            "start" => whole.start_ms as f64 / 1000.0,
            "end" => whole.end_ms() as f64 / 1000.0,
            "range" => (whole.end_ms() - whole.start_ms) as f64 / 1000.0,
            "step" => step_ms as f64 / 1000.0,
            _ => return Err(Error::Unsupported(format!("function {name}"))),
        };
        Ok(vec![value; grid.count])
    }

    fn extreme_of(&mut self, name: &str, args: &[&Expr], grid: Grid) -> Result<Value, Error> {
        let [first, rest @ ..] = args else { return Error::data("extreme of nothing") };
        let mut result = self.eval_scalar(first, grid)?;
        for arg in rest {
            let values = self.eval_scalar(arg, grid)?;
            for (own, value) in result.iter_mut().zip(values) {
                *own = if name == "max_of" { larger(*own, value) } else { smaller(*own, value) };
            }
        }
        Ok(Value::Scalar(result))
    }

    /// The value of the only series with a number on a step.
    fn scalar(&mut self, arg: &Expr, grid: Grid) -> Result<Vec<f64>, Error> {
        let matrix = self.eval_vector(arg, grid)?;
        let mut values = vec![ABSENT; grid.count];
        for series in &matrix {
            for (own, value) in values.iter_mut().zip(&series.values).filter(|(_, value)| is_float(**value)) {
                *own = if is_absent(*own) { *value } else { NO_SCALAR };
            }
        }
        values.iter_mut().filter(|value| is_absent(**value)).for_each(|value| *value = NO_SCALAR);
        Ok(values)
    }

    /// Of a selector the times of its samples, of anything else the times of the steps.
    fn timestamp(&mut self, arg: &Expr, grid: Grid) -> Result<Matrix, Error> {
        if let Expr::VectorSelector(selector) = bare(arg) {
            let matrix = self.vector(selector, grid, time_of)?;
            return Ok(number::map(matrix, |_, value| value));
        }
        let mut matrix = self.eval_vector(arg, grid)?;
        for series in &mut matrix {
            series.drops_name = true;
            for (value, at_ms) in
                series.values.iter_mut().zip(grid.times()).filter(|(value, _)| !is_absent(**value))
            {
                *value = at_ms as f64 / 1000.0;
            }
        }
        Ok(matrix)
    }

    fn clamp(&mut self, name: &str, args: &[&Expr], grid: Grid) -> Result<Matrix, Error> {
        let [arg, bounds @ ..] = args else { return Error::data("clamp of nothing") };
        let matrix = self.eval_vector(arg, grid)?;
        let bounds: Vec<Vec<f64>> =
            bounds.iter().map(|bound| self.eval_scalar(bound, grid)).collect::<Result<_, _>>()?;
        let bound = |at: usize, step| bounds.get(at).map_or(ABSENT, |values| on_step(values, step));
        let clamped = number::map(matrix, |step, value| match name {
            "clamp_min" => larger(bound(0, step), value),
            "clamp_max" => smaller(bound(0, step), value),
            _ => larger(bound(0, step), smaller(bound(1, step), value)),
        });
        if name != "clamp" {
            return Ok(clamped);
        }
        Ok(clear(clamped, |step| bound(0, step) > bound(1, step)))
    }

    fn round(&mut self, args: &[&Expr], grid: Grid) -> Result<Matrix, Error> {
        let [arg, nearest @ ..] = args else { return Error::data("round of nothing") };
        let matrix = self.eval_vector(arg, grid)?;
        let nearest = match nearest {
            [nearest, ..] => self.eval_scalar(nearest, grid)?,
            [] => vec![1.0; grid.count],
        };
        Ok(number::map(matrix, |step, value| number::round(value, on_step(&nearest, step))))
    }
}

/// The larger of two numbers, NaN if one is that.
fn larger(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.max(right) }
}

/// The smaller of two numbers, NaN if one is that.
fn smaller(left: f64, right: f64) -> f64 {
    if left.is_nan() || right.is_nan() { f64::NAN } else { left.min(right) }
}

/// Takes the values of some steps away.
fn clear(mut matrix: Matrix, is_cleared: impl Fn(usize) -> bool) -> Matrix {
    for series in &mut matrix {
        for (step, value) in series.values.iter_mut().enumerate() {
            if is_cleared(step) {
                *value = ABSENT;
            }
        }
    }
    matrix
}

/// A series without labels.
fn series_of(values: Vec<f64>) -> Series {
    let values = values.into_iter().map(cell::number).collect();
    Series { labels: LabelSet::default(), drops_name: false, values }
}
