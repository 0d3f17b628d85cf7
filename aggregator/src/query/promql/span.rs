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
                !used.contains(at) && words.get(*at).is_some_and(|word| word.text.eq_ignore_ascii_case(&name))
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
    /// Names of labels.
    Labels,
    /// Something else.
    Other,
}

/// All words that are called, with where their arguments start. `sum by (a) (x)` calls `sum`.
fn words(text: &str) -> Vec<Word<'_>> {
    let (mut scan, mut at) = (Scan::default(), 0);
    while let Some(byte) = text.as_bytes().get(at).copied() {
        let end = token_end(text, at, byte);
        if !byte.is_ascii_whitespace() && byte != b'#' {
            scan.take(byte, at, text.get(at..end).unwrap_or_default());
        }
        at = end;
    }
    scan.words
}

/// Where the search for words is.
#[derive(Default)]
struct Scan<'a> {
    words: Vec<Word<'a>>,
    open: Vec<Open>,
    /// A word that is called if a parenthesis follows.
    pending: Option<(usize, &'a str)>,
    /// Whether labels in parentheses may follow.
    is_grouping: bool,
    /// The word whose next argument starts with the next token.
    starts: Option<usize>,
}

impl<'a> Scan<'a> {
    fn take(&mut self, byte: u8, at: usize, token: &'a str) {
        let called = self.starts.take().and_then(|word| self.words.get_mut(word));
        if let Some(word) = called.filter(|_| byte != b')') {
            word.arguments.push(at);
        }
        match (byte, self.open.last()) {
            (b'(', _) => self.open(),
            (b')', _) => drop(self.open.pop()),
            (_, Some(Open::Labels)) => {}
            (b',', Some(Open::Call(word))) => self.starts = Some(*word),
            _ if is_word(byte) => self.word(at, token),
            _ => self.pending = None,
        }
    }

    fn word(&mut self, at: usize, token: &'a str) {
        match token.to_ascii_lowercase().as_str() {
            "by" | "without" => self.is_grouping = true,
            "on" | "ignoring" | "group_left" | "group_right" => {
                (self.pending, self.is_grouping) = (None, true)
            }
            _ => self.pending = Some((at, token)),
        }
    }

    fn open(&mut self) {
        let kind = match (std::mem::take(&mut self.is_grouping), self.pending.take()) {
            (true, pending) => {
                self.pending = pending;
                Open::Labels
            }
            (false, Some((start, text))) => {
                self.words.push(Word { text, start, arguments: Vec::new() });
                let word = self.words.len() - 1;
                self.starts = Some(word);
                Open::Call(word)
            }
            (false, None) => Open::Other,
        };
        self.open.push(kind);
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

/// Whether the token at an offset is the first argument of a call of some name, maybe in parentheses.
pub fn is_first_argument(text: &str, name: &str, at: usize) -> bool {
    words(text).iter().filter(|word| word.text.eq_ignore_ascii_case(name)).any(|word| {
        let before = word.arguments.first().and_then(|start| text.get(*start..at));
        before.is_some_and(|before| before.chars().all(|c| c == '(' || c.is_whitespace()))
    })
}

/// All quoted texts, with their quotes and where they are.
pub fn quoted(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    let tokens = std::iter::from_fn(move || {
        let byte = text.as_bytes().get(at).copied()?;
        let end = token_end(text, at, byte);
        let start = std::mem::replace(&mut at, end);
        Some((start, text.get(start..at).unwrap_or_default()))
    });
    tokens.filter(|(_, token)| token.starts_with(['"', '\'', '`']))
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
