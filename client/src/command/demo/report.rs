//! What a demo says: one message when it is up, one at the end; for people or as a JSON line.

use crate::command::status::votes;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::count;
use crate::text::{Style, Text, quoted};
use crate::view::ClusterHealth;
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::Health;
use serde::Serialize;
use std::path::PathBuf;

/// It is up.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "ready")]
pub struct Ready {
    /// Where to ask, and the credential to show: an admin's, which dies with the demo.
    pub grpc: Door,
    /// Where to ask over HTTP, and an admin's token, which dies with the demo.
    pub http: Http,
    /// Where to enrol.
    pub enrol: Enrol,
    /// The agents, in the order of their names.
    pub agents: Vec<AgentProcess>,
    /// The aggregator.
    pub aggregator: Process,
    /// A configuration file for this program.
    #[serde(skip)]
    pub config: PathBuf,
    /// The health that it came up with.
    #[serde(skip)]
    pub health: ClusterHealth,
}

/// An address with the files of a credential.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "as in the configuration")]
pub struct Door {
    pub address: String,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The HTTP door, and a token to send as Bearer.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs, reason = "an address is an address")]
pub struct Http {
    pub url: String,
    pub token: String,
}

/// The enrolment port.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "an address is an address")]
pub struct Enrol {
    pub address: String,
}

/// An agent that runs.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name of the node and the process number of its agent")]
pub struct AgentProcess {
    pub node: String,
    pub pid: u32,
}

/// The aggregator that runs.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "its process number")]
pub struct Process {
    pub pid: u32,
}

/// It is over.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "done")]
pub struct Done {
    /// The health of the cluster before it was stopped.
    pub status: Health,
    /// Its quorum.
    pub quorum: QuorumStatus,
    /// Its nodes.
    pub nodes: Vec<NodeStatus>,
    /// Samples stored, of all nodes.
    pub samples_stored: u64,
}

/// How a node was.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name of the node and its health")]
pub struct NodeStatus {
    pub node: String,
    pub status: Health,
}

/// Writes a message as a JSON line or as text.
pub fn show<T: Serialize>(
    message: &T,
    json: bool,
    output: &mut Output,
    draw: impl FnOnce(&T, Marks) -> Vec<Text>,
) -> std::io::Result<()> {
    if json { output.json_line(message) } else { output.lines(&draw(message, output.marks())) }
}

impl Ready {
    /// What runs, and how to look at it: lines to copy stand alone and are never cut.
    pub fn draw(&self, marks: Marks) -> Vec<Text> {
        let votes = self.health.quorum.as_ref().map(votes).unwrap_or_default();
        let own = std::env::current_exe().unwrap_or_else(|_| "quorate".into());
        let (Door { address, ca, cert, key }, Http { url, token }) = (&self.grpc, &self.http);
        let files = format!("-cacert {} -cert {} -key {}", quoted(ca), quoted(cert), quoted(key));
        let nodes: Vec<&str> = self.agents.iter().map(|agent| &*agent.node).collect();
        let count = count(nodes.len() as u64, "agent");
        let heading = Text::new()
            .then(marks.word(self.health.status))
            .with(Style::Plain, "  one aggregator, ")
            .with(Style::Plain, format!("{count} with this host's data: "))
            .with(Style::Bold, nodes.join(", "));
        let quorum = Text::new()
            .with(Style::Dim, "  quorum  ")
            .then(marks.word(self.health.quorum_status))
            .with(Style::Plain, format!("  {votes}"));
        let mut lines = vec![heading, quorum];
        for (what, command) in [
            ("Look at it", format!("{} --config {} status", quoted(&own), quoted(&self.config))),
            (
                "The same with grpcurl",
                format!("grpcurl {files} {address} quorate.v1.ClusterService/GetHealth"),
            ),
            (
                "Over HTTP, as Grafana or promtool would",
                format!("curl -H 'Authorization: Bearer {token}' '{url}/api/v1/query?query=node_load1'"),
            ),
        ] {
            lines.extend([
                Text::new(),
                Text::new().with(Style::Dim, format!("{what}:")),
                Text::plain(command),
            ]);
        }
        lines.extend([Text::new(), Text::plain("Ctrl-C stops everything.")]);
        lines
    }
}

