//! An aggregator for tests: fixed answers over plain HTTP/2 on loopback, and a list of the changes it made.

use crate::conn::Connection;
use prost_types::Timestamp;
use quorate_common::durable;
use quorate_common::tls::{self, Credential, certificates_from_pem};
use quorate_proto::v1::admin_service_server::{AdminService, AdminServiceServer};
use quorate_proto::v1::cluster_service_server::{ClusterService, ClusterServiceServer};
use quorate_proto::v1::diagnostic_service_server::{DiagnosticService, DiagnosticServiceServer};
use quorate_proto::v1::query_service_server::{QueryService, QueryServiceServer};
use quorate_proto::v1::{backup_response::Part, create_token_request::Subject, watch_response::Event, *};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

const NOW: i64 = 1_795_201_565;

/// The aggregator.
#[derive(Clone)]
pub struct Fake {
    /// Nodes on a page; 0 gives empty pages without end.
    pub page: usize,
    /// Whether watching is forbidden.
    pub refuse_watch: bool,
    /// Samples of a node are there only once this directory has a file of its name.
    pub samples_of: Option<PathBuf>,
    /// Parts of a backup before it breaks off.
    pub backup_parts: usize,
    /// The changes it was asked for, in order.
    pub calls: Arc<Mutex<Vec<String>>>,
}

impl Default for Fake {
    fn default() -> Fake {
        let (backup_parts, calls) = (usize::MAX, Arc::default());
        Fake { page: 1000, refuse_watch: false, samples_of: None, backup_parts, calls }
    }
}

impl Fake {
    /// Serves for as long as the test runs.
    pub async fn serve(&self) -> Connection {
        let url = format!("http://{}", self.listen().await);
        let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        Connection::over(channel, Duration::from_secs(10))
    }

    /// Serves with mutual TLS: roots, a client's certificate and its key are written as `ca.crt`,
    /// `admin.crt` and `admin.key`.
    pub async fn serve_tls(&self, dir: &Path) -> SocketAddr {
        in_front(self.listen().await, server_config(dir)).await
    }

    async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(ClusterServiceServer::new(self.clone()))
            .add_service(QueryServiceServer::new(self.clone()))
            .add_service(AdminServiceServer::new(self.clone()))
            .add_service(DiagnosticServiceServer::new(self.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        drop(tokio::spawn(server));
        address
    }

    /// The changes it was asked for, in order.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

/// Speaks TLS in front of a plain server.
pub async fn in_front(plain: SocketAddr, config: rustls::ServerConfig) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            drop(tokio::spawn(async move {
                let mut inner = tokio::net::TcpStream::connect(plain).await?;
                let mut outer = acceptor.accept(stream).await?;
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await
            }));
        }
    }));
    address
}

/// An authority, as what it signs with and as PEM.
pub fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&key).unwrap().pem();
    (Issuer::new(ca, key), pem)
}

/// A certificate for host names, with its key, as PEM.
fn leaf(ca: &Issuer<'_, KeyPair>, names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    (CertificateParams::new(names).unwrap().signed_by(&key, ca).unwrap().pem(), key.serialize_pem())
}

/// The credential of a server on loopback.
pub fn server_credential(ca: &Issuer<'_, KeyPair>) -> Credential {
    let (chain, key) = leaf(ca, &["127.0.0.1"]);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    Credential { chain: certificates_from_pem(chain.as_bytes(), "fake").unwrap(), key }
}

fn server_config(dir: &Path) -> rustls::ServerConfig {
    let (ca, ca_pem) = authority();
    let (client, client_key) = leaf(&ca, &[]);
    durable::create_directory(dir).unwrap();
    for (name, text) in [("ca.crt", &ca_pem), ("admin.crt", &client), ("admin.key", &client_key)] {
        durable::create(&dir.join(name), text.as_bytes(), durable::PRIVATE).unwrap();
    }
    let roots = certificates_from_pem(ca_pem.as_bytes(), "fake").unwrap();
    tls::server_config(server_credential(&ca), &roots).unwrap()
}

fn at(seconds_ago: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: NOW - seconds_ago, nanos: 0 })
}

fn invalid(field: &str, problem: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, problem);
    Status::with_error_details(Code::InvalidArgument, "bad request", details)
}

