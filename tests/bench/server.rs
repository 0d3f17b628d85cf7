//! The aggregator under load: the real program as a process of its own, on one core, asked over its public API.

use anyhow::{Context, bail, ensure};
use quorate_agent::enrol::{Enrolled, enrol};
use quorate_aggregator::identity::init::StatePaths;
use quorate_common::clock::SystemClock;
use quorate_common::tls::{self, Credential};
use quorate_proto::connect::{Options, channel};
use quorate_proto::v1;
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::query_service_client::QueryServiceClient;
use quorate_tests::process::Process;
use quorate_tests::usage;
use rustls::{ClientConfig, ServerConfig};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tonic::Code;
use tonic::transport::Channel;

const READY_MAX: Duration = Duration::from_secs(20);
const STOP_MAX: Duration = Duration::from_secs(20);
/// The aggregator publishes what it knows this often.
const SWEEP: Duration = Duration::from_millis(250);
const SWEEPS_MAX: u32 = 20;

/// A running aggregator. It dies with this value.
pub struct Server {
    dir: TempDir,
    program: PathBuf,
    core: Option<usize>,
    child: Child,
    pid: u32,
    /// Where agents and clients connect to.
    pub grpc: String,
    admin: Channel,
}

/// What the aggregator writes once it listens.
#[derive(Deserialize)]
struct Ready {
    grpc: String,
    pid: u32,
}

impl Server {
    /// Starts the program in a fresh directory with the configuration that it is shipped with; on one core if
    /// one is named.
    pub async fn start(program: &Path, core: Option<usize>) -> anyhow::Result<Server> {
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("state");
        let init = ["init", "--address", "127.0.0.1", "--dir"].map(OsStr::new);
        let made = Command::new(program)
            .args(init)
            .arg(&state)
            .stdout(Stdio::null())
            .stderr(log(dir.path(), "init.log")?)
            .status()
            .await
            .with_context(|| format!("failed to start `{}`", program.display()))?;
        ensure!(made.success(), "init failed: {}", tail(dir.path(), "init.log"));
        let (program, any_port) = (program.to_owned(), "127.0.0.1:0");
        let (child, Ready { grpc, pid }) = listen(dir.path(), command(&program, core), any_port).await?;
        let admin = admin(&state, &grpc).await?;
        Ok(Server { dir, program, core, child, pid, grpc, admin })
    }

    /// Kills it and starts it again where it was; returns when it listens.
    pub async fn kill_and_restart(self) -> anyhow::Result<Server> {
        let Server { dir, program, core, mut child, grpc, .. } = self;
        child.kill().await?;
        let (child, Ready { grpc, pid }) = listen(dir.path(), command(&program, core), &grpc).await?;
        let admin = admin(&dir.path().join("state"), &grpc).await?;
        Ok(Server { dir, program, core, child, pid, grpc, admin })
    }

    /// The admin's channel.
    pub fn admin(&self) -> &Channel {
        &self.admin
    }

    /// Enrols a node as an operator and its agent would, and gives what the node shows from then on.
    pub async fn enrol(&self, name: &str) -> anyhow::Result<Arc<ClientConfig>> {
        let node = v1::NodeDeclaration { name: name.to_owned(), ..v1::NodeDeclaration::default() };
        let subject = Some(v1::create_token_request::Subject::Node(node));
        let request = v1::CreateTokenRequest { subject, lifetime: None };
        let made = AdminServiceClient::new(self.admin.clone()).create_token(request).await?.into_inner();
        let state = self.dir.path().join(name);
        let Enrolled { paths, .. } = enrol(&made.token, &state, &SystemClock).await?;
        let own = Credential::load(&paths.chain, &paths.key)?;
        Ok(Arc::new(tls::client_config(&tls::load_certificates(&paths.roots)?, Some(own))?))
    }

    /// What became of the samples of a node. A node that has just enrolled is known after the next sweep.
    pub async fn delivery(&self, name: &str) -> anyhow::Result<v1::Delivery> {
        let mut client = ClusterServiceClient::new(self.admin.clone());
        let mut interval = tokio::time::interval(SWEEP);
        for _ in 0..SWEEPS_MAX {
            interval.tick().await;
            let request = v1::GetNodeRequest { name: name.to_owned() };
            match client.get_node(request).await {
                Err(status) if status.code() == Code::NotFound => {}
                answer => {
                    let delivery = answer?.into_inner().delivery;
                    return delivery.with_context(|| format!("node `{name}` was never heard"));
                }
            }
        }
        bail!("node `{name}` is not known after {SWEEPS_MAX} sweeps")
    }

    /// The newest values of a node, by `slot`.
    pub async fn latest(&self, name: &str) -> anyhow::Result<Vec<(usize, f64)>> {
        let selector = format!("{{node=\"{name}\"}}");
        let request = v1::QueryLatestRequest { selector, limit: 10_000 };
        let answer = QueryServiceClient::new(self.admin.clone()).query_latest(request).await?.into_inner();
        let newest = |series: v1::LatestSeries| {
            Some((slot(&series.labels)?, series.sample.map(|sample| sample.value)?))
        };
        Ok(answer.series.into_iter().filter_map(newest).collect())
    }

    /// The newest values of a node, with all labels.
    pub async fn newest(&self, name: &str) -> anyhow::Result<Vec<(Vec<(String, String)>, f64)>> {
        let request = v1::QueryLatestRequest { selector: format!("{{node=\"{name}\"}}"), limit: 10_000 };
        let mut client = QueryServiceClient::new(self.admin.clone()).max_decoding_message_size(16 << 20);
        let answer = client.query_latest(request).await?.into_inner();
        let labels =
            |labels: Vec<v1::Label>| labels.into_iter().map(|label| (label.name, label.value)).collect();
        let value = |series: v1::LatestSeries| Some((labels(series.labels), series.sample?.value));
        Ok(answer.series.into_iter().filter_map(value).collect())
    }