impl Done {
    /// How it ended.
    pub fn draw(&self, marks: Marks) -> Vec<Text> {
        let nodes = count(self.nodes.len() as u64, "node");
        let text = format!(", {nodes}, {} stored", count(self.samples_stored, "sample"));
        let quorum = Text::plain(", quorum ").then(marks.word(self.quorum));
        vec![Text::plain("stopped: ").then(marks.word(self.status)).then(quorum).with(Style::Plain, text)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake;
    use crate::output::tests::captured;
    use crate::view::HealthReport;

    fn ready() -> Ready {
        let health = HealthReport::from(fake::health()).clusters.remove(0);
        let file = |name: &str| PathBuf::from(format!("/tmp/my demo/{name}"));
        Ready {
            grpc: Door {
                address: "127.0.0.1:1".into(),
                ca: file("ca.crt"),
                cert: "/c".into(),
                key: "/k".into(),
            },
            http: Http { url: "http://127.0.0.1:3".into(), token: "qrt_1".into() },
            enrol: Enrol { address: "127.0.0.1:2".into() },
            agents: vec![AgentProcess { node: "n1".into(), pid: 7 }],
            aggregator: Process { pid: 6 },
            config: file("client.toml"),
            health,
        }
    }

    fn done() -> Done {
        let nodes = vec![NodeStatus { node: "n1".into(), status: Health::Healthy }];
        Done { status: Health::Healthy, quorum: QuorumStatus::Available, nodes, samples_stored: 1234 }
    }

    #[test]
    fn json_lines_are_as_designed() {
        let (mut output, results, _) = captured(Format::Table);
        show(&ready(), true, &mut output, Ready::draw).unwrap();
        show(&done(), true, &mut output, Done::draw).unwrap();
        let lines = results.text();
        let expect = r#"{"event":"ready","grpc":{"address":"127.0.0.1:1","ca":"/tmp/my demo/ca.crt","cert":"/c","key":"/k"},"http":{"url":"http://127.0.0.1:3","token":"qrt_1"},"enrol":{"address":"127.0.0.1:2"},"agents":[{"node":"n1","pid":7}],"aggregator":{"pid":6}}
{"event":"done","status":"healthy","quorum":"available","nodes":[{"node":"n1","status":"healthy"}],"samples_stored":1234}
"#;
        assert_eq!(lines, expect);
    }

    #[test]
    fn people_are_shown_how_to_look() {
        let (mut output, results, _) = captured(Format::Table);
        show(&ready(), false, &mut output, Ready::draw).unwrap();
        show(&done(), false, &mut output, Done::draw).unwrap();
        let text = results.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "✔ healthy  one aggregator, 1 agent with this host's data: n1");
        assert_eq!(lines[1], "  quorum  ✔ available  3 of 3 votes, 2 needed, margin 1");
        assert_eq!(lines[3], "Look at it:");
        assert!(lines[4].ends_with(" --config '/tmp/my demo/client.toml' status"), "{text}");
        let grpcurl = "grpcurl -cacert '/tmp/my demo/ca.crt' -cert /c -key /k 127.0.0.1:1 quorate.v1.ClusterService/GetHealth";
        assert_eq!(lines[7], grpcurl);
        let curl = "curl -H 'Authorization: Bearer qrt_1' 'http://127.0.0.1:3/api/v1/query?query=node_load1'";
        assert_eq!(lines[10], curl);
        assert_eq!(lines[12], "Ctrl-C stops everything.");
        assert_eq!(lines[13], "stopped: ✔ healthy, quorum ✔ available, 1 node, 1234 samples stored");
    }
}
