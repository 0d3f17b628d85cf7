//! `quorate query range SELECTOR`: history, drawn as a line over time for each series.

use crate::chart::{Frame, draw as chart};
use crate::cli::Format;
use crate::conn::{Aggregate, CallError, Connection, RangeQuestion, Resolution};
use crate::mark::Marks;
use crate::moment::{Moment, parse_moment};
use crate::output::Output;
use crate::quantity::{figure, parse_duration};
use crate::text::{Style, Text};
use crate::view::{Gap, RangeAnswer, RangeSeries, Stamp, series_name};
use std::time::Duration;

/// Series that are drawn; the others are named.
const DRAWN_MAX: usize = 10;
/// Columns where there is no terminal.
const WIDTH: usize = 100;
/// Rows of an only chart, and of one of several.
const HEIGHTS: (usize, usize) = (10, 4);

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As in Prometheus: node_load1{node="n1"}
    pub selector: String,
    /// The first moment: 2026-11-20T19:06:00Z, seconds since 1970, or so long ago as -1h
    #[arg(long, value_name = "MOMENT", default_value = "-1h", value_parser = parse_moment, allow_hyphen_values = true)]
    pub start: Moment,
    /// The last moment
    #[arg(long, value_name = "MOMENT", default_value = "now", value_parser = parse_moment, allow_hyphen_values = true)]
    pub end: Moment,
    /// Between two values [default: so that a terminal shows them all]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub step: Option<Duration>,
    /// What to read from
    #[arg(long, default_value = "auto")]
    pub resolution: Resolution,
    /// What to take of buckets [default: avg]
    #[arg(long)]
    pub aggregate: Option<Aggregate>,
    /// Most series
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Reads the values and shows them.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let now = conn.health("").await?.timestamp;
    let now = now.ok_or(CallError::Answer { action: "read the time", problem: "has no time" })?;
    let question = RangeQuestion {
        selector: args.selector.clone(),
        start: args.start.stamp(now),
        end: args.end.stamp(now),
        step: args.step,
        resolution: args.resolution,
        aggregate: args.aggregate,
        limit: args.limit,
    };
    let mut answer = conn.range(question).await?;
    if output.format() == Format::Csv {
        // A row is a value: what stands beside the series is left out.
        answer.gaps.clear();
    }
    output.show(&answer, draw)?;
    if output.format() != Format::Table {
        answer.warnings.iter().for_each(|warning| output.message(&format!("warning: {warning}")));
    }
    Ok(0)
}

fn draw(answer: &RangeAnswer, marks: Marks) -> Vec<Text> {
    let mut lines = Vec::new();
    if answer.series.is_empty() {
        lines.push(Text::plain("No values."));
    }
    let drawn = answer.series.get(..DRAWN_MAX).unwrap_or(&answer.series);
    let height = if drawn.len() == 1 { HEIGHTS.0 } else { HEIGHTS.1 };
    let frame = Frame {
        start: answer.start,
        end: answer.end,
        step: Duration::from_millis(answer.step_ms),
        width: marks.width.unwrap_or(WIDTH),
        height,
        unicode: marks.unicode,
    };
    for series in drawn {
        lines.extend(panel(series, &answer.gaps, frame));
        lines.push(Text::new());
    }
    let rest = answer.series.get(DRAWN_MAX..).unwrap_or_default();
    if !rest.is_empty() {
        lines.push(Text::plain(format!("{} more, not drawn:", rest.len())));
        lines.extend(rest.iter().map(|series| Text::plain(format!("  {}", series_name(&series.labels)))));
        lines.push(Text::new());
    }
    lines.extend(answer.warnings.iter().map(|warning| note(Style::Warn, warning, marks)));
    lines.extend(answer.infos.iter().map(|info| note(Style::Dim, info, marks)));
    while lines.last().is_some_and(|line| line.width() == 0) {
        lines.pop();
    }
    lines
}

fn note(style: Style, text: &str, marks: Marks) -> Text {
    Text::new().with(style, format!("{} {text}", marks.of(style)))
}

