//! What the operators make of two values.

use super::super::cell::{ABSENT, is_absent, is_float, is_histogram, number};
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MOD, T_MUL, T_NEQ, T_POW, T_SUB,
};

/// An operator with its numbers.
#[derive(Clone, Copy)]
pub enum Operator {
    /// Makes a number of two.
    Arithmetic(fn(f64, f64) -> f64),
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
}

impl Outcome {
    /// As a value; `kept` is the one that a filter keeps.
    pub fn value(self, kept: f64) -> f64 {
        match self {
            Outcome::Nothing | Outcome::Misfit => ABSENT,
            Outcome::Kept => kept,
            Outcome::Number(value) => number(value),
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
        Some(Operator::Arithmetic(arithmetic))
    }

    /// Whether the result is no longer what the metric's name says.
    pub fn drops_name(self) -> bool {
        !matches!(self, Operator::Filter(_))
    }

    /// Of two numbers that are there.
    pub fn scalar(self, left: f64, right: f64) -> f64 {
        self.apply(left, right).value(left)
    }

    /// Of two values.
    pub fn apply(self, left: f64, right: f64) -> Outcome {
        if is_absent(left) || is_absent(right) {
            return Outcome::Nothing;
        }
        if !(is_float(left) && is_float(right)) {
            return self.apply_histograms(left, right);
        }
        match self {
            Operator::Arithmetic(function) => Outcome::Number(function(left, right)),
            Operator::Filter(comparison) if (comparison.holds)(&left, &right) => Outcome::Kept,
            Operator::Filter(_) => Outcome::Nothing,
            Operator::Test(comparison) => Outcome::Number(f64::from((comparison.holds)(&left, &right))),
        }
    }

    /// Native histograms are equal or not, and nothing is computed from them.
    fn apply_histograms(self, left: f64, right: f64) -> Outcome {
        let of_equal = match self {
            Operator::Filter(comparison) | Operator::Test(comparison) => comparison.of_equal,
            Operator::Arithmetic(_) => None,
        };
        match of_equal.filter(|_| is_histogram(left) && is_histogram(right)) {
            None => Outcome::Misfit,
            Some(of_equal) => {
                let holds = (left.to_bits() == right.to_bits()) == of_equal;
                match self {
                    Operator::Test(_) => Outcome::Number(f64::from(holds)),
                    _ if holds => Outcome::Kept,
                    _ => Outcome::Nothing,
                }
            }
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
