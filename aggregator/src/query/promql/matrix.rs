//! Series by steps: what every part of an expression yields.

use super::cell::{ABSENT, is_absent};
use super::error::Error;
use super::labels::{LabelSet, NAME};
use std::collections::HashMap;

/// One series with a value on every step, [`ABSENT`] where there is none.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its labels.
    pub labels: LabelSet,
    /// Whether the name goes at the end of the query. Until then it tells series apart.
    pub drops_name: bool,
    /// One a step.
    pub values: Vec<f64>,
}

impl Series {
    /// A series without a value.
    pub fn empty(labels: LabelSet, drops_name: bool, steps: usize) -> Series {
        Series { labels, drops_name, values: vec![ABSENT; steps] }
    }

    /// Whether it has any value.
    pub fn has_values(&self) -> bool {
        self.values.iter().any(|value| !is_absent(*value))
    }

    /// The value on a step.
    pub fn at(&self, step: usize) -> f64 {
        self.values.get(step).copied().unwrap_or(ABSENT)
    }
}

/// Series of the same steps.
pub type Matrix = Vec<Series>;

/// What an expression yields.
#[derive(Debug)]
pub enum Value {
    /// A number on every step.
    Scalar(Vec<f64>),
    /// A text.
    Text(String),
    /// Series.
    Vector(Matrix),
}

/// The message for two results that could not be told apart.
pub const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// Joins series with the same labels, which must not have values on the same step.
pub fn merge(matrix: Matrix) -> Result<Matrix, Error> {
    let mut places: HashMap<LabelSet, usize> = HashMap::with_capacity(matrix.len());
    let mut merged: Matrix = Vec::with_capacity(matrix.len());
    for series in matrix {
        let place = *places.entry(series.labels.clone()).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(series),
            Some(first) => join(first, &series)?,
        }
    }
    Ok(merged)
}

fn join(first: &mut Series, other: &Series) -> Result<(), Error> {
    for (own, value) in first.values.iter_mut().zip(&other.values) {
        match (is_absent(*own), is_absent(*value)) {
            (true, _) => *own = *value,
            (false, true) => {}
            (false, false) => return Error::data(SAME_LABELS),
        }
    }
    Ok(())
}

/// Drops the names that were to go, and the series without values.
pub fn finish(mut matrix: Matrix) -> Result<Matrix, Error> {
    matrix.retain(Series::has_values);
    for series in matrix.iter_mut().filter(|series| series.drops_name) {
        series.labels.set(NAME, "");
        series.drops_name = false;
    }
    merge(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, values: &[f64]) -> Series {
        Series { labels: LabelSet::new([(NAME, name)]), drops_name: true, values: values.to_vec() }
    }

    #[test]
    fn series_are_joined_where_they_do_not_overlap() {
        let joined = finish(vec![series("a", &[1.0, ABSENT]), series("b", &[ABSENT, 2.0])]).unwrap();
        assert_eq!(joined.len(), 1);
        assert_eq!(joined[0].values, [1.0, 2.0]);
        let error = finish(vec![series("a", &[1.0]), series("b", &[2.0])]).unwrap_err();
        assert_eq!(error.to_string(), SAME_LABELS);
    }
}
