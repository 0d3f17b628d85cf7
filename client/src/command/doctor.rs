//! `quorate doctor`: from this desk to every node: configuration, credential, the way to the aggregator, what we
//! may ask, and what ails the nodes; with what to do, and the exit code 0 ok, 1 warnings, 2 failures.
//!
//! It changes nothing, neither here nor there. What cannot be found out is a finding, not an error.

use crate::config::{ConfigError, Target};
use crate::conn::{CallError, Connection};
use crate::output::Output;
use crate::view::{ClusterHealth, Node, NodeDetail};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::error::chain;
use quorate_common::model::node::{Health, Liveness};
use quorate_common::model::time::WallTime;
use quorate_common::terminal::finding::{Finding, Level, Report};
use quorate_common::tls::{Credential, client_config, load_certificates, peer_identity, validity};
use quorate_proto::probe::probe;
use std::sync::Arc;

/// Nodes whose collectors are asked for; each takes a call.
const ASKED_MAX: usize = 1000;
const CREDENTIAL: &str = "credential";
const ENROL: &str =
    "an admin makes a token with `quorate token create --user`; then `quorate enroll --force`";
const ROLL: &str = "run `quorate-aggregator ca roll` where the aggregator is";

/// Makes every check, as far as the way goes.
pub async fn run(target: anyhow::Result<Target>, output: &mut Output) -> anyhow::Result<u8> {
    let mut report = Report::default();
    match target {
        Ok(target) => examine(&target, &mut report.findings).await,
        Err(error) => report.findings.extend(configuration(&error)),
    }
    output.show(&report, |report, marks| report.lines(marks))?;
    Ok(report.exit_code())
}

fn configuration(error: &anyhow::Error) -> Vec<Finding> {
    let advice = "write it to ~/.config/quorate/client.toml with `quorate enroll`, or give the flags";
    let failed = |text: String| Finding::failed("configuration", text).advise(advice);
    match error.downcast_ref() {
        Some(ConfigError::File(file)) => file.problems.iter().map(|one| failed(one.to_string())).collect(),
        _ => vec![failed(format!("{error:#}"))],
    }
}

async fn examine(target: &Target, findings: &mut Vec<Finding>) {
    findings.push(Finding::ok("configuration", format!("aggregator at {}", target.address)));
    let now = SystemClock.now().wall;
    findings.extend(credential(target, now));
    let roots = load_certificates(&target.ca);
    let own = Credential::load(&target.cert, &target.key);
    let tls = match roots.and_then(|roots| client_config(&roots, Some(own?))) {
        Ok(tls) => Arc::new(tls),
        Err(error) => {
            return findings.push(Finding::failed("aggregator", format!("not tried: {}", chain(&error))));
        }
    };
    let way = probe(&target.address.to_string(), tls, &SystemClock).await;
    findings.extend(way.findings());
    if way.findings().iter().any(|finding| finding.level == Level::Failed) {
        return;
    }
    match Connection::open(target).await {
        Ok(conn) => findings.extend(ask(&conn).await),
        Err(error) => findings.push(Finding::failed("aggregator", chain(&error))),
    }
}

/// Whose certificate it is, and how long it and its roots last.
fn credential(target: &Target, now: WallTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    match Credential::load(&target.cert, &target.key) {
        Err(error) => findings.push(Finding::failed(CREDENTIAL, chain(&error)).advise(ENROL)),
        Ok(own) => {
            findings.push(match peer_identity(&own.chain) {
                Ok(peer) => Finding::ok(CREDENTIAL, format!("{} {}", peer.identity.role, peer.identity.name)),
                Err(error) => Finding::failed(CREDENTIAL, chain(&error)).advise(ENROL),
            });
            let leaf = own.chain.first().and_then(|leaf| validity(leaf).ok());
            findings.extend(leaf.map(|leaf| leaf.finding("certificate", ENROL, now)));
        }
    }
    match load_certificates(&target.ca) {
        Err(error) => findings.push(Finding::failed("root", chain(&error)).advise(ENROL)),
        Ok(roots) => {
            let read = roots.iter().filter_map(|root| validity(root).ok());
            findings.extend(read.map(|root| root.finding("root", ROLL, now)));
        }
    }
    findings
}

/// What may be asked, and what the answers say of clusters and nodes.
async fn ask(conn: &Connection) -> Vec<Finding> {
    let (health, nodes, tokens) = (conn.health("").await, conn.nodes("").await, conn.tokens().await);
    let mut findings = vec![
        allowed("read health", health.as_ref().err(), Level::Failed),
        allowed("list nodes", nodes.as_ref().err(), Level::Failed),
        // Only admins may; others are told so, and nothing is wrong with that.
        allowed("administer", tokens.as_ref().err(), Level::Ok),
    ];
    findings.extend(health.iter().flat_map(|report| &report.clusters).map(cluster));
    let nodes = nodes.map(|list| list.nodes).unwrap_or_default();
    for (number, one) in nodes.iter().enumerate() {
        let detail = if number < ASKED_MAX { conn.node(&one.name).await.ok() } else { None };
        findings.push(node(one, detail.as_ref()));
    }
    findings
}

fn allowed(call: &str, refused: Option<&CallError>, level: Level) -> Finding {
    let name = format!("api, {call}");
    match refused {
        None => Finding::ok(name, "allowed"),
        Some(error) => Finding { level, ..Finding::ok(name, error.to_string()) },
    }
}

