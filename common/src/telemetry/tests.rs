use super::*;
use crate::model::time::{Now, WallTime};
use std::sync::Arc;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Now {
        Now { wall: WallTime(1_795_201_565_000_000_000), ..Now::default() }
    }
}

/// What is written while `tell` runs.
fn told(level: Level, style: Style, tell: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    tracing::subscriber::with_default(subscriber(targets(level), style, Fixed, buffer.clone()), tell);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const PLAIN: Style = Style::Text { coloured: false };
const COLOURED: Style = Style::Text { coloured: true };

#[test]
fn text_has_time_level_message_and_fields() {
    let line =
        told(Level::Info, PLAIN, || tracing::info!(node = "db-3", series = 7, note = "a b", "session began"));
    assert_eq!(line, "2026-11-20T19:06:05.000Z INFO  session began node=db-3 series=7 note=\"a b\"\n");
}

#[test]
fn json_is_one_object_a_line() {
    let line = told(Level::Info, Style::Json, || {
        tracing::warn!(level = 3, ok = true, ratio = 0.5, text = "é\"\u{1b}[2J\u{202e}\n", "disk\nfull");
    });
    assert!(
        line.starts_with("{\"timestamp\":\"2026-11-20T19:06:05.000Z\",\"level\":\"warn\",\"event\":"),
        "{line}"
    );
    assert_eq!(line.matches('\n').count(), 1);
    assert!(!line.contains(['\u{1b}', '\u{202e}']));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["event"], "disk\nfull");
    assert_eq!(value["level_"], 3);
    assert_eq!((value["ok"].as_bool(), value["ratio"].as_f64()), (Some(true), Some(0.5)));
    assert_eq!(value["text"], "é\"\u{1b}[2J\u{202e}\n");
}

#[test]
fn classes_have_their_colours() {
    for (line, colour) in [
        (told(Level::Info, COLOURED, || tracing::info!(class = "success", "x")), "32"),
        (told(Level::Info, COLOURED, || tracing::info!(class = "failure", "x")), "31"),
        (told(Level::Info, COLOURED, || tracing::info!(class = "action", "x")), "33"),
        (told(Level::Info, COLOURED, || tracing::info!(class = "health", "x")), "36"),
        (told(Level::Info, COLOURED, || tracing::error!("x")), "31"),
        (told(Level::Info, COLOURED, || tracing::warn!("x")), "33"),
    ] {
        assert!(line.contains(&format!("\x1b[{colour}m")) && line.ends_with("x\x1b[0m\n"), "{line:?}");
    }
    let plain = told(Level::Info, COLOURED, || tracing::info!("x"));
    assert!(!plain.contains('\x1b'), "{plain:?}");
    let classed = told(Level::Info, PLAIN, || tracing::info!(class = "success", "x"));
    assert!(classed.ends_with(" x class=success\n"), "{classed:?}");
}

#[test]
fn nothing_in_an_event_moves_the_cursor() {
    let line = told(Level::Info, PLAIN, || {
        tracing::info!(path = "a\u{1b}[2J\r\u{9b}", turned = "\u{202e}", "two\nlines\u{7f}");
    });
    assert_eq!(line.chars().filter(|c| c.is_control()).count(), 1, "{line:?}");
    assert!(line.contains("two\\nlines\\u{7f} path=a\\u{1b}[2J\\r\\u{9b} turned=\\u{202e}"), "{line:?}");
}

#[test]
fn spans_lend_their_fields() {
    let line = told(Level::Info, PLAIN, || {
        let outer = tracing::info_span!("connection", peer = "10.0.0.1", node = tracing::field::Empty);
        outer.record("node", "n1");
        let _outer = outer.enter();
        let _inner = tracing::info_span!("session", peer = "nearer").entered();
        tracing::info!("began");
    });
    assert!(line.ends_with(" began peer=nearer node=n1\n"), "{line:?}");
}

#[test]
fn levels_filter_ours_and_quieten_libraries() {
    let tell = || {
        tracing::debug!("ours");
        tracing::info!(target: "h2::codec", "theirs");
        tracing::warn!(target: "h2::codec", "warning");
    };
    for (level, expect) in [
        (Level::Error, vec![]),
        (Level::Info, vec!["warning"]),
        (Level::Debug, vec!["ours", "warning"]),
        (Level::Trace, vec!["ours", "theirs", "warning"]),
    ] {
        let lines = told(level, PLAIN, tell);
        let words: Vec<&str> = lines.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(words, expect, "{level}");
    }
}

#[test]
fn errors_are_told_with_their_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("failed to read `x`")]
    struct Outer(#[source] std::io::Error);
    let error = Outer(std::io::Error::other("disk on fire"));
    let line = told(Level::Info, PLAIN, || {
        tracing::error!(error = &error as &(dyn std::error::Error + 'static), "stopped");
    });
    assert!(line.ends_with(" error=\"failed to read `x`: disk on fire\"\n"), "{line:?}");
}

#[test]
fn colour_follows_the_conventions() {
    let check = |asked, variables: &[(&str, &str)], terminal, expect| {
        let environment = variables.iter().copied().collect();
        assert_eq!(colour_choice(asked, &environment, terminal), expect, "{asked} {variables:?} {terminal}");
    };
    check(Colour::Auto, &[], true, true);
    check(Colour::Auto, &[], false, false);
    check(Colour::Auto, &[("NO_COLOR", "1")], true, false);
    check(Colour::Auto, &[("NO_COLOR", "")], true, true);
    check(Colour::Auto, &[("CLICOLOR_FORCE", "1")], false, true);
    check(Colour::Auto, &[("CLICOLOR_FORCE", "0")], false, false);
    check(Colour::Auto, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false);
    check(Colour::Auto, &[("TERM", "dumb")], true, false);
    check(Colour::Always, &[("NO_COLOR", "1")], false, true);
    check(Colour::Never, &[("CLICOLOR_FORCE", "1")], true, false);
}

#[test]
fn the_section_reads_its_words() {
    let config: Config = toml::from_str("level = 'debug'\nformat = 'json'").unwrap();
    assert_eq!(config, Config { level: Level::Debug, format: Format::Json, colour: Colour::Auto });
    assert!(toml::from_str::<Config>("level = 'loud'").is_err());
}

#[test]
fn the_level_changes_while_events_are_told() {
    let buffer = Buffer::default();
    let (filter, handle) = reload::Layer::new(targets(Level::Warn));
    let telling = Telling(handle);
    tracing::subscriber::with_default(subscriber(filter, PLAIN, Fixed, buffer.clone()), || {
        for level in [None, Some(Level::Debug), Some(Level::Error)] {
            level.into_iter().for_each(|level| telling.set_level(level));
            tracing::warn!("careful");
            tracing::debug!("why");
        }
    });
    let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    let told: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(told, ["careful", "careful", "why"]);
}
