//! `quorate status`: is it quorate, is it healthy, and why not.

use crate::conn::Connection;
use crate::mark::{Marks, Verdict};
use crate::output::Output;
use crate::quantity::{age, span};
use crate::text::{Style, Text};
use crate::view::{ClusterHealth, HealthReport, Quorum, Stamp};
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::Health;

/// The flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Exit with 0 healthy, 1 degraded, 2 unhealthy or quorum lost, 3 unknown: the worst of all clusters
    #[arg(long)]
    pub exit_code: bool,
}

/// Reads the health and shows it.
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let report = conn.health(args.cluster.as_deref().unwrap_or_default()).await?;
    output.show(&report, draw)?;
    Ok(if args.exit_code { exit_code(&report) } else { 0 })
}

/// Bad outranks unknown, because it is certain; no cluster at all is unknown.
fn exit_code(report: &HealthReport) -> u8 {
    let code = |cluster: &ClusterHealth| match (cluster.status, cluster.quorum_status) {
        (Health::Unhealthy, _) | (_, QuorumStatus::Lost) => 2,
        (Health::Unknown, _) | (_, QuorumStatus::Unknown) => 3,
        (Health::Degraded, _) | (_, QuorumStatus::AtRisk) => 1,
        (Health::Healthy, _) => 0,
    };
    let rank = |code: &u8| [0, 1, 3, 2].iter().position(|ranked| ranked == code);
    report.clusters.iter().map(code).max_by_key(rank).unwrap_or(3)
}

/// A paragraph for each cluster.
pub fn draw(report: &HealthReport, marks: Marks) -> Vec<Text> {
    if report.clusters.is_empty() {
        return vec![Text::plain("No clusters. Enrol a node: quorate token create --node NAME")];
    }
    let mut lines = Vec::new();
    for cluster in &report.clusters {
        if !lines.is_empty() {
            lines.push(Text::new());
        }
        lines.extend(paragraph(cluster, report.timestamp.or(cluster.timestamp), marks));
    }
    lines
}

fn paragraph(cluster: &ClusterHealth, now: Option<Stamp>, marks: Marks) -> Vec<Text> {
    let mut lines = vec![heading(cluster, now, marks), quorum(cluster, marks)];
    let zones = cluster.quorum.iter().flat_map(|quorum| &quorum.zones).filter(|zone| zone.decides);
    for zone in zones {
        let name = if zone.zone.is_empty() { "without a zone" } else { &zone.zone };
        lines.push(more(marks).with(Style::Warn, format!("losing zone {name} loses the quorum")));
    }
    let respond = format!("{} of {} respond", cluster.healthy_nodes, cluster.total_nodes);
    lines.push(field("nodes").with(Style::Plain, respond));
    for (names, health) in [
        (&cluster.unhealthy_nodes, Health::Unhealthy),
        (&cluster.degraded_nodes, Health::Degraded),
        (&cluster.unknown_nodes, Health::Unknown),
    ] {
        if !names.is_empty() {
            let names = format!("  {}", names.join(", "));
            lines.push(field("").then(marks.word(health)).with(Style::Plain, names));
        }
    }
    if let Some(incident) = &cluster.mass_loss {
        lines.push(field("incident").with(Style::Bad, incident));
    }
    for (index, reason) in cluster.reasons.iter().enumerate() {
        let label = if index == 0 { field("why") } else { field("") };
        lines.push(label.with(Style::Plain, format!("{} {reason}", marks.bullet())));
    }
    lines
}

fn heading(cluster: &ClusterHealth, now: Option<Stamp>, marks: Marks) -> Text {
    let style = cluster.status.style();
    let line = Text::new()
        .with(style, format!("{} ", marks.of(style)))
        .with(Style::Bold, &cluster.cluster)
        .with(Style::Plain, "  ")
        .with(style, cluster.status.word());
    match (now, cluster.since) {
        (Some(now), Some(since)) => line.with(Style::Dim, format!(" for {}", span(age(now, since)))),
        _ => line,
    }
}

fn quorum(cluster: &ClusterHealth, marks: Marks) -> Text {
    let line = field("quorum").then(marks.word(cluster.quorum_status));
    match &cluster.quorum {
        Some(quorum) if cluster.quorum_status != QuorumStatus::NotApplicable => {
            line.with(Style::Plain, format!("  {}", votes(quorum)))
        }
        _ => line,
    }
}

/// `3 of 3 votes, 2 needed, margin 1`.
pub fn votes(quorum: &Quorum) -> String {
    let mut text = format!("{} of {} votes, {} needed", quorum.alive, quorum.total, quorum.need);
    if quorum.unknown > 0 {
        text.push_str(&format!(", {} unknown", quorum.unknown));
    }
    if let Some(margin) = quorum.margin {
        text.push_str(&format!(", margin {margin}"));
    }
    text
}

