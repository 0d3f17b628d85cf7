//! What the operators make of two values.

use super::super::cell::{ABSENT, is_absent, is_float, is_histogram, number};
use super::super::native::{Incompatible, Joined, NativeHistogram, Pool};
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
};

/// An operator with its numbers.
#[derive(Clone, Copy)]
pub enum Operator {
    /// Makes a number of two; the token tells what it is to native histograms.
    Arithmetic(fn(f64, f64) -> f64, u16),
    /// Keeps the left value, or nothing.
    Filter(Comparison),
    /// Makes one or zero.
    Test(Comparison),
}

/// A comparison of two numbers.
#[derive(Clone, Copy)]
pub struct Comparison {
    holds: fn(&f64, &f64) -> bool,
    /// What it says of two native histograms that are equal, if it says anything.
    of_equal: Option<bool>,
}

/// What comes of two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing, since one is not there or a comparison does not hold.
    Nothing,
    /// Nothing, since the operator does not fit the kinds of the values.
    Misfit,
    /// The left value, or the vector's if there is one.
    Kept,
    /// A number.
    Number(f64),
    /// The mark of a native histogram.
    Histogram(f64),
}

/// Where native histograms are, and what was odd about those that an operator was applied to.
pub struct Natives<'a, 'p> {
    pub pool: &'a mut Pool<'p>,
    pub joined: Joined,
    /// Some had bounds of another kind than the others.
    pub is_incompatible: bool,
}

impl<'a, 'p> Natives<'a, 'p> {
    /// Nothing odd yet.
    pub fn new(pool: &'a mut Pool<'p>) -> Natives<'a, 'p> {
        Natives { pool, joined: Joined::default(), is_incompatible: false }
    }

    /// A native histogram made of two.
    fn join(
        &mut self,
        left: f64,
        right: f64,
        join: fn(&mut NativeHistogram, &NativeHistogram) -> Result<Joined, Incompatible>,
    ) -> Outcome {
        let (Some(left), Some(right)) = (self.pool.get(left), self.pool.get(right)) else {
            return Outcome::Nothing;
        };
        let mut own = NativeHistogram::clone(&left);
        let Ok(joined) = join(&mut own, &right) else {
            self.is_incompatible = true;
            return Outcome::Nothing;
        };
        self.joined.is_reconciled |= joined.is_reconciled;
        self.joined.is_collided |= joined.is_collided;
        Outcome::Histogram(self.pool.put(own))
    }

    fn change(&mut self, value: f64, change: impl FnOnce(&mut NativeHistogram)) -> Outcome {
        Outcome::Histogram(self.pool.map(value, change))
    }
}

impl Outcome {
    /// As a value; `kept` is the one that a filter keeps.
    pub fn value(self, kept: f64) -> f64 {
        match self {
            Outcome::Nothing | Outcome::Misfit => ABSENT,
            Outcome::Kept => kept,
            Outcome::Number(value) => number(value),
            Outcome::Histogram(mark) => mark,
        }
    }
}

impl Operator {
    /// An operator by its token.
    pub fn of(token: u16, is_bool: bool) -> Option<Operator> {
        let arithmetic: fn(f64, f64) -> f64 = match token {
            T_ADD => |left, right| left + right,
            T_SUB => |left, right| left - right,
            T_MUL => |left, right| left * right,
            T_DIV => |left, right| left / right,
            T_MOD => |left, right| left % right,
            T_POW => f64::powf,
            T_ATAN2 => f64::atan2,
            _ => {
                let comparison = comparison(token)?;
                return Some(match is_bool {
                    true => Operator::Test(comparison),
                    false => Operator::Filter(comparison),
                });
            }
        };
        Some(Operator::Arithmetic(arithmetic, token))
    }

    /// Whether the result is no longer what the metric's name says.
    pub fn drops_name(self) -> bool {
        !matches!(self, Operator::Filter(_))
    }

    /// Of two numbers that are there.
    pub fn scalar(self, left: f64, right: f64) -> f64 {
        self.of_numbers(left, right).value(left)
    }

    /// Of two values.
    pub fn apply(self, left: f64, right: f64, natives: &mut Natives<'_, '_>) -> Outcome {
        match () {
            () if is_float(left) && is_float(right) => self.of_numbers(left, right),
            () if is_absent(left) || is_absent(right) => Outcome::Nothing,
            () => self.of_histograms(left, right, natives),
        }
    }

    fn of_numbers(self, left: f64, right: f64) -> Outcome {
        match self {
            Operator::Arithmetic(function, _) => Outcome::Number(function(left, right)),
            Operator::Filter(comparison) if (comparison.holds)(&left, &right) => Outcome::Kept,
            Operator::Filter(_) => Outcome::Nothing,
            Operator::Test(comparison) => Outcome::Number(f64::from((comparison.holds)(&left, &right))),
        }
    }

    /// Of two values of which at least one is a native histogram.
    fn of_histograms(self, left: f64, right: f64, natives: &mut Natives<'_, '_>) -> Outcome {
        let are_both = is_histogram(left) && is_histogram(right);
        match self {
            Operator::Arithmetic(_, T_ADD) if are_both => natives.join(left, right, NativeHistogram::add),
            Operator::Arithmetic(_, T_SUB) if are_both => {
                natives.join(left, right, NativeHistogram::subtract)
            }
            Operator::Arithmetic(_, T_MUL) if is_float(right) => natives.change(left, |own| own.scale(right)),
            Operator::Arithmetic(_, T_MUL) if is_float(left) => natives.change(right, |own| own.scale(left)),
            Operator::Arithmetic(_, T_DIV) if is_float(right) => {
                natives.change(left, |own| own.divide(right))
            }
            Operator::Filter(Comparison { of_equal: Some(of_equal), .. }) if are_both => {
                match natives.pool.is_same(left, right) == of_equal {
                    true => Outcome::Kept,
                    false => Outcome::Nothing,
                }
            }
            Operator::Test(Comparison { of_equal: Some(of_equal), .. }) if are_both => {
                Outcome::Number(f64::from(natives.pool.is_same(left, right) == of_equal))
            }
            _ => Outcome::Misfit,
        }
    }
}

fn comparison(token: u16) -> Option<Comparison> {
    let (holds, of_equal): (fn(&f64, &f64) -> bool, _) = match token {
        T_EQLC => (f64::eq, Some(true)),
        T_NEQ => (f64::ne, Some(false)),
        T_GTR => (f64::gt, None),
        T_LSS => (f64::lt, None),
        T_GTE => (f64::ge, None),
        T_LTE => (f64::le, None),
        _ => return None,
    };
    Some(Comparison { holds, of_equal })
}
