//! A cluster: one aggregator, its admin, and agents, below one directory that goes with it.

use crate::Programs;
use crate::door::{Files, enrol_person};
use crate::netns::Host;
use crate::process::{Ended, Process};
use crate::swarm::{Identity, enrol};
use crate::watch::{Record, Recorder};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::BootTime;
use quorate_proto::v1;
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::create_token_request::Subject;
use quorate_proto::v1::diagnostic_service_client::DiagnosticServiceClient;
use quorate_proto::v1::query_service_client::QueryServiceClient;
use quorate_proto::v1::{Liveness, MemberRole, Role};
use rustix::process::Signal;
use serde::Deserialize;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::Channel;

/// The aggregator listens this soon, and a whole cluster is up this soon, on a loaded machine too.
pub const UP_MAX: Duration = Duration::from_secs(30);
const LOOPBACK: &str = "127.0.0.1";
/// The aggregator's configuration, where there is one.
const CONFIG: &str = "aggregator.toml";

/// A cluster whose aggregator runs.
#[derive(Debug)]
pub struct Cluster {
    /// The aggregator.
    pub aggregator: Process,
    /// What it tells about nodes and clusters.
    pub recorder: Recorder,
    /// The admin's channel.
    pub channel: Channel,
    /// Where it listens.
    pub doors: Doors,
    programs: Programs,
    /// In the aggregator's environment, at every start.
    variables: Vec<(String, String)>,
    // Last, so that everybody who writes into it has ended.
    dir: TempDir,
}

/// What the ready file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doors {
    /// Address of the gRPC port.
    pub grpc: String,
    /// Address of the enrolment port.
    pub enrol: String,
    /// Address of the HTTP port.
    pub http: String,
    /// The aggregator's process number.
    pub pid: u32,
}

/// Now, on the clock that the record is kept by.
pub fn now() -> BootTime {
    SystemClock.now().boot
}

impl Cluster {
    /// An aggregator of its own, without nodes.
    pub async fn start(programs: Programs) -> Cluster {
        Cluster::configured(programs, &[], None).await
    }

    /// The same with an aggregator whose state lies in this directory, of a file system of its own.
    pub async fn start_in(programs: Programs, state: &Path) -> Cluster {
        Cluster::begin(programs, LOOPBACK, (&[], None, Some(state))).await
    }

    /// The same with some variables in the aggregator's environment.
    pub async fn start_with(programs: Programs, variables: &[(&str, &str)]) -> Cluster {
        Cluster::begin(programs, LOOPBACK, (variables, None, None)).await
    }

    /// The same with a configuration file, too, which [`Cluster::configure`] writes anew.
    pub async fn configured(programs: Programs, variables: &[(&str, &str)], config: Option<&str>) -> Cluster {
        Cluster::begin(programs, LOOPBACK, (variables, config, None)).await
    }

    /// The same with an aggregator that listens on this address.
    pub async fn start_at(programs: Programs, address: &str, variables: &[(&str, &str)]) -> Cluster {
        Cluster::begin(programs, address, (variables, None, None)).await
    }

    async fn begin(
        programs: Programs,
        address: &str,
        (variables, config, place): (&[(&str, &str)], Option<&str>, Option<&Path>),
    ) -> Cluster {
        let mode = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix("quorate-test-").permissions(mode).tempdir().unwrap();
        let state = dir.path().join("aggregator");
        if let Some(place) = place {
            std::os::unix::fs::symlink(place, &state).unwrap();
        }
        let init = ["init", "--address", address, "--dir"].map(OsStr::new);
        let init = [&init, &[state.as_os_str()][..]].concat();
        let ended = Process::run(dir.path(), "init", &programs.aggregator, &init).await;
        assert_eq!(ended.code, Some(0), "init: {}", ended.stderr);
        if let Some(text) = config {
            std::fs::write(dir.path().join(CONFIG), text).unwrap();
        }
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let any_port = format!("{address}:0");
        let (aggregator, doors) = listen(&programs, dir.path(), (&any_port, &any_port), &variables).await;
        let channel = Files::below(&state.join("admin"), "admin").open(&doors.grpc).await.unwrap();
        let recorder = Recorder::begin(channel.clone()).await;
        Cluster { aggregator, recorder, channel, doors, programs, variables, dir }
    }

    /// Writes the configuration file anew; the aggregator reads it when it is told to.
    pub fn configure(&self, text: &str) {
        // A file that is being written is half a configuration: it is put in its place whole.
        let whole = self.dir().join("aggregator.toml.new");
        std::fs::write(&whole, text).unwrap();
        std::fs::rename(&whole, self.dir().join(CONFIG)).unwrap();
    }

