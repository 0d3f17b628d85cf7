//! Walks the tree of a query, and gives it its result.

use super::budget::Budget;
use super::cell::{ABSENT, is_absent};
use super::error::Error;
use super::grid::Grid;
use super::matrix::{Matrix, Series, Value, finish};
use super::native::{Histograms, Pool};
use super::note::Notes;
use super::parse::{Query, bare};
use super::select::{View, ms_of, value_of};
use super::source::{Sample, Source, SourceSeries};
use super::window::{Ranges, Samples};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{Expr, SubqueryExpr};

/// How a query is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// On which steps.
    pub grid: Grid,
    /// Whether it is an instant query; its grid then has one step.
    pub is_instant: bool,
    /// How long a sample counts after its time; five minutes in Prometheus.
    pub lookback_ms: i64,
    /// The step of a subquery that names none.
    pub subquery_step_ms: i64,
}

impl Options {
    /// An instant query with the usual look-back.
    pub fn instant(at_ms: i64) -> Options {
        Options { is_instant: true, ..Options::range(Grid::instant(at_ms)) }
    }

    /// A range query with the usual look-back.
    pub fn range(grid: Grid) -> Options {
        Options { grid, is_instant: false, lookback_ms: 300_000, subquery_step_ms: 60_000 }
    }
}

/// What a query asked for.
#[derive(Debug)]
pub struct Answer {
    /// Its result.
    pub data: Data,
    /// Warnings and infos.
    pub notes: Notes,
    /// The native histograms that values of the result mark.
    pub histograms: Histograms,
}

/// The result of a query.
#[derive(Debug)]
pub enum Data {
    /// A number on every step.
    Scalar(Vec<f64>),
    /// A text.
    Text(String),
    /// Series with values on the steps; in the order of the result for an instant query, else by labels.
    Vector(Vec<Series>),
    /// The samples of a range; only of an instant query.
    Ranges(Vec<SourceSeries>),
}

/// What a walk through the tree needs.
pub struct Evaluator<'a, 'b> {
    pub(super) source: &'a dyn Source,
    pub(super) budget: &'a mut Budget<'b>,
    pub(super) query: &'a Query,
    pub(super) notes: Notes,
    pub(super) pool: Pool<'a>,
    options: Options,
}

/// Evaluates a query. A range query may have no more steps than [`super::STEPS_MAX`] allows.
pub fn evaluate(
    query: &Query,
    source: &dyn Source,
    options: Options,
    budget: &mut Budget<'_>,
) -> Result<Answer, Error> {
    options.grid.bounded()?;
    let pool = Pool::new(source);
    let mut evaluator = Evaluator { source, budget, query, notes: Notes::default(), pool, options };
    let data = evaluator.answer()?;
    let histograms = data.histograms(&evaluator.pool);
    Ok(Answer { data, notes: evaluator.notes, histograms })
}

impl Data {
    fn histograms(&self, pool: &Pool<'_>) -> Histograms {
        match self {
            Data::Vector(series) => {
                Histograms::of(series.iter().flat_map(|own| own.values.iter().copied()), pool)
            }
            Data::Ranges(series) => {
                Histograms::of(series.iter().flat_map(|own| own.1.iter().map(|sample| sample.value)), pool)
            }
            Data::Scalar(_) | Data::Text(_) => Histograms::default(),
        }
    }
}

impl Evaluator<'_, '_> {
    /// The steps of the whole query.
    pub(super) fn whole(&self) -> Grid {
        self.options.grid
    }

    pub(super) fn lookback_ms(&self) -> i64 {
        self.options.lookback_ms
    }

    pub(super) fn is_instant(&self) -> bool {
        self.options.is_instant
    }

