//! Functions of ranges that have native histograms.

use super::super::cell::{ABSENT, is_histogram};
use super::super::native::{Hint, Joined, NativeHistogram, Pool};
use super::super::note::Notes;
use super::super::window::Window;
use super::rate;
use std::sync::Arc;

/// Where histograms are, and where is said what is odd about them.
pub struct Scene<'a, 'p> {
    /// The histograms.
    pub pool: &'a mut Pool<'p>,
    /// What is said.
    pub notes: &'a mut Notes,
    /// The metric it is said of.
    pub metric: &'a str,
    /// Where the range stands in the query.
    pub place: &'a str,
}

/// A histogram with its mark: where marks are equal, it is the same sample.
type Marked = (u64, Arc<NativeHistogram>);

impl Scene<'_, '_> {
    fn all(&self, values: &[f64]) -> Option<Vec<Marked>> {
        values.iter().map(|value| Some((value.to_bits(), self.pool.get(*value)?))).collect()
    }

    /// Joins two histograms, and says what is odd. False if they cannot be joined.
    fn joined<E>(&mut self, joined: Result<Joined, E>, operation: &str) -> bool {
        match joined {
            // Resets are looked for here: that one has started anew and the other has not is no surprise.
            Ok(joined) => {
                self.notes.joined(Joined { is_collided: false, ..joined }, operation, self.place);
                true
            }
            Err(_) => {
                self.notes.incompatible(self.metric, self.place);
                false
            }
        }
    }

    /// Says that gauges are treated as counters, or counters as gauges.
    fn doubt_kind(&mut self, histograms: &[Marked], is_counter: bool) {
        let is_gauge = |own: &Marked| own.1.hint == Hint::Gauge;
        let ends = histograms.first().into_iter().chain(histograms.last());
        let (is_odd, kind) = match is_counter {
            true => (histograms.iter().any(is_gauge), "counter"),
            false => (!ends.into_iter().all(is_gauge), "gauge"),
        };
        if is_odd {
            let text = format!("this native histogram metric is not a {kind}: {:?}", self.metric);
            self.notes.warn(text, self.place);
        }
    }
}

/// Whether a counter has started anew; the same sample, seen twice, has not.
fn is_reset(before: &Marked, after: &Marked) -> bool {
    before.0 != after.0 && after.1.is_reset_after(&before.1)
}

/// Growth of a counter per second.
pub fn rate(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    let seconds = (window.end_ms - window.start_ms) as f64 / 1000.0;
    extrapolate(window, scene, true, 1.0 / seconds)
}

/// Growth of a counter.
pub fn increase(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    extrapolate(window, scene, true, 1.0)
}

/// Growth of a gauge.
pub fn delta(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    extrapolate(window, scene, false, 1.0)
}

fn extrapolate(window: &Window<'_>, scene: &mut Scene<'_, '_>, is_counter: bool, scale: f64) -> f64 {
    let Some(all) = scene.all(window.values).filter(|all| all.len() > 1) else { return ABSENT };
    scene.doubt_kind(&all, is_counter);
    let first_count = all.first().map_or(0.0, |(_, first)| first.count);
    let Some(mut grown) = growth(&all, scene, is_counter) else { return ABSENT };
    grown.scale(rate::stretch(window, is_counter, first_count, grown.count) * scale);
    grown.hint = Hint::Gauge;
    scene.pool.put(grown)
}

/// From the first to the last, with what was counted before each reset.
fn growth(all: &[Marked], scene: &mut Scene<'_, '_>, is_counter: bool) -> Option<NativeHistogram> {
    let ([first, second, ..], Some((_, last))) = (all, all.last()) else { return None };
    let mut before = first.clone();
    if is_counter && is_reset(first, second) {
        before = (first.0, Arc::new(second.1.emptied()));
    }
    let mut grown = NativeHistogram::clone(last);
    let subtracted = grown.subtract(&before.1);
    if !scene.joined(subtracted, "subtraction") {
        return None;
    }
    for after in all.iter().skip(1).filter(|_| is_counter) {
        if is_reset(&before, after) {
            let added = grown.add(&before.1);
            if !scene.joined(added, "addition") {
                return None;
            }
        }
        before = after.clone();
    }
    Some(grown)
}

/// Growth per second between the last two samples of a counter.
pub fn irate(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    between_last(window, scene, true)
}

/// Growth between the last two samples.
pub fn idelta(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    between_last(window, scene, false)
}

fn between_last(window: &Window<'_>, scene: &mut Scene<'_, '_>, is_rate: bool) -> f64 {
    let last_two = |len: usize| len.saturating_sub(2)..len;
    let values = window.values.get(last_two(window.values.len())).unwrap_or_default();
    let all = scene.all(values).unwrap_or_default();
    let ([before, after], Some([from_ms, to_ms])) =
        (all.as_slice(), window.times.get(last_two(window.times.len())))
    else {
        return ABSENT;
    };
    scene.doubt_kind(&all, is_rate);
    let mut grown = NativeHistogram::clone(&after.1);
    if !(is_rate && is_reset(before, after)) {
        let subtracted = grown.subtract(&before.1);
        if !scene.joined(subtracted, "subtraction") {
            return ABSENT;
        }
    }
    if is_rate {
        grown.divide((to_ms - from_ms) as f64 / 1000.0);
    }
    grown.hint = Hint::Gauge;
    scene.pool.put(grown)
}

/// The sum.
pub fn sum(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    total(window, scene).map_or(ABSENT, |total| scene.pool.put(total))
}

/// The mean.
pub fn mean(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    let Some(mut total) = total(window, scene) else { return ABSENT };
    total.divide(window.values.len() as f64);
    scene.pool.put(total)
}

fn total(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> Option<NativeHistogram> {
    let all = scene.all(window.values)?;
    let (first, rest) = all.split_first()?;
    let mut total = NativeHistogram::clone(&first.1);
    for (_, own) in rest {
        let added = total.add(own);
        if let Ok(Joined { is_collided: true, .. }) = added {
            scene.notes.joined(
                Joined { is_collided: true, is_reconciled: false },
                "aggregation",
                scene.place,
            );
        }
        if !scene.joined(added, "aggregation") {
            return None;
        }
    }
    Some(total)
}

/// How often the value changes; from a number to a histogram it does.
pub fn changes(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    rate::count_pairs(window.values, |before, after| match (is_histogram(before), is_histogram(after)) {
        (false, false) => rate::is_change(before, after),
        (true, true) => !scene.pool.is_same(before, after),
        _ => true,
    })
}

/// How often a counter starts anew; from a number to a histogram it does.
pub fn resets(window: &Window<'_>, scene: &mut Scene<'_, '_>) -> f64 {
    rate::count_pairs(window.values, |before, after| match (is_histogram(before), is_histogram(after)) {
        (false, false) => after < before,
        (true, true) => match scene.all(&[before, after]).as_deref() {
            Some([before, after]) => is_reset(before, after),
            _ => false,
        },
        _ => true,
    })
}
