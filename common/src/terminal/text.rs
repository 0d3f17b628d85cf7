//! A line as it will be shown: spans of text with a style, cleaned when they are made.
//!
//! Names and reasons come from other machines. Whatever enters a [`Text`] loses its control characters,
//! so that no caller can forget it, and a hostile name cannot move the cursor or recolour a verdict.
//! This module prints nothing.

use std::path::Path;
use unicode_width::UnicodeWidthStr;

/// What a span means; how that looks is decided when it is painted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading or a name that the line is about.
    Bold,
    /// Less important than the rest.
    Dim,
    /// As it should be.
    Good,
    /// Works, and somebody should look.
    Warn,
    /// Does not work.
    Bad,
    /// Not known.
    Unsure,
}

impl Style {
    /// The SGR parameters; empty for plain.
    const fn sgr(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "1;31",
            Style::Unsure => "35",
        }
    }
}

/// One line, or one cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    spans: Vec<(Style, String)>,
}

impl Text {
    /// An empty line.
    pub fn new() -> Text {
        Text::default()
    }

    /// One span without a style.
    pub fn plain(text: impl AsRef<str>) -> Text {
        Text::new().with(Style::Plain, text)
    }

    /// The same line with one more span at its end.
    pub fn with(mut self, style: Style, text: impl AsRef<str>) -> Text {
        let text = clean(text.as_ref());
        if !text.is_empty() {
            self.spans.push((style, text));
        }
        self
    }

    /// The same line with another one at its end.
    pub fn then(mut self, other: Text) -> Text {
        self.spans.extend(other.spans);
        self
    }

    /// The columns that it takes on a terminal.
    pub fn width(&self) -> usize {
        self.spans.iter().map(|(_, text)| text.width()).sum()
    }

    /// The characters to write, with escape sequences for the styles if `color`.
    pub fn paint(&self, color: bool) -> String {
        let mut out = String::new();
        for (style, text) in &self.spans {
            match (color, style.sgr()) {
                (false, _) | (true, "") => out.push_str(text),
                (true, sgr) => out.extend(["\u{1b}[", sgr, "m", text, "\u{1b}[0m"]),
            }
        }
        out
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::plain(text)
    }
}

/// The text on one line, with white space as blanks and every other character that steers a terminal made
/// visible, as in `\u{1b}`.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' | '\r' => out.push(' '),
            c if steers(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Whether a character is a control character, a line separator or a change of writing direction.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A path as a shell reads it back.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_cannot_steer() {
        for (hostile, shown) in [
            ("plain ä 節", "plain ä 節"),
            ("a\nb\tc\rd", "a b c d"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{7}\u{7f}\0", "\\u{7}\\u{7f}\\u{0}"),
            ("left\u{202e}right", "left\\u{202e}right"),
        ] {
            assert_eq!(clean(hostile), shown);
            assert_eq!(Text::plain(hostile).paint(true), shown);
        }
    }

    #[test]
    fn styles_show_only_with_colour() {
        let text = Text::plain("n1 ").with(Style::Bad, "down").with(Style::Dim, "");
        assert_eq!(text.paint(false), "n1 down");
        assert_eq!(text.paint(true), "n1 \u{1b}[1;31mdown\u{1b}[0m");
    }

    #[test]
    fn width_is_in_columns() {
        assert_eq!(Text::plain("節").width(), 2);
        assert_eq!(Text::plain("é").with(Style::Good, "x").width(), 2);
    }

    #[test]
    fn paths_survive_a_shell() {
        for (path, text) in
            [("/a/b-1.x", "/a/b-1.x"), ("/a b", "'/a b'"), ("/a'b", r"'/a'\''b'"), ("/$(x)", "'/$(x)'")]
        {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