fn cluster(cluster: &ClusterHealth) -> Finding {
    let text = format!("{}, quorum {}", cluster.status, cluster.quorum_status);
    let text = std::iter::once(text).chain(cluster.reasons.iter().cloned()).collect::<Vec<_>>().join("; ");
    Finding { level: of_health(cluster.status), ..Finding::ok(format!("cluster {}", cluster.cluster), text) }
}

/// One line for a node: how it is, why, what it may not read, which collectors fail.
fn node(node: &Node, detail: Option<&NodeDetail>) -> Finding {
    let rights = node.facts.iter().flat_map(|facts| &facts.missing_rights);
    let rights: Vec<String> = rights.map(|right| format!("may not read {right}")).collect();
    let components = detail.iter().flat_map(|detail| &detail.components);
    let failing = components.filter(|one| one.status != Health::Healthy);
    let failing: Vec<String> =
        failing.map(|one| format!("{} is {}", one.component.replace('/', " "), one.status)).collect();
    let mut level = of_liveness(node.liveness).max(of_health(node.health));
    if !(rights.is_empty() && failing.is_empty()) {
        level = level.max(Level::Warning);
    }
    let head = format!("{}, {}", node.liveness, node.health);
    let all = std::iter::once(head).chain(node.reasons.iter().cloned()).chain(failing).chain(rights);
    let text = all.collect::<Vec<_>>().join("; ");
    let finding = Finding { level, ..Finding::ok(format!("node {}", node.name), text) };
    match level {
        Level::Ok => finding,
        _ => finding.advise(format!("run `quorate-agent doctor` on {}", node.name)),
    }
}

fn of_health(health: Health) -> Level {
    match health {
        Health::Healthy => Level::Ok,
        Health::Degraded | Health::Unknown => Level::Warning,
        Health::Unhealthy => Level::Failed,
    }
}

fn of_liveness(liveness: Liveness) -> Level {
    match liveness {
        Liveness::Up => Level::Ok,
        Liveness::Suspect | Liveness::Left | Liveness::Isolated | Liveness::Unknown => Level::Warning,
        Liveness::Down | Liveness::AgentDead => Level::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Format;
    use crate::command::fake::Fake;
    use crate::output::tests::captured;
    use std::path::Path;
    use std::time::Duration;

    fn target(dir: &Path, address: &str) -> Target {
        Target {
            address: address.parse().unwrap(),
            ca: dir.join("ca.crt"),
            cert: dir.join("admin.crt"),
            key: dir.join("admin.key"),
            timeout: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn nodes_are_told_with_what_ails_them() {
        let findings = ask(&Fake::default().serve().await).await;
        let shape: Vec<(Level, &str, &str)> =
            findings.iter().map(|one| (one.level, one.check.as_str(), one.text.as_str())).collect();
        assert_eq!(shape[0], (Level::Ok, "api, read health", "allowed"));
        assert_eq!(shape[3], (Level::Ok, "cluster demo", "healthy, quorum available"));
        assert_eq!((shape[4].0, shape[4].1), (Level::Warning, "cluster prod"));
        let n2 = "up, degraded; clock is 3 s off; clock is degraded; may not read read /proc/1/io";
        assert_eq!(shape[6], (Level::Warning, "node n2", n2));
        assert_eq!((shape[7].0, shape[7].1), (Level::Failed, "node n3"));
        assert_eq!((shape[8].0, shape[8].1), (Level::Warning, "node n4"));
    }

    #[tokio::test]
    async fn the_way_is_walked_and_json_is_one_document() {
        let dir = tempfile::tempdir().unwrap();
        let address = Fake::default().serve_tls(dir.path()).await.to_string();
        let (mut output, results, _) = captured(Format::Json);
        assert_eq!(run(Ok(target(dir.path(), &address)), &mut output).await.unwrap(), 2);
        let json: serde_json::Value = serde_json::from_str(&results.text()).unwrap();
        let findings = json["findings"].as_array().unwrap();
        let level = |check: &str| {
            findings.iter().find(|one| one["check"] == check).map(|one| one["level"].as_str().unwrap())
        };
        // The fake's certificate names nobody, and it takes it all the same.
        assert_eq!(level("credential"), Some("failed"));
        for step in ["name", "tcp", "tls", "certificate", "clock"] {
            assert!(level(&format!("{address} {step}")).is_some(), "{step}: {findings:?}");
        }
        assert_eq!((level(&format!("{address} tls")), level("node n3")), (Some("ok"), Some("failed")));
    }

    #[tokio::test]
    async fn nobody_there_ends_the_way() {
        let dir = tempfile::tempdir().unwrap();
        Fake::default().serve_tls(dir.path()).await;
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (mut output, results, _) = captured(Format::Table);
        assert_eq!(run(Ok(target(dir.path(), &closed)), &mut output).await.unwrap(), 2);
        assert!(results.text().contains("start the aggregator there"), "{}", results.text());
        let (mut output, results, _) = captured(Format::Table);
        let missing = ConfigError::Missing("ca", "client.toml".into(), "QUORATE_CA");
        assert_eq!(run(Err(missing.into()), &mut output).await.unwrap(), 2);
        assert!(results.text().starts_with("✖ configuration: no `ca` given"), "{}", results.text());
    }
}