    /// The kept values of one series of a node, oldest first.
    pub async fn history(&self, name: &str, slot: usize) -> anyhow::Result<Vec<f64>> {
        let selector = format!("{{node=\"{name}\",slot=\"{slot}\"}}");
        let request = v1::QueryRecentRequest { selector, seconds: 900, limit: 1 };
        let mut client = QueryServiceClient::new(self.admin.clone()).max_decoding_message_size(16 << 20);
        let series = client.query_recent(request).await?.into_inner().series;
        Ok(series.into_iter().flat_map(|series| series.samples).map(|sample| sample.value).collect())
    }

    /// All processes of a node, asked of its agent now.
    pub async fn processes(&self, name: &str) -> anyhow::Result<Vec<v1::Process>> {
        let request = v1::ListProcessesRequest { node: name.to_owned(), limit: 0 };
        let mut client = QueryServiceClient::new(self.admin.clone());
        Ok(client.list_processes(request).await?.into_inner().processes)
    }

    /// Waits until samples of a node are stored.
    pub async fn until_heard(&self, name: &str) -> anyhow::Result<()> {
        let mut client = ClusterServiceClient::new(self.admin.clone());
        let mut interval = tokio::time::interval(SWEEP);
        let heard = async {
            loop {
                interval.tick().await;
                let found = client.get_node(v1::GetNodeRequest { name: name.to_owned() }).await;
                let delivery = found.ok().and_then(|found| found.into_inner().delivery);
                if delivery.is_some_and(|delivery| delivery.stored > 0) {
                    return;
                }
            }
        };
        tokio::time::timeout(READY_MAX, heard).await.with_context(|| format!("`{name}` is not heard"))
    }

    /// Starts the real agent of a node that is enrolled; it reaches the aggregator by `address`.
    pub fn start_agent(&self, name: &str, program: &Path, address: &str) -> anyhow::Result<Process> {
        let state = self.dir.path().join(name);
        std::fs::write(quorate_agent::enrol::paths(&state).aggregators, format!("{address}\n"))?;
        let args = [OsStr::new("run"), "--stop-on-stdin-eof".as_ref(), "--dir".as_ref(), state.as_ref()];
        // Without a budget: a figure that was reached by giving up detail would be none.
        let budget = [("QUORATE_BUDGET__CPU", "0%"), ("QUORATE_BUDGET__MEMORY", "0B")];
        Ok(Process::start_with(self.dir.path(), "agent", program, (&args, &budget)))
    }

    /// What the aggregator shows on its gRPC port.
    pub fn tls(&self) -> anyhow::Result<ServerConfig> {
        let paths = StatePaths::below(&self.dir.path().join("state"));
        let own = Credential::load(&paths.server_chain, &paths.server_key)?;
        Ok(tls::server_config(own, &tls::load_certificates(&paths.admin_roots)?)?)
    }

    /// The processor time that the process has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        usage::cpu(self.pid)
    }

    /// The resident memory, in bytes.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        usage::resident_bytes(self.pid)
    }

    /// Stops it as an operator would. It must end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(STOP_MAX, self.child.wait()).await;
        let status = ended.context("the aggregator did not stop")??;
        ensure!(status.success(), "the aggregator ended with {status}: {}", tail(self.dir.path(), "run.log"));
        Ok(())
    }
}

/// Starts it and waits until it listens.
async fn listen(dir: &Path, mut program: Command, grpc: &str) -> anyhow::Result<(Child, Ready)> {
    let (state, ready) = (dir.join("state"), dir.join("ready.json"));
    // A file of an earlier start would be believed.
    std::fs::remove_file(&ready).ok();
    let child = program
        .args(["run", "--stop-on-stdin-eof", "--listen-grpc", grpc])
        .args(["--listen-enrol", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--dir"])
        .args([&state, Path::new("--ready-file"), &ready])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log(dir, "run.log")?)
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the aggregator")?;
    let Ok(found) = tokio::time::timeout(READY_MAX, until_ready(&ready)).await else {
        bail!("the aggregator does not listen: {}", tail(dir, "run.log"))
    };
    Ok((child, found?))
}

/// A channel of the admin.
async fn admin(state: &Path, grpc: &str) -> anyhow::Result<Channel> {
    let admin = state.join("admin");
    let own = Credential::load(&admin.join("admin.crt"), &admin.join("admin.key"))?;
    let roots = tls::load_certificates(&admin.join("ca.crt"))?;
    let config = Arc::new(tls::client_config(&roots, Some(own))?);
    Ok(channel(grpc, config, Options::CALL).await?)
}

fn command(program: &Path, core: Option<usize>) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

fn slot(labels: &[v1::Label]) -> Option<usize> {
    labels.iter().find(|label| label.name == "slot")?.value.parse().ok()
}

fn log(dir: &Path, name: &str) -> io::Result<Stdio> {
    Ok(Stdio::from(File::create(dir.join(name))?))
}

/// The end of a log, for a message.
fn tail(dir: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    text.lines().rev().take(3).collect::<Vec<_>>().join("; ")
}

/// The file appears whole, or not at all.
async fn until_ready(path: &Path) -> anyhow::Result<Ready> {
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    loop {
        interval.tick().await;
        match tokio::fs::read(path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return Ok(serde_json::from_slice(&found?)?),
        }
    }
}
