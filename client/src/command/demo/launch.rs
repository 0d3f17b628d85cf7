//! Bringing a demo up, step by step, with the public API only; and asking it how it is at the end.

use super::process::{Program, Programs};
use super::report::{AgentProcess, Done, Door, Enrol, Http, NodeStatus, Process, Ready};
use crate::config::{Partial, Target};
use crate::conn::{Connection, NewToken, Subject};
use crate::view::{ClusterHealth, WatchEvent};
use anyhow::{Context, anyhow, bail};
use quorate_common::model::cluster::QuorumStatus;
use quorate_common::model::identity::Role;
use quorate_common::model::node::{Health, MemberRole};
use serde::Deserialize;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CLUSTER: &str = "demo";
const LISTEN: &str = "127.0.0.1:0";
const LISTEN_MAX: Duration = Duration::from_secs(20);
const HEALTHY_MAX: Duration = Duration::from_secs(60);
const CALL_MAX: Duration = Duration::from_secs(10);

/// What to bring up.
#[derive(Debug)]
pub struct Plan {
    /// How many agents.
    pub agents: u32,
    /// The program of the aggregator.
    pub aggregator: PathBuf,
    /// The program of the agents.
    pub agent: PathBuf,
    /// Where everything is kept.
    pub dir: PathBuf,
}

impl Plan {
    /// The names of the nodes, in order.
    fn nodes(&self) -> Vec<String> {
        (1..=self.agents).map(|number| format!("n{number}")).collect()
    }

    /// The last of an even number is an observer: an even number of voters survives no more failures than
    /// one voter less, and two would be at risk from the start.
    fn role(&self, index: usize) -> MemberRole {
        let last = index + 1 == self.agents as usize;
        if last && self.agents.is_multiple_of(2) { MemberRole::Observer } else { MemberRole::Voter }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }
}

/// A demo that is up.
#[derive(Debug)]
pub struct Running {
    conn: Connection,
    target: Target,
    enrol: String,
    http: Http,
    config: PathBuf,
    health: ClusterHealth,
    nodes: Vec<String>,
}

/// What the aggregator writes when it listens.
#[derive(Debug, Deserialize)]
struct Listening {
    grpc: String,
    enrol: String,
    http: String,
}

/// Starts everything and returns when the cluster is healthy and data of each node was read back.
pub async fn start(plan: &Plan, programs: &mut Programs) -> anyhow::Result<Running> {
    let listening = start_aggregator(plan, programs).await?;
    let target = target(plan, &listening)?;
    let config = write_config(plan, &target)?;
    let conn = Connection::open(&target).await?;
    let http = http(&conn, &listening).await?;
    for (index, name) in plan.nodes().into_iter().enumerate() {
        programs.agents.push(start_agent(plan, &conn, &name, plan.role(index)).await?);
    }
    let up = async {
        let health = until_healthy(&conn, plan.agents).await?;
        until_read_back(&conn, &plan.nodes()).await?;
        anyhow::Ok(health)
    };
    let health = tokio::select! {
        up = up => up?,
        died = programs.died() => return Err(died),
    };
    Ok(Running { conn, target, enrol: listening.enrol, http, config, health, nodes: plan.nodes() })
}

async fn start_aggregator(plan: &Plan, programs: &mut Programs) -> anyhow::Result<Listening> {
    let (dir, ready) = (plan.dir.join("aggregator"), plan.dir.join("ready.json"));
    let init = words(&["init", "--dir"], &dir, &["--name", "aggregator", "--address", "127.0.0.1"]);
    Program::once("aggregator init", &plan.aggregator, &init, &plan.log("init")).await?;
    let listen = ["--listen-grpc", LISTEN, "--listen-enrol", LISTEN, "--listen-http", LISTEN, "--ready-file"];
    let mut run = words(&["run", "--dir"], &dir, &listen);
    run.extend([ready.as_os_str(), OsStr::new("--stop-on-stdin-eof")]);
    let aggregator = Program::start("aggregator", &plan.aggregator, &run, &plan.log("aggregator"))?;
    programs.aggregator = Some(aggregator);
    tokio::select! {
        listening = until_ready(&ready) => listening,
        died = programs.died() => Err(died),
    }
}

fn words<'a>(before: &'a [&'a str], dir: &'a Path, after: &'a [&'a str]) -> Vec<&'a OsStr> {
    let before = before.iter().map(OsStr::new);
    before.chain([dir.as_os_str()]).chain(after.iter().map(OsStr::new)).collect()
}

