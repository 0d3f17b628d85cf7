//! Aggregations that take one number after the other.

use super::super::cell::ABSENT;
use super::super::statistic::{self, Sum};

/// What an aggregation remembers of the numbers it has seen.
pub trait Fold: Clone {
    /// Whether native histograms count.
    const COUNTS_HISTOGRAMS: bool = false;
    /// After the first number.
    fn first(value: f64) -> Self;
    /// After one more.
    fn push(&mut self, value: f64);
    /// The result.
    fn value(&self) -> f64;
}

/// A sum.
#[derive(Clone)]
pub struct Total(Sum);

impl Fold for Total {
    fn first(value: f64) -> Total {
        Total(Sum { value, rest: 0.0 })
    }
    fn push(&mut self, value: f64) {
        self.0 = self.0.plus(value);
    }
    fn value(&self) -> f64 {
        self.0.total()
    }
}

/// A mean.
#[derive(Clone)]
pub struct Mean(statistic::Mean);

impl Fold for Mean {
    fn first(value: f64) -> Mean {
        let mut mean = statistic::Mean::default();
        mean.push(value);
        Mean(mean)
    }
    fn push(&mut self, value: f64) {
        self.0.push(value);
    }
    fn value(&self) -> f64 {
        self.0.value()
    }
}

/// The smallest; any number rather than NaN.
#[derive(Clone)]
pub struct Min(f64);

impl Fold for Min {
    fn first(value: f64) -> Min {
        Min(value)
    }
    fn push(&mut self, value: f64) {
        self.0 = self.0.min(value);
    }
    fn value(&self) -> f64 {
        self.0
    }
}

/// The largest; any number rather than NaN.
#[derive(Clone)]
pub struct Max(f64);

impl Fold for Max {
    fn first(value: f64) -> Max {
        Max(value)
    }
    fn push(&mut self, value: f64) {
        self.0 = self.0.max(value);
    }
    fn value(&self) -> f64 {
        self.0
    }
}

/// How many.
#[derive(Clone)]
pub struct Count(f64);

impl Fold for Count {
    const COUNTS_HISTOGRAMS: bool = true;
    fn first(_: f64) -> Count {
        Count(1.0)
    }
    fn push(&mut self, _: f64) {
        self.0 += 1.0;
    }
    fn value(&self) -> f64 {
        self.0
    }
}

/// That there are any.
#[derive(Clone)]
pub struct Group;

impl Fold for Group {
    const COUNTS_HISTOGRAMS: bool = true;
    fn first(_: f64) -> Group {
        Group
    }
    fn push(&mut self, _: f64) {}
    fn value(&self) -> f64 {
        1.0
    }
}

/// The mean square distance from the mean.
#[derive(Clone)]
pub struct Variance {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Fold for Variance {
    fn first(value: f64) -> Variance {
        Variance { count: 1.0, mean: value, squares: if value.is_finite() { 0.0 } else { f64::NAN } }
    }
    fn push(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }
    fn value(&self) -> f64 {
        if self.count > 0.0 { self.squares / self.count } else { ABSENT }
    }
}

/// The root of the variance.
#[derive(Clone)]
pub struct Deviation(Variance);

impl Fold for Deviation {
    fn first(value: f64) -> Deviation {
        Deviation(Variance::first(value))
    }
    fn push(&mut self, value: f64) {
        self.0.push(value);
    }
    fn value(&self) -> f64 {
        self.0.value().sqrt()
    }
}
