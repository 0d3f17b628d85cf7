//! The one place that writes to the terminal: results to stdout, messages to stderr.
//!
//! Decides about colour and characters, and nothing about content. Nobody reading any more is no failure:
//! see [`is_closed_pipe`].

mod csv;
mod yaml;

use crate::cli::Format;
use crate::mark::Marks;
use crate::text::{Text, clean, steers};
use quorate_common::config::Environment;
use quorate_common::telemetry::{Colour, colour_choice};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Where results and messages go, and how they look.
pub struct Output {
    results: Box<dyn Write + Send>,
    messages: Box<dyn Write + Send>,
    format: Format,
    color: bool,
    marks: Marks,
    /// Whether messages go to a terminal.
    live: bool,
}

impl Output {
    /// The streams of this process.
    pub fn new(format: Format, choice: Colour, environment: &Environment) -> Output {
        let color = colour_choice(choice, environment, io::stdout().is_terminal());
        let marks = Marks { width: terminal_width(), ..Marks::of_locale(environment) };
        let output = Output::to(Box::new(io::stdout()), Box::new(io::stderr()), format);
        Output { live: io::stderr().is_terminal(), ..output.with_look(color, marks) }
    }

    /// Any two streams, without colour, with Unicode.
    pub fn to(results: Box<dyn Write + Send>, messages: Box<dyn Write + Send>, format: Format) -> Output {
        let marks = Marks { unicode: true, width: None };
        Output { results, messages, format, color: false, marks, live: false }
    }

    /// The same streams with another look.
    pub fn with_look(self, color: bool, marks: Marks) -> Output {
        Output { color, marks, ..self }
    }

    /// What was asked for with `--output`.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The characters that may be used.
    pub fn marks(&self) -> Marks {
        self.marks
    }

    /// A result: as lines drawn for people, or as one document.
    pub fn show<T: Serialize>(
        &mut self,
        value: &T,
        draw: impl FnOnce(&T, Marks) -> Vec<Text>,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.document(&serde_json::to_string_pretty(value)?),
            Format::Csv => self.raw(csv::text(&serde_json::to_value(value)?).as_bytes()),
            Format::Yaml => self.raw(yaml::text(&serde_json::to_value(value)?).as_bytes()),
            Format::Table => self.lines(&draw(value, self.marks)),
        }
    }

    /// A result in JSON on one line, whatever the format.
    pub fn json_line<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        self.document(&serde_json::to_string(value)?)
    }

    /// Lines for people.
    pub fn lines(&mut self, lines: &[Text]) -> io::Result<()> {
        for line in lines {
            writeln!(self.results, "{}", line.paint(self.color))?;
        }
        self.results.flush()
    }

    /// Makes room for the next picture: an empty screen where escape sequences are shown, else an empty line.
    pub fn next_picture(&mut self) -> io::Result<()> {
        self.raw(if self.color { b"\x1b[H\x1b[2J" } else { b"\n" })
    }

    /// Text as it is, such as a completion script.
    pub fn raw(&mut self, text: &[u8]) -> io::Result<()> {
        self.results.write_all(text)?;
        self.results.flush()
    }

    /// A message beside the results; that it cannot be written changes nothing.
    pub fn message(&mut self, text: &str) {
        writeln!(self.messages, "quorate: {}", clean(text)).ok();
    }

    /// How far something is, in the place of what was said before; nothing takes it away. Only on a terminal.
    pub fn progress(&mut self, text: &str) {
        if self.live {
            write!(self.messages, "\r\x1b[K{}", clean(text)).and_then(|()| self.messages.flush()).ok();
        }
    }

    fn document(&mut self, json: &str) -> io::Result<()> {
        writeln!(self.results, "{}", escape_json(json))?;
        self.results.flush()
    }
}

/// Whether an error only says that the reader of our output went away.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The columns of the terminal that results go to; none if they go elsewhere, or if it does not know.
fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// JSON with every character that steers a terminal escaped. Outside of strings JSON has none of them but
/// line feeds, which stay, so the document keeps its meaning.
fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && steers(c) {
            // All that steers lies in the basic plane: one escape each.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A stream that a test can read.
    #[derive(Clone, Default)]
    pub struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        /// What was written so far.
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output with its results and its messages.
    pub fn captured(format: Format) -> (Output, Captured, Captured) {
        let (results, messages) = (Captured::default(), Captured::default());
        (Output::to(Box::new(results.clone()), Box::new(messages.clone()), format), results, messages)
    }

    #[test]
    fn json_keeps_its_meaning_and_steers_nothing() {
        let hostile = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\n\"ä";
        let (mut output, results, _) = captured(Format::Json);
        output.show(&vec![hostile], |_, _| Vec::new()).unwrap();
        let text = results.text();
        assert!(!text.chars().any(|c| c != '\n' && steers(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [hostile]);
    }

    #[test]
    fn messages_are_one_clean_line() {
        let (mut output, results, messages) = captured(Format::Table);
        output.message("no\nnode `\u{1b}c`");
        assert_eq!(
            (results.text().as_str(), messages.text().as_str()),
            ("", "quorate: no node `\\u{1b}c`\n")
        );
    }

    #[test]
    fn a_closed_pipe_is_recognised() {
        let pipe = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("failed to write");
        assert!(is_closed_pipe(&pipe));
        assert!(!is_closed_pipe(&anyhow::anyhow!("broken pipe")));
    }
}
