//! `quorate node NAME`: facts, components, resources and delivery of one node.

use super::nodes::{heard, role, until_and_why};
use super::status::field;
use crate::cli::Format;
use crate::conn::Connection;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::{bytes, parse_duration};
use crate::table::{Table, left, right};
use crate::text::{Style, Text};
use crate::view::{Delivery, NodeDetail, NodeIdentity, ResourceUsage, Stamp};
use quorate_common::model::node::HostFacts;
use std::time::Duration;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node
    pub name: String,
    /// Show it anew every second, sampled every second meanwhile, until ended
    #[arg(long)]
    pub live: bool,
    /// End the live picture after this long
    #[arg(long = "for", value_name = "DURATION", requires = "live", value_parser = parse_duration)]
    pub lasts: Option<Duration>,
}

/// How often a live picture is drawn, and its node sampled.
const PICTURE: Duration = Duration::from_secs(1);
/// Pictures between two wishes for a faster rate; each wish holds twice as long, and ends by itself.
const PICTURES_PER_WISH: u64 = 30;

/// Reads the node and shows it.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    if args.live {
        return live(args, conn, output).await;
    }
    picture(args, conn, output).await
}

async fn live(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let pictures = args.lasts.map_or(u64::MAX, |lasts| lasts.as_secs().max(1));
    let mut every = tokio::time::interval(PICTURE);
    for number in 0..pictures {
        every.tick().await;
        if number % PICTURES_PER_WISH == 0
            && let Err(error) = conn.set_rate(&args.name, 1000, 60).await
        {
            output.message(&format!("{error}; shown as it is sampled"));
        }
        if number > 0 && output.format() == Format::Table {
            output.next_picture()?;
        }
        picture(args, conn, output).await?;
    }
    Ok(0)
}

async fn picture(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let node = conn.node(&args.name).await?;
    if args.live && output.format() == Format::Json {
        output.json_line(&node)?;
        return Ok(0);
    }
    let health = conn.health(&node.node.cluster).await?;
    output.show(&node, |node, marks| draw(node, health.timestamp, marks))?;
    Ok(0)
}

fn draw(detail: &NodeDetail, now: Option<Stamp>, marks: Marks) -> Vec<Text> {
    let mut lines = head(detail, now, marks);
    if let Some(facts) = &detail.node.facts {
        lines.extend(host(facts));
    }
    lines.extend(detail.identity.iter().flat_map(identity));
    if let Some(delivery) = &detail.delivery {
        lines.extend(samples(delivery));
    }
    if let Some(gaps) = detail.gaps_of_day.filter(|gaps| *gaps > 0) {
        let text = format!("{gaps} in the last 24 h, see `quorate gaps`");
        lines.push(field("gaps").with(Style::Plain, text));
    }
    if !detail.resources.is_empty() {
        lines.push(Text::new());
        lines.extend(resources(&detail.resources, marks));
    }
    if !detail.components.is_empty() {
        lines.push(Text::new());
        lines.extend(components(detail, marks));
    }
    lines
}

fn head(detail: &NodeDetail, now: Option<Stamp>, marks: Marks) -> Vec<Text> {
    let node = &detail.node;
    let zone = node.zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
    let mut lines = vec![
        Text::new().with(Style::Bold, &node.name).with(Style::Plain, "  ").then(marks.word(node.health)),
        field("liveness")
            .then(marks.word(node.liveness))
            .with(Style::Plain, format!(", heard {}", heard(node, now))),
        field("cluster").with(Style::Plain, format!("{}, {}{zone}", node.cluster, role(node))),
    ];
    let muted = format!("maintenance, pages are muted{}", until_and_why(node));
    for (set, what) in [(node.maintenance, &*muted), (node.flapping, "flapping")] {
        if set {
            lines.push(field("note").with(Style::Warn, what));
        }
    }
    lines.extend(node.reasons.iter().map(|reason| field("why").with(Style::Plain, reason)));
    lines
}

fn host(facts: &HostFacts) -> Vec<Text> {
    let memory = bytes(facts.memory_bytes);
    let mut lines = vec![
        field("host").with(Style::Plain, format!("{}, {}", facts.hostname, facts.os)),
        field("kernel").with(Style::Plain, format!("{}, {}", facts.kernel, facts.arch)),
        field("hardware")
            .with(Style::Plain, format!("{} CPUs ({}), {memory}", facts.cpu_count, facts.cpu_model)),
        field("agent").with(Style::Plain, &facts.agent_version),
    ];
    lines.extend(facts.missing_rights.iter().map(|right| field("may not").with(Style::Warn, right)));
    lines
}

/// Which of its keys is in use, since when, and why it is let in no longer.
fn identity(identity: &NodeIdentity) -> Vec<Text> {
    let dated = |word: &str, at: Option<Stamp>| at.map(|at| format!(", {word} {at}")).unwrap_or_default();
    let NodeIdentity { generation, enrolled, certified, revoked, frozen } = identity;
    let text =
        format!("generation {generation}{}{}", dated("certified", *certified), dated("enrolled", *enrolled));
    let mut lines = vec![field("identity").with(Style::Plain, text)];
    let frozen = frozen.map(|at| format!("frozen {at}: its key was used in two places"));
    for why in [revoked.map(|at| format!("revoked {at}")), frozen].into_iter().flatten() {
        lines.push(field("").with(Style::Bad, why));
    }
    lines
}