/// The name of what the rest of the line says.
pub fn field(name: &str) -> Text {
    Text::new().with(Style::Dim, format!("  {name:<10}"))
}

fn more(marks: Marks) -> Text {
    field("").with(Style::Warn, format!("{} ", marks.of(Style::Warn)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::{self, Fake};
    use crate::output::tests::captured;

    fn painted(report: &HealthReport, unicode: bool, color: bool) -> String {
        let lines = draw(report, Marks { unicode, width: None });
        lines.iter().map(|line| line.paint(color) + "\n").collect()
    }

    fn report() -> HealthReport {
        fake::health().into()
    }

    #[test]
    fn looks_like_this() {
        assert_eq!(
            painted(&report(), true, false),
            "\
✔ demo  healthy for 2 h 46 min
  quorum    ✔ available  3 of 3 votes, 2 needed, margin 1
  nodes     3 of 3 respond

▲ prod  degraded for 1 min 40 s
  quorum    ▲ at_risk  2 of 3 votes, 2 needed, margin 0
            ▲ losing zone rack-a loses the quorum
  nodes     2 of 3 respond
            ✖ unhealthy  n3
            ▲ degraded  n2
  why       • node n3 is down: not heard for 4 s
            • quorum at risk: evil\\u{1b}[2J
"
        );
    }

    #[test]
    fn looks_like_this_without_unicode() {
        let text = painted(&report(), false, false);
        assert!(text.is_ascii());
        assert!(
            text.starts_with("+ demo  healthy for 2 h 46 min\n  quorum    + available  3 of 3"),
            "{text}"
        );
        assert!(text.contains("\n            x unhealthy  n3\n"), "{text}");
    }

    #[test]
    fn colour_adds_only_escape_sequences() {
        let text = painted(&report(), true, true);
        assert!(
            text.starts_with("\u{1b}[32m✔ \u{1b}[0m\u{1b}[1mdemo\u{1b}[0m  \u{1b}[32mhealthy\u{1b}[0m"),
            "{text:?}"
        );
        let mut bare = text;
        for sgr in ["0", "1", "2", "31", "32", "33", "35", "1;31"] {
            bare = bare.replace(&format!("\u{1b}[{sgr}m"), "");
        }
        assert_eq!(bare, painted(&report(), true, false));
    }

    #[test]
    fn exit_codes_are_the_worst() {
        let check = |states: &[(Health, QuorumStatus)], expect| {
            let mut report = report();
            let template = report.clusters[0].clone();
            report.clusters = states
                .iter()
                .map(|(status, quorum_status)| ClusterHealth {
                    status: *status,
                    quorum_status: *quorum_status,
                    ..template.clone()
                })
                .collect();
            assert_eq!(exit_code(&report), expect, "{states:?}");
        };
        use {Health::*, QuorumStatus as Q};
        check(&[], 3);
        check(&[(Healthy, Q::Available), (Healthy, Q::NotApplicable)], 0);
        check(&[(Healthy, Q::Available), (Degraded, Q::AtRisk)], 1);
        check(&[(Healthy, Q::AtRisk)], 1);
        check(&[(Degraded, Q::Available), (Unknown, Q::Unknown)], 3);
        check(&[(Healthy, Q::Unknown)], 3);
        check(&[(Unknown, Q::Unknown), (Degraded, Q::Lost), (Healthy, Q::Available)], 2);
        check(&[(Unhealthy, Q::Available)], 2);
    }

    #[tokio::test]
    async fn json_has_the_names_of_the_protocol() {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(Format::Json);
        let args = Args { cluster: Some("prod".into()), exit_code: true };
        assert_eq!(run(&args, &conn, &mut output).await.unwrap(), 1);
        let json: serde_json::Value = serde_json::from_str(&results.text()).unwrap();
        let cluster = &json["clusters"][0];
        assert_eq!(cluster["cluster"], "prod");
        assert_eq!((&cluster["status"], &cluster["quorum_status"]), (&"degraded".into(), &"at_risk".into()));
        assert_eq!(cluster["quorum"]["margin"], 0);
        assert_eq!(cluster["since"], "2026-11-20T19:04:25.000Z");
        assert_eq!(cluster.get("mass_loss"), None);
        assert_eq!(json["timestamp"], "2026-11-20T19:06:05.000Z");
    }

    #[tokio::test]
    async fn a_cluster_that_is_not_there_is_an_error() {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(Format::Table);
        let args = Args { cluster: Some("nope".into()), exit_code: true };
        let error = run(&args, &conn, &mut output).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "failed to read the health: not found: no cluster `nope`");
        assert_eq!(results.text(), "");
    }
}
