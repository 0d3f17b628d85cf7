//! `quorate nodes`: all declared nodes; with a word behind it, changes to who belongs.

use super::admin;
use crate::conn::Connection;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::{age, bytes, span};
use crate::table::{Table, left, right};
use crate::text::{Style, Text};
use crate::view::{Node, NodeList, Stamp};
use quorate_common::model::node::MemberRole;

/// The flags.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Only this cluster
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// A change instead of the list.
    #[command(subcommand)]
    pub change: Option<admin::Change>,
}

/// Lists the nodes; a change is made by [`admin::run`].
pub async fn run(args: &Args, conn: &Connection, output: &mut Output) -> anyhow::Result<u8> {
    let cluster = args.cluster.as_deref().unwrap_or_default();
    // Ages are counted by the aggregator's clock, which made the stamps.
    let (health, nodes) = tokio::try_join!(conn.health(cluster), conn.nodes(cluster))?;
    output.show(&nodes, |nodes, marks| draw(nodes, health.timestamp, marks))?;
    Ok(0)
}

fn draw(list: &NodeList, now: Option<Stamp>, marks: Marks) -> Vec<Text> {
    if list.nodes.is_empty() {
        return vec![Text::plain("No nodes. Enrol one: quorate token create --node NAME")];
    }
    let mut table = Table::new(&[
        left("NODE"),
        left("CLUSTER"),
        left("ROLE"),
        left("ZONE"),
        left("LIVENESS"),
        left("HEALTH"),
        right("HEARD"),
        right("CPUS").extra(),
        right("MEMORY").extra(),
        left("AGENT").extra(),
        left("NOTES"),
    ]);
    for node in &list.nodes {
        let facts = node.facts.as_ref();
        table.row([
            Text::new().with(Style::Bold, &node.name),
            Text::plain(&node.cluster),
            Text::plain(role(node)),
            Text::plain(node.zone.as_deref().unwrap_or("-")),
            marks.word(node.liveness),
            marks.word(node.health),
            Text::plain(heard(node, now)),
            Text::plain(facts.map_or_else(|| "-".to_owned(), |facts| facts.cpu_count.to_string())),
            Text::plain(facts.map_or_else(|| "-".to_owned(), |facts| bytes(facts.memory_bytes))),
            Text::plain(facts.map_or("-", |facts| &facts.agent_version)),
            Text::plain(notes(node, &[])),
        ]);
    }
    table.lines(marks)
}

/// `voter`, `voter x3`, `observer`.
pub fn role(node: &Node) -> String {
    match node.role {
        Some(MemberRole::Voter) if node.weight > 1 => format!("voter x{}", node.weight),
        Some(role) => role.to_string(),
        None => "-".to_owned(),
    }
}

/// How long ago a frame came: `now` within the announced second.
pub fn heard(node: &Node, now: Option<Stamp>) -> String {
    match (now, node.last_heard) {
        (_, None) => "never".to_owned(),
        (None, Some(heard)) => heard.to_string(),
        (Some(now), Some(heard)) => match age(now, heard) {
            brief if brief.as_millis() < 2000 => "now".to_owned(),
            long => format!("{} ago", span(long)),
        },
    }
}

/// ` until 2026-11-20T19:06:05Z: new disk`, as far as it is known.
pub fn until_and_why(node: &Node) -> String {
    let until = node.maintenance_until.map(|until| format!(" until {until}"));
    let why = node.maintenance_reason.as_ref().map(|why| format!(": {why}"));
    [until, why].into_iter().flatten().collect()
}

/// What there is to say about a node beyond its status, without the reasons that were `told` already.
pub fn notes(node: &Node, told: &[&str]) -> String {
    let maintenance = node.maintenance.then(|| format!("maintenance{}", until_and_why(node)));
    let flags = maintenance.into_iter().chain(node.flapping.then(|| "flapping".to_owned()));
    let reasons = node.reasons.iter().filter(|reason| !told.contains(&reason.as_str())).cloned();
    flags.chain(reasons).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;

    #[tokio::test]
    async fn looks_like_this() {
        let conn = Fake::default().serve().await;
        let (mut output, results, _) = captured(Format::Table);
        run(&Args { cluster: None, change: None }, &conn, &mut output).await.unwrap();
        assert_eq!(
            results.text(),
            "\
NODE  CLUSTER  ROLE      ZONE    LIVENESS   HEALTH                HEARD  CPUS    MEMORY  AGENT  NOTES
n1    prod     voter     rack-a  ✔ up       ✔ healthy               now     8  16.0 GiB  0.1.0
n2    prod     voter x2  rack-a  ✔ up       ▲ degraded              now     8  16.0 GiB  0.1.0  maintenance until 2026-11-20T19:06:05.000Z: new disk; clock is 3 s off
n3    prod     voter     rack-b  ✖ down     ✖ unhealthy  1 min 40 s ago     8  16.0 GiB  0.1.0  flapping; not heard
n4    prod     observer  -       ? unknown  ? unknown             never     -         -  -
"
        );
    }

    #[tokio::test]
    async fn json_reads_all_pages_and_leaves_out_what_is_absent() {
        let conn = Fake { page: 2, ..Fake::default() }.serve().await;
        let (mut output, results, _) = captured(Format::Json);
        run(&Args { cluster: None, change: None }, &conn, &mut output).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&results.text()).unwrap();
        let nodes = json["nodes"].as_array().unwrap();
        assert_eq!(
            nodes.iter().map(|node| node["name"].as_str().unwrap()).collect::<Vec<_>>(),
            ["n1", "n2", "n3", "n4"]
        );
        assert_eq!(nodes[1]["role"], "voter");
        assert_eq!(nodes[0]["facts"]["cpu_count"], 8);
        let keys: Vec<_> = nodes[3].as_object().unwrap().keys().cloned().collect();
        for absent in ["zone", "facts", "last_heard", "since"] {
            assert!(!keys.contains(&absent.to_owned()), "{absent}");
        }
    }

    #[tokio::test]
    async fn a_list_without_end_is_given_up() {
        let conn = Fake { page: 0, ..Fake::default() }.serve().await;
        let error = conn.nodes("").await.unwrap_err();
        assert_eq!(error.to_string(), "failed to list nodes: the answer never ends");
    }
}
