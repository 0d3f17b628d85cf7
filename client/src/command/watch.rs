//! `quorate watch`: the full state, then every change.
//!
//! ```text
//!   connect ──first time fails──→ error
//!      │ full state, changes …
//!      └──stream ends──→ told, wait 0.25-5 s ──→ connect again ──refused for good──→ error
//! ```

use super::nodes::notes;
use super::status;
use crate::cli::Format;
use crate::conn::{CallError, Connection, OpenError, Watch};
use crate::mark::{Marks, Verdict};
use crate::output::Output;
use crate::text::{Style, Text};
use crate::view::{Changes, FullState, HealthReport, Node, Transition, WatchEvent};
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::{Health, Liveness};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// One JSON object on each line, as with -o json
    #[arg(long)]
    pub json: bool,
}

/// Shows changes until the program is ended or the aggregator refuses.
pub async fn run(
    args: &Args,
    connect: &impl AsyncFn() -> anyhow::Result<Connection>,
    output: &mut Output,
) -> anyhow::Result<u8> {
    let json = match output.format() {
        Format::Table => args.json,
        Format::Json => true,
        // A stream of changes has no columns, and a document that never ends is none.
        Format::Csv | Format::Yaml => anyhow::bail!("a watch is written as table or json"),
    };
    let cluster = args.cluster.as_deref().unwrap_or_default();
    let mut watch = open(connect, cluster).await?;
    let mut known = Known::default();
    loop {
        let end = follow(&mut watch, &mut known, json, output).await?;
        output.message(&format!("lost the aggregator: {end}"));
        watch = reopen(connect, cluster, output).await?;
        output.message("connected again");
    }
}

async fn open(
    connect: &impl AsyncFn() -> anyhow::Result<Connection>,
    cluster: &str,
) -> anyhow::Result<Watch> {
    Ok(connect().await?.watch(cluster).await?)
}

/// Tries until it works or cannot any more. Full jitter: all watchers of an aggregator lost it together.
async fn reopen(
    connect: &impl AsyncFn() -> anyhow::Result<Connection>,
    cluster: &str,
    output: &mut Output,
) -> anyhow::Result<Watch> {
    for attempt in 0.. {
        tokio::time::sleep(pause(attempt, RandomState::new().hash_one(attempt))).await;
        match open(connect, cluster).await {
            Ok(watch) => return Ok(watch),
            Err(error) if is_passing(&error) => output.message(&format!("{error:#}, trying again")),
            Err(error) => return Err(error),
        }
    }
    Err(anyhow::anyhow!("gave up"))
}

/// At first up to 250 ms, then between 250 ms and a limit that doubles up to 5 s.
fn pause(attempt: u32, random: u64) -> Duration {
    let (low, high) = match attempt {
        0 => (0, 250),
        attempt => (250, 500u64.saturating_mul(1 << attempt.min(4)).min(5000)),
    };
    Duration::from_millis(low + random % (high - low + 1))
}

fn is_passing(error: &anyhow::Error) -> bool {
    let call = error.downcast_ref::<CallError>().map(CallError::is_passing);
    let open = error.downcast_ref::<OpenError>().map(|error| matches!(error, OpenError::Connect(..)));
    call.or(open).unwrap_or(false)
}

/// Shows what comes until the stream ends, and says why it did; a refusal for good is an error.
async fn follow(
    watch: &mut Watch,
    known: &mut Known,
    json: bool,
    output: &mut Output,
) -> anyhow::Result<String> {
    loop {
        match watch.next().await {
            Ok(None) => return Ok("it ended the stream".to_owned()),
            Err(error) if error.is_passing() => return Ok(error.to_string()),
            Err(error) => return Err(error.into()),
            Ok(Some(event)) if json => output.json_line(&event)?,
            Ok(Some(WatchEvent::Full(full))) => {
                let lines = known.full(&full, output.marks());
                output.lines(&lines)?;
            }
            Ok(Some(WatchEvent::Changes(new))) => {
                let lines = known.changes(&new, output.marks());
                output.lines(&lines)?;
            }
        }
    }
}

/// What was last said of each node, so that a change without a transition shows too.
#[derive(Default)]
struct Known(BTreeMap<String, (Health, bool, bool)>);

impl Known {
    fn full(&mut self, full: &FullState, marks: Marks) -> Vec<Text> {
        self.0 = full.nodes.iter().map(|node| (node.name.clone(), brief(node))).collect();
        let report = HealthReport { clusters: full.clusters.clone(), timestamp: None };
        let mut lines = status::draw(&report, marks);
        if full.missed > 0 {
            lines.push(
                Text::new().with(Style::Warn, format!("too slow: {} states were not shown", full.missed)),
            );
        }
        lines.push(Text::new());
        lines.push(Text::new().with(Style::Dim, "every change from here on, times in UTC, until Ctrl-C"));
        lines
    }

    fn changes(&mut self, new: &Changes, marks: Marks) -> Vec<Text> {
        let mut lines: Vec<Text> = new.transitions.iter().map(|step| transition(step, marks)).collect();
        let at =
            new.transitions.iter().find_map(|step| step.at).or(new.clusters.iter().find_map(|c| c.timestamp));
        let time = at.map_or_else(|| "-".to_owned(), |at| at.time_of_day());
        for node in &new.nodes {
            let before = self.0.insert(node.name.clone(), brief(node));
            if before != Some(brief(node)) {
                let steps = new.transitions.iter().filter(|step| step.subject == node.name);
                let told: Vec<&str> = steps.map(|step| step.reason.as_str()).collect();
                lines.push(change(node, (&time, &told), before.map(|(health, ..)| health), marks));
            }
        }
        for name in &new.removed_nodes {
            self.0.remove(name);
            lines.push(start(&time, "node", name).with(Style::Plain, "removed"));
        }
        lines
    }
}

