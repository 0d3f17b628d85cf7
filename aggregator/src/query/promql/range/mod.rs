//! Functions of ranges: one pass over the samples of every series, a window a step.

mod moment;
mod native;
mod rate;
mod slide;
mod trend;

use super::budget::Budget;
use super::cell::{ABSENT, is_float, is_histogram, number};
use super::error::Error;
use super::evaluate::{Evaluator, on_step};
use super::grid::Grid;
use super::matrix::{Matrix, Series};
use super::note::{Notes, of_metric};
use super::window::{Floats, Ranges, Samples, Window};
use native::Scene;
use promql_parser::parser::Expr;
use slide::Slide;

/// What becomes of native histograms in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mix {
    /// They count like numbers.
    Counted,
    /// They are left out, and that is said.
    Ignored,
    /// Nothing comes of a window that has both, and that is said.
    Refused,
    /// The same, where only the last two samples matter.
    RefusedLast,
}

/// Of a window and the parameters on its step.
type Function = fn(&Window<'_>, &[f64]) -> f64;
/// Of a window with native histograms.
type NativeFunction = fn(&Window<'_>, &mut Scene<'_, '_>) -> f64;

/// A function of ranges with its numbers.
struct Kernel {
    mix: Mix,
    /// Whether the name of the metric stays.
    keeps_name: bool,
    /// What it makes of a window.
    function: Function,
    /// What it makes of a window with native histograms, if that is something else.
    native: Option<NativeFunction>,
}

fn kernel(name: &str) -> Option<Kernel> {
    use Mix::{Counted, Ignored, Refused, RefusedLast};
    let (mix, function): (Mix, Function) = match name {
        "rate" => (Refused, rate::rate),
        "increase" => (Refused, rate::increase),
        "delta" => (Refused, rate::delta),
        "irate" => (RefusedLast, rate::irate),
        "idelta" => (RefusedLast, rate::idelta),
        "changes" => (Counted, rate::changes),
        "resets" => (Counted, rate::resets),
        "deriv" => (Ignored, trend::deriv),
        "predict_linear" => (Ignored, trend::predict_linear),
        "double_exponential_smoothing" => (Ignored, trend::smooth),
        "sum_over_time" => (Refused, moment::sum),
        "avg_over_time" => (Refused, moment::mean),
        "min_over_time" => (Ignored, moment::min),
        "max_over_time" => (Ignored, moment::max),
        "stddev_over_time" => (Ignored, moment::deviation),
        "stdvar_over_time" => (Ignored, moment::variance),
        "mad_over_time" => (Ignored, moment::absolute_deviation),
        "quantile_over_time" => (Ignored, moment::quantile),
        "count_over_time" => (Counted, |window, _| window.values.len() as f64),
        "present_over_time" => (Counted, |_, _| 1.0),
        "last_over_time" => (Counted, |window, _| window.values.last().copied().unwrap_or(ABSENT)),
        "first_over_time" => (Counted, |window, _| window.values.first().copied().unwrap_or(ABSENT)),
        "ts_of_last_over_time" => (Counted, |window, _| moment::seconds(window.times.last())),
        "ts_of_first_over_time" => (Counted, |window, _| moment::seconds(window.times.first())),
        "ts_of_min_over_time" => (Ignored, moment::time_of_min),
        "ts_of_max_over_time" => (Ignored, moment::time_of_max),
        _ => return None,
    };
    let keeps_name = matches!(name, "last_over_time" | "first_over_time");
    Some(Kernel { mix, keeps_name, function, native: native_function(name) })
}

fn native_function(name: &str) -> Option<NativeFunction> {
    Some(match name {
        "rate" => native::rate,
        "increase" => native::increase,
        "delta" => native::delta,
        "irate" => native::irate,
        "idelta" => native::idelta,
        "changes" => native::changes,
        "resets" => native::resets,
        "sum_over_time" => native::sum,
        "avg_over_time" => native::mean,
        _ => return None,
    })
}

impl Evaluator<'_, '_> {
    /// The value of a function of ranges.
    pub(super) fn range_function(
        &mut self,
        expr: &Expr,
        name: &str,
        args: &[&Expr],
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let Some(kernel) = kernel(name) else { return Err(Error::Unsupported(format!("function {name}"))) };
        // A quantile comes before its range, other parameters after it.
        let range_at = usize::from(name == "quantile_over_time");
        let (mut parameters, mut ranges) = (Vec::new(), None);
        for (at, arg) in args.iter().enumerate() {
            if at == range_at {
                ranges = Some(self.eval_ranges(arg, grid)?);
            } else {
                parameters.push(self.eval_scalar(arg, grid)?);
            }
        }
        let Some(ranges) = ranges else { return Error::data(format!("{name} of nothing")) };
        self.check_parameters(expr, name, &parameters, !ranges.series.is_empty())?;
        self.budget.make(ranges.series.len(), grid.count)?;
        let place = self.query.spans().argument(expr, range_at).to_owned();
        let mut matrix = Vec::with_capacity(ranges.series.len());
        let mut room = Room { floats: Floats::default(), slide: Slide::of(name), on_this: Vec::new() };
        for samples in &ranges.series {
            self.budget.check()?;
            let metric = samples.labels.name();
            let mut scene = Scene { pool: &mut self.pool, notes: &mut self.notes, metric, place: &place };
            let of = Place { ranges: &ranges, samples, parameters: &parameters, grid };
            let (series, mixed) = kernel.apply(of, &mut room, &mut scene, self.budget)?;
            self.pay()?;
            if mixed {
                kernel.say(&mut self.notes, metric, &place);
            }
            if series.has_values() {
                if !samples.has_histograms {
                    self.doubt_counter(name, metric, &place);
                }
                matrix.push(series);
            }
        }
        Ok(matrix)
    }

    /// Says that something that is no counter by its name is treated as one.
    fn doubt_counter(&mut self, function: &str, name: &str, place: &str) {
        let is_counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
        if matches!(function, "rate" | "increase") && !name.is_empty() && !is_counter {
            let text = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket:";
            self.notes.inform(format!("{text} {name:?}"), place);
        }
    }

    fn check_parameters(
        &mut self,
        expr: &Expr,
        name: &str,
        parameters: &[Vec<f64>],
        has_series: bool,
    ) -> Result<(), Error> {
        if !has_series {
            return Ok(());
        }
        match (name, parameters) {
            ("quantile_over_time", [quantiles]) => {
                self.doubt_quantiles(expr, quantiles);
                Ok(())
            }
            ("double_exponential_smoothing", [smoothing, trend]) => {
                check_factor("smoothing", "sf", smoothing)?;
                check_factor("trend", "tf", trend)
            }
            _ => Ok(()),
        }
    }

    /// Warns of quantiles that are none; they are the first argument.
    pub(super) fn doubt_quantiles(&mut self, expr: &Expr, quantiles: &[f64]) {
        for quantile in quantiles.iter().filter(|quantile| !(0.0..=1.0).contains(*quantile)) {
            let value = super::number::text_of(*quantile);
            let place = self.query.spans().argument(expr, 0);
            self.notes.warn(format!("quantile value should be between 0 and 1, got {value}"), place);
        }
    }
}

fn check_factor(kind: &str, short: &str, values: &[f64]) -> Result<(), Error> {
    match values.iter().find(|value| !(**value > 0.0 && **value < 1.0)) {
        Some(value) => {
            Error::data(format!("invalid {kind} factor. Expected: 0 < {short} < 1, got: {value:.6}"))
        }
        None => Ok(()),
    }
}

/// What a function of ranges is applied to.
#[derive(Clone, Copy)]
struct Place<'a> {
    ranges: &'a Ranges,
    samples: &'a Samples,
    parameters: &'a [Vec<f64>],
    grid: Grid,
}

/// Room that is used for one series after the other.
struct Room {
    floats: Floats,
    slide: Option<Slide>,
    /// The parameters on one step.
    on_this: Vec<f64>,
}

/// After so many samples it is asked whether the query may go on: a series may have any number of steps.
const UNCHECKED_SAMPLES_MAX: usize = 1 << 20;

impl Kernel {
    /// The values of a series on all steps, and whether a window had both numbers and native histograms.
    fn apply(
        &self,
        place: Place<'_>,
        room: &mut Room,
        scene: &mut Scene<'_, '_>,
        budget: &Budget<'_>,
    ) -> Result<(Series, bool), Error> {
        let Place { ranges, samples, parameters, grid } = place;
        let drops_name = samples.drops_name || !self.keeps_name;
        let mut series = Series::empty(samples.labels.clone(), drops_name, grid.count);
        let Room { floats, slide, on_this } = room;
        slide.iter_mut().for_each(Slide::clear);
        let mut slide = slide.as_mut().filter(|_| !samples.has_histograms);
        let (mut unchecked, mut is_mixed) = (0, false);
        on_this.resize(parameters.len(), ABSENT);
        ranges.sweep(samples, grid, |window| {
            for (own, values) in on_this.iter_mut().zip(parameters) {
                *own = on_step(values, window.step);
            }
            let (value, mixed) = match &mut slide {
                Some(slide) => (slide.value(&window, on_this), false),
                None => self.of_window(window, on_this, floats, scene),
            };
            is_mixed |= mixed;
            if let Some(own) = series.values.get_mut(window.step) {
                *own = if is_float(value) { number(value) } else { value };
            }
            unchecked += window.values.len();
            match unchecked > UNCHECKED_SAMPLES_MAX {
                true => budget.check().map(|()| unchecked = 0),
                false => Ok(()),
            }
        })?;
        Ok((series, is_mixed))
    }

    fn of_window(
        &self,
        window: Window<'_>,
        parameters: &[f64],
        floats: &mut Floats,
        scene: &mut Scene<'_, '_>,
    ) -> (f64, bool) {
        let all = window.values.len();
        let (histograms, counted) = match self.mix {
            _ if window.histograms == 0 => (0, all),
            Mix::RefusedLast => {
                let last = window.values.iter().rev().take(2);
                (last.filter(|value| is_histogram(**value)).count(), all.min(2))
            }
            _ => (window.histograms, all),
        };
        match (self.mix, self.native) {
            _ if histograms == 0 => ((self.function)(&window, parameters), false),
            (Mix::Counted, None) => ((self.function)(&window, parameters), false),
            (Mix::Counted, Some(native)) => (native(&window, scene), false),
            (Mix::Ignored, _) if histograms == counted => (ABSENT, false),
            (Mix::Ignored, _) => ((self.function)(&floats.of(window), parameters), true),
            (_, Some(native)) if histograms == counted => (native(&window, scene), false),
            _ => (ABSENT, true),
        }
    }

    /// Says what has become of a window that had both.
    fn say(&self, notes: &mut Notes, name: &str, place: &str) {
        if self.mix == Mix::Ignored {
            let text = "ignored histograms in a range containing both floats and histograms";
            return notes.inform(of_metric(text, name), place);
        }
        notes.warn(of_metric("encountered a mix of histograms and floats", name), place);
    }
}
