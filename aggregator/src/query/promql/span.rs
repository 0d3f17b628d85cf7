//! Where calls and aggregations stand in the text, for messages; the parser does not say.
//!
//! In the text they come in the order in which a walk through the tree meets them, parents first: the n-th call
//! of a name is its n-th word that is followed by an opening parenthesis.

use super::parse::children;
use promql_parser::parser::Expr;
use std::collections::{HashMap, HashSet};

/// The start of an expression, by its address in the tree, which does not move while a query lives: boxed
/// nodes stay where they are.
#[derive(Debug, Default)]
pub struct Spans {
    /// For each call: where it starts, and where its arguments do.
    calls: HashMap<usize, (String, Vec<String>)>,
}

impl Spans {
    /// Where an argument of a call or an aggregation starts, as `line:column`.
    pub fn argument(&self, expr: &Expr, at: usize) -> &str {
        self.calls.get(&key(expr)).and_then(|(_, places)| places.get(at)).map_or("1:1", String::as_str)
    }

    /// Where a call or an aggregation starts.
    pub fn call(&self, expr: &Expr) -> &str {
        self.calls.get(&key(expr)).map_or("1:1", |(start, _)| start.as_str())
    }
}

/// The root may be moved with its query, and its parts may not: a call is known by its first part.
fn key(expr: &Expr) -> usize {
    children(expr).first().map_or(0, |first| std::ptr::from_ref(*first) as usize)
}

/// Finds all calls and aggregations.
pub fn locate(text: &str, expr: &Expr) -> Spans {
    let words = words(text);
    let (mut spans, mut used, mut open) = (Spans::default(), HashSet::new(), vec![expr]);
    while let Some(expr) = open.pop() {
        open.extend(children(expr).into_iter().rev());
        let name = match expr {
            Expr::Call(call) => call.func.name.to_owned(),
            Expr::Aggregate(aggregate) => aggregate.op.to_string(),
            _ => continue,
        };
        let found = words.iter().position(|word| word.text.eq_ignore_ascii_case(&name));
        let next = found.and_then(|from| {
            (from..words.len()).find(|at| {
                !used.contains(at)
                    && words.get(*at).is_some_and(|word| word.text.eq_ignore_ascii_case(&name))
            })
        });
        if let Some((at, word)) = next.and_then(|at| Some((at, words.get(at)?))) {
            used.insert(at);
            let places = word.arguments.iter().map(|offset| position(text, *offset)).collect();
            spans.calls.insert(key(expr), (position(text, word.start), places));
        }
    }
    spans
}

fn position(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = offset - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    format!("{line}:{column}")
}

/// A word that is called.
struct Word<'a> {
    text: &'a str,
    start: usize,
    arguments: Vec<usize>,
}

/// A parenthesis that is open.
enum Open {
    /// The arguments of this word.
    Call(usize),
    /// Something else.
    Other,
}

/// All words that are called, with where their arguments start. `sum by (a) (x)` calls `sum`.
fn words(text: &str) -> Vec<Word<'_>> {
    let (mut words, mut open): (Vec<Word<'_>>, Vec<Open>) = (Vec::new(), Vec::new());
    let (mut pending, mut is_grouping, mut starts) = (None, false, None);
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at).copied() {
        let end = token_end(text, at, byte);
        let token = text.get(at..end).unwrap_or_default();
        if !byte.is_ascii_whitespace() && byte != b'#' {
            let called = starts.take().and_then(|word: usize| words.get_mut(word));
            if let Some(word) = called.filter(|_| byte != b')') {
                word.arguments.push(at);
            }
        }
        match byte {
            b'#' => {}
            b'(' if is_grouping => {
                is_grouping = false;
                open.push(Open::Other);
            }
            b'(' => match pending.take() {
                Some((start, text)) => {
                    starts = Some(words.len());
                    open.push(Open::Call(words.len()));
                    words.push(Word { text, start, arguments: Vec::new() });
                }
                None => open.push(Open::Other),
            },
            b')' => drop(open.pop()),
            b',' => {
                if let Some(Open::Call(word)) = open.last() {
                    starts = Some(*word);
                }
            }
            _ if is_word(byte) => match token.to_ascii_lowercase().as_str() {
                "by" | "without" => is_grouping = true,
                "on" | "ignoring" | "group_left" | "group_right" | "bool" => pending = None,
                _ => pending = Some((at, token)),
            },
            _ if byte.is_ascii_whitespace() => {}
            _ => pending = None,
        }
        at = end;
    }
    words
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

/// Where the token ends that starts here.
fn token_end(text: &str, at: usize, byte: u8) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let length = match byte {
        b'#' => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        b'"' | b'\'' | b'`' => {
            let mut bytes = rest.iter().enumerate().skip(1);
            loop {
                match bytes.next() {
                    Some((_, b'\\')) if byte != b'`' => drop(bytes.next()),
                    Some((end, own)) if *own == byte => break end + 1,
                    Some(_) => {}
                    None => break rest.len(),
                }
            }
        }
        _ if is_word(byte) => rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len()),
        _ => 1,
    };
    at + length.max(1)
}

#[cfg(test)]
mod tests {
    use super::super::parse::Query;

    #[test]
    fn arguments_are_where_they_start() {
        for (text, at, expect) in [
            ("rate(x[5m])", 0, "1:6"),
            ("histogram_quantile(0.8, x)", 1, "1:25"),
            ("histogram_quantile (0.8,\n  x)", 1, "2:3"),
            ("sum by (a) (x)", 0, "1:13"),
            ("quantile without (a, b) (2, x)", 0, "1:26"),
            ("label_replace(x, \"a,(\", 'b)', `c`, \"d\")", 2, "1:25"),
        ] {
            let query = Query::parse(text).unwrap();
            assert_eq!(query.spans().argument(query.expr(), at), expect, "{text}");
        }
    }
}
