//! What a program says about itself: one line for each event, on standard error.
//!
//! ```text
//!   on a terminal:  2026-11-20T19:06:00.123Z INFO  session began node=db-3
//!   otherwise:      {"timestamp":"2026-11-20T19:06:00.123Z","level":"info","event":"session began","node":"db-3"}
//! ```
//!
//! A field `class` of `success`, `failure`, `action` or `health` colours the line on a terminal.
//! Whatever an event carries, a line stays one line and moves no cursor.

mod line;

use crate::clock::{Clock, SystemClock};
use crate::config::Environment;
use crate::model::words;
use line::{Fields, Style};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

words! {
    /// The least severe events that are told.
    Level {
        /// Something does not work.
        Error = "error",
        /// Something may soon not work.
        Warn = "warn",
        /// Something changed.
        Info = "info",
        /// Why something changed.
        Debug = "debug",
        /// Everything, the libraries' events too.
        Trace = "trace",
    }
}

words! {
    /// How lines look.
    Format {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// For people.
        Text = "text",
        /// For programs.
        Json = "json",
    }
}

words! {
    /// Whether output is coloured.
    Colour {
        /// On a terminal, unless `NO_COLOR` or `TERM=dumb` is set; or where `CLICOLOR_FORCE` is.
        Auto = "auto",
        /// Yes.
        Always = "always",
        /// No.
        Never = "never",
    }
}

/// The section `[log]` of every program's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least severe events that are told.
    pub level: Level,
    /// How lines look.
    pub format: Format,
    /// Whether text is coloured.
    pub colour: Colour,
}

impl Default for Config {
    fn default() -> Config {
        Config { level: Level::Info, format: Format::Auto, colour: Colour::Auto }
    }
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// It was started before.
    #[error("failed to start telling events")]
    Started(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Changes what is told while the program runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Telling(reload::Handle<Targets, Registry>);

impl Telling {
    /// Tells events of this level and above from now on.
    pub fn set_level(&self, level: Level) {
        // It fails only when nothing is told any more.
        self.0.reload(targets(level)).ok();
    }
}

/// Begins to tell the events of this process on standard error. Once per process.
pub fn start(config: Config, environment: &Environment) -> Result<Telling, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let style = match config.format {
        Format::Auto if !terminal => Style::Json,
        Format::Json => Style::Json,
        _ => Style::Text { coloured: colour_choice(config.colour, environment, terminal) },
    };
    let (filter, handle) = reload::Layer::new(targets(config.level));
    let subscriber = subscriber(filter, style, SystemClock, std::io::stderr());
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Started)?;
    Ok(Telling(handle))
}

/// Whether to colour output, by what was asked for, the environment's conventions and the output itself.
pub fn colour_choice(asked: Colour, environment: &Environment, terminal: bool) -> bool {
    let forced = environment.get("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    match asked {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if environment.get("NO_COLOR").is_some() => false,
        Colour::Auto if forced => true,
        Colour::Auto => terminal && environment.get("TERM") != Some("dumb"),
    }
}

fn targets(level: Level) -> Targets {
    let (ours, libraries) = match level {
        Level::Error => (LevelFilter::ERROR, LevelFilter::ERROR),
        Level::Warn => (LevelFilter::WARN, LevelFilter::WARN),
        Level::Info => (LevelFilter::INFO, LevelFilter::WARN),
        Level::Debug => (LevelFilter::DEBUG, LevelFilter::WARN),
        Level::Trace => (LevelFilter::TRACE, LevelFilter::TRACE),
    };
    Targets::new().with_default(libraries).with_target("quorate", ours)
}

fn subscriber<F, W>(filter: F, style: Style, clock: impl Clock, output: W) -> impl Subscriber + Send + Sync
where
    F: Filter<Registry> + Send + Sync + 'static,
    W: Write + Send + 'static,
{
    tracing_subscriber::registry()
        .with(Lines { style, clock, output: Mutex::new(output) }.with_filter(filter))
}

struct Lines<C, W> {
    style: Style,
    clock: C,
    output: Mutex<W>,
}

impl<S, C, W> Layer<S> for Lines<C, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: Clock,
    W: Write + Send + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(around) = span.extensions().get::<Fields>() {
                fields.inherit(around);
            }
        }
        let line = line::write(self.style, self.clock.now().wall, *event.metadata().level(), &fields);
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // Where could a failure to tell be told?
        output.write_all(line.as_bytes()).ok();
    }
}

#[cfg(test)]
mod tests;