/// A calm cluster, and one in trouble.
pub fn health() -> GetHealthResponse {
    let demo = ClusterHealth {
        cluster: "demo".into(),
        status: Health::Healthy.into(),
        healthy_nodes: 3,
        total_nodes: 3,
        quorum_status: QuorumStatus::Available.into(),
        quorum: Some(Quorum { total: 3, need: 2, alive: 3, unknown: 0, margin: Some(1), zones: Vec::new() }),
        since: at(10_000),
        timestamp: at(0),
        ..ClusterHealth::default()
    };
    let zone = |zone: &str, weight, alive, decides| ZoneRisk { zone: zone.into(), weight, alive, decides };
    let zones = vec![zone("rack-a", 2, 2, true), zone("rack-b", 1, 0, false)];
    let prod = ClusterHealth {
        cluster: "prod".into(),
        status: Health::Degraded.into(),
        reasons: vec!["node n3 is down: not heard for 4 s".into(), "quorum at risk: evil\u{1b}[2J".into()],
        healthy_nodes: 2,
        degraded_nodes: vec!["n2".into()],
        unhealthy_nodes: vec!["n3".into()],
        quorum_status: QuorumStatus::AtRisk.into(),
        quorum: Some(Quorum { total: 3, need: 2, alive: 2, unknown: 0, margin: Some(0), zones }),
        since: at(100),
        ..demo.clone()
    };
    GetHealthResponse { clusters: vec![demo, prod], timestamp: at(0) }
}

fn node(name: &str, liveness: Liveness, health: Health) -> Node {
    let facts = HostFacts {
        hostname: format!("host-{name}"),
        os: "Debian GNU/Linux 12".into(),
        kernel: "6.1.0".into(),
        arch: "x86_64".into(),
        cpu_model: "A CPU".into(),
        cpu_count: 8,
        memory_bytes: 16 << 30,
        agent_version: "0.1.0".into(),
        missing_rights: vec!["read /proc/1/io".into()],
    };
    Node {
        name: name.into(),
        cluster: "prod".into(),
        role: MemberRole::Voter.into(),
        zone: "rack-a".into(),
        weight: 1,
        liveness: liveness.into(),
        health: health.into(),
        since: at(100),
        last_heard: at(0),
        facts: Some(facts),
        ..Node::default()
    }
}

fn nodes() -> Vec<Node> {
    let n2 = Node {
        weight: 2,
        maintenance: true,
        maintenance_until: at(0),
        maintenance_reason: "new disk".into(),
        reasons: vec!["clock is 3 s off".into()],
        ..node("n2", Liveness::Up, Health::Degraded)
    };
    let n3 = Node {
        zone: "rack-b".into(),
        flapping: true,
        reasons: vec!["not heard".into()],
        last_heard: at(100),
        ..node("n3", Liveness::Down, Health::Unhealthy)
    };
    let n4 = Node {
        role: MemberRole::Observer.into(),
        zone: String::new(),
        since: None,
        last_heard: None,
        facts: None,
        ..node("n4", Liveness::Unknown, Health::Unknown)
    };
    vec![node("n1", Liveness::Up, Health::Healthy), n2, n3, n4]
}

#[tonic::async_trait]
impl ClusterService for Fake {
    type WatchStream = tokio_stream::Iter<std::vec::IntoIter<Result<WatchResponse, Status>>>;

    async fn get_health(
        &self,
        request: Request<GetHealthRequest>,
    ) -> Result<Response<GetHealthResponse>, Status> {
        let wanted = request.into_inner().cluster;
        let mut answer = health();
        answer.clusters.retain(|cluster| wanted.is_empty() || cluster.cluster == wanted);
        if answer.clusters.is_empty() {
            return Err(Status::not_found(format!("no cluster `{wanted}`")));
        }
        Ok(Response::new(answer))
    }

    async fn list_nodes(
        &self,
        request: Request<ListNodesRequest>,
    ) -> Result<Response<ListNodesResponse>, Status> {
        let first: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let next = first + self.page;
        let all = nodes();
        let next_page_token = if next < all.len() { next.to_string() } else { String::new() };
        let nodes = all.into_iter().skip(first).take(self.page).collect();
        Ok(Response::new(ListNodesResponse { nodes, next_page_token }))
    }

