//! From a text to a tree that is no deeper than a thread can walk.

use super::error::Error;
use super::select::ms_of;
use super::span::{self, Spans};
use crate::query::bound;
use promql_parser::parser::{Expr, lexer, parse};

/// Longest accepted query.
const QUERY_BYTES_MAX: usize = 64 * 1024;
/// How deep an expression may nest: so many calls fit into the stack of a thread.
const DEPTH_MAX: usize = 100;

/// A query that can be evaluated.
#[derive(Debug)]
pub struct Query {
    expr: Expr,
    spans: Spans,
}

impl Query {
    /// Parses a query and judges its types. How deep the parser goes is bounded before it runs.
    pub fn parse(text: &str) -> Result<Query, Error> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(Error::Parse(format!("query of {} bytes, limit {QUERY_BYTES_MAX}", text.len())));
        }
        lexer(text).map_err(Error::Parse)?;
        if let Some((at, quoted)) = span::quoted(text).find(|(_, quoted)| has_raw_bytes(quoted)) {
            return Err(Error::Parse(match span::is_first_argument(text, "count_values", at) {
                true => format!("invalid label name {quoted}"),
                false => format!("{quoted} spells bytes beyond ASCII, which are not read as text"),
            }));
        }
        bound::check(text).map_err(|excess| Error::Parse(excess.to_string()))?;
        let expr = parse(text).map_err(Error::Parse)?;
        if depth(&expr) > DEPTH_MAX {
            return Err(Error::Parse(format!("expression nests deeper than {DEPTH_MAX}")));
        }
        let spans = span::locate(text, &expr);
        Ok(Query { expr, spans })
    }

    /// The tree.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// How much time it reads before every step, in milliseconds, where it reads the most.
    pub fn span_ms(&self) -> i64 {
        let (mut longest, mut open) = (0, vec![(&self.expr, 0_i64)]);
        while let Some((expr, outer_ms)) = open.pop() {
            let own_ms = match expr {
                Expr::MatrixSelector(selector) => ms_of(selector.range),
                Expr::Subquery(subquery) => ms_of(subquery.range),
                _ => 0,
            };
            let span_ms = outer_ms.saturating_add(own_ms);
            longest = longest.max(span_ms);
            open.extend(children(expr).into_iter().map(|child| (child, span_ms)));
        }
        longest
    }

    /// Where its calls stand in the text.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }
}

/// Whether a quoted text spells bytes, by `\xff` or `\377`, that are no characters of their own. The parser would
/// take each for the character of that number, which is another text.
fn has_raw_bytes(quoted: &str) -> bool {
    if quoted.starts_with('`') {
        return false;
    }
    let mut bytes = quoted.bytes();
    while let Some(byte) = bytes.next() {
        let escape = (byte == b'\\').then(|| bytes.next()).flatten();
        let is_raw = match escape {
            Some(b'x') => bytes.next().is_some_and(|digit| !digit.is_ascii_digit() || digit > b'7'),
            Some(digit) => matches!(digit, b'2' | b'3'),
            None => false,
        };
        if is_raw {
            return true;
        }
    }
    false
}

/// An expression without the parentheses around it.
pub fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(paren) = expr {
        expr = &paren.expr;
    }
    expr
}

/// The parts of an expression, in the order of the text.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter().map(|param| &**param).chain([&*aggregate.expr]).collect()
        }
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(|arg| &**arg).collect(),
        _ => Vec::new(),
    }
}

/// Counts levels without recursion.
fn depth(expr: &Expr) -> usize {
    let (mut deepest, mut open) = (0, vec![(expr, 1)]);
    while let Some((expr, level)) = open.pop() {
        deepest = deepest.max(level);
        open.extend(children(expr).into_iter().map(|child| (child, level + 1)));
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
        assert!(Query::parse(&nested(DEPTH_MAX - 1)).is_ok());
        let error = Query::parse(&nested(DEPTH_MAX)).unwrap_err();
        assert_eq!(error.to_string(), "expression nests deeper than 100");
        let error = Query::parse(&nested(5000)).unwrap_err();
        assert!(error.to_string().contains("limit 2048"), "{error}");
    }

    #[test]
    fn the_time_that_is_read_is_known_beforehand() {
        for (text, seconds) in [
            ("x", 0),
            ("rate(x[5m]) + rate(y[1m])", 300),
            ("max_over_time(rate(x[5m])[1h:1m])", 3900),
            ("x[1m] offset 1d", 60),
        ] {
            assert_eq!(Query::parse(text).unwrap().span_ms(), seconds * 1000, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        for (text, is_refused) in [
            (r#""\xff""#, true),
            (r#""a\377""#, true),
            (r#""\\xff""#, false),
            (r#""\x41\101""#, false),
            (r"`\xff`", false),
            (r#""\u00e9é""#, false),
        ] {
            assert_eq!(Query::parse(text).is_err(), is_refused, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_an_invalid_name() {
        let says = |text: &str| Query::parse(text).unwrap_err().to_string();
        assert_eq!(says(r#"count_values(("a\xc5z"), x)"#), r#"invalid label name "a\xc5z""#);
        assert!(says(r#"count_values("a", x{b="\xc5"})"#).contains("beyond ASCII"));
    }

    #[test]
    fn types_are_judged() {
        for text in ["", "rate(x)", "1 and 2", "sum(1)", "x > bool", "nothing(x)"] {
            assert!(matches!(Query::parse(text), Err(Error::Parse(_))), "{text}");
        }
    }
}
