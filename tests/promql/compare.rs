//! Whether an answer is the one that a case states.

use super::language::{Case, Message, When};
use super::memory::Memory;
use super::series::{self, Point};
use quorate_aggregator::query::promql::cell::is_absent;
use quorate_aggregator::query::promql::native::{Bucket, Hint};
use quorate_aggregator::query::promql::{
    Answer, Budget, Data, Error, Grid, Histograms, LabelSet, Limits, NativeHistogram, Options, Query,
    evaluate,
};
use regex::Regex;
use std::collections::BTreeSet;

/// How a case ended.
pub enum Verdict {
    Passed,
    Failed(String),
}

type Check = Result<(), String>;
/// Labels with what there is at each time.
type Found = Vec<(LabelSet, Vec<Option<Point>>)>;

pub fn judge(case: &Case, memory: &Memory) -> Verdict {
    match check(case, ask(case, memory)) {
        Ok(()) => Verdict::Passed,
        Err(why) => Verdict::Failed(why),
    }
}

fn grid_of(when: When) -> Grid {
    match when {
        When::Instant(at_ms) => Grid::instant(at_ms),
        When::Range { start_ms, end_ms, step_ms } => Grid::range(start_ms, end_ms, step_ms).unwrap(),
    }
}

fn ask(case: &Case, memory: &Memory) -> Result<Answer, Error> {
    let options = match case.when {
        When::Instant(at_ms) => Options::instant(at_ms),
        When::Range { .. } => Options::range(grid_of(case.when)),
    };
    let query = Query::parse(&case.query)?;
    evaluate(&query, memory, options, &mut Budget::new(Limits::default(), &|| None))
}

fn check(case: &Case, answer: Result<Answer, Error>) -> Check {
    let expected = &case.expected;
    match (&expected.fails, answer) {
        (Some(message), Err(error)) => match fits(message, &error.to_string()) {
            true => Ok(()),
            false => Err(format!("fails with {error}")),
        },
        (Some(_), Ok(_)) => Err("does not fail".to_owned()),
        (None, Err(error)) => Err(format!("fails: {error}")),
        (None, Ok(answer)) => {
            let (warnings, infos) = (&answer.notes.warnings, &answer.notes.infos);
            check_notes("warning", &expected.warns, expected.has_no_warning, warnings)?;
            check_notes("info", &expected.informs, expected.has_no_info, infos)?;
            check_data(case, &answer.data, &answer.histograms)
        }
    }
}

fn fits(message: &Message, text: &str) -> bool {
    match message {
        Message::Any => true,
        Message::Is(expected) => text == expected,
        Message::Matches(pattern) => Regex::new(pattern).unwrap().is_match(text),
    }
}

fn check_notes(kind: &str, expected: &[Message], has_none: bool, notes: &BTreeSet<String>) -> Check {
    if has_none && !notes.is_empty() {
        return Err(format!("unexpected {kind}: {notes:?}"));
    }
    match expected.iter().all(|message| notes.iter().any(|note| fits(message, note))) {
        true => Ok(()),
        false => Err(format!("no such {kind} among {notes:?}")),
    }
}

/// What a value of an answer stands for.
fn point(value: f64, histograms: &Histograms) -> Point {
    histograms.get(value).map_or(Point::Float(value), |own| Point::Histogram(own.clone()))
}

fn check_data(case: &Case, data: &Data, histograms: &Histograms) -> Check {
    let expected = &case.expected;
    match data {
        Data::Text(text) => match expected.text.as_ref() == Some(text) {
            true => Ok(()),
            false => Err(format!("says {text:?}")),
        },
        Data::Scalar(values) => check_scalar(case, values),
        Data::Ranges(series) => {
            let Some((start_ms, end_ms, step_ms)) = expected.ranges else {
                return Err("is a range".to_owned());
            };
            let times: Vec<i64> = (start_ms..=end_ms).step_by(step_ms as usize).collect();
            let mut found: Found = Vec::new();
            for (labels, samples) in series {
                if let Some(stray) = samples.iter().find(|sample| !times.contains(&sample.at_ms)) {
                    return Err(format!("{labels} has a sample at {}", stray.at_ms));
                }
                let at = |time: &i64| {
                    let sample = samples.iter().find(|sample| sample.at_ms == *time);
                    sample.map(|own| point(own.value, histograms))
                };
                found.push((labels.clone(), times.iter().map(at).collect()));
            }
            check_series(case, found)
        }
        Data::Vector(series) => {
            let present = |value: &f64| (!is_absent(*value)).then(|| point(*value, histograms));
            let own = series.iter().map(|own| (own.labels.clone(), own.values.iter().map(present).collect()));
            check_series(case, own.collect())
        }
    }
}

