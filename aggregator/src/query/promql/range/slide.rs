//! What functions of ranges remember from one window of a series to the next, which mostly has the same samples.
//!
//! A window takes in samples at its end and lets go of some at its start: the extreme, the order and the resets of
//! its samples are kept, not found anew. What comes out is what a look at the whole window would find.

use super::super::cell::ABSENT;
use super::super::statistic;
use super::super::window::Window;
use super::{moment, rate};
use std::collections::VecDeque;

/// Something that is kept up while a window moves on.
pub enum Slide {
    /// The smallest or largest; first those that will be it when those before are gone.
    Extreme { is_better: fn(f64, f64) -> bool, has_time: bool, line: VecDeque<(i64, f64)>, seen: usize },
    /// All values in order, of the samples between two places.
    Sorted { values: Vec<f64>, from: usize, to: usize },
    /// Growth: places at which the counter has started anew, with what it had counted, of samples up to one.
    Resets { per_second: bool, lost: VecDeque<(usize, f64)>, seen: usize },
}

impl Slide {
    /// What a function keeps, by its name, if it keeps anything.
    pub fn of(name: &str) -> Option<Slide> {
        let extreme = |is_better: fn(f64, f64) -> bool, has_time| Slide::Extreme {
            is_better,
            has_time,
            line: VecDeque::new(),
            seen: 0,
        };
        Some(match name {
            "min_over_time" => extreme(|own, other| own <= other, false),
            "max_over_time" => extreme(|own, other| own >= other, false),
            "ts_of_min_over_time" => extreme(|own, other| own <= other, true),
            "ts_of_max_over_time" => extreme(|own, other| own >= other, true),
            "quantile_over_time" => Slide::Sorted { values: Vec::new(), from: 0, to: 0 },
            "rate" => Slide::Resets { per_second: true, lost: VecDeque::new(), seen: 0 },
            "increase" => Slide::Resets { per_second: false, lost: VecDeque::new(), seen: 0 },
            _ => return None,
        })
    }

    /// Forgets everything: another series follows.
    pub fn clear(&mut self) {
        match self {
            Slide::Extreme { line, seen, .. } => {
                line.clear();
                *seen = 0;
            }
            Slide::Sorted { values, from, to } => {
                values.clear();
                (*from, *to) = (0, 0);
            }
            Slide::Resets { lost, seen, .. } => {
                lost.clear();
                *seen = 0;
            }
        }
    }

    /// The value of a window, which must not start or end before the one of the last call.
    pub fn value(&mut self, window: &Window<'_>, parameters: &[f64]) -> f64 {
        match self {
            Slide::Extreme { is_better, has_time, line, seen } => {
                extreme(window, line, seen, *is_better);
                match line.front() {
                    Some((at_ms, _)) if *has_time => moment::seconds(Some(at_ms)),
                    Some((_, value)) => *value,
                    None => ABSENT,
                }
            }
            Slide::Sorted { values, from, to } => {
                sort(window, values, from, to);
                parameters.first().map_or(ABSENT, |quantile| statistic::of_sorted(*quantile, values))
            }
            Slide::Resets { per_second, lost, seen } => {
                let seconds = (window.end_ms - window.start_ms) as f64 / 1000.0;
                let scale = if *per_second { 1.0 / seconds } else { 1.0 };
                find_resets(window, lost, seen);
                rate::extrapolate(window, true, scale, lost.iter().fold(0.0, |sum, (_, lost)| sum + lost))
            }
        }
    }
}

/// Samples of a window from a place in the series on.
fn since<'a>(window: &Window<'a>, place: usize) -> impl Iterator<Item = (i64, f64)> + use<'a> {
    let skip = place.saturating_sub(window.from);
    let times = window.times.get(skip..).unwrap_or_default();
    times.iter().copied().zip(window.values.get(skip..).unwrap_or_default().iter().copied())
}