    /// An aggregator and voters that are up.
    pub async fn with_voters(programs: Programs, names: &[&str]) -> (Cluster, Vec<Process>) {
        let cluster = Cluster::start(programs).await;
        let mut agents = Vec::new();
        for name in names {
            cluster.enrol(name, MemberRole::Voter, "").await;
            agents.push(cluster.start_agent(name));
        }
        cluster.until_all("up", names, Liveness::Up, UP_MAX).await;
        (cluster, agents)
    }

    /// The aggregator and the directory alone, for whoever starts others on it.
    pub fn into_parts(self) -> (Process, TempDir) {
        (self.aggregator, self.dir)
    }

    /// Stops the aggregator and starts it again where it was.
    pub async fn restart_aggregator(self) -> Cluster {
        self.aggregator.signal(Signal::TERM);
        self.revive_aggregator().await
    }

    /// Waits for the end of an aggregator that was told to end, or killed, and starts it again where it was.
    pub async fn revive_aggregator(self) -> Cluster {
        let Cluster { mut aggregator, recorder, channel, doors, programs, variables, dir } = self;
        drop((recorder, channel));
        aggregator.ended().await;
        let at = (&*doors.grpc, &*doors.enrol);
        let (aggregator, doors) = listen(&programs, dir.path(), at, &variables).await;
        let admin = Files::below(&dir.path().join("aggregator/admin"), "admin");
        let channel = admin.open(&doors.grpc).await.unwrap();
        let recorder = Recorder::begin(channel.clone()).await;
        Cluster { aggregator, recorder, channel, doors, programs, variables, dir }
    }

    /// The directory of everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The admin's credential.
    pub fn admin(&self) -> Files {
        Files::below(&self.dir().join("aggregator/admin"), "admin")
    }

    /// The credential of a node that is enrolled.
    pub fn node_files(&self, name: &str) -> Files {
        Files::below(&self.agent_dir(name), "agent")
    }

    /// The state directory of an agent.
    pub fn agent_dir(&self, name: &str) -> PathBuf {
        self.dir().join("agents").join(name)
    }

    /// Makes a token.
    pub async fn token(&self, subject: Subject) -> v1::CreateTokenResponse {
        let request = v1::CreateTokenRequest { subject: Some(subject), lifetime: None };
        self.admin_service().create_token(request).await.unwrap().into_inner()
    }

    /// Declares a node of the default cluster and has its agent enrol.
    pub async fn enrol(&self, name: &str, role: MemberRole, zone: &str) {
        let (name, zone, role) = (name.into(), zone.into(), role.into());
        self.enrol_as(v1::NodeDeclaration { name, role, zone, ..v1::NodeDeclaration::default() }).await;
    }

    /// Declares a node and has its agent enrol, which must succeed.
    pub async fn enrol_as(&self, node: v1::NodeDeclaration) {
        let name = &node.name.clone();
        let token = self.token(Subject::Node(node)).await.token;
        let dir = self.agent_dir(name);
        let args = ["enroll", "--token", &token, "--dir"].map(OsStr::new);
        let ended =
            self.run_agent(&format!("enroll-{name}"), &[&args, &[dir.as_os_str()][..]].concat()).await;
        assert_eq!(ended.code, Some(0), "enroll {name}: {}", ended.stderr);
    }

    /// Declares a person and makes a credential.
    pub async fn person(&self, name: &str, role: Role) -> Files {
        let token =
            self.token(Subject::User(v1::UserDeclaration { name: name.into(), role: role.into() })).await;
        enrol_person(&token.token, &self.dir().join("people").join(name)).await
    }

    /// Starts the agent of a node that is enrolled.
    pub fn start_agent(&self, name: &str) -> Process {
        self.start_agent_with(name, &[])
    }

    /// The same with some variables in its environment.
    pub fn start_agent_with(&self, name: &str, variables: &[(&str, &str)]) -> Process {
        let dir = self.agent_dir(name);
        let args = [OsStr::new("run"), "--stop-on-stdin-eof".as_ref(), "--dir".as_ref(), dir.as_os_str()];
        Process::start_with(self.dir(), name, &self.programs.agent, (&args, variables))
    }

    /// Starts the agent of a node that is enrolled, on a host of its own.
    pub fn start_agent_on(&self, host: &Host, name: &str) -> Process {
        let dir = self.agent_dir(name);
        let [program, place] = host.prefix();
        let run = [OsStr::new("run"), "--stop-on-stdin-eof".as_ref(), "--dir".as_ref(), dir.as_os_str()];
        let args = [&[OsStr::new(&place), self.programs.agent.as_os_str()], &run[..]].concat();
        Process::start(self.dir(), name, program.as_ref(), &args)
    }

    /// Has the agent of a node connect somewhere else: through a proxy.
    pub fn redirect(&self, name: &str, address: &str) {
        let paths = quorate_agent::enrol::paths(&self.agent_dir(name));
        std::fs::write(paths.aggregators, format!("{address}\n")).unwrap();
    }