fn check_scalar(case: &Case, values: &[f64]) -> Check {
    if let [line] = case.expected.lines.as_slice()
        && let Some(expected) = series::number(line.trim_start_matches('+'))
    {
        return match values.iter().all(|value| is_close(*value, expected)) {
            true => Ok(()),
            false => Err(format!("is {values:?}")),
        };
    }
    let found = vec![(LabelSet::default(), values.iter().map(|value| Some(Point::Float(*value))).collect())];
    check_series(case, found)
}

fn check_series(case: &Case, found: Found) -> Check {
    let mut expected: Found = case.expected.lines.iter().map(|line| series::parse(line)).collect();
    let steps = found.first().map_or(0, |(_, values)| values.len());
    expected.iter_mut().for_each(|(_, values)| values.resize(steps.max(values.len()), None));
    expected.retain(|(_, values)| values.iter().any(Option::is_some));
    if expected.len() != found.len() {
        return Err(format!("{} series, expected {}: {}", found.len(), expected.len(), show(&found)));
    }
    for (at, (labels, values)) in expected.iter().enumerate() {
        let own = match case.expected.is_ordered {
            true => found.get(at).filter(|(own, _)| own == labels),
            false => found.iter().find(|(own, _)| own == labels),
        };
        let Some((_, own)) = own else { return Err(format!("no {labels} in {}", show(&found))) };
        let is_same = own.len() == values.len()
            && own.iter().zip(values).all(|(own, value)| match (own, value) {
                (Some(Point::Float(own)), Some(Point::Float(value))) => is_close(*own, *value),
                (Some(Point::Histogram(own)), Some(Point::Histogram(value))) => is_alike(own, value),
                (None, None) => true,
                _ => false,
            });
        if !is_same {
            return Err(format!("{labels} has {own:?}, expected {values:?}"));
        }
    }
    Ok(())
}

fn show(found: &Found) -> String {
    found.iter().take(6).map(|(labels, values)| format!("{labels} {values:?}; ")).collect()
}

/// Whether two numbers differ by no more than a millionth of their size.
fn is_close(own: f64, expected: f64) -> bool {
    if own.is_nan() || expected.is_nan() || own == expected {
        return own.is_nan() && expected.is_nan() || own == expected;
    }
    let (distance, sum) = ((own - expected).abs(), own.abs() + expected.abs());
    if own == 0.0 || expected == 0.0 || sum < f64::MIN_POSITIVE {
        return distance < 1e-6 * f64::MIN_POSITIVE;
    }
    distance / sum.min(f64::MAX) < 1e-6
}

/// Whether two native histograms are close in all their numbers. A hint is asked for only where one is stated.
fn is_alike(own: &NativeHistogram, expected: &NativeHistogram) -> bool {
    own.schema == expected.schema
        && own.bounds == expected.bounds
        && own.zero_threshold == expected.zero_threshold
        && is_close(own.count, expected.count)
        && is_close(own.sum, expected.sum)
        && is_close(own.zero_count, expected.zero_count)
        && are_alike(&own.positive, &expected.positive)
        && are_alike(&own.negative, &expected.negative)
        && (expected.hint == Hint::Unknown || own.hint == expected.hint)
}

/// Whether buckets are the same; those that are empty do not matter.
fn are_alike(own: &[Bucket], expected: &[Bucket]) -> bool {
    let filled = |buckets: &[Bucket]| -> Vec<Bucket> {
        buckets.iter().copied().filter(|bucket| bucket.count != 0.0).collect()
    };
    let (own, expected) = (filled(own), filled(expected));
    let mut pairs = own.iter().zip(&expected);
    own.len() == expected.len()
        && pairs.all(|(own, other)| own.index == other.index && is_close(own.count, other.count))
}