    async fn get_node(&self, request: Request<GetNodeRequest>) -> Result<Response<GetNodeResponse>, Status> {
        let name = request.into_inner().name;
        let found = nodes().into_iter().find(|node| node.name == name);
        let Some(node) = found else { return Err(invalid("name", &format!("`{name}` is not a name"))) };
        let details = [("response_time_ms", "1"), ("offset_ms", "3000")];
        let component = ComponentHealth {
            component: "clock".into(),
            node: name.clone(),
            status: Health::Degraded.into(),
            details: details.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            last_check: at(0),
            timestamp: at(0),
        };
        let usage = |kind: ResourceType, usage_percent, total_available| ResourceUsage {
            resource_type: kind.into(),
            node: name.clone(),
            usage_percent: Some(usage_percent),
            total_available,
            current_used: total_available.map(|total: f64| total * usage_percent / 100.0),
            timestamp: at(0),
        };
        let memory = usage(ResourceType::Memory, 50.0, Some(17_179_869_184.0));
        let dropped_by_cause = [("too_old".to_owned(), 60)].into();
        Ok(Response::new(GetNodeResponse {
            node: Some(node),
            components: vec![component],
            resources: vec![usage(ResourceType::Cpu, 12.5, None), memory],
            delivery: Some(Delivery { collected: 1000, stored: 900, dropped_by_cause, series: 120 }),
            identity: Some(NodeIdentity {
                generation: 3,
                enrolled: at(86_400),
                certified: at(3600),
                revoked: None,
                frozen: (name == "n3").then(|| at(60)).flatten(),
            }),
            gaps_of_day: Some(3),
        }))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        if self.refuse_watch {
            return Err(Status::permission_denied("not any more"));
        }
        let step = |kind: &str, subject: &str, from: &str, to: &str, reason: &str| Transition {
            at: at(0),
            kind: kind.into(),
            subject: subject.into(),
            from: from.into(),
            to: to.into(),
            reason: reason.into(),
        };
        let full = FullState { revision: 1, clusters: health().clusters, nodes: nodes(), missed: 0 };
        let n1 = Node { reasons: vec!["not heard".into()], ..node("n1", Liveness::Down, Health::Unhealthy) };
        let changes = Changes {
            revision: 2,
            clusters: Vec::new(),
            nodes: vec![n1],
            removed_nodes: vec!["n9".into()],
            transitions: vec![
                step("node", "n1", "up", "down", "not heard for 4 s"),
                step("quorum", "prod", "at_risk", "lost", ""),
                step("rebooted", "n2", "", "", "new boot"),
            ],
        };
        let events = vec![Event::Full(full), Event::Changes(changes)];
        let events: Vec<_> =
            events.into_iter().map(|event| Ok(WatchResponse { event: Some(event) })).collect();
        Ok(Response::new(tokio_stream::iter(events)))
    }
}

fn recent_series() -> RecentSeries {
    let sample = |ago, value| Sample { timestamp: at(ago), value };
    RecentSeries { labels: labels("n1"), samples: vec![sample(2, 1.0), sample(1, 2.0)] }
}

fn labels(node: &str) -> Vec<Label> {
    labels_of("node_load1", node)
}

fn labels_of(name: &str, node: &str) -> Vec<Label> {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    vec![label("node", node), label("__name__", name)]
}

fn gaps() -> Vec<Gap> {
    let gap = |from, to, cause: &str| Gap {
        node: "n1".into(),
        from: at(from),
        to,
        cause: cause.into(),
        ..Gap::default()
    };
    vec![
        Gap { collector: "cpu".into(), ..gap(5, None, "collector_timeout") },
        gap(75, at(35), "agent_stopped"),
        Gap { filled: at(90), ..gap(200, at(100), "link_down") },
    ]
}

