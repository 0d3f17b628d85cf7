//! Aggregations: series in groups, told apart once by their labels, and one result a group and step.

mod choose;
mod count;
mod fold;
mod native;

use super::cell::{ABSENT, is_absent, is_float, is_histogram};
use super::error::Error;
use super::evaluate::{Evaluator, on_step};
use super::grid::Grid;
use super::labels::{LabelSet, NAME};
use super::matrix::{Matrix, Series};
use super::statistic;
use fold::{Count, Deviation, Fold, Group as Any, Max, Mean, Min, Total, Variance};
use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_LIMIT_RATIO, T_LIMITK, T_MAX, T_MIN, T_QUANTILE,
    T_STDDEV, T_STDVAR, T_SUM, T_TOPK,
};
use promql_parser::parser::{AggregateExpr, Expr, LabelModifier};
use std::collections::HashMap;

/// Series that are aggregated into one.
struct Group {
    labels: LabelSet,
    drops_name: bool,
    /// Places in the matrix.
    members: Vec<usize>,
}

/// What becomes of native histograms.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mix {
    Counted,
    Ignored,
    Refused,
}

impl Evaluator<'_, '_> {
    /// The value of an aggregation.
    pub(super) fn aggregate(
        &mut self,
        expr: &Expr,
        aggregate: &AggregateExpr,
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let matrix = self.eval_vector(&aggregate.expr, grid)?;
        let groups = group(&matrix, aggregate.modifier.as_ref());
        self.budget.make(groups.len(), grid.count)?;
        let op = aggregate.op.id();
        let parameter = |own: &mut Self| match aggregate.param.as_deref() {
            Some(param) => own.eval_scalar(param, grid),
            None => Error::data("aggregation without its parameter"),
        };
        match op {
            T_COUNT_VALUES => self.count_values(aggregate, &matrix, &groups, grid),
            T_TOPK | T_BOTTOMK | T_LIMITK | T_LIMIT_RATIO => {
                let parameter = parameter(self)?;
                self.choose(expr, op, &parameter, matrix, &groups)
            }
            T_QUANTILE => {
                let parameter = parameter(self)?;
                if !matrix.is_empty() {
                    self.doubt_quantiles(expr, &parameter);
                }
                self.each_group(expr, &matrix, groups, Mix::Ignored, "quantile", |members| {
                    quantiles(members, &parameter, grid)
                })
            }
            _ => self.fold(expr, op, &matrix, groups, grid),
        }
    }

    fn fold(
        &mut self,
        expr: &Expr,
        op: u16,
        matrix: &Matrix,
        groups: Vec<Group>,
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let steps = grid.count;
        match op {
            T_SUM => self.each_group(expr, matrix, groups, Mix::Refused, "sum", |m| fold::<Total>(m, steps)),
            T_AVG => self.each_group(expr, matrix, groups, Mix::Refused, "avg", |m| fold::<Mean>(m, steps)),
            T_MIN => self.each_group(expr, matrix, groups, Mix::Ignored, "min", |m| fold::<Min>(m, steps)),
            T_MAX => self.each_group(expr, matrix, groups, Mix::Ignored, "max", |m| fold::<Max>(m, steps)),
            T_COUNT => {
                self.each_group(expr, matrix, groups, Mix::Counted, "count", |m| fold::<Count>(m, steps))
            }
            T_GROUP => {
                self.each_group(expr, matrix, groups, Mix::Counted, "group", |m| fold::<Any>(m, steps))
            }
            T_STDDEV => {
                self.each_group(expr, matrix, groups, Mix::Ignored, "stddev", |m| fold::<Deviation>(m, steps))
            }
            T_STDVAR => {
                self.each_group(expr, matrix, groups, Mix::Ignored, "stdvar", |m| fold::<Variance>(m, steps))
            }
            _ => Err(Error::Unsupported("this aggregation".to_owned())),
        }
    }