/// Lets the best of a window stand at the front. Any number is better than NaN.
fn extreme(
    window: &Window<'_>,
    line: &mut VecDeque<(i64, f64)>,
    seen: &mut usize,
    is_better: fn(f64, f64) -> bool,
) {
    while line.front().is_some_and(|(at_ms, _)| *at_ms <= window.start_ms) {
        line.pop_front();
    }
    for (at_ms, value) in since(window, *seen) {
        while line.back().is_some_and(|(_, last)| is_better(value, *last) || last.is_nan()) {
            line.pop_back();
        }
        line.push_back((at_ms, value));
    }
    *seen = window.from + window.values.len();
}

/// Keeps the values of a window in order: one by one if few have changed.
fn sort(window: &Window<'_>, values: &mut Vec<f64>, from: &mut usize, to: &mut usize) {
    let end = window.from + window.values.len();
    let (gone, come) = (window.from.saturating_sub(*from), end.saturating_sub(*to));
    if (gone + come) * 4 > window.values.len() {
        values.clear();
        values.extend_from_slice(window.values);
        values.sort_unstable_by(statistic::compare);
    } else {
        for value in window.before.iter().rev().take(gone) {
            if let Ok(at) = values.binary_search_by(|own| statistic::compare(own, value)) {
                values.remove(at);
            }
        }
        for (_, value) in since(window, *to) {
            let at = values.partition_point(|own| statistic::compare(own, &value).is_lt());
            values.insert(at, value);
        }
    }
    (*from, *to) = (window.from, end);
}

/// Finds where a counter starts anew inside of a window.
fn find_resets(window: &Window<'_>, lost: &mut VecDeque<(usize, f64)>, seen: &mut usize) {
    // From the first sample to the second is the first growth that counts.
    while lost.front().is_some_and(|(at, _)| *at <= window.from) {
        lost.pop_front();
    }
    let start = (*seen).max(window.from + 1) - window.from;
    let pairs = window.values.get(start - 1..).unwrap_or_default().windows(2);
    for (at, pair) in (window.from + start..).zip(pairs) {
        if let [before, after] = pair
            && after < before
        {
            lost.push_back((at, *before));
        }
    }
    *seen = window.from + window.values.len();
}

#[cfg(test)]
mod tests {
    use super::super::super::error::Error;
    use super::super::super::grid::Grid;
    use super::super::super::labels::LabelSet;
    use super::super::super::select::View;
    use super::super::super::window::{Ranges, Samples};
    use super::*;

    /// Values that go up and down, with some that are the same, and NaN.
    fn drawn(count: usize) -> Samples {
        let mut samples = Samples::new(LabelSet::default(), false, count);
        let mut state = 7_u64;
        for at in 0..count as i64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = (state >> 40) % 23;
            samples
                .push(at * 10 + (state >> 50) as i64 % 5, if value == 0 { f64::NAN } else { value as f64 });
        }
        samples
    }

    #[test]
    fn what_is_kept_is_what_a_look_at_the_window_finds() {
        type Whole = fn(&Window<'_>, &[f64]) -> f64;
        let functions: [(&str, Whole); 7] = [
            ("min_over_time", moment::min),
            ("max_over_time", moment::max),
            ("ts_of_min_over_time", moment::time_of_min),
            ("ts_of_max_over_time", moment::time_of_max),
            ("quantile_over_time", moment::quantile),
            ("rate", rate::rate),
            ("increase", rate::increase),
        ];
        let samples = drawn(300);
        for (name, whole) in functions {
            for (range_ms, step_ms) in
                [(1, 10), (35, 10), (100, 7), (400, 10), (400, 150), (50, 400), (3000, 1)]
            {
                let view = View { at_ms: None, offset_ms: 0 };
                let ranges = Ranges { series: Vec::new(), view, range_ms };
                let grid = Grid::range(0, 3_000, step_ms).unwrap();
                let (mut slide, mut compared) = (Slide::of(name).unwrap(), 0);
                let swept = ranges.sweep(&samples, grid, |window| -> Result<(), Error> {
                    let (own, all) = (slide.value(&window, &[0.3]), whole(&window, &[0.3]));
                    let is_same = own == all || own.is_nan() && all.is_nan();
                    assert!(is_same, "{name} [{range_ms}:{step_ms}] on {}: {own}, not {all}", window.step);
                    compared += 1;
                    Ok(())
                });
                assert!(swept.is_ok() && compared > 5);
            }
        }
    }
}
