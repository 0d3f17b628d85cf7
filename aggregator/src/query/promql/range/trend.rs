//! Where a series goes: lines and smoothing.

use super::super::cell::ABSENT;
use super::super::statistic::Sum;
use super::super::window::Window;

/// The slope of the line through all samples, per second.
pub fn deriv(window: &Window<'_>, _: &[f64]) -> f64 {
    match window.times.first() {
        Some(first_ms) if window.values.len() >= 2 => line(window, *first_ms).0,
        _ => ABSENT,
    }
}

/// Where that line will be so many seconds after the step.
pub fn predict_linear(window: &Window<'_>, parameters: &[f64]) -> f64 {
    let [seconds, ..] = parameters else { return ABSENT };
    if window.values.len() < 2 {
        return ABSENT;
    }
    let (slope, intercept) = line(window, window.step_at_ms);
    slope * seconds + intercept
}

/// Slope, and the value at a time.
fn line(window: &Window<'_>, at_ms: i64) -> (f64, f64) {
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    let first = window.values.first().copied().unwrap_or(f64::NAN);
    for (time_ms, value) in window.times.iter().zip(window.values) {
        let seconds = (time_ms - at_ms) as f64 / 1000.0;
        (x, y) = (x.plus(seconds), y.plus(*value));
        (xy, xx) = (xy.plus(seconds * value), xx.plus(seconds * seconds));
    }
    if window.values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let count = window.values.len() as f64;
    let (x, y, xy, xx) = (x.total(), y.total(), xy.total(), xx.total());
    let slope = (xy - x * y / count) / (xx - x * x / count);
    (slope, y / count - slope * x / count)
}

/// Exponential smoothing with a trend.
pub fn smooth(window: &Window<'_>, parameters: &[f64]) -> f64 {
    let ([smoothing, trend, ..], [first, second, ..]) = (parameters, window.values) else { return ABSENT };
    let (mut before, mut level, mut slope) = (0.0, *first, second - first);
    for (at, value) in window.values.iter().skip(1).enumerate() {
        if at > 0 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}
