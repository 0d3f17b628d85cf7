//! `quorate query latest|recent SELECTOR`: samples, newest or of the last minutes; `quorate query recorder NODE
//! METRIC`: at full rate, asked of the node itself. History is in [`super::range`].

use crate::conn::Connection;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::parse_duration;
use crate::table::{Table, left, right};
use crate::text::{Style, Text};
use crate::view::{LatestList, RecentList, series_name};
use std::time::Duration;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to read.
    #[command(subcommand)]
    pub what: What,
}

/// What to read.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// The newest value of every series that the selector matches
    Latest {
        /// As in Prometheus: node_load1{node="n1"}
        selector: String,
        /// Most series
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// The samples of the last seconds of every series that the selector matches
    Recent {
        /// As in Prometheus: node_load1{node="n1"}
        selector: String,
        /// How far back, at most 900
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=900))]
        seconds: u32,
        /// Most series
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// The history of every series that the selector matches, drawn as a line over time
    Range(super::range::Args),
    /// The last minutes of a metric at full rate, asked of the flight recorder of a node's agent now
    Recorder {
        /// The node
        node: String,
        /// The metric: node_load1
        metric: String,
        /// How far back from its newest sample, at most 1h
        #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = recorder_span)]
        last: Duration,
    },
}

/// As far back as a recorder can be configured to reach.
const RECORDER_MAX: Duration = Duration::from_secs(3600);

fn recorder_span(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    if span > RECORDER_MAX { Err(format!("`{text}` is more than 1h")) } else { Ok(span) }
}

/// Reads the samples and shows them.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let (left_out, warnings) = match &args.what {
        What::Latest { selector, limit } => {
            let list = conn.latest(selector, *limit).await?;
            output.show(&list, draw_latest)?;
            (list.left_out, list.warnings)
        }
        What::Recent { selector, seconds, limit } => {
            let list = conn.recent(selector, *seconds, *limit).await?;
            output.show(&list, draw_recent)?;
            (list.left_out, list.warnings)
        }
        What::Range(args) => return super::range::run(args, conn, output).await,
        What::Recorder { node, metric, last } => {
            // Whole seconds, and at least one.
            let seconds = u32::try_from(last.as_secs()).unwrap_or(u32::MAX).max(1);
            let list = conn.recorder(node, metric, seconds).await?;
            output.show(&list, draw_recent)?;
            let nothing = format!("the recorder of {node} has nothing of `{metric}`");
            (0, if list.series.is_empty() { vec![nothing] } else { Vec::new() })
        }
    };
    for warning in warnings {
        output.message(&format!("warning: {warning}"));
    }
    if left_out > 0 {
        output.message(&format!("{left_out} more series match: narrow the selector or raise --limit"));
    }
    Ok(0)
}

fn draw_latest(list: &LatestList, marks: Marks) -> Vec<Text> {
    let mut table = Table::new(&[left("SERIES"), right("VALUE"), left("TIME").extra()]);
    for series in &list.series {
        let (value, time) = match series.sample {
            None => ("-".to_owned(), "-".to_owned()),
            Some(sample) => {
                (sample.value.to_string(), sample.timestamp.map(|at| at.to_string()).unwrap_or_default())
            }
        };
        table.row([series_name(&series.labels).into(), value.into(), Text::new().with(Style::Dim, time)]);
    }
    table.lines(marks)
}

/// A heading for each series, then a line for each sample, oldest first.
fn draw_recent(list: &RecentList, _: Marks) -> Vec<Text> {
    let mut lines = Vec::new();
    for series in &list.series {
        lines.push(Text::new().with(Style::Bold, series_name(&series.labels)));
        for sample in &series.samples {
            let time = sample.timestamp.map(|at| at.to_string()).unwrap_or_default();
            lines.push(
                Text::new()
                    .with(Style::Dim, format!("  {time}  "))
                    .with(Style::Plain, sample.value.to_string()),
            );
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;

    async fn check(what: What, format: Format) -> (String, String) {
        let conn = Fake::default().serve().await;
        let (mut output, results, messages) = captured(format);
        if let Err(error) = run(&Args { what }, &conn, &mut output).await {
            return (results.text(), format!("{error:#}"));
        }
        (results.text(), messages.text())
    }

    #[tokio::test]
    async fn latest() {
        let what = || What::Latest { selector: "node_load1".into(), limit: 2 };
        let (results, messages) = check(what(), Format::Table).await;
        assert_eq!(
            results,
            "\
SERIES                 VALUE  TIME
node_load1{node=\"n1\"}   0.25  2026-11-20T19:06:05.000Z
node_load1{node=\"n2\"}    NaN  2026-11-20T19:06:05.000Z
"
        );
        let expect = "quorate: warning: n3 is down\nquorate: 7 more series match: narrow the selector or raise --limit\n";
        assert_eq!(messages, expect);
        let (results, _) = check(what(), Format::Json).await;
        let json: serde_json::Value = serde_json::from_str(&results).unwrap();
        assert_eq!(json["series"][0]["labels"]["__name__"], "node_load1");
        assert_eq!(json["series"][0]["sample"]["value"], 0.25);
        assert_eq!(json["series"][1]["sample"]["value"], "NaN");
        assert_eq!(json["left_out"], 7);
    }

    #[tokio::test]
    async fn recent() {
        let what = What::Recent { selector: "node_load1".into(), seconds: 2, limit: 9 };
        let (results, _) = check(what, Format::Table).await;
        let expect =
            "node_load1{node=\"n1\"}\n  2026-11-20T19:06:03.000Z  1\n  2026-11-20T19:06:04.000Z  2\n";
        assert_eq!(results, expect);
    }

    #[tokio::test]
    async fn recorder() {
        let what = |node: &str, metric: &str| {
            let last = Duration::from_millis(2999);
            What::Recorder { node: node.into(), metric: metric.into(), last }
        };
        let expect =
            "node_load1{node=\"n1\"}\n  2026-11-20T19:06:03.000Z  1\n  2026-11-20T19:06:04.000Z  2\n";
        assert_eq!(check(what("n1", "node_load1"), Format::Table).await, (expect.to_owned(), String::new()));
        let csv = "labels.__name__,labels.node,timestamp,value\n\
                   node_load1,n1,2026-11-20T19:06:03.000Z,1.0\n\
                   node_load1,n1,2026-11-20T19:06:04.000Z,2.0\n";
        assert_eq!(check(what("n1", "node_load1"), Format::Csv).await.0, csv);
        let nothing = "quorate: warning: the recorder of n1 has nothing of `x`\n";
        assert_eq!(check(what("n1", "x"), Format::Table).await, (String::new(), nothing.to_owned()));
        let away = "failed to read the recorder: unavailable: n3 has no session";
        assert_eq!(check(what("n3", "x"), Format::Table).await, (String::new(), away.to_owned()));
    }

    #[tokio::test]
    async fn a_wrong_selector_is_named() {
        let what = What::Latest { selector: "{".into(), limit: 2 };
        let expect = "failed to query: invalid: bad request; `selector`: unexpected end of input";
        assert_eq!(check(what, Format::Table).await, (String::new(), expect.to_owned()));
    }
}