fn samples(delivery: &Delivery) -> Vec<Text> {
    let Delivery { collected, stored, dropped_by_cause, series } = delivery;
    let dropped: u64 = dropped_by_cause.values().fold(0, |sum, count| sum.saturating_add(*count));
    let flying = collected.saturating_sub(*stored).saturating_sub(dropped);
    let text = format!("{collected} collected = {stored} stored + {dropped} dropped + {flying} in flight");
    let mut lines = vec![
        field("series").with(Style::Plain, series.to_string()),
        field("samples").with(Style::Plain, text),
    ];
    for (cause, count) in dropped_by_cause.iter().filter(|(_, count)| **count > 0) {
        lines.push(field("dropped").with(Style::Warn, format!("{count}: {}", cause.replace('_', " "))));
    }
    lines
}

fn resources(resources: &[ResourceUsage], marks: Marks) -> Vec<Text> {
    let mut table = Table::new(&[left("  RESOURCE"), right("USED"), right("IN USE"), right("OF")]);
    for usage in resources {
        let percent = usage.usage_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %"));
        table.row([
            Text::plain(format!("  {}", usage.resource_type)),
            Text::plain(percent),
            Text::plain(amount(usage.resource_type, usage.current_used)),
            Text::plain(amount(usage.resource_type, usage.total_available)),
        ]);
    }
    table.lines(marks)
}

/// Processor time is in seconds a second, the network in bytes a second, the rest in bytes.
fn amount(resource: &str, value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite() && *value >= 0.0) else {
        return "-".to_owned();
    };
    match resource {
        "memory" | "disk" => bytes(value as u64),
        "network" => format!("{}/s", bytes(value as u64)),
        "cpu" => format!("{value:.2} CPUs"),
        _ => format!("{value}"),
    }
}

fn components(detail: &NodeDetail, marks: Marks) -> Vec<Text> {
    let mut table = Table::new(&[left("  COMPONENT"), left("STATUS"), left("DETAILS")]);
    for component in &detail.components {
        let details: Vec<String> =
            component.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
        table.row([
            Text::plain(format!("  {}", component.component)),
            marks.word(component.status),
            Text::plain(details.join(" ")),
        ]);
    }
    table.lines(marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;

    fn still(name: &str) -> Args {
        Args { name: name.into(), live: false, lasts: None }
    }

    #[tokio::test]
    async fn a_live_picture_asks_for_its_rate() {
        let fake = Fake::default();
        let conn = fake.serve().await;
        let (mut output, results, messages) = captured(Format::Json);
        let args = Args { live: true, lasts: Some(Duration::from_secs(1)), ..still("n2") };
        run(&args, &conn, &mut output).await.unwrap();
        assert_eq!((results.text().lines().count(), messages.text().as_str()), (1, ""));
        assert_eq!(fake.calls(), ["rate n2 every 1000 ms for 60 s"]);
    }

    #[tokio::test]
    async fn looks_like_this() {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(Format::Table);
        run(&still("n2"), &conn, &mut output).await.unwrap();
        assert_eq!(
            results.text(),
            "\
n2  ▲ degraded
  liveness  ✔ up, heard now
  cluster   prod, voter x2, zone rack-a
  note      maintenance, pages are muted until 2026-11-20T19:06:05.000Z: new disk
  why       clock is 3 s off
  host      host-n2, Debian GNU/Linux 12
  kernel    6.1.0, x86_64
  hardware  8 CPUs (A CPU), 16.0 GiB
  agent     0.1.0
  may not   read /proc/1/io
  identity  generation 3, certified 2026-11-20T18:06:05.000Z, enrolled 2026-11-19T19:06:05.000Z
  series    120
  samples   1000 collected = 900 stored + 60 dropped + 40 in flight
  dropped   60: too old
  gaps      3 in the last 24 h, see `quorate gaps`

  RESOURCE    USED   IN USE        OF
  cpu       12.5 %        -         -
  memory    50.0 %  8.0 GiB  16.0 GiB

  COMPONENT  STATUS      DETAILS
  clock      ▲ degraded  offset_ms=3000 response_time_ms=1
"
        );
    }

    #[tokio::test]
    async fn whoever_is_let_in_no_longer_is_marked() {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(Format::Table);
        run(&still("n3"), &conn, &mut output).await.unwrap();
        let expect = "enrolled 2026-11-19T19:06:05.000Z\n            \
                      frozen 2026-11-20T19:05:05.000Z: its key was used in two places\n";
        assert!(results.text().contains(expect), "{}", results.text());
        let mut identity = NodeIdentity {
            generation: 1,
            enrolled: None,
            certified: None,
            revoked: Some(Stamp::from_secs(0)),
            frozen: None,
        };
        let shown = |one: &NodeIdentity| {
            super::identity(one).iter().map(|line| line.paint(false)).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&identity),
            ["  identity  generation 1", "            revoked 1970-01-01T00:00:00.000Z"]
        );
        identity.revoked = None;
        assert_eq!(shown(&identity).len(), 1);
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_an_error_that_names_the_field() {
        let conn = Fake::default().serve().await;
        let (mut output, _, _) = captured(Format::Json);
        let error = run(&still("NOPE"), &conn, &mut output).await.unwrap_err();
        let expect = "failed to read the node: invalid: bad request; `name`: `NOPE` is not a name";
        assert_eq!(format!("{error:#}"), expect);
    }

    #[tokio::test]
    async fn json_keeps_what_is_not_known_absent() {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(Format::Json);
        run(&still("n2"), &conn, &mut output).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&results.text()).unwrap();
        assert_eq!(json["resources"][0]["resource_type"], "cpu");
        assert_eq!(json["resources"][0].get("current_used"), None);
        assert_eq!(json["components"][0]["details"]["offset_ms"], "3000");
        assert_eq!(json["delivery"]["dropped_by_cause"]["too_old"], 60);
        assert_eq!(
            (json["identity"]["generation"].as_u64(), json["identity"].get("frozen")),
            (Some(3), None)
        );
    }
}
