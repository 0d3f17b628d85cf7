//! `quorate aggregator`: how the aggregator itself does, its limits and how often they bit.

use super::status::field;
use crate::conn::Connection;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::{age, bytes, count, span};
use crate::table::{Table, left, right};
use crate::text::{Style, Text};
use crate::view::{Aggregator, Certificate, Configuration, Door, Limit, SpoiltFile, Stamp, StoredHistory};
use std::time::Duration;

/// A certificate that has less than this is warned of.
const WARN_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A wall clock that is further away than this is warned of.
const CLOCK_APART_MAX: Duration = Duration::from_secs(2);

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show every limit, not only those that bit
    #[arg(long)]
    pub limits: bool,
}

/// Reads its status and shows it.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let status = conn.aggregator().await?;
    output.show(&status, |status, marks| draw(status, args.limits, marks))?;
    Ok(0)
}

fn draw(status: &Aggregator, all: bool, marks: Marks) -> Vec<Text> {
    let mut lines = vec![heading(status)];
    if let Some(configuration) = &status.configuration {
        lines.extend(settings(configuration, marks));
    }
    lines.extend(status.certificates.iter().map(|one| certificate(one, status.timestamp, marks)));
    lines.extend(status.doors.iter().map(|one| door(one, marks)));
    let refused = status.refused.iter().map(|(reason, times)| {
        field("refused").with(Style::Plain, format!("{times}: {}", reason.replace('_', " ")))
    });
    lines.extend(refused);
    if status.newer_agents > 0 {
        let text = format!(
            "{} of a later version: upgrade the aggregator",
            count(status.newer_agents.into(), "agent")
        );
        lines.push(field("agents").with(Style::Warn, format!("{} {text}", marks.of(Style::Warn))));
    }
    lines.extend(clock(status.clock_ahead_ms, marks));
    lines.extend(status.history.iter().flat_map(|history| kept(history, marks)));
    lines.extend(limits(&status.limits, all, marks));
    lines
}

/// A difference that is worth a word.
fn clock(ahead_ms: i64, marks: Marks) -> Option<Text> {
    let apart = Duration::from_millis(ahead_ms.unsigned_abs());
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let text = format!("{} the wall clock is {} {side} our own", marks.of(Style::Warn), span(apart));
    (apart > CLOCK_APART_MAX).then(|| field("clock").with(Style::Warn, text))
}

fn kept(history: &StoredHistory, marks: Marks) -> Vec<Text> {
    let StoredHistory { files, bytes: size, verified, damaged, quarantined } = history;
    let text = format!("{}, {}, {verified} read again", count(*files, "sealed file"), bytes(*size));
    let mut lines = vec![field("history").with(Style::Plain, text)];
    for (what, spoilt) in [("damaged in", damaged), ("quarantined:", quarantined)] {
        let told =
            spoilt.iter().map(|SpoiltFile { name, bytes: size }| format!("{what} {name}, {}", bytes(*size)));
        lines.extend(told.map(|line| marked(Style::Bad, &line, marks)));
    }
    lines
}

fn heading(status: &Aggregator) -> Text {
    let line =
        Text::new().with(Style::Bold, &status.name).with(Style::Plain, format!("  {}", status.version));
    let up = status.timestamp.zip(status.started).map(|(now, then)| format!(", up {}", span(age(now, then))));
    let memory = status.resident_bytes.map(|resident| format!(", {}", bytes(resident)));
    line.with(Style::Plain, up.unwrap_or_default()).with(Style::Plain, memory.unwrap_or_default())
}

fn settings(configuration: &Configuration, marks: Marks) -> Vec<Text> {
    let Configuration { revision, since, files, last_reload, needs_restart } = configuration;
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    let files = if files.is_empty() { "the defaults".to_owned() } else { files.join(", ") };
    let mut lines = vec![field("config").with(Style::Plain, format!("revision {revision}{since}: {files}"))];
    if let Some(last) = last_reload.as_ref().filter(|last| !last.ok) {
        let at = last.at.map(|at| format!(" at {at}")).unwrap_or_default();
        let said = last.text.lines().map(|line| format!("the reload{at} failed: {line}"));
        lines.extend(said.map(|line| marked(Style::Bad, &line, marks)));
    }
    let restart = needs_restart.iter().map(|key| format!("{key} differs, which needs a restart"));
    lines.extend(restart.map(|line| marked(Style::Warn, &line, marks)));
    lines
}

