//! Selectors as Prometheus writes them: `node_load1{node="n1",cpu!~"1.*"}`.
//!
//! At read every series of a node carries four labels that no agent sends: `node`, `instance` (the same),
//! `cluster`, `zone` and `job="quorate"`.

use super::bound::{self, Excess};
use super::promql::Selection;
use crate::store::{Select, SeriesId};
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, lexer, parse};
use quorate_common::model::label::Labels;
use quorate_common::model::node::Member;
use quorate_common::model::series::SeriesSpec;
use std::borrow::Cow;

/// Longest accepted selector.
const SELECTOR_BYTES_MAX: usize = 16 * 1024;

/// The value of `job` on everything that nodes collect themselves.
pub const JOB: &str = "quorate";
/// Before the name of a label of an agent that has the name of one of these.
const EXPORTED: &str = "exported_";

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// It cannot be parsed.
    #[error("selector: {0}")]
    Parse(String),
    /// It is an expression of another kind.
    #[error("selector: a series selector is expected, such as node_load1{{node=\"n1\"}}, this is {0}")]
    Kind(&'static str),
    /// It carries an offset or a time, which here mean nothing.
    #[error("selector: offset and @ are not accepted here")]
    Modifier,
    /// It is too long.
    #[error("selector: {0} bytes, limit {SELECTOR_BYTES_MAX}")]
    Long(usize),
    /// A part of it would become too large.
    #[error("selector: {0}")]
    Excess(#[from] Excess),
}

/// A parsed selector.
#[derive(Debug, Clone)]
pub struct Selector(Selection);

impl From<Selection> for Selector {
    fn from(selection: Selection) -> Selector {
        Selector(selection)
    }
}

impl Selector {
    /// Parses a selector.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError::Long(text.len()));
        }
        // What the lexer refuses is refused in its words; what it accepts can be judged.
        lexer(text).map_err(SelectorError::Parse)?;
        bound::check(text)?;
        match parse(text).map_err(SelectorError::Parse)? {
            Expr::VectorSelector(vector) if vector.offset.is_some() || vector.at.is_some() => {
                Err(SelectorError::Modifier)
            }
            Expr::VectorSelector(vector) => Ok(Selector(Selection::of(&vector))),
            other => Err(SelectorError::Kind(kind_of(&other))),
        }
    }

    /// Whether any series of this node can match.
    pub fn matches_node(&self, member: &Member) -> bool {
        let fits =
            |matcher: &Matcher| identity(member, &matcher.name).is_none_or(|value| matcher.is_match(value));
        self.0.all(fits)
    }

    /// Whether a series of a node matches.
    pub fn matches_series(&self, member: &Member, spec: &SeriesSpec) -> bool {
        self.0.name.as_deref().is_none_or(|name| *name == *spec.metric.name)
            && self.0.all(|matcher| matcher.is_match(value_of(member, spec, &matcher.name)))
    }

    /// Whether it asks for anything: one that an empty value meets everywhere would ask for all there is.
    pub fn is_narrow(&self) -> bool {
        let Selection { name, matchers } = &self.0;
        let asks = |list: &[Matcher]| list.iter().any(|matcher| !matcher.is_match(""));
        name.is_some()
            || asks(&matchers.matchers)
            || !matchers.or_matchers.is_empty() && matchers.or_matchers.iter().all(|list| asks(list))
    }

    /// The series of a node that match, as far as a store has them.
    pub fn select(&self, store: &dyn Select, member: &Member) -> Vec<(SeriesId, SeriesSpec)> {
        let matches = |spec: &SeriesSpec| self.matches_series(member, spec);
        match self.name() {
            Some(name) => store.named(member.id, name, &matches),
            None => store.find(member.id, &matches),
        }
    }

    /// The one name that matching series have, if there is only one.
    fn name(&self) -> Option<&str> {
        let Selection { name, matchers } = &self.0;
        let is_name = |matcher: &&Matcher| matcher.name == "__name__" && matcher.op == MatchOp::Equal;
        let told = || matchers.matchers.iter().find(is_name).map(|matcher| matcher.value.as_str());
        name.as_deref().or_else(told)
    }
}

fn is_identity(name: &str) -> bool {
    matches!(name, "node" | "instance" | "cluster" | "zone" | "job")
}

/// The value of a label that comes from the node; `None` for a label that does not.
fn identity<'a>(member: &'a Member, name: &str) -> Option<&'a str> {
    match name {
        "node" | "instance" => Some(member.name.as_str()),
        "cluster" => Some(&member.cluster),
        "zone" => Some(member.zone.as_deref().unwrap_or("")),
        "job" => Some(JOB),
        _ => None,
    }
}

/// The value of a label as users see it; empty if it is absent.
fn value_of<'a>(member: &'a Member, spec: &'a SeriesSpec, name: &str) -> &'a str {
    if name == "__name__" {
        return &spec.metric.name;
    }
    let own = |name: &str| spec.labels.get(name).unwrap_or("");
    let moved = name.strip_prefix(EXPORTED).filter(|name| is_identity(name)).map_or("", own);
    identity(member, name).unwrap_or_else(|| if moved.is_empty() { own(name) } else { moved })
}

