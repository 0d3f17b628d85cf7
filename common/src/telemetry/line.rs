//! One event as one line: text for people, JSON for programs.

use crate::model::time::WallTime;
use serde_json::Value;
use std::fmt::{Debug, Write};
use tracing::Level;
use tracing::field::{Field, Visit};

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Text { coloured: bool },
    Json,
}

/// What an event or a span carries, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    message: String,
    named: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Adds the fields of a span around; what is nearer to the event stands.
    pub(super) fn inherit(&mut self, around: &Fields) {
        for (name, value) in &around.named {
            if !self.named.iter().any(|(known, _)| known == name) {
                self.named.push((name, value.clone()));
            }
        }
    }

    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if name == "message" {
            self.message = value.as_str().map_or_else(|| value.to_string(), String::from);
            return;
        }
        match self.named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.named.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, crate::error::chain(value).into());
    }
}

/// The whole line with its end.
pub(super) fn write(style: Style, time: WallTime, level: Level, fields: &Fields) -> String {
    let mut line = match style {
        Style::Text { coloured } => text(coloured, time, level, fields),
        Style::Json => json(time, level, fields),
    };
    line.push('\n');
    line
}

fn json(time: WallTime, level: Level, fields: &Fields) -> String {
    let word = level.as_str().to_lowercase();
    let mut line =
        format!("{{\"timestamp\":\"{time}\",\"level\":\"{word}\",\"event\":{}", quoted(&fields.message));
    for (name, value) in &fields.named {
        // A field of ours that is called like one of the three would be a second key of that name.
        let clash = if matches!(*name, "timestamp" | "level" | "event") { "_" } else { "" };
        let value = value.as_str().map_or_else(|| value.to_string(), quoted);
        // Writing to a String cannot fail.
        write!(line, ",\"{name}{clash}\":{value}").ok();
    }
    line.push('}');
    line
}

/// As JSON, with every character escaped that could move a cursor or turn the direction of text.
fn quoted(text: &str) -> String {
    let mut line = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            c if is_unsafe(c) => write!(line, "\\u{:04x}", u32::from(c)).unwrap_or_default(),
            c => line.push(c),
        }
    }
    line.push('"');
    line
}

fn text(coloured: bool, time: WallTime, level: Level, fields: &Fields) -> String {
    let class = fields.named.iter().find(|(name, _)| *name == "class").and_then(|(_, value)| value.as_str());
    let colour = if coloured { colour(level, class) } else { None };
    let (on, off) = colour.map_or((String::new(), ""), |code| (format!("\x1b[{code}m"), "\x1b[0m"));
    let mut line = format!("{time} {on}{:<5} {}{off}", level.as_str(), plain(&fields.message));
    for (name, value) in fields.named.iter().filter(|(name, _)| colour.is_none() || *name != "class") {
        let value = match value.as_str() {
            Some(word) if !word.is_empty() && !word.contains([' ', '"', '=']) => plain(word),
            Some(words) => format!("\"{}\"", plain(&words.replace('"', "\\\""))),
            None => value.to_string(),
        };
        write!(line, " {name}={value}").ok();
    }
    line
}

/// Green, red, amber and cyan for the four classes; else red and amber for errors and warnings.
fn colour(level: Level, class: Option<&str>) -> Option<&'static str> {
    match (class, level) {
        (Some("success"), _) => Some("32"),
        (Some("failure"), _) | (None, Level::ERROR) => Some("31"),
        (Some("action"), _) | (None, Level::WARN) => Some("33"),
        (Some("health"), _) => Some("36"),
        _ => None,
    }
}

fn plain(text: &str) -> String {
    let escape = |c: char| if is_unsafe(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// Controls of all kinds, separators of lines, and marks that turn the direction of text.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