fn marked(style: Style, text: &str, marks: Marks) -> Text {
    field("").with(style, format!("{} {text}", marks.of(style)))
}

fn certificate(certificate: &Certificate, now: Option<Stamp>, marks: Marks) -> Text {
    let Certificate { subject, not_after, .. } = certificate;
    let Some(end) = not_after else { return field("trust").with(Style::Plain, subject) };
    let soon = now.is_some_and(|now| age(*end, now) < WARN_BEFORE);
    let style = if soon { Style::Warn } else { Style::Plain };
    let mark = if soon { format!("{} ", marks.of(style)) } else { String::new() };
    field("trust").with(style, format!("{mark}{subject} until {end}"))
}

fn door(door: &Door, marks: Marks) -> Text {
    let Door { name, address, open, accepted, handshakes, accept_errors } = door;
    let text = format!("{name} at {address}: {open} open, {accepted} accepted, {handshakes} with TLS");
    let line = field("port").with(Style::Plain, text);
    match accept_errors {
        0 => line,
        errors => {
            let style = Style::Bad;
            line.with(style, format!("  {} accepting failed: {}", marks.of(style), count(*errors, "time")))
        }
    }
}

fn limits(limits: &[Limit], all: bool, marks: Marks) -> Vec<Text> {
    let bit = |limit: &&Limit| all || limit.bitten.is_some_and(|bitten| bitten > 0);
    let shown: Vec<&Limit> = limits.iter().filter(bit).collect();
    let hidden = limits.len() - shown.len();
    let mut lines = vec![Text::new()];
    if !shown.is_empty() {
        let mut table = Table::new(&[left("  LIMIT"), right("VALUE"), right("BIT"), left("COUNTED AS")]);
        for Limit { key, value, bitten, reason } in shown {
            let count = bitten.map_or_else(|| "-".to_owned(), |count| count.to_string());
            table.row([
                Text::plain(format!("  {key}")),
                Text::plain(value.to_string()),
                Text::plain(count),
                Text::plain(reason),
            ]);
        }
        lines.extend(table.lines(marks));
    }
    if hidden > 0 {
        let text = format!("  {hidden} limits bit nobody; --limits shows them");
        lines.push(Text::new().with(Style::Dim, text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;

    async fn shown(limits: bool, format: Format) -> String {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(format);
        assert_eq!(run(&Args { limits }, &conn, &mut output).await.unwrap(), 0);
        results.text()
    }

    #[tokio::test]
    async fn looks_like_this() {
        assert_eq!(
            shown(false, Format::Table).await,
            "\
agg  0.1.0, up 2 h 46 min, 32.0 MiB
  config    revision 2 since 2026-11-20T19:04:25.000Z: a.toml, b.toml
            ✖ the reload at 2026-11-20T19:05:55.000Z failed: a.toml:1:2: evil\\u{1b}[2J
            ✖ the reload at 2026-11-20T19:05:55.000Z failed: b.toml:3:4: worse
            ▲ listen.grpc differs, which needs a restart
  trust     ▲ spiffe://quorate/aggregator/agg until 2026-11-23T19:06:05.000Z
  trust     CN=Quorate root until 2036-11-17T19:06:05.000Z
  port      grpc at 0.0.0.0:7443: 3 open, 9 accepted, 7 with TLS  ✖ accepting failed: 1 time
  refused   2: not tls
  agents    ▲ 1 agent of a later version: upgrade the aggregator
  clock     ▲ the wall clock is 1 h behind our own
  history   7 sealed files, 3.0 MiB, 5 read again
            ✖ damaged in chunks-short-300-0.qj1, 512 B
            ✖ quarantined: chunks-short-0-0.qj1, 1.0 KiB

  LIMIT                    VALUE  BIT  COUNTED AS
  limits.call.at_once_max    512    2  calls
  2 limits bit nobody; --limits shows them
"
        );
    }

    #[tokio::test]
    async fn every_limit_can_be_shown() {
        let text = shown(true, Format::Table).await;
        assert!(
            text.lines().any(|line| line.split_whitespace().eq(["limits.http2.streams_max", "100", "-"])),
            "{text}"
        );
        assert!(!text.contains("--limits"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&shown(false, Format::Json).await).unwrap();
        assert_eq!(json["limits"].as_array().unwrap().len(), 3);
        assert_eq!(json["configuration"]["last_reload"]["ok"], false);
    }
}
