//! What a demo says: one message when it is up, one at the end; for people or as a JSON line.

use crate::command::status::votes;
use crate::mark::Marks;
use crate::output::Output;
use crate::quantity::count;
use crate::text::{Style, Text};
use crate::view::ClusterHealth;
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::node::Health;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// It is up.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "ready")]
pub struct Ready {
    /// Where to ask, and the credential to show: an admin's, which dies with the demo.
    pub grpc: Door,
    /// Where a browser would look; `null` until there is an HTTP door.
    pub http: Option<Http>,
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

/// The web page and its token. There is none yet, and this type says so.
#[derive(Debug, Serialize)]
pub enum Http {}

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
    /// How to look at it.
    pub fn draw(&self, marks: Marks) -> Vec<Text> {
        let votes = self.health.quorum.as_ref().map(votes).unwrap_or_default();
        let own = std::env::current_exe().unwrap_or_else(|_| "quorate".into());
        let Door { address, ca, cert, key } = &self.grpc;
        let files = format!("-cacert {} -cert {} -key {}", quoted(ca), quoted(cert), quoted(key));
        let status = format!("{} --config {} status", quoted(&own), quoted(&self.config));
        let field = |name: &str, text: &str| {
            Text::new().with(Style::Dim, format!("  {name:<10}")).with(Style::Plain, text)
        };
        vec![
            Text::new()
                .then(marks.word(self.health.status))
                .with(Style::Plain, format!("  {}", count(self.agents.len() as u64, "agent"))),
            field("quorum", "")
                .then(marks.word(self.health.quorum_status))
                .with(Style::Plain, format!("  {votes}")),
            field("look", &status),
            field("grpcurl", &format!("grpcurl {files} {address} quorate.v1.ClusterService/GetHealth")),
            field("stop", "Ctrl-C"),
        ]
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

/// A path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
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
            http: None,
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
        let expect = r#"{"event":"ready","grpc":{"address":"127.0.0.1:1","ca":"/tmp/my demo/ca.crt","cert":"/c","key":"/k"},"http":null,"enrol":{"address":"127.0.0.1:2"},"agents":[{"node":"n1","pid":7}],"aggregator":{"pid":6}}
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
        assert_eq!(lines[0], "✔ healthy  1 agent");
        assert_eq!(lines[1], "  quorum    ✔ available  3 of 3 votes, 2 needed, margin 1");
        assert!(lines[2].ends_with(" --config '/tmp/my demo/client.toml' status"), "{text}");
        let grpcurl = "  grpcurl   grpcurl -cacert '/tmp/my demo/ca.crt' -cert /c -key /k 127.0.0.1:1 quorate.v1.ClusterService/GetHealth";
        assert_eq!(lines[3], grpcurl);
        assert_eq!(lines[5], "stopped: ✔ healthy, quorum ✔ available, 1 node, 1234 samples stored");
    }

    #[test]
    fn paths_survive_a_shell() {
        for (path, text) in
            [("/a/b-1.x", "/a/b-1.x"), ("/a b", "'/a b'"), ("/a'b", r"'/a'\''b'"), ("/$(x)", "'/$(x)'")]
        {
            assert_eq!(quoted(Path::new(path)), text);
        }
    }
}
