//! The tree of a query in JSON. It is no deeper than a query may nest.

use super::value::text_of;
use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Call, Expr, LabelModifier, Offset, SubqueryExpr,
    VectorMatchCardinality, VectorSelector,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// An expression as an object.
pub fn tree_of(expr: &Expr) -> Value {
    match expr {
        Expr::Aggregate(aggregate) => of_aggregate(aggregate),
        Expr::Unary(unary) => json!({"type": "unaryExpr", "op": "-", "expr": tree_of(&unary.expr)}),
        Expr::Binary(binary) => of_binary(binary),
        Expr::Paren(paren) => json!({"type": "parenExpr", "expr": tree_of(&paren.expr)}),
        Expr::Subquery(subquery) => of_subquery(subquery),
        Expr::NumberLiteral(literal) => json!({"type": "numberLiteral", "val": text_of(literal.val)}),
        Expr::StringLiteral(literal) => json!({"type": "stringLiteral", "val": literal.val}),
        Expr::VectorSelector(selector) => of_selector("vectorSelector", selector),
        Expr::MatrixSelector(selector) => {
            let mut object = of_selector("matrixSelector", &selector.vs);
            object["range"] = json!(ms(selector.range));
            object
        }
        Expr::Call(call) => of_call(call),
        Expr::Extension(extension) => json!({"type": "extension", "name": extension.expr.name()}),
    }
}

fn of_aggregate(aggregate: &AggregateExpr) -> Value {
    let (grouping, is_without) = match &aggregate.modifier {
        Some(LabelModifier::Include(labels)) => (labels.labels.clone(), false),
        Some(LabelModifier::Exclude(labels)) => (labels.labels.clone(), true),
        None => (Vec::new(), false),
    };
    json!({
        "type": "aggregation",
        "op": aggregate.op.to_string(),
        "expr": tree_of(&aggregate.expr),
        "param": aggregate.param.as_ref().map(|param| tree_of(param)),
        "grouping": grouping,
        "without": is_without,
    })
}

fn of_binary(binary: &BinaryExpr) -> Value {
    let modifier = binary.modifier.as_ref();
    let is_between_vectors =
        [&binary.lhs, &binary.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
    json!({
        "type": "binaryExpr",
        "op": binary.op.to_string(),
        "lhs": tree_of(&binary.lhs),
        "rhs": tree_of(&binary.rhs),
        "matching": is_between_vectors.then(|| of_matching(binary)),
        "bool": modifier.is_some_and(|modifier| modifier.return_bool),
    })
}

fn of_matching(binary: &BinaryExpr) -> Value {
    let modifier = binary.modifier.as_ref();
    let (card, include) = match modifier.map(|modifier| &modifier.card) {
        None | Some(VectorMatchCardinality::OneToOne) => ("one-to-one", Vec::new()),
        Some(VectorMatchCardinality::ManyToOne(labels)) => ("many-to-one", labels.labels.clone()),
        Some(VectorMatchCardinality::OneToMany(labels)) => ("one-to-many", labels.labels.clone()),
        Some(VectorMatchCardinality::ManyToMany) => ("many-to-many", Vec::new()),
    };
    let (labels, is_on) = match modifier.and_then(|modifier| modifier.matching.as_ref()) {
        Some(LabelModifier::Include(labels)) => (labels.labels.clone(), true),
        Some(LabelModifier::Exclude(labels)) => (labels.labels.clone(), false),
        None => (Vec::new(), false),
    };
    json!({"card": card, "labels": labels, "on": is_on, "include": include})
}

fn of_subquery(subquery: &SubqueryExpr) -> Value {
    let (timestamp, end) = of_at(subquery.at.as_ref());
    json!({
        "type": "subquery",
        "expr": tree_of(&subquery.expr),
        "range": ms(subquery.range),
        "offset": of_offset(subquery.offset.as_ref()),
        "step": subquery.step.map_or(0, ms),
        "timestamp": timestamp,
        "startOrEnd": end,
    })
}

fn of_selector(kind: &str, selector: &VectorSelector) -> Value {
    let (timestamp, end) = of_at(selector.at.as_ref());
    json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": of_offset(selector.offset.as_ref()),
        "matchers": of_matchers(selector.name.as_deref(), &selector.matchers),
        "timestamp": timestamp,
        "startOrEnd": end,
    })
}

fn of_matchers(name: Option<&str>, matchers: &Matchers) -> Vec<Value> {
    let one = |name: &str, value: &str, kind| json!({"name": name, "value": value, "type": kind});
    let own = matchers.matchers.iter().map(|matcher| {
        let kind = match matcher.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Re(_) => "=~",
            MatchOp::NotRe(_) => "!~",
        };
        one(&matcher.name, &matcher.value, kind)
    });
    own.chain(name.map(|name| one("__name__", name, "="))).collect()
}

fn of_call(call: &Call) -> Value {
    let arguments: Vec<Value> = call.args.args.iter().map(|argument| tree_of(argument)).collect();
    let kinds: Vec<&str> = call.func.arg_types.iter().map(kind_of).collect();
    json!({
        "type": "call",
        "func": {
            "name": call.func.name,
            "argTypes": kinds,
            "variadic": call.func.variadic,
            "returnType": kind_of(&call.func.return_type),
        },
        "args": arguments,
    })
}

fn kind_of(kind: &ValueType) -> &'static str {
    match kind {
        ValueType::Vector => "vector",
        ValueType::Scalar => "scalar",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

fn of_at(at: Option<&AtModifier>) -> (Option<i64>, Option<&'static str>) {
    match at {
        None => (None, None),
        Some(AtModifier::Start) => (None, Some("start")),
        Some(AtModifier::End) => (None, Some("end")),
        Some(AtModifier::At(time)) => match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => (Some(ms(after)), None),
            Err(before) => (Some(-ms(before.duration())), None),
        },
    }
}

fn of_offset(offset: Option<&Offset>) -> i64 {
    match offset {
        Some(Offset::Pos(duration)) => ms(*duration),
        Some(Offset::Neg(duration)) => -ms(*duration),
        None => 0,
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