/// The file appears whole, or not at all.
async fn until_ready(path: &Path) -> anyhow::Result<Listening> {
    let appear = async {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        loop {
            interval.tick().await;
            match tokio::fs::read(path).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
    };
    let late = || anyhow!("the aggregator did not listen within {} s", LISTEN_MAX.as_secs());
    let bytes = tokio::time::timeout(LISTEN_MAX, appear).await.map_err(|_| late())?;
    let failed = || format!("failed to read the ready file `{}`", path.display());
    serde_json::from_slice(&bytes.with_context(failed)?).with_context(failed)
}

fn target(plan: &Plan, listening: &Listening) -> anyhow::Result<Target> {
    let admin = plan.dir.join("aggregator/admin");
    Ok(Target {
        address: listening.grpc.parse().map_err(|error| anyhow!("ready file: grpc: {error}"))?,
        ca: admin.join("ca.crt"),
        cert: admin.join("admin.crt"),
        key: admin.join("admin.key"),
        timeout: CALL_MAX,
    })
}

/// A token for whoever tries the HTTP door.
async fn http(conn: &Connection, listening: &Listening) -> anyhow::Result<Http> {
    let subject = Subject::Http { name: "demo".to_owned(), role: Role::Admin };
    let made = conn.create_token(NewToken { subject, lifetime: None }).await?;
    Ok(Http { url: format!("http://{}", listening.http), token: made.token })
}

/// A file for `quorate --config`, so that the line to try is short.
fn write_config(plan: &Plan, target: &Target) -> anyhow::Result<PathBuf> {
    let path = plan.dir.join(crate::config::FILE);
    let Target { address, ca, cert, key, .. } = target.clone();
    let settings =
        Partial { address: Some(address), ca: Some(ca), cert: Some(cert), key: Some(key), timeout: None };
    std::fs::write(&path, toml::to_string(&settings)?)
        .with_context(|| format!("failed to write `{}`", path.display()))?;
    Ok(path)
}

async fn start_agent(
    plan: &Plan,
    conn: &Connection,
    name: &str,
    role: MemberRole,
) -> anyhow::Result<Program> {
    let subject = Subject::Node {
        name: name.to_owned(),
        cluster: CLUSTER.to_owned(),
        role,
        zone: String::new(),
        weight: 1,
        replace: false,
    };
    let token = conn.create_token(NewToken { subject, lifetime: None }).await?;
    let dir = plan.dir.join(name);
    let before = ["enroll", "--token", &token.token, "--dir"];
    let enroll = words(&before, &dir, &[]);
    Program::once(&format!("{name} enroll"), &plan.agent, &enroll, &plan.log(&format!("{name}-enroll")))
        .await?;
    let run = words(&["run", "--dir"], &dir, &["--stop-on-stdin-eof"]);
    Program::start(name, &plan.agent, &run, &plan.log(name))
}

/// Watches until the cluster is healthy and quorate with all of its nodes.
async fn until_healthy(conn: &Connection, agents: u32) -> anyhow::Result<ClusterHealth> {
    let mut last = None;
    let well = async {
        let mut watch = conn.watch("").await?;
        while let Some(event) = watch.next().await? {
            let clusters = match event {
                WatchEvent::Full(full) => full.clusters,
                WatchEvent::Changes(new) => new.clusters,
            };
            if let Some(cluster) = clusters.into_iter().find(|cluster| cluster.cluster == CLUSTER) {
                if is_well(&cluster, agents) {
                    return Ok(cluster);
                }
                last = Some(cluster);
            }
        }
        bail!("the aggregator ended the watch")
    };
    match tokio::time::timeout(HEALTHY_MAX, well).await {
        Ok(outcome) => outcome,
        Err(_) => Err(unwell(last.as_ref())),
    }
}

fn is_well(cluster: &ClusterHealth, agents: u32) -> bool {
    cluster.status == Health::Healthy
        && cluster.quorum_status == QuorumStatus::Available
        && (cluster.total_nodes, cluster.healthy_nodes) == (agents, agents)
}

fn unwell(last: Option<&ClusterHealth>) -> anyhow::Error {
    let limit = HEALTHY_MAX.as_secs();
    let Some(last) = last else { return anyhow!("no agent was heard within {limit} s") };
    let reasons = last.reasons.join("; ");
    anyhow!("the cluster is {} and its quorum {} after {limit} s: {reasons}", last.status, last.quorum_status)
}

/// Asks for samples of each node until there are some.
async fn until_read_back(conn: &Connection, nodes: &[String]) -> anyhow::Result<()> {
    let mut interval = tokio::time::interval(Duration::from_millis(100));
    for node in nodes {
        let found = async {
            while conn.latest(&format!("{{node=\"{node}\"}}"), 1).await?.series.is_empty() {
                interval.tick().await;
            }
            anyhow::Ok(())
        };
        let late = || anyhow!("no samples of {node} could be read back within {} s", CALL_MAX.as_secs());
        tokio::time::timeout(CALL_MAX, found).await.map_err(|_| late())??;
    }
    Ok(())
}

impl Running {
    /// What to tell when it is up.
    pub fn ready(&self, programs: &Programs) -> Ready {
        let agents = self.nodes.iter().zip(&programs.agents);
        Ready {
            grpc: Door {
                address: self.target.address.to_string(),
                ca: self.target.ca.clone(),
                cert: self.target.cert.clone(),
                key: self.target.key.clone(),
            },
            http: self.http.clone(),
            enrol: Enrol { address: self.enrol.clone() },
            agents: agents.map(|(node, it)| AgentProcess { node: node.clone(), pid: it.pid() }).collect(),
            aggregator: Process { pid: programs.aggregator.as_ref().map_or(0, Program::pid) },
            config: self.config.clone(),
            health: self.health.clone(),
        }
    }

    /// What to tell at the end. What cannot be asked any more is unknown.
    pub async fn done(&self) -> Done {
        let clusters = self.conn.health(CLUSTER).await.map(|report| report.clusters).unwrap_or_default();
        let cluster = clusters.first();
        let mut done = Done {
            status: cluster.map_or(Health::Unknown, |cluster| cluster.status),
            quorum: cluster.map_or(QuorumStatus::Unknown, |cluster| cluster.quorum_status),
            nodes: Vec::new(),
            samples_stored: 0,
        };
        for name in &self.nodes {
            let detail = self.conn.node(name).await.ok();
            let status = detail.as_ref().map_or(Health::Unknown, |detail| detail.node.health);
            let stored = detail.and_then(|detail| detail.delivery).map_or(0, |delivery| delivery.stored);
            done.nodes.push(NodeStatus { node: name.clone(), status });
            done.samples_stored = done.samples_stored.saturating_add(stored);
        }
        done
    }
}
