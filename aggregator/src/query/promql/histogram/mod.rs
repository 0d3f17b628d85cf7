//! Functions of histograms: in their classic form, a counter for each bucket with its upper bound in the label
//! `le`, and native ones.

mod bucket;

use super::cell::{ABSENT, is_float, is_histogram, number};
use super::error::Error;
use super::evaluate::{Evaluator, on_step};
use super::grid::Grid;
use super::labels::{LabelSet, NAME};
use super::matrix::{Matrix, Series};
use super::native::{NativeHistogram, Pool};
use super::note::of_metric;
use super::number::text_of;
use super::parse::bare;
use bucket::Bucket;
use promql_parser::parser::Expr;
use std::collections::HashMap;

/// The label with the upper bound of a bucket.
const BOUND: &str = "le";
/// What is said where counts that fall had to be put right.
const FORCED: &str = "input to histogram_quantile needed to be fixed for monotonicity (see \
    https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";

/// One histogram: its buckets, each with its upper bound.
struct Histogram<'a> {
    labels: LabelSet,
    buckets: Vec<(f64, &'a Series)>,
    /// Native ones under the same labels, which make the classic one ambiguous.
    native: Option<&'a Series>,
}

/// What is asked of a histogram.
enum Question<'a> {
    Quantile(&'a [f64]),
    Fraction(&'a [f64], &'a [f64]),
}

impl Evaluator<'_, '_> {
    /// The value of a function of histograms.
    pub(super) fn histogram(
        &mut self,
        expr: &Expr,
        name: &str,
        args: &[&Expr],
        grid: Grid,
    ) -> Result<Matrix, Error> {
        match (name, args) {
            ("histogram_quantile", [quantile, arg]) => {
                let quantile = self.eval_scalar(quantile, grid)?;
                let matrix = self.eval_vector(arg, grid)?;
                self.doubt_quantiles(expr, &quantile);
                self.ask(expr, 1, &matrix, &Question::Quantile(&quantile), grid)
            }
            ("histogram_fraction", [lower, upper, arg]) => {
                let (lower, upper) = (self.eval_scalar(lower, grid)?, self.eval_scalar(upper, grid)?);
                let matrix = self.eval_vector(arg, grid)?;
                self.ask(expr, 2, &matrix, &Question::Fraction(&lower, &upper), grid)
            }
            ("histogram_quantiles", [arg, label, quantiles @ ..]) => {
                self.quantiles(expr, arg, label, quantiles, grid)
            }
            (_, [arg]) => {
                let Some(function) = native_function(name) else {
                    return Err(Error::Unsupported(format!("function {name}")));
                };
                let matrix = self.eval_vector(arg, grid)?;
                Ok(self.of_natives(matrix, function))
            }
            _ => Err(Error::Unsupported(format!("function {name}"))),
        }
    }

    /// Applies a function to all native histograms; of numbers there is none.
    fn of_natives(&self, mut matrix: Matrix, function: fn(&NativeHistogram) -> f64) -> Matrix {
        for series in &mut matrix {
            series.drops_name = true;
            for value in &mut series.values {
                *value = self.pool.get(*value).map_or(ABSENT, |own| number(function(&own)));
            }
        }
        matrix.retain(Series::has_values);
        matrix
    }

    fn quantiles(
        &mut self,
        expr: &Expr,
        arg: &Expr,
        label: &Expr,
        quantiles: &[&Expr],
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let Expr::StringLiteral(label) = bare(label) else {
            return Error::data("the name of a label is expected");
        };
        let matrix = self.eval_vector(arg, grid)?;
        let mut result = Matrix::new();
        for (at, quantile) in quantiles.iter().enumerate() {
            let quantile = self.eval_scalar(quantile, grid)?;
            let place = self.query.spans().argument(expr, at + 2).to_owned();
            for value in quantile.iter().filter(|value| !(0.0..=1.0).contains(*value)) {
                let text = format!("quantile value should be between 0 and 1, got {}", text_of(*value));
                self.notes.warn(text, &place);
            }
            let text = quantile.first().copied().map(label_of).unwrap_or_default();
            let mut own = self.ask(expr, 0, &matrix, &Question::Quantile(&quantile), grid)?;
            own.iter_mut().for_each(|series| series.labels.set(&label.val, &text));
            result.append(&mut own);
        }
        Ok(result)
    }

    /// Asks all histograms in a vector, on all steps. The vector is the argument with that
    /// number.
    fn ask(
        &mut self,
        expr: &Expr,
        argument: usize,
        matrix: &Matrix,
        question: &Question<'_>,
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let place = self.query.spans().argument(expr, argument).to_owned();
        let histograms = self.histograms(matrix, &place);
        self.budget.make(histograms.len(), grid.count)?;
        let (mut result, mut buckets) = (Vec::with_capacity(histograms.len()), Vec::new());
        for histogram in histograms {
            self.budget.check()?;
            let answers = histogram.ask(question, grid, &self.pool, &mut buckets);
            let name = histogram.labels.name();
            if answers.is_mixed {
                let text = "vector contains a mix of classic and native histograms";
                self.notes.warn(of_metric(text, name), &place);
            }
            if answers.is_forced {
                self.notes.inform(of_metric(FORCED, name), &place);
            }
            result.push(Series { labels: histogram.labels, drops_name: true, values: answers.values });
        }
        result.retain(Series::has_values);
        Ok(result)
    }