    /// Declares nodes of the default cluster that vote on nothing, and enrols them all at once.
    pub async fn enrol_observers(&self, names: impl IntoIterator<Item = String>) -> Vec<Identity> {
        let role = MemberRole::Observer.into();
        let declared = |name| v1::NodeDeclaration { name, role, ..v1::NodeDeclaration::default() };
        enrol(&self.channel, names.into_iter().map(declared).collect()).await.unwrap()
    }

    /// Runs the aggregator's program on its state directory, to its end.
    pub async fn run_aggregator(&self, args: &[&str]) -> Ended {
        let state = self.dir().join("aggregator");
        let mut all: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        all.extend([OsStr::new("--dir"), state.as_os_str()]);
        Process::run(self.dir(), "aggregator-command", &self.programs.aggregator, &all).await
    }

    /// Runs the agent's program to its end.
    pub async fn run_agent(&self, name: &str, args: &[&OsStr]) -> Ended {
        Process::run(self.dir(), name, &self.programs.agent, args).await
    }

    /// Runs the client's program, as the admin, to its end.
    pub async fn run_client(&self, args: &[&str]) -> Ended {
        let Files { ca, cert, key } = self.admin();
        let mut all: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let target =
            [("--address", OsStr::new(&self.doors.grpc)), ("--ca", ca.as_ref()), ("--cert", cert.as_ref())];
        for (flag, value) in target.into_iter().chain([("--key", key.as_ref())]) {
            all.extend([OsStr::new(flag), value]);
        }
        Process::run(self.dir(), "client", &self.programs.client, &all).await
    }

    /// The admin's client of ClusterService.
    pub fn cluster_service(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel.clone())
    }

    /// The admin's client of QueryService.
    pub fn query_service(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone())
    }

    /// The admin's client of AdminService.
    pub fn admin_service(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// How the aggregator itself does, asked for now.
    pub async fn status(&self) -> v1::GetStatusResponse {
        let mut service = DiagnosticServiceClient::new(self.channel.clone());
        service.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner()
    }

    /// A node, asked for now.
    pub async fn node(&self, name: &str) -> v1::GetNodeResponse {
        let request = v1::GetNodeRequest { name: name.into() };
        self.cluster_service().get_node(request).await.unwrap().into_inner()
    }

    /// All nodes by name, asked for now.
    pub async fn list(&self) -> Vec<v1::Node> {
        let request = v1::ListNodesRequest::default();
        self.cluster_service().list_nodes(request).await.unwrap().into_inner().nodes
    }

    /// Waits until the record holds what `holds` looks for.
    pub async fn until(&self, what: &str, limit: Duration, holds: impl Fn(&Record) -> bool) {
        self.recorder.until(what, limit, |record| holds(record).then_some(())).await;
    }

    /// Waits until all these nodes are of one liveness.
    pub async fn until_all(&self, what: &str, nodes: &[&str], liveness: Liveness, limit: Duration) {
        self.until(&format!("{nodes:?} {what}"), limit, |record| record.all(nodes, liveness)).await;
    }

    /// Waits until a node becomes this at or after `since`, and says how long after.
    pub async fn until_became(
        &self,
        node: &str,
        liveness: Liveness,
        since: BootTime,
        limit: Duration,
    ) -> Duration {
        let what = format!("{node} {liveness:?}");
        let at = self.recorder.until(&what, limit, |record| record.became(node, liveness, since)).await;
        at.since(since)
    }
}

/// Starts the aggregator and waits until it listens.
async fn listen(
    programs: &Programs,
    dir: &Path,
    (grpc, enrol): (&str, &str),
    variables: &[(String, String)],
) -> (Process, Doors) {
    let (state, ready) = (dir.join("aggregator"), dir.join("ready.json"));
    // A file of an earlier start would be believed.
    std::fs::remove_file(&ready).ok();
    let flags = [
        "run",
        "--stop-on-stdin-eof",
        "--listen-grpc",
        grpc,
        "--listen-enrol",
        enrol,
        "--listen-http",
        "127.0.0.1:0",
    ]
    .map(OsStr::new);
    let files = [OsStr::new("--dir"), state.as_ref(), "--ready-file".as_ref(), ready.as_ref()];
    let config = dir.join(CONFIG);
    let configured = [OsStr::new("--config"), config.as_ref()];
    let configured = if config.try_exists().unwrap() { &configured[..] } else { &[] };
    let args = [&flags[..], &files[..], configured].concat();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut aggregator = Process::start_with(dir, "aggregator", &programs.aggregator, (&args, &variables));
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let written = async {
        loop {
            look.tick().await;
            if let Ok(text) = std::fs::read(&ready) {
                return serde_json::from_slice::<Doors>(&text).unwrap();
            }
        }
    };
    let doors = tokio::select! {
        doors = written => doors,
        status = aggregator.ended() => panic!("the aggregator ended with {status}"),
    };
    assert_eq!(doors.pid, aggregator.pid);
    (aggregator, doors)
}