    /// One series a group, by a function of its members.
    fn each_group(
        &mut self,
        expr: &Expr,
        matrix: &Matrix,
        groups: Vec<Group>,
        mix: Mix,
        name: &str,
        function: impl Fn(&[&Series]) -> Vec<f64>,
    ) -> Result<Matrix, Error> {
        let mut result = Vec::with_capacity(groups.len());
        for group in groups {
            self.budget.check()?;
            let members: Vec<&Series> = group.members.iter().filter_map(|at| matrix.get(*at)).collect();
            let mut values = function(&members);
            if mix != Mix::Counted && members.iter().any(|series| has_histograms(series)) {
                self.doubt_mix(expr, &members, mix, name, &mut values);
            }
            values
                .iter_mut()
                .filter(|value| is_float(**value))
                .for_each(|value| *value = super::cell::number(*value));
            result.push(Series { labels: group.labels, drops_name: group.drops_name, values });
            self.pay()?;
        }
        Ok(result)
    }

    fn doubt_mix(&mut self, expr: &Expr, members: &[&Series], mix: Mix, name: &str, values: &mut [f64]) {
        let arguments = usize::from(name == "quantile");
        let place = self.query.spans().argument(expr, arguments).to_owned();
        for (step, value) in values.iter_mut().enumerate() {
            if !members.iter().any(|series| is_histogram(series.at(step))) {
                continue;
            }
            if mix == Mix::Ignored {
                self.ignored(name, &place);
            } else if is_absent(*value) {
                *value = self.add_up(members, step, name == "avg", &place);
            } else {
                self.notes.warn("encountered a mix of histograms and floats for aggregation", &place);
                *value = ABSENT;
            }
        }
    }

    /// Says that an aggregation has left native histograms out.
    fn ignored(&mut self, name: &str, place: &str) {
        self.notes.inform(format!("ignored histogram in {name} aggregation"), place);
    }
}

fn has_histograms(series: &Series) -> bool {
    series.values.iter().any(|value| is_histogram(*value))
}

fn fold<F: Fold>(members: &[&Series], steps: usize) -> Vec<f64> {
    let mut states: Vec<Option<F>> = vec![None; steps];
    for series in members {
        for (state, value) in states.iter_mut().zip(&series.values) {
            if is_float(*value) || F::COUNTS_HISTOGRAMS && is_histogram(*value) {
                match state {
                    Some(state) => state.push(*value),
                    None => *state = Some(F::first(*value)),
                }
            }
        }
    }
    states.into_iter().map(|state| state.map_or(ABSENT, |state| state.value())).collect()
}

fn quantiles(members: &[&Series], parameter: &[f64], grid: Grid) -> Vec<f64> {
    let mut floats = Vec::with_capacity(members.len());
    let each = |step| {
        floats.clear();
        floats.extend(members.iter().map(|series| series.at(step)).filter(|value| is_float(*value)));
        if floats.is_empty() { ABSENT } else { statistic::quantile(on_step(parameter, step), &mut floats) }
    };
    (0..grid.count).map(each).collect()
}

/// The labels of the group that a series belongs to.
fn labels_of(labels: &LabelSet, modifier: Option<&LabelModifier>) -> LabelSet {
    match modifier {
        Some(LabelModifier::Include(names)) => labels.keep(&names.labels),
        Some(LabelModifier::Exclude(names)) => labels.ignore(&names.labels),
        None => LabelSet::default(),
    }
}

fn group(matrix: &Matrix, modifier: Option<&LabelModifier>) -> Vec<Group> {
    let mut places: HashMap<LabelSet, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, series) in matrix.iter().enumerate() {
        let labels = labels_of(&series.labels, modifier);
        let drops_name = series.drops_name && !labels.get(NAME).is_empty();
        let place = *places.entry(labels).or_insert_with_key(|labels| {
            groups.push(Group { labels: labels.clone(), drops_name: false, members: Vec::new() });
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.members.push(at);
            group.drops_name |= drops_name;
        }
    }
    groups
}