    /// The histograms in a vector. Series without a bound are none, and that is said.
    fn histograms<'m>(&mut self, matrix: &'m Matrix, place: &str) -> Vec<Histogram<'m>> {
        let (mut places, mut found) = (HashMap::<LabelSet, usize>::new(), Vec::<Histogram<'m>>::new());
        for series in matrix {
            let has_floats = series.values.iter().any(|value| is_float(*value));
            let has_native = series.values.iter().any(|value| is_histogram(*value));
            let bound = bound_of(series.labels.get(BOUND));
            if has_floats && bound.is_none() {
                let text = format!(
                    "bucket label \"le\" is missing or has a malformed value of {:?}",
                    series.labels.get(BOUND)
                );
                self.notes.warn(of_metric(&text, series.labels.get(NAME)), place);
            }
            let labels = if has_native { series.labels.clone() } else { series.labels.without(BOUND) };
            let at = *places.entry(labels).or_insert_with_key(|labels| {
                found.push(Histogram { labels: labels.clone(), buckets: Vec::new(), native: None });
                found.len() - 1
            });
            if let Some(histogram) = found.get_mut(at) {
                histogram.native = if has_native { Some(series) } else { histogram.native };
                histogram.buckets.extend(bound.filter(|_| has_floats).map(|bound| (bound, series)));
            }
        }
        for histogram in &mut found {
            histogram.buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        }
        found
    }
}

/// The answers on all steps.
struct Answers {
    values: Vec<f64>,
    /// Whether there were native histograms too.
    is_mixed: bool,
    /// Whether counts had to be put right.
    is_forced: bool,
}

impl Histogram<'_> {
    /// Asks on all steps; `buckets` is room for those of one.
    fn ask(
        &self,
        question: &Question<'_>,
        grid: Grid,
        pool: &Pool<'_>,
        buckets: &mut Vec<Bucket>,
    ) -> Answers {
        let mut answers = Answers { values: vec![ABSENT; grid.count], is_mixed: false, is_forced: false };
        for (step, value) in answers.values.iter_mut().enumerate() {
            buckets.clear();
            let counts = self.buckets.iter().map(|(bound, series)| (*bound, series.at(step)));
            let floats = counts.filter(|(_, count)| is_float(*count));
            buckets.extend(floats.map(|(bound, count)| Bucket { bound, count }));
            let native = self.native.map(|native| native.at(step)).filter(|native| is_histogram(*native));
            match native {
                None if buckets.is_empty() => continue,
                None => {}
                Some(_) if !buckets.is_empty() => {
                    answers.is_mixed = true;
                    continue;
                }
                Some(native) => {
                    *value = pool.get(native).map_or(ABSENT, |own| answer_natively(question, step, &own));
                    continue;
                }
            }
            let (answer, is_forced) = answer(question, step, buckets);
            *value = answer;
            answers.is_forced |= is_forced;
        }
        answers
    }
}

/// The answer on a step, and whether the buckets had to be put right for it.
fn answer(question: &Question<'_>, step: usize, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    match question {
        Question::Quantile(quantile) => bucket::quantile(on_step(quantile, step), buckets),
        Question::Fraction(lower, upper) => {
            (bucket::fraction(on_step(lower, step), on_step(upper, step), buckets), false)
        }
    }
}

fn answer_natively(question: &Question<'_>, step: usize, native: &NativeHistogram) -> f64 {
    number(match question {
        Question::Quantile(quantile) => native.quantile(on_step(quantile, step)),
        Question::Fraction(lower, upper) => native.fraction(on_step(lower, step), on_step(upper, step)),
    })
}

/// What can be asked of a native histogram without more, by the name of the function.
fn native_function(name: &str) -> Option<fn(&NativeHistogram) -> f64> {
    Some(match name {
        "histogram_count" => |own| own.count,
        "histogram_sum" => |own| own.sum,
        "histogram_avg" => |own| own.sum / own.count,
        "histogram_stddev" => |own| own.variance().sqrt(),
        "histogram_stdvar" => NativeHistogram::variance,
        _ => return None,
    })
}

/// A quantile in a label: a whole one has a point too.
fn label_of(quantile: f64) -> String {
    if quantile.is_finite() && quantile.fract() == 0.0 { format!("{quantile:.1}") } else { text_of(quantile) }
}

/// A bound as it is written in a label; `None` if that is no number.
fn bound_of(text: &str) -> Option<f64> {
    text.parse().ok()
}
