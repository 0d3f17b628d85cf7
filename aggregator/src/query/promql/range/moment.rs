//! What the values of a range are like, whatever their times.

use super::super::cell::ABSENT;
use super::super::statistic::{self, Mean, Sum};
use super::super::window::Window;

/// The sum.
pub fn sum(window: &Window<'_>, _: &[f64]) -> f64 {
    window.values.iter().fold(Sum::default(), |sum, value| sum.plus(*value)).total()
}

/// The mean.
pub fn mean(window: &Window<'_>, _: &[f64]) -> f64 {
    // If the sum has not overflown, the mean is its share.
    let sum = window.values.iter().fold(Sum::default(), |sum, value| sum.plus(*value));
    if sum.value.is_finite() {
        let count = window.values.len() as f64;
        return sum.value / count + sum.rest / count;
    }
    let mut mean = Mean::default();
    window.values.iter().for_each(|value| mean.push(*value));
    mean.value()
}

/// The smallest.
pub fn min(window: &Window<'_>, _: &[f64]) -> f64 {
    extreme(window, |value, best| value < best).1
}

/// The largest.
pub fn max(window: &Window<'_>, _: &[f64]) -> f64 {
    extreme(window, |value, best| value > best).1
}

/// When it was smallest, the last time.
pub fn time_of_min(window: &Window<'_>, _: &[f64]) -> f64 {
    extreme(window, |value, best| value <= best).0
}

/// When it was largest, the last time.
pub fn time_of_max(window: &Window<'_>, _: &[f64]) -> f64 {
    extreme(window, |value, best| value >= best).0
}

/// Time in seconds and value of the best sample; any is better than NaN.
fn extreme(window: &Window<'_>, is_better: impl Fn(f64, f64) -> bool) -> (f64, f64) {
    let (mut time, mut best) = (window.times.first(), window.values.first().copied().unwrap_or(ABSENT));
    for (at, value) in window.times.iter().zip(window.values).skip(1) {
        if is_better(*value, best) || best.is_nan() {
            (time, best) = (Some(at), *value);
        }
    }
    (seconds(time), best)
}

/// A time in seconds.
pub fn seconds(at_ms: Option<&i64>) -> f64 {
    at_ms.map_or(ABSENT, |at_ms| *at_ms as f64 / 1000.0)
}

/// The mean square distance from the mean.
pub fn variance(window: &Window<'_>, _: &[f64]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for value in window.values {
        count += 1.0;
        let distance = value - (mean.value + mean.rest);
        mean = mean.plus(distance / count);
        squares = squares.plus(distance * (value - (mean.value + mean.rest)));
    }
    (squares.value + squares.rest) / count
}

/// The root of the variance.
pub fn deviation(window: &Window<'_>, parameters: &[f64]) -> f64 {
    variance(window, parameters).sqrt()
}

/// The median distance from the median.
pub fn absolute_deviation(window: &Window<'_>, _: &[f64]) -> f64 {
    let mut values = window.values.to_vec();
    // A rank would leave it out: it comes before all numbers.
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = statistic::quantile(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    statistic::quantile(0.5, &mut values)
}

/// A quantile.
pub fn quantile(window: &Window<'_>, parameters: &[f64]) -> f64 {
    let [quantile, ..] = parameters else { return ABSENT };
    statistic::quantile(*quantile, &mut window.values.to_vec())
}
