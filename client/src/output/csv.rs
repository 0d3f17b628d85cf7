//! A result as comma-separated values (RFC 4180): a heading, then a row for each thing that the result lists.
//!
//! ```text
//!   { nodes: [ {name, facts: {os}}, … ], … }        name,facts.os
//!   { series: [ {labels: {…}, samples: […]} ], … }  one row for each sample, its labels in front
//! ```
//!
//! An only list of things becomes rows. What stands beside it in the whole result is left out, what stands
//! beside it further inside is repeated in each row. Things within things become columns with a dot; lists of
//! words are joined by `;`. Everything else is JSON in its cell.

use crate::text::clean;
use serde_json::{Map, Value};

/// Cells by column, in the order in which they were met.
type Row = Vec<(String, String)>;

/// The text, every line with its end.
pub fn text(value: &Value) -> String {
    let things = value.as_array().map(Vec::as_slice);
    let rows = match things.or_else(|| Some(only_list(value.as_object()?)?.1)) {
        Some(things) => things.iter().flat_map(rows).collect(),
        None => rows(value),
    };
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in rows.iter().flatten() {
        if !columns.contains(&column.as_str()) {
            columns.push(column);
        }
    }
    if rows.iter().flatten().all(|(_, cell)| cell.is_empty()) {
        return String::new();
    }
    let mut text = line(columns.iter().copied());
    for row in &rows {
        let cell = |column: &&str| row.iter().find(|(name, _)| name == column).map_or("", |(_, cell)| cell);
        text += &line(columns.iter().map(cell));
    }
    text
}

fn rows(value: &Value) -> Vec<Row> {
    let Value::Object(fields) = value else { return vec![vec![("value".to_owned(), scalar(value))]] };
    let list = only_list(fields);
    let mut own = Row::new();
    cells("", fields, list.map(|(name, _)| name), &mut own);
    let Some((_, things)) = list else { return vec![own] };
    things.iter().flat_map(rows).map(|row| beside(&own, row)).collect()
}

/// The field that is a list of things, if there is exactly one. An empty list may be one of words: it says
/// nothing either way.
fn only_list(fields: &Map<String, Value>) -> Option<(&str, &[Value])> {
    let mut lists = fields.iter().filter_map(|(name, value)| {
        let items = value.as_array()?;
        items.first().is_some_and(Value::is_object).then_some((name.as_str(), items.as_slice()))
    });
    lists.next().filter(|_| lists.next().is_none())
}

/// What stands beside a list, then the row of the list, which knows better where both say something.
fn beside(own: &Row, row: Row) -> Row {
    let known = |name: &str| row.iter().any(|(own, _)| own == name);
    let mut all: Row = own.iter().filter(|(name, _)| !known(name)).cloned().collect();
    all.extend(row);
    all
}

fn cells(prefix: &str, fields: &Map<String, Value>, without: Option<&str>, row: &mut Row) {
    for (name, value) in fields {
        let column = format!("{prefix}{name}");
        match value {
            _ if without == Some(column.as_str()) => {}
            Value::Object(inner) => cells(&format!("{column}."), inner, None, row),
            value => row.push((column, scalar(value))),
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) if !items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().map(scalar).collect::<Vec<_>>().join(";")
        }
        other => other.to_string(),
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    cells.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

fn quoted(cell: &str) -> String {
    let cell = clean(cell);
    let plain = !cell.contains([',', '"']) && cell.trim() == cell;
    if plain { cell } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(value: &Value, expect: &str) {
        assert_eq!(text(value), expect);
    }

    #[test]
    fn lists_become_rows() {
        let value = json!({
            "timestamp": "t",
            "nodes": [
                {"name": "n1", "facts": {"os": "Debian, 12", "cpus": 8}, "reasons": ["a", "b"]},
                {"name": "n\"2", "timestamp": "own", "up": true},
            ],
        });
        let expect = "\
name,facts.os,facts.cpus,reasons,timestamp,up
n1,\"Debian, 12\",8,a;b,,
\"n\"\"2\",,,,own,true
";
        check(&value, expect);
        let samples = json!([{"value": 1.5}, {"value": "NaN"}]);
        let value = json!({"series": [{"labels": {"a": "1"}, "samples": samples}], "left_out": 0});
        check(&value, "labels.a,value\n1,1.5\n1,NaN\n");
    }

    #[test]
    fn what_stands_beside_is_repeated() {
        let inner = json!([{"a": 1, "b": 2}, {"b": 3}]);
        check(&json!([{"a": 0, "c": 9, "list": inner}]), "c,a,b\n9,1,2\n9,0,3\n");
    }

    #[test]
    fn everything_else_is_one_row() {
        let two = json!({"components": [{"a": 1}], "resources": [{"b": 2}]});
        check(&two, "components,resources\n\"[{\"\"a\"\":1}]\",\"[{\"\"b\"\":2}]\"\n");
        check(&json!({"nodes": []}), "");
        check(&json!("x\u{1b}[2J\ny"), "value\nx\\u{1b}[2J y\n");
        check(&json!({}), "");
    }
}
