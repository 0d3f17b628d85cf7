//! The ranges of a range vector: for every series, one window a step, moved over its samples in one pass.

use super::cell::is_histogram;
use super::grid::Grid;
use super::labels::LabelSet;
use super::select::View;

/// The samples of one series, none stale.
#[derive(Debug)]
pub struct Samples {
    /// Its labels.
    pub labels: LabelSet,
    /// Whether its name goes at the end of the query.
    pub drops_name: bool,
    /// Times in order, milliseconds.
    pub times: Vec<i64>,
    /// Values, native histograms among them.
    pub values: Vec<f64>,
    /// Whether native histograms are among the values.
    pub has_histograms: bool,
}

impl Samples {
    /// No samples.
    pub fn new(labels: LabelSet, drops_name: bool, capacity: usize) -> Samples {
        let (times, values) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
        Samples { labels, drops_name, times, values, has_histograms: false }
    }

    /// Adds a sample.
    pub fn push(&mut self, at_ms: i64, value: f64) {
        self.has_histograms |= is_histogram(value);
        self.times.push(at_ms);
        self.values.push(value);
    }
}

/// A range vector.
#[derive(Debug)]
pub struct Ranges {
    /// Its series.
    pub series: Vec<Samples>,
    /// Where the ranges end.
    pub view: View,
    /// How long they are.
    pub range_ms: i64,
}

/// The samples of one series in one range.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Times in order, milliseconds.
    pub times: &'a [i64],
    /// As many values.
    pub values: &'a [f64],
    /// The values of the series before the window.
    pub before: &'a [f64],
    /// How many samples of the series are before the window.
    pub from: usize,
    /// The range starts after this.
    pub start_ms: i64,
    /// The range ends here, which is in it.
    pub end_ms: i64,
    /// The step it belongs to, and its time.
    pub step: usize,
    /// The time of the step.
    pub step_at_ms: i64,
    /// How many native histograms were in the range.
    pub histograms: usize,
}

impl Window<'_> {
    /// Seconds from the first sample to the last.
    pub fn sampled_s(&self) -> f64 {
        match (self.times.first(), self.times.last()) {
            (Some(first), Some(last)) => (last - first) as f64 / 1000.0,
            _ => 0.0,
        }
    }
}

impl Ranges {
    /// Calls a function with the window of each step that has samples, until it fails.
    pub fn sweep<E>(
        &self,
        series: &Samples,
        grid: Grid,
        mut each: impl FnMut(Window<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut from, mut to) = (0, 0);
        for (step, step_at_ms) in grid.times().enumerate() {
            let end_ms = self.view.from(step_at_ms);
            let start_ms = end_ms.saturating_sub(self.range_ms);
            to += series.times.iter().skip(to).take_while(|at| **at <= end_ms).count();
            from += series.times.iter().skip(from).take_while(|at| **at <= start_ms).count();
            let (before, rest) = series.values.split_at(from.min(series.values.len()));
            let (Some(times), Some(values)) =
                (series.times.get(from..to), rest.get(..to.saturating_sub(from)))
            else {
                continue;
            };
            if !times.is_empty() {
                let histograms = match series.has_histograms {
                    true => values.iter().filter(|value| is_histogram(**value)).count(),
                    false => 0,
                };
                each(Window { times, values, before, from, start_ms, end_ms, step, step_at_ms, histograms })?;
            }
        }
        Ok(())
    }
}

/// Room for the floats of a window that has histograms too.
#[derive(Debug, Default)]
pub struct Floats {
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Floats {
    /// The window without its histograms.
    pub fn of<'a>(&'a mut self, window: Window<'a>) -> Window<'a> {
        if window.histograms == 0 {
            return window;
        }
        self.times.clear();
        self.values.clear();
        for (at, value) in window.times.iter().zip(window.values).filter(|(_, value)| !is_histogram(**value))
        {
            self.times.push(*at);
            self.values.push(*value);
        }
        Window { times: &self.times, values: &self.values, ..window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_left_open() {
        let mut samples = Samples::new(LabelSet::default(), false, 4);
        (0..4).for_each(|at| samples.push(at * 10, at as f64));
        let ranges = Ranges { series: Vec::new(), view: View { at_ms: None, offset_ms: 0 }, range_ms: 10 };
        let mut seen = Vec::new();
        let grid = Grid { start_ms: 0, step_ms: 5, count: 4 };
        let swept = ranges.sweep(&samples, grid, |window| {
            seen.push((window.step, window.values.to_vec()));
            if window.step < 4 { Ok(()) } else { Err(()) }
        });
        assert_eq!(swept, Ok(()));
        assert_eq!(ranges.sweep(&samples, grid, |_| Err("stopped")), Err("stopped"));
        assert_eq!(seen, [(0, vec![0.0]), (1, vec![0.0]), (2, vec![1.0]), (3, vec![1.0])]);
    }
}
