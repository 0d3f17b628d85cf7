//! A line with a series: its labels, and its points in short.

use super::native;
use quorate_aggregator::query::promql::cell::STALE;
use quorate_aggregator::query::promql::{LabelSet, NativeHistogram};

/// What there is at a time.
#[derive(Debug, Clone)]
pub enum Point {
    Float(f64),
    Histogram(NativeHistogram),
}

/// Labels, and a point a step; `None` where there is none.
pub fn parse(line: &str) -> (LabelSet, Vec<Option<Point>>) {
    let (labels, rest) = labels(line);
    (labels, tokens(rest).iter().flat_map(|token| points(token)).collect())
}

/// A number as it stands in a script.
pub fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn labels(line: &str) -> (LabelSet, &str) {
    let end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(end);
    let mut pairs = vec![("__name__".to_owned(), name.to_owned())];
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (name, after) = word(rest);
            rest = after.trim_start();
            if let Some(after) = rest.strip_prefix('=') {
                let (value, after) = word(after.trim_start());
                pairs.push((name, value));
                rest = after.trim_start();
            } else {
                pairs.push(("__name__".to_owned(), name));
            }
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        rest = &rest[1..];
    }
    pairs.retain(|(_, value)| !value.is_empty());
    (LabelSet::new(pairs), rest)
}

/// A name, or something in quotes, and what follows.
fn word(text: &str) -> (String, &str) {
    let quote = text.chars().next().unwrap();
    if !matches!(quote, '"' | '\'' | '`') {
        let end = text.find(|c: char| !(c.is_alphanumeric() || "_:.".contains(c))).unwrap();
        return (text[..end].to_owned(), &text[end..]);
    }
    let (mut end, bytes) = (1, text.as_bytes());
    while bytes[end] != quote as u8 {
        end += if bytes[end] == b'\\' && quote != '`' { 2 } else { 1 };
    }
    (unquote(&text[..=end]), &text[end + 1..])
}

/// What a text in quotes says.
pub fn unquote(text: &str) -> String {
    let inside = &text[1..text.len() - 1];
    if text.starts_with('`') {
        return inside.to_owned();
    }
    let (mut result, mut chars) = (String::new(), inside.chars());
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => result.push('\n'),
            ('\\', Some('t')) => result.push('\t'),
            ('\\', Some('r')) => result.push('\r'),
            ('\\', Some('x')) => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16).unwrap();
                result.push(if byte.is_ascii() { byte as char } else { char::REPLACEMENT_CHARACTER });
            }
            ('\\', Some(other)) => result.push(other),
            (other, _) => result.push(other),
        }
    }
    result
}

/// Splits at spaces that are not inside a native histogram.
fn tokens(text: &str) -> Vec<String> {
    let (mut result, mut own, mut depth) = (Vec::new(), String::new(), 0_i32);
    for c in text.chars().chain([' ']) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c.is_whitespace() && depth == 0 {
            true if !own.is_empty() => result.push(std::mem::take(&mut own)),
            true => {}
            false => own.push(c),
        }
    }
    result
}

fn points(token: &str) -> Vec<Option<Point>> {
    let times = |text: &str| text.parse::<usize>().ok();
    let (base, repeat) = match token.rsplit_once('x') {
        Some((base, count)) if times(count).is_some() => (base, times(count)),
        _ => (token, None),
    };
    match base {
        "_" => return vec![None; repeat.unwrap_or(1)],
        "stale" => return vec![Some(Point::Float(STALE)); repeat.map_or(1, |repeat| repeat + 1)],
        _ => {}
    }
    let count = repeat.map_or(1, |repeat| repeat + 1);
    if let Some(text) = base.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        return histograms(text, count);
    }
    if let Some(value) = number(base) {
        return vec![Some(Point::Float(value)); count];
    }
    let split = base.rfind(['+', '-']).filter(|at| !base[..*at].ends_with(['e', 'E'])).unwrap();
    let (start, delta) = (number(&base[..split]).unwrap(), number(&base[split..]).unwrap());
    // Added up, as Prometheus does: the errors of rounding are part of the answers.
    let values = std::iter::successors(Some(start), |value| Some(value + delta));
    values.take(count).map(|value| Some(Point::Float(value))).collect()
}

/// The same histogram so often, or each with another one added to it or taken from it.
fn histograms(text: &str, count: usize) -> Vec<Option<Point>> {
    let (first, sign, step) = match (text.split_once("}}+{{"), text.split_once("}}-{{")) {
        (Some((first, step)), _) => (first, 1.0, Some(step)),
        (_, Some((first, step))) => (first, -1.0, Some(step)),
        _ => (text, 1.0, None),
    };
    let mut step = step.map(native::parse);
    step.iter_mut().for_each(|step| step.scale(sign));
    let next = |own: &NativeHistogram| {
        let mut own = own.clone();
        if let Some(step) = &step {
            own.add(step).unwrap();
        }
        Some(own)
    };
    let all = std::iter::successors(Some(native::parse(first)), next);
    all.take(count).map(|own| Some(Point::Histogram(own))).collect()
}