/// One series: its name, its line, and what it comes to.
fn panel(series: &RangeSeries, gaps: &[Gap], frame: Frame) -> Vec<Text> {
    let node = series.labels.get("node").map_or("", String::as_str);
    let gaps: Vec<&Gap> = gaps.iter().filter(|gap| gap.node == node).collect();
    let there = series.samples.iter().filter_map(|sample| Some((sample.timestamp?, sample.value.0)));
    // A step shows the newest value of some minutes: what it shows within a gap is of before.
    let points: Vec<(Stamp, f64)> =
        there.filter(|(at, _)| !gaps.iter().any(|gap| gap.is_blank(*at))).collect();
    let values = || points.iter().map(|(_, value)| *value);
    let name = Text::new().with(Style::Bold, series_name(&series.labels));
    let sum = values().next_back().map(|last| {
        let (low, high) = (values().fold(last, f64::min), values().fold(last, f64::max));
        format!("min {}   max {}   last {}", figure(low), figure(high), figure(last))
    });
    let mut lines = vec![name];
    lines.extend(chart(&points, frame));
    lines.extend(sum.map(|sum| Text::new().with(Style::Dim, sum)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::command::fake::Fake;
    use crate::command::query::What;
    use crate::output::tests::captured;
    use clap::Parser;

    /// Results, messages or the error, and what the aggregator was asked.
    async fn said(line: &str, format: Format) -> (String, String, Vec<String>) {
        let Command::Query(query) = Cli::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("{line}");
        };
        let What::Range(args) = query.what else { panic!("{line}") };
        let fake = Fake::default();
        let conn = fake.serve().await;
        let (output, results, messages) = captured(format);
        let mut output = output.with_look(false, Marks { unicode: false, width: Some(40) });
        let error = run(&args, &conn, &mut output).await.err();
        let messages = error.map_or_else(|| messages.text(), |error| format!("{error:#}"));
        (results.text(), messages, fake.calls())
    }

    #[tokio::test]
    async fn a_gap_is_blank_and_said_below() {
        let (results, messages, calls) = said("quorate query range node_load1", Format::Table).await;
        assert_eq!(
            results,
            "\
node_load1{node=\"n1\"}
10 |                               ****
   |                            ****
   |                        *****
   |                        *
   |
   |
   |
   |       *
   |   *****
 0 |****
   +-----------------------------------
    19:04:25     19:05:15      19:06:05
min 0   max 10   last 10

! node n1: no samples 2026-11-20T19:04:50.000Z..19:05:30.000Z, agent stopped
- values are the avg of buckets of 1m
"
        );
        assert_eq!(messages, "");
        assert_eq!(
            calls,
            ["range node_load1 1795197965..1795201565 step=None resolution=0 aggregate=0 limit=1000"]
        );
    }

    #[tokio::test]
    async fn what_is_asked_is_said() {
        let line = "quorate query range node_load1 --start -2h --end 1795201500 --step 30s --resolution 1m --aggregate max --limit 5";
        let (results, messages, calls) = said(line, Format::Json).await;
        let asked = "range node_load1 1795194365..1795201500 step=Some(30) resolution=2 aggregate=3 limit=5";
        assert_eq!(calls, [asked]);
        let json: serde_json::Value = serde_json::from_str(&results).unwrap();
        assert_eq!((&json["step_ms"], &json["resolution"]), (&10_000.into(), &"1m".into()));
        assert_eq!(json["series"][0]["samples"][1]["timestamp"], "2026-11-20T19:04:35.000Z");
        assert_eq!(json["gaps"][1]["cause"], "agent_stopped");
        assert!(messages.starts_with("quorate: warning: node n1: no samples"), "{messages}");
    }

    #[tokio::test]
    async fn programs_get_a_row_for_each_value() {
        let (results, _, _) = said("quorate query range node_load1", Format::Csv).await;
        let mut lines = results.lines();
        assert_eq!(lines.next(), Some("labels.__name__,labels.node,timestamp,value"));
        assert_eq!(lines.next(), Some("node_load1,n1,2026-11-20T19:04:25.000Z,0.0"));
        assert_eq!(lines.count(), 10);
    }

    #[tokio::test]
    async fn many_series_are_named_and_half_an_answer_is_none() {
        let (results, _, _) = said("quorate query range many", Format::Table).await;
        assert!(
            results.contains("2 more, not drawn:\n  many{node=\"n10\"}\n  many{node=\"n11\"}\n"),
            "{results}"
        );
        let (results, error, _) = said("quorate query range half", Format::Table).await;
        assert_eq!((&*results, &*error), ("", "failed to query: the answer is not whole"));
    }
}