/// All labels of a series as users see them, metric name first, the rest in no order.
pub fn seen<'a>(member: &'a Member, spec: &'a SeriesSpec) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
    let own = spec.labels.iter().map(|(name, value)| {
        let is_moved = is_identity(name);
        (if is_moved { Cow::Owned(format!("{EXPORTED}{name}")) } else { Cow::Borrowed(name) }, value)
    });
    let given = ["cluster", "instance", "job", "node", "zone"].into_iter().filter_map(|name| {
        let value = identity(member, name).filter(|value| !value.is_empty())?;
        Some((Cow::Borrowed(name), value))
    });
    std::iter::once((Cow::Borrowed("__name__"), &*spec.metric.name)).chain(given).chain(own)
}

/// All labels of a series as users see them, metric name first, the rest sorted by name.
pub fn labels_of(member: &Member, spec: &SeriesSpec) -> Vec<(String, String)> {
    // The name, and five that are given.
    let mut labels = Vec::with_capacity(spec.labels.iter().len() + 6);
    labels.extend(seen(member, spec).map(|(name, value)| (name.into_owned(), value.to_owned())));
    labels.get_mut(1..).into_iter().for_each(<[_]>::sort_unstable);
    labels
}

/// The labels of a series as one text, for messages.
pub fn text_of(spec: &SeriesSpec) -> String {
    let labels: &Labels = &spec.labels;
    format!("{}{labels}", spec.metric.name)
}

fn kind_of(expr: &Expr) -> &'static str {
    match expr {
        Expr::Aggregate(_) => "an aggregation",
        Expr::Unary(_) | Expr::Binary(_) => "an operation",
        Expr::Paren(_) => "an expression in parentheses",
        Expr::Subquery(_) => "a subquery",
        Expr::NumberLiteral(_) => "a number",
        Expr::StringLiteral(_) => "a string",
        Expr::MatrixSelector(_) => "a range",
        Expr::Call(_) => "a function call",
        Expr::VectorSelector(_) => "a selector",
        Expr::Extension(_) => "an extension",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::node::{MemberRole, NodeId};
    use quorate_common::model::series::{CellForm, Metric, MetricKind};

    fn member() -> Member {
        Member {
            id: NodeId(1),
            name: "n1".parse().unwrap(),
            cluster: "default".into(),
            role: MemberRole::Voter,
            zone: Some("rack-a".into()),
            weight: 1,
            maintenance: None,
            barred: None,
        }
    }

    fn spec(labels: &[(&str, &str)]) -> SeriesSpec {
        let metric = Metric { name: "node_x".into(), kind: MetricKind::Gauge, form: CellForm::Float };
        SeriesSpec { metric, labels: Labels::new(labels.iter().copied()).unwrap() }
    }

    #[test]
    fn selects_by_name_label_and_node() {
        let series = spec(&[("cpu", "0"), ("job", "mine")]);
        for (text, expect) in [
            ("node_x", true),
            ("node_y", false),
            (r#"{__name__=~"node_.*"}"#, true),
            (r#"{__name__!="node_x",node="n1"}"#, false),
            (r#"node_x{cpu="0"}"#, true),
            (r#"node_x{cpu=~"1|2"}"#, false),
            (r#"node_x{mode=""}"#, true),
            (r#"node_x{node="n1",zone="rack-a"}"#, true),
            (r#"node_x{instance!="n1"}"#, false),
            (r#"node_x{job="quorate"}"#, true),
            (r#"node_x{cluster=~"def.+"}"#, true),
            (r#"node_x{exported_job="mine"}"#, true),
            (r#"{node="n2",cpu="0" or node="n1",cpu="1"}"#, false),
            (r#"{node="n2" or cpu="0"}"#, true),
        ] {
            let selector = Selector::parse(text).unwrap();
            let matches = selector.matches_node(&member()) && selector.matches_series(&member(), &series);
            assert_eq!(matches, expect, "{text}");
        }
    }

    #[test]
    fn knows_the_one_name_that_it_asks_for() {
        for (text, expect) in [
            (r#"node_x{cpu="0"}"#, Some("node_x")),
            (r#"{cpu="0",__name__="node_x"}"#, Some("node_x")),
            (r#"{__name__=~"node_x"}"#, None),
            (r#"{__name__="node_x" or __name__="node_y"}"#, None),
        ] {
            assert_eq!(Selector::parse(text).unwrap().name(), expect, "{text}");
        }
    }

    #[test]
    fn says_why_a_text_is_no_selector() {
        for (text, expect) in [
            ("rate(x[5m])", "this is a function call"),
            ("x[5m]", "this is a range"),
            ("x offset 5m", "offset and @ are not accepted"),
            ("1", "this is a number"),
        ] {
            let error = Selector::parse(text).unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
        }
        for text in ["", "x{", "{}", r#"x{a=~"("}"#] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_made() {
        for (text, expect) in [
            ("-".repeat(3000) + "a", "selector: 3001 bytes outside of braces and quotes, limit 2048"),
            (
                r#"{a=~".{9000}"}"#.to_owned(),
                "selector: pattern `.{9000}` takes more than 524288 bytes of memory",
            ),
        ] {
            assert_eq!(Selector::parse(&text).unwrap_err().to_string(), expect);
        }
    }

    #[test]
    fn labels_that_clash_are_kept_under_another_name() {
        let labels = labels_of(&member(), &spec(&[("cpu", "0"), ("job", "mine")]));
        let expect = [
            ("__name__", "node_x"),
            ("cluster", "default"),
            ("cpu", "0"),
            ("exported_job", "mine"),
            ("instance", "n1"),
            ("job", "quorate"),
            ("node", "n1"),
            ("zone", "rack-a"),
        ];
        assert_eq!(labels, expect.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