    fn answer(&mut self) -> Result<Data, Error> {
        let (query, grid) = (self.query, self.options.grid);
        if query.expr().value_type() == ValueType::Matrix {
            return self.answer_ranges();
        }
        Ok(match self.eval(query.expr(), grid)? {
            Value::Scalar(values) => Data::Scalar(values),
            Value::Text(text) if self.is_instant() => Data::Text(text),
            Value::Text(_) => return unfit("string"),
            Value::Vector(matrix) => {
                let mut matrix = finish(matrix)?;
                if !self.is_instant() {
                    matrix.sort_by(|left, right| left.labels.cmp(&right.labels));
                }
                Data::Vector(matrix)
            }
        })
    }

    fn answer_ranges(&mut self) -> Result<Data, Error> {
        if !self.is_instant() {
            return unfit("range vector");
        }
        let (query, grid) = (self.query, self.options.grid);
        let ranges = self.eval_ranges(query.expr(), grid)?;
        let mut found = Vec::with_capacity(ranges.series.len());
        for series in &ranges.series {
            let labels = if series.drops_name { series.labels.ignore(&[]) } else { series.labels.clone() };
            ranges.sweep(series, grid, |window| {
                let pairs = window.times.iter().zip(window.values);
                let samples = pairs.map(|(at_ms, value)| Sample { at_ms: *at_ms, value: *value }).collect();
                found.push((labels.clone(), samples));
                Ok::<_, Error>(())
            })?;
        }
        Ok(Data::Ranges(found))
    }

    /// Pays for the native histograms that were made since this was last called.
    pub(super) fn pay(&mut self) -> Result<(), Error> {
        Ok(self.budget.take(self.pool.take_bytes())?)
    }

    /// The value of a part of the query on the steps of a grid.
    pub(super) fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Value, Error> {
        // A subquery may have any number of steps: nothing is made for them before they are paid for.
        self.budget.make(1, grid.count)?;
        match expr {
            Expr::Paren(paren) => self.eval(&paren.expr, grid),
            Expr::NumberLiteral(literal) => Ok(Value::Scalar(vec![literal.val; grid.count])),
            Expr::StringLiteral(literal) => Ok(Value::Text(literal.val.clone())),
            Expr::VectorSelector(selector) => Ok(Value::Vector(self.vector(selector, grid, value_of)?)),
            Expr::Unary(unary) => {
                let value = self.eval(&unary.expr, grid)?;
                self.negate(value)
            }
            Expr::Aggregate(aggregate) => self.aggregate(expr, aggregate, grid).map(Value::Vector),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Call(call) => self.call(expr, call, grid),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => {
                Err(Error::Unsupported("a range vector in this place".to_owned()))
            }
            Expr::Extension(_) => Err(Error::Unsupported("an extension".to_owned())),
        }
    }

    /// A part that yields series.
    pub(super) fn eval_vector(&mut self, expr: &Expr, grid: Grid) -> Result<Matrix, Error> {
        match self.eval(expr, grid)? {
            Value::Vector(matrix) => Ok(matrix),
            _ => Error::data("expected an instant vector"),
        }
    }

