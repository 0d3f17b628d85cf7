//! Operators between two vectors: every series of one side is joined with its counterpart of the other.
//!
//! Counterparts are found once for all steps. Which of several is there may change from step to step; two at once
//! is an error, in the words of Prometheus.

use super::super::cell::ABSENT;
use super::super::error::Error;
use super::super::evaluate::Evaluator;
use super::super::grid::Grid;
use super::super::labels::{LabelSet, NAME};
use super::super::matrix::{Matrix, Series};
use super::operator::{Natives, Operator, Outcome};
use super::{is_present, kind_of};
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};
use std::collections::HashMap;

/// What tells the counterparts of a series.
pub fn signature(labels: &LabelSet, binary: &BinaryExpr) -> LabelSet {
    match binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()) {
        Some(LabelModifier::Include(names)) => labels.keep(&names.labels),
        Some(LabelModifier::Exclude(names)) => labels.ignore(&names.labels),
        None => labels.ignore(&[]),
    }
}

/// A join under way.
struct Join<'a, 'p> {
    binary: &'a BinaryExpr,
    natives: Natives<'a, 'p>,
    operator: Operator,
    /// The side with one series a group is the left one.
    is_swapped: bool,
    /// Labels taken from the side with one; none if both have one.
    include: Option<&'a [String]>,
    /// By labels, where the result is.
    places: HashMap<(LabelSet, bool), usize>,
    result: Matrix,
    /// Kinds of values that did not fit.
    misfit: Option<(&'static str, &'static str)>,
}

/// The series of the side with one that have the same signature.
#[derive(Default)]
struct Counterparts<'a> {
    series: Vec<&'a Series>,
    /// On which steps one has been used; only kept where it may be used once.
    used: Vec<bool>,
}

impl Evaluator<'_, '_> {
    /// The value of an operator between two vectors.
    pub(super) fn join(
        &mut self,
        binary: &BinaryExpr,
        operator: Operator,
        left: Matrix,
        right: Matrix,
        grid: Grid,
    ) -> Result<Matrix, Error> {
        let card = binary.modifier.as_ref().map(|modifier: &BinModifier| &modifier.card);
        let (is_swapped, include) = match card {
            Some(VectorMatchCardinality::ManyToOne(labels)) => (false, Some(labels.labels.as_slice())),
            Some(VectorMatchCardinality::OneToMany(labels)) => (true, Some(labels.labels.as_slice())),
            _ => (false, None),
        };
        if binary.modifier.as_ref().is_some_and(|modifier| modifier.fill_values != Default::default()) {
            return Err(Error::Unsupported("fill".to_owned()));
        }
        let (many, one) = if is_swapped { (right, left) } else { (left, right) };
        self.budget.make(many.len(), grid.count)?;
        let mut groups: HashMap<LabelSet, Counterparts<'_>> = HashMap::with_capacity(one.len());
        for series in &one {
            groups.entry(signature(&series.labels, binary)).or_default().series.push(series);
        }
        check_unique(&groups, &many, grid, is_swapped)?;
        let (places, result) = (HashMap::new(), Vec::with_capacity(many.len()));
        let natives = Natives::new(&mut self.pool);
        let mut join = Join { binary, natives, operator, is_swapped, include, places, result, misfit: None };
        for series in &many {
            self.budget.check()?;
            if let Some(counterparts) = groups.get_mut(&signature(&series.labels, binary)) {
                join.add(series, counterparts, grid)?;
                self.budget.take(join.natives.pool.take_bytes())?;
            }
        }
        let Join { mut result, misfit, natives: Natives { joined, is_incompatible, .. }, .. } = join;
        if let Some((left, right)) = misfit {
            self.misfit(binary, left, right);
        }
        self.say_joined(binary, joined, is_incompatible);
        result.retain(Series::has_values);
        Ok(result)
    }
}

/// On no step that has anything to join there may be two counterparts.
fn check_unique(
    groups: &HashMap<LabelSet, Counterparts<'_>>,
    many: &Matrix,
    grid: Grid,
    is_swapped: bool,
) -> Result<(), Error> {
    for (signature, group) in groups.iter().filter(|(_, group)| group.series.len() > 1) {
        for step in 0..grid.count {
            let mut present = group.series.iter().filter(|series| is_present(series.at(step)));
            if let (Some(first), Some(second)) = (present.next(), present.next())
                && many.iter().any(|series| is_present(series.at(step)))
            {
                let side = if is_swapped { "left" } else { "right" };
                return Error::data(format!(
                    "found duplicate series for the match group {signature} on the {side} hand-side of the \
                     operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on \
                     one side",
                    first.labels, second.labels
                ));
            }
        }
    }
    Ok(())
}

impl Join<'_, '_> {
    fn add(&mut self, series: &Series, counterparts: &mut Counterparts<'_>, grid: Grid) -> Result<(), Error> {
        let Counterparts { series: others, used } = counterparts;
        if self.include.is_none() && used.is_empty() {
            used.resize(grid.count, false);
        }
        for other in others.iter() {
            let place = self.place(series, other, grid);
            for step in 0..grid.count {
                let (own, one) = (series.at(step), other.at(step));
                let (left, right) = if self.is_swapped { (one, own) } else { (own, one) };
                let outcome = self.operator.apply(left, right, &mut self.natives);
                if outcome == Outcome::Misfit {
                    self.misfit = Some((kind_of(left), kind_of(right)));
                }
                let is_once = self.include.is_none() && is_present(own) && is_present(one);
                if let Some(used) = used.get_mut(step).filter(|_| is_once)
                    && std::mem::replace(used, true)
                {
                    return Error::data(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                    );
                }
                if !matches!(outcome, Outcome::Nothing | Outcome::Misfit) {
                    self.put(place, step, outcome.value(left))?;
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, place: usize, step: usize, value: f64) -> Result<(), Error> {
        let Some(own) = self.result.get_mut(place).and_then(|series| series.values.get_mut(step)) else {
            return Ok(());
        };
        if is_present(*own) && self.include.is_some() {
            return Error::data("multiple matches for labels: grouping labels must ensure unique matches");
        }
        *own = value;
        Ok(())
    }

    /// Where the result of two series goes.
    fn place(&mut self, series: &Series, other: &Series, grid: Grid) -> usize {
        let labels = self.labels(&series.labels, &other.labels);
        // A test drops the name at the end; arithmetic has dropped it in the labels.
        let drops_name = matches!(self.operator, Operator::Test(_)) || series.drops_name;
        let result = &mut self.result;
        *self.places.entry((labels, drops_name)).or_insert_with_key(|(labels, drops_name)| {
            result.push(Series {
                labels: labels.clone(),
                drops_name: *drops_name,
                values: vec![ABSENT; grid.count],
            });
            result.len() - 1
        })
    }

    fn labels(&self, many: &LabelSet, one: &LabelSet) -> LabelSet {
        let is_arithmetic = matches!(self.operator, Operator::Arithmetic(..));
        let mut labels = if is_arithmetic { many.without(NAME) } else { many.clone() };
        let Some(include) = self.include else {
            return match self.binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref()) {
                Some(LabelModifier::Include(names)) => labels.keep(&names.labels),
                Some(LabelModifier::Exclude(names)) => {
                    names.labels.iter().for_each(|name| labels.set(name, ""));
                    labels
                }
                None => labels,
            };
        };
        include.iter().for_each(|name| labels.set(name, one.get(name)));
        labels
    }
}