/// A value every ten seconds: `many` series, `half` an answer, or one with a gap.
fn parts(selector: &str) -> Vec<query_range_response::Part> {
    use query_range_response::Part;
    let step = Some(prost_types::Duration { seconds: 10, nanos: 0 });
    let (resolution, aggregate) = (Resolution::Minute.into(), Aggregate::Avg.into());
    let head = RangeHead { start: at(100), end: at(0), step, resolution, aggregate };
    let nodes = if selector == "many" { 0..12 } else { 1..2 };
    let series = nodes.map(|node| RangeSeries {
        labels: labels_of(selector, &format!("n{node}")),
        steps: (0..=10).collect(),
        values: (0..=10).map(f64::from).collect(),
    });
    let warning = "node n1: no samples 2026-11-20T19:04:50.000Z..19:05:30.000Z, agent stopped";
    let infos = vec!["values are the avg of buckets of 1m".into()];
    let end = RangeEnd { left_out: 0, warnings: vec![warning.into()], infos, gaps: gaps() };
    let mut parts: Vec<Part> = std::iter::once(Part::Head(head)).chain(series.map(Part::Series)).collect();
    if selector != "half" {
        parts.push(Part::End(end));
    }
    parts
}

#[tonic::async_trait]
impl QueryService for Fake {
    async fn query_latest(
        &self,
        request: Request<QueryLatestRequest>,
    ) -> Result<Response<QueryLatestResponse>, Status> {
        let selector = request.into_inner().selector;
        if let Some(node) = selector.strip_prefix("{node=\"").and_then(|rest| rest.strip_suffix("\"}")) {
            let there = self.samples_of.iter().any(|dir| dir.join(node).try_exists().unwrap());
            let series =
                there.then(|| LatestSeries { labels: labels(node), sample: None }).into_iter().collect();
            return Ok(Response::new(QueryLatestResponse { series, ..QueryLatestResponse::default() }));
        }
        if selector != "node_load1" {
            return Err(invalid("selector", "unexpected end of input"));
        }
        let series = |node, value| LatestSeries {
            labels: labels(node),
            sample: Some(Sample { timestamp: at(0), value }),
        };
        Ok(Response::new(QueryLatestResponse {
            series: vec![series("n1", 0.25), series("n2", f64::NAN)],
            left_out: 7,
            warnings: vec!["n3 is down".into()],
        }))
    }

    async fn query_recent(
        &self,
        _: Request<QueryRecentRequest>,
    ) -> Result<Response<QueryRecentResponse>, Status> {
        let series = vec![recent_series()];
        Ok(Response::new(QueryRecentResponse { series, left_out: 0, warnings: Vec::new() }))
    }

    type QueryRangeStream = tokio_stream::Iter<std::vec::IntoIter<Result<QueryRangeResponse, Status>>>;

    async fn query_range(
        &self,
        request: Request<QueryRangeRequest>,
    ) -> Result<Response<Self::QueryRangeStream>, Status> {
        let QueryRangeRequest { selector, start, end, step, resolution, aggregate, limit } =
            request.into_inner();
        let [start, end] = [start, end].map(|moment| moment.unwrap().seconds);
        let step = step.map(|step| step.seconds);
        self.note(format!(
            "range {selector} {start}..{end} step={step:?} resolution={resolution} aggregate={aggregate} limit={limit}"
        ));
        let parts = parts(&selector).into_iter().map(|part| Ok(QueryRangeResponse { part: Some(part) }));
        Ok(Response::new(tokio_stream::iter(parts.collect::<Vec<_>>())))
    }

    async fn list_gaps(
        &self,
        request: Request<ListGapsRequest>,
    ) -> Result<Response<ListGapsResponse>, Status> {
        let ListGapsRequest { node, start, end, limit } = request.into_inner();
        let [start, end] = [start, end].map(|moment| moment.map(|moment| moment.seconds));
        self.note(format!("gaps {node} {start:?}..{end:?} limit={limit}"));
        Ok(Response::new(ListGapsResponse { gaps: gaps(), left_out: 2 }))
    }

    async fn list_processes(
        &self,
        request: Request<ListProcessesRequest>,
    ) -> Result<Response<ListProcessesResponse>, Status> {
        let node = request.into_inner().node;
        if node != "n1" {
            return Err(Status::unavailable(format!("{node} has no session")));
        }
        let big = Process {
            pid: 4242,
            parent_pid: 1,
            name: "bad\u{9b}name".into(),
            group: "postgres".into(),
            user: "root".into(),
            state: "R".into(),
            cpu_percent: 150.0,
            memory_bytes: 1 << 30,
            memory_percent: 3.1,
            threads: 12,
            read_bytes: Some(1536),
            written_bytes: Some(0),
            ..Process::default()
        };
        let small = Process {
            pid: 7,
            name: "nginx".into(),
            group: "nginx".into(),
            user: "www".into(),
            state: "S".into(),
            cpu_percent: 0.0,
            memory_bytes: 1 << 20,
            memory_percent: 0.1,
            threads: 1,
            read_bytes: None,
            written_bytes: None,
            ..big.clone()
        };
        Ok(Response::new(ListProcessesResponse {
            node,
            timestamp: at(0),
            processes: vec![big, small],
            left_out: 40,
        }))
    }

