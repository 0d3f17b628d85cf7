//! How much a series grows, and how often it changes.

use super::super::cell::ABSENT;
use super::super::window::Window;

/// Growth of a counter per second.
pub fn rate(window: &Window<'_>, _: &[f64]) -> f64 {
    let seconds = (window.end_ms - window.start_ms) as f64 / 1000.0;
    extrapolate(window, true, 1.0 / seconds, lost_to_resets(window.values))
}

/// Growth of a counter.
pub fn increase(window: &Window<'_>, _: &[f64]) -> f64 {
    extrapolate(window, true, 1.0, lost_to_resets(window.values))
}

/// Growth of a gauge.
pub fn delta(window: &Window<'_>, _: &[f64]) -> f64 {
    extrapolate(window, false, 1.0, 0.0)
}

/// Growth from the first sample to the last, stretched to the ends of the range, but no further than a series
/// that has samples at such distances would reach, and for a counter not below zero. `lost` is what was counted
/// before resets.
pub fn extrapolate(window: &Window<'_>, is_counter: bool, scale: f64, lost: f64) -> f64 {
    let (Some(first), Some(last)) = (window.values.first(), window.values.last()) else { return ABSENT };
    if window.values.len() < 2 {
        return ABSENT;
    }
    let growth = last - first + lost;
    growth * stretch(window, is_counter, *first, growth) * scale
}

/// By how much growth from the first sample to the last is stretched to the ends of the range.
pub fn stretch(window: &Window<'_>, is_counter: bool, first: f64, growth: f64) -> f64 {
    let (Some(first_ms), Some(last_ms)) = (window.times.first(), window.times.last()) else { return 1.0 };
    let sampled = window.sampled_s();
    let average = sampled / (window.values.len() - 1) as f64;
    let threshold = average * 1.1;
    let bounded = |gap: f64| if gap >= threshold { average / 2.0 } else { gap };
    let mut before = bounded((first_ms - window.start_ms) as f64 / 1000.0);
    if is_counter && growth > 0.0 && first >= 0.0 {
        before = before.min(sampled * (first / growth));
    }
    let after = bounded((window.end_ms - last_ms) as f64 / 1000.0);
    (sampled + before + after) / sampled
}

/// What a counter had counted before each of its resets.
fn lost_to_resets(values: &[f64]) -> f64 {
    values
        .windows(2)
        .filter_map(|pair| pair.first().zip(pair.last()))
        .fold(0.0, |lost, (before, after)| if after < before { lost + before } else { lost })
}

/// The last two samples with their distance in seconds.
fn last_two(window: &Window<'_>) -> Option<(f64, f64, f64)> {
    let at = window.values.len().checked_sub(2)?;
    let (before, after) = (window.values.get(at)?, window.values.last()?);
    let seconds = (window.times.last()? - window.times.get(at)?) as f64 / 1000.0;
    (seconds > 0.0).then_some((*before, *after, seconds))
}

/// Growth per second between the last two samples of a counter.
pub fn irate(window: &Window<'_>, _: &[f64]) -> f64 {
    let Some((before, after, seconds)) = last_two(window) else { return ABSENT };
    if after < before { after / seconds } else { (after - before) / seconds }
}

/// Growth between the last two samples.
pub fn idelta(window: &Window<'_>, _: &[f64]) -> f64 {
    last_two(window).map_or(ABSENT, |(before, after, _)| after - before)
}

/// How many pairs of values that follow each other count.
pub fn count_pairs(values: &[f64], is_counted: impl Fn(f64, f64) -> bool) -> f64 {
    let pairs = values.windows(2).filter_map(|pair| pair.first().zip(pair.last()));
    pairs.filter(|(before, after)| is_counted(**before, **after)).count() as f64
}

/// How often the value changes.
pub fn changes(window: &Window<'_>, _: &[f64]) -> f64 {
    count_pairs(window.values, is_change)
}

/// Whether a number is another than the one before.
pub fn is_change(before: f64, after: f64) -> bool {
    before != after && !(before.is_nan() && after.is_nan())
}

/// How often a counter starts anew.
pub fn resets(window: &Window<'_>, _: &[f64]) -> f64 {
    count_pairs(window.values, |before, after| after < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'a>(times: &'a [i64], values: &'a [f64]) -> Window<'a> {
        let (start_ms, end_ms) = (0, 60_000);
        let (before, from) = (&[][..], 0);
        Window { times, values, before, from, start_ms, end_ms, step: 0, step_at_ms: end_ms, histograms: 0 }
    }

    #[test]
    fn growth_is_stretched_to_ends_that_are_near() {
        let times = [10_000, 20_000, 30_000, 40_000, 50_000];
        let values = [100.0, 110.0, 120.0, 130.0, 140.0];
        assert_eq!(increase(&window(&times, &values), &[]), 60.0);
        assert_eq!(delta(&window(&times, &values), &[]), 60.0);
        // The end is three distances away: half of one is taken.
        assert_eq!(increase(&window(&times[..3], &values[..3]), &[]), 35.0);
        // The counter would have been zero five seconds before its first sample.
        assert_eq!(increase(&window(&times, &[5.0, 15.0, 25.0, 35.0, 45.0]), &[]), 55.0);
    }

    #[test]
    fn one_sample_has_no_growth() {
        assert!(super::super::super::cell::is_absent(rate(&window(&[1], &[1.0]), &[])));
        assert!(super::super::super::cell::is_absent(irate(&window(&[1], &[1.0]), &[])));
    }

    #[test]
    fn a_reset_loses_nothing() {
        let times = [15_000, 30_000, 45_000, 60_000];
        assert_eq!(lost_to_resets(&[1.0, 5.0, 2.0, 3.0]), 5.0);
        assert_eq!(irate(&window(&times, &[1.0, 5.0, 9.0, 3.0]), &[]), 0.2);
        assert_eq!(resets(&window(&times, &[1.0, 0.0, 2.0, 1.0]), &[]), 2.0);
    }
}