fn brief(node: &Node) -> (Health, bool, bool) {
    (node.health, node.maintenance, node.flapping)
}

/// `19:06:05.000  node     n3  up → down  not heard for 4 s`.
fn transition(step: &Transition, marks: Marks) -> Text {
    let time = step.at.map_or_else(|| "-".to_owned(), |at| at.time_of_day());
    let line = start(&time, &step.kind, &step.subject);
    if step.from.is_empty() && step.to.is_empty() {
        return line.with(Style::Plain, &step.reason);
    }
    let style = style_of(&step.to);
    line.with(Style::Dim, format!("{} {} ", step.from, marks.arrow()))
        .with(style, format!("{} {}", marks.of(style), step.to))
        .with(Style::Plain, if step.reason.is_empty() { String::new() } else { format!("  {}", step.reason) })
}

fn change(node: &Node, (time, told): (&str, &[&str]), before: Option<Health>, marks: Marks) -> Text {
    let was = before.filter(|before| *before != node.health);
    let was = was.map(|was| format!("{was} {} ", marks.arrow())).unwrap_or_default();
    let notes = notes(node, told);
    let notes = if notes.is_empty() { notes } else { format!("  {notes}") };
    start(time, "health", &node.name)
        .with(Style::Dim, was)
        .then(marks.word(node.health))
        .with(Style::Plain, notes)
}

fn start(time: &str, kind: &str, subject: &str) -> Text {
    Text::new()
        .with(Style::Dim, format!("{time}  {kind:<8} "))
        .with(Style::Bold, subject)
        .with(Style::Plain, "  ")
}

/// The style of any status word.
fn style_of(word: &str) -> Style {
    let health = word.parse::<Health>().map(Verdict::style).ok();
    let liveness = || word.parse::<Liveness>().map(Verdict::style).ok();
    let quorum = || word.parse::<QuorumStatus>().map(Verdict::style).ok();
    health.or_else(liveness).or_else(quorum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The first two connections work, then the aggregator refuses for good.
    async fn watched(json: bool) -> (String, String, String) {
        let conn = Fake::default().serve().await;
        let refused = Fake { refuse_watch: true, ..Fake::default() }.serve().await;
        let count = AtomicU32::new(0);
        let connect = async || match count.fetch_add(1, Ordering::SeqCst) {
            0 | 2 => Ok(conn.clone()),
            1 => Err(OpenError::Connect("a:1".into(), "connection refused".into()).into()),
            _ => Ok(refused.clone()),
        };
        let (mut output, results, messages) = captured(Format::Table);
        let error = run(&Args { cluster: None, json }, &connect, &mut output).await.unwrap_err();
        (results.text(), messages.text(), format!("{error:#}"))
    }

    #[tokio::test]
    async fn shows_changes_and_comes_back() {
        let (results, messages, error) = watched(false).await;
        let (first, second) = results.split_at(results.len() / 2);
        assert_eq!(first, second);
        let lines: Vec<&str> = first.lines().collect();
        assert_eq!(lines[0], "✔ demo  healthy for 2 h 46 min");
        let changes = &lines[lines.iter().rposition(|line| line.is_empty()).unwrap() + 2..];
        assert_eq!(
            changes,
            [
                "19:06:05.000  node     n1  up → ✖ down  not heard for 4 s",
                "19:06:05.000  quorum   prod  at_risk → ✖ lost",
                "19:06:05.000  rebooted n2  new boot",
                "19:06:05.000  health   n1  healthy → ✖ unhealthy  not heard",
                "19:06:05.000  node     n9  removed",
            ]
        );
        assert_eq!(
            messages,
            "\
quorate: lost the aggregator: it ended the stream
quorate: failed to connect to a:1: connection refused, trying again
quorate: connected again
quorate: lost the aggregator: it ended the stream
"
        );
        assert_eq!(error, "failed to watch: permission denied: not any more");
    }

    #[tokio::test]
    async fn json_is_one_object_a_line() {
        let (results, _, _) = watched(true).await;
        let lines: Vec<serde_json::Value> =
            results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["full", "changes", "full", "changes"]);
        assert_eq!(lines[0]["nodes"][0]["liveness"], "up");
        assert_eq!(lines[1]["transitions"][0]["to"], "down");
        assert_eq!(lines[1]["removed_nodes"][0], "n9");
    }

    #[test]
    fn pauses_grow_within_their_limits() {
        for (attempt, low, high) in
            [(0, 0, 250), (1, 250, 1000), (2, 250, 2000), (4, 250, 5000), (99, 250, 5000)]
        {
            let all = (0..10_000).map(|random| pause(attempt, random * 7919));
            let (min, max) = all.fold((Duration::MAX, Duration::ZERO), |(a, b), p| (a.min(p), b.max(p)));
            assert!(min >= Duration::from_millis(low) && max <= Duration::from_millis(high), "{attempt}");
            assert!(max > Duration::from_millis(high / 10 * 9), "{attempt} {max:?}");
        }
    }
}
