//! A result as YAML, in the few forms that a result needs: maps, lists, scalars.
//!
//! A word stands as it is only if no reader could take it for anything else; every other text is quoted as in
//! JSON, which YAML understands.

use super::escape_json;
use serde_json::Value;

/// Words that readers of one YAML or another take for something that is no text.
const TAKEN: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// The text, every line with its end.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a value whose first line begins where the text ends, and its other lines below at `indent`.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (at, (name, value)) in fields.iter().enumerate() {
                begin(at, indent, text);
                *text += &format!("{}:", word(name));
                below(value, indent + 2, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (at, item) in items.iter().enumerate() {
                begin(at, indent, text);
                *text += "- ";
                block(item, indent + 2, text);
            }
        }
        scalar => *text += &format!("{}\n", plain(scalar)),
    }
}

/// The value of a name: beside it if it is short, else below.
fn below(value: &Value, indent: usize, text: &mut String) {
    let is_empty = match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if is_empty {
        *text += &format!(" {}\n", plain(value));
    } else {
        *text += "\n";
        *text += &" ".repeat(indent);
        block(value, indent, text);
    }
}

/// Only the first line of a block stands where the text ends.
fn begin(at: usize, indent: usize, text: &mut String) {
    if at > 0 {
        *text += &" ".repeat(indent);
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

fn word(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/'))
        && !TAKEN.contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { escape_json(&Value::from(text).to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_are_indented_and_words_are_safe() {
        let value = json!({
            "nodes": [
                {"name": "n1", "zone": "no", "facts": {"os": "Debian 12", "rights": ["a b", "c"]}},
                {"name": "1", "reasons": [], "details": {}, "x y": null},
            ],
            "left_out": 0,
            "hostile": "a\u{1b}[2J\u{9b}: #\n- b",
            "lists": [[1, 2.5], []],
        });
        let expect = r#"nodes:
  - name: n1
    zone: "no"
    facts:
      os: "Debian 12"
      rights:
        - "a b"
        - c
  - name: "1"
    reasons: []
    details: {}
    "x y": null
left_out: 0
hostile: "a\u001b[2J\u009b: #\n- b"
lists:
  - - 1
    - 2.5
  - []
"#;
        assert_eq!(text(&value), expect);
        assert_eq!(text(&json!([])), "[]\n");
        assert_eq!(text(&json!("NaN")), "NaN\n");
    }
}