    /// A part that yields a number on every step.
    pub(super) fn eval_scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, Error> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            _ => Error::data("expected a scalar"),
        }
    }

    /// A part that yields ranges.
    pub(super) fn eval_ranges(&mut self, expr: &Expr, grid: Grid) -> Result<Ranges, Error> {
        match bare(expr) {
            Expr::MatrixSelector(selector) => self.ranges(selector, grid),
            Expr::Subquery(subquery) => self.subquery(subquery, grid),
            _ => Error::data("expected a range vector"),
        }
    }

    fn subquery(&mut self, subquery: &SubqueryExpr, grid: Grid) -> Result<Ranges, Error> {
        let view = View::new(subquery.at.as_ref(), subquery.offset.as_ref(), self.whole());
        let range_ms = ms_of(subquery.range);
        let step_ms = subquery.step.map_or(self.options.subquery_step_ms, ms_of);
        if step_ms <= 0 {
            return Error::data("zero or negative step in subquery");
        }
        let outer = view.at_ms.map_or(grid, Grid::instant);
        let inner = outer.within(range_ms, view.offset_ms, step_ms);
        let matrix = match inner.count {
            0 => Vec::new(),
            _ => self.eval_vector_or_scalar(&subquery.expr, inner)?,
        };
        // Times and values, beside the matrix that they are made of.
        self.budget.make(matrix.len(), inner.count)?;
        self.budget.make(matrix.len(), inner.count)?;
        let series = matrix.into_iter().map(|series| samples_of(series, inner)).collect();
        Ok(Ranges { series, view, range_ms })
    }

    fn eval_vector_or_scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Matrix, Error> {
        Ok(match self.eval(expr, grid)? {
            Value::Vector(matrix) => matrix,
            Value::Scalar(values) => vec![Series { values, ..Series::empty(Default::default(), false, 0) }],
            Value::Text(_) => return Error::data("subquery is only allowed on instant vector"),
        })
    }
}

fn samples_of(series: Series, grid: Grid) -> Samples {
    let mut samples = Samples::new(series.labels, series.drops_name, grid.count);
    for (at_ms, value) in grid.times().zip(series.values) {
        if !is_absent(value) {
            samples.push(at_ms, value);
        }
    }
    samples
}

fn unfit<T>(kind: &str) -> Result<T, Error> {
    Error::data(format!(
        "invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector"
    ))
}

/// What a scalar is where there is none.
pub const NO_SCALAR: f64 = f64::NAN;

/// The value on a step of a parameter.
pub fn on_step(values: &[f64], step: usize) -> f64 {
    values.get(step).copied().unwrap_or(ABSENT)
}

#[cfg(test)]
mod tests {
    use super::super::budget::{Limits, Overrun, Stop};
    use super::super::source::Selection;
    use super::*;

    /// One series with a sample a second, of any name.
    struct Seconds;

    impl Source for Seconds {
        fn select(
            &self,
            _: &Selection,
            from: i64,
            to: i64,
            budget: &mut Budget<'_>,
        ) -> Result<Vec<SourceSeries>, Error> {
            let times = (from.max(0)..=to.min(600_000)).filter(|at_ms| at_ms % 1000 == 0);
            let samples: Vec<_> = times.map(|at_ms| Sample { at_ms, value: at_ms as f64 / 1000.0 }).collect();
            budget.read(samples.len())?;
            Ok(vec![(super::super::LabelSet::new([("__name__", "x")]), samples)])
        }
    }

    fn ask(text: &str, limits: Limits, stop: &dyn Fn() -> Option<Stop>) -> Result<Data, Error> {
        let query = Query::parse(text)?;
        let mut budget = Budget::new(limits, stop);
        evaluate(&query, &Seconds, Options::instant(600_000), &mut budget).map(|answer| answer.data)
    }

    #[test]
    fn the_deepest_query_fits_into_a_small_stack() {
        for (before, after, levels) in
            [("abs(", ")", 98), ("-(", ")", 49), ("max_over_time(", "[1m:1m])", 49)]
        {
            let text = format!("{}x{}", before.repeat(levels), after.repeat(levels));
            let thread = std::thread::Builder::new().stack_size(1 << 20);
            let worker = thread.spawn(move || ask(&text, Limits::default(), &|| None).is_ok()).unwrap();
            assert!(worker.join().unwrap(), "{before}");
        }
    }

    #[test]
    fn steps_are_paid_for_before_they_are_made() {
        for text in ["sum_over_time(vector(1)[100y:1ms])", "sum_over_time(x[100y:1ms])"] {
            let error = ask(text, Limits::default(), &|| None).unwrap_err();
            assert!(matches!(error, Error::Overrun(Overrun::Samples(_))), "{text}: {error}");
        }
    }

    /// Some series of many names.
    struct Names;