    async fn read_recorder(
        &self,
        request: Request<ReadRecorderRequest>,
    ) -> Result<Response<ReadRecorderResponse>, Status> {
        let ReadRecorderRequest { node, metric, seconds } = request.into_inner();
        if node != "n1" || seconds != 2 {
            return Err(Status::unavailable(format!("{node} has no session")));
        }
        let series = if metric == "node_load1" { vec![recent_series()] } else { Vec::new() };
        Ok(Response::new(ReadRecorderResponse { node, series }))
    }
}

#[tonic::async_trait]
impl AdminService for Fake {
    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let request = request.into_inner();
        let lifetime = request.lifetime.map(|lifetime| lifetime.seconds);
        let other = |kind, name, role| format!("create {kind} {name} role={role} lifetime={lifetime:?}");
        self.note(match request.subject.ok_or_else(|| invalid("subject", "is missing"))? {
            Subject::Node(node) => format!(
                "create node {} cluster={} role={} zone={} weight={} replace={} lifetime={lifetime:?}",
                node.name, node.cluster, node.role, node.zone, node.weight, node.replace
            ),
            Subject::User(user) => other("user", user.name, user.role),
            Subject::Http(http) => other("http", http.name, http.role),
        });
        Ok(Response::new(CreateTokenResponse {
            token_id: "0123".into(),
            token: "q1.secret".into(),
            command: "quorate-agent enroll --token q1.secret".into(),
            expires: at(0),
        }))
    }

    async fn list_tokens(
        &self,
        _: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let token = Token {
            token_id: "0123".into(),
            subject: "n1".into(),
            role: "agent".into(),
            created: at(0),
            expires: None,
            state: "unused".into(),
            kind: "enrolment".into(),
        };
        Ok(Response::new(ListTokensResponse { tokens: vec![token] }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        self.note(format!("revoke token {}", request.into_inner().token_id));
        Ok(Response::new(RevokeTokenResponse {}))
    }

    async fn revoke_node(
        &self,
        request: Request<RevokeNodeRequest>,
    ) -> Result<Response<RevokeNodeResponse>, Status> {
        let RevokeNodeRequest { name, reason } = request.into_inner();
        self.note(format!("revoke {name} {reason}"));
        Ok(Response::new(RevokeNodeResponse {}))
    }

    async fn forget_node(
        &self,
        request: Request<ForgetNodeRequest>,
    ) -> Result<Response<ForgetNodeResponse>, Status> {
        let name = request.into_inner().name;
        if name == "forbidden" {
            return Err(Status::permission_denied("role viewer may not call ForgetNode"));
        }
        self.note(format!("forget {name}"));
        Ok(Response::new(ForgetNodeResponse {}))
    }

    async fn set_maintenance(
        &self,
        request: Request<SetMaintenanceRequest>,
    ) -> Result<Response<SetMaintenanceResponse>, Status> {
        let SetMaintenanceRequest { name, maintenance, reason, lasts } = request.into_inner();
        let (state, lasts) = (if maintenance { "on" } else { "off" }, lasts.map(|lasts| lasts.seconds));
        self.note(format!("maintenance {name} {state} reason={reason} lasts={lasts:?}"));
        Ok(Response::new(SetMaintenanceResponse {}))
    }

    async fn set_rate(&self, request: Request<SetRateRequest>) -> Result<Response<SetRateResponse>, Status> {
        let SetRateRequest { node, interval_ms, seconds, .. } = request.into_inner();
        self.note(format!("rate {node} every {interval_ms} ms for {seconds} s"));
        Ok(Response::new(SetRateResponse {}))
    }

    async fn list_audit(
        &self,
        request: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        let request = request.into_inner();
        let seconds = |moment: &Option<Timestamp>| moment.as_ref().map(|moment| moment.seconds);
        let ListAuditRequest { since, until, actor, subject, action, page_size, page_token } = &request;
        let (since, until) = (seconds(since), seconds(until));
        self.note(format!(
            "audit since={since:?} until={until:?} actor={actor} subject={subject} action={action} \
             size={page_size} token={page_token}"
        ));
        let line = |ago, actor: &str, action: &str, subject: &str, detail: &str| AuditLine {
            at: at(ago),
            actor: actor.into(),
            action: action.into(),
            subject: subject.into(),
            detail: detail.into(),
        };
        let method = "/quorate.v1.AdminService/SetRate";
        let all = [
            line(0, "ada", "revoke_node", "n1", "stolen"),
            line(10, "vera", "refused", method, "role viewer\u{1b}"),
        ];
        let first: usize = page_token.parse().unwrap_or(0);
        let next = first + self.page;
        let next_page_token = if next < all.len() { next.to_string() } else { String::new() };
        let lines = all.into_iter().skip(first).take(self.page).collect();
        Ok(Response::new(ListAuditResponse { lines, next_page_token }))
    }

    type BackupStream = tokio_stream::Iter<std::vec::IntoIter<Result<BackupResponse, Status>>>;

    async fn backup(&self, request: Request<BackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        let has_keys = !request.into_inner().without_keys;
        let begin = BackupBegin {
            aggregator: "agg".into(),
            version: "0.1.0".into(),
            created: at(0),
            has_keys,
            files: 2,
            bytes: 9,
        };
        let file = |name: &str, bytes| Part::File(BackupFile { name: name.into(), bytes });
        let data = |text: &str| Part::Data(text.as_bytes().to_vec().into());
        let all = [
            Part::Begin(begin),
            file("registry.db", 4),
            data("rows"),
            file("history/log-a.qj1", 5),
            data("fra"),
            data("me"),
            Part::End(BackupEnd { files: 2, bytes: 9 }),
        ];
        let parts = all.into_iter().map(|part| Ok(BackupResponse { part: Some(part) }));
        let parts: Vec<_> = parts.take(self.backup_parts).collect();
        Ok(Response::new(tokio_stream::iter(parts)))
    }
}

#[tonic::async_trait]
impl DiagnosticService for Fake {
    async fn get_status(&self, _: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let certificate = |subject: &str, days: i64| Certificate {
            subject: subject.into(),
            not_before: at(1000),
            not_after: at(-days * 86_400),
        };
        let limit = |key: &str, value, bitten, reason: &str| Limit {
            key: key.into(),
            value,
            bitten,
            reason: reason.into(),
        };
        let text = "a.toml:1:2: evil\u{1b}[2J\nb.toml:3:4: worse".into();
        let configuration = Configuration {
            revision: 2,
            since: at(100),
            files: vec!["a.toml".into(), "b.toml".into()],
            last_reload: Some(Reload { at: at(10), ok: false, text }),
            needs_restart: vec!["listen.grpc".into()],
        };
        let (name, address) = ("grpc".into(), "0.0.0.0:7443".into());
        Ok(Response::new(GetStatusResponse {
            name: "agg".into(),
            version: "0.1.0".into(),
            started: at(10_000),
            timestamp: at(0),
            resident_bytes: Some(32 << 20),
            configuration: Some(configuration),
            certificates: vec![
                certificate("spiffe://quorate/aggregator/agg", 3),
                certificate("CN=Quorate root", 3650),
            ],
            doors: vec![Door { name, address, open: 3, accepted: 9, handshakes: 7, accept_errors: 1 }],
            limits: vec![
                limit("limits.http2.streams_max", 100, None, ""),
                limit("limits.call.at_once_max", 512, Some(2), "calls"),
                limit("limits.door.connections_max", 20_000, Some(0), "connections"),
            ],
            refused: [("not_tls".to_owned(), 2)].into(),
            newer_agents: 1,
            clock_ahead_ms: -3_600_000,
            history: Some(StoredHistory {
                files: 7,
                bytes: 3 << 20,
                verified: 5,
                damaged: vec![SpoiltFile { name: "chunks-short-300-0.qj1".into(), bytes: 512 }],
                quarantined: vec![SpoiltFile { name: "chunks-short-0-0.qj1".into(), bytes: 1_024 }],
            }),
        }))
    }
}