    impl Source for Names {
        fn select(
            &self,
            _: &Selection,
            from: i64,
            to: i64,
            budget: &mut Budget<'_>,
        ) -> Result<Vec<SourceSeries>, Error> {
            budget.read(10)?;
            let at_ms = to.min(600_000).max(from);
            let series = |name: usize| {
                let labels = super::super::LabelSet::new([("__name__", format!("x{name}"))]);
                (labels, vec![Sample { at_ms, value: 1.0 }])
            };
            Ok((0..10).map(series).collect())
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        for text in [
            r#"count_over_time({__name__=~".+"}[1y:1s])"#,
            r#"count_over_time(count_over_time({__name__=~".+"}[1w:1s])[1y:1s])"#,
            r#"{__name__=~".+"} * on () group_left () sum(sum_over_time({__name__=~".+"}[100d:1s]))"#,
        ] {
            let query = Query::parse(text).unwrap();
            let mut budget = Budget::new(Limits::default(), &|| None);
            let error = evaluate(&query, &Names, Options::instant(600_000), &mut budget).unwrap_err();
            let expected =
                "query processing would load too many samples into memory in query execution, limit 50000000";
            assert_eq!(error.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_range_query_has_no_more_steps_than_it_may() {
        let ask = |end_ms| {
            let options = Options::range(Grid::range(0, end_ms, 1).unwrap());
            let mut budget = Budget::new(Limits::default(), &|| None);
            evaluate(&Query::parse("x").unwrap(), &Seconds, options, &mut budget)
        };
        assert!(ask(11_000).is_ok());
        let error = ask(11_001).unwrap_err().to_string();
        assert!(error.starts_with("exceeded maximum resolution of 11,000 points per timeseries."), "{error}");
    }

    #[test]
    fn one_long_series_can_be_stopped() {
        let query = Query::parse("sum_over_time(x[10m] @ 600)").unwrap();
        let asked = std::cell::Cell::new(0);
        let ask = |stops_at: usize, end_ms| {
            asked.set(0);
            let stop = || {
                asked.set(asked.get() + 1);
                (asked.get() >= stops_at).then_some(Stop::Cancelled)
            };
            let options = Options::range(Grid::range(0, end_ms, 1).unwrap());
            evaluate(&query, &Seconds, options, &mut Budget::new(Limits::default(), &stop)).map(drop)
        };
        ask(usize::MAX, 1).unwrap();
        let short = asked.get();
        // 600 samples on each of 11,000 steps.
        ask(usize::MAX, 10_999).unwrap();
        assert!(asked.get() >= short + 6, "{short} {}", asked.get());
        let error = ask(asked.get() - 3, 10_999).unwrap_err();
        assert_eq!(error.to_string(), "query was canceled in expression evaluation");
    }

    #[test]
    fn large_patterns_and_deep_trees_are_refused() {
        for (text, expected) in [
            (r#"x{a=~"((a{1,99}){1,99}){1,99}"}"#.to_owned(), "bytes of memory"),
            (r#"label_replace(x, "a", "$1", "b", "((a{1,99}){1,99}){1,99}")"#.to_owned(), "bytes of memory"),
            (format!("{}x{}", "abs(".repeat(101), ")".repeat(101)), "nests deeper than 100"),
            (format!("{}x", "-".repeat(60_000)), "limit 2048"),
            ("x".repeat(65 * 1024), "limit 65536"),
        ] {
            let error = ask(&text, Limits::default(), &|| None).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn limits_and_stops_end_a_query() {
        let limits = Limits { samples_max: 100, ..Limits::default() };
        let error = ask("rate(x[5m])", limits, &|| None).unwrap_err();
        assert!(matches!(error, Error::Overrun(Overrun::Samples(100))), "{error}");
        let error = ask("x", Limits::default(), &|| Some(Stop::Deadline)).unwrap_err();
        assert_eq!(error.to_string(), "query timed out in expression evaluation");
    }
}
