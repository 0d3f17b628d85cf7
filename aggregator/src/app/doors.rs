//! The ports: gRPC with mutual TLS for everybody who is known, enrolment for those who are not yet, and HTTP for
//! whoever has a token.

use super::certificate::{self, Certificate};
use super::web;
use crate::config::{Advertise, Config};
use crate::identity::ca::{Authority, CaError};
use crate::identity::init::StatePaths;
use crate::identity::keeper;
use crate::identity::registry::Registry;
use crate::limit::{CallLimits, Current, Limits, Refusals};
use crate::receive::service::Ingest;
use crate::serve::admin::Admin;
use crate::serve::auth::{Auth, AuthLayer, Gate, METHODS, enforce};
use crate::serve::cluster::Clusters;
use crate::serve::diagnostic::{Configuration, Diagnostics, Door};
use crate::serve::enrol::Enrolment;
use crate::serve::guard::{Calls, Guard, GuardLayer};
use crate::serve::http::door as http_door;
use crate::serve::http::host::Hosts;
use crate::serve::http::session::Sessions;
use crate::serve::issue::Issuer;
use crate::serve::listen::{Listener, serve};
use crate::serve::query::Queries;
use crate::serve::refusal;
use crate::serve::renew::Renewal;
use quorate_common::clock::Clock;
use quorate_common::model::time::WallTime;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::TlsError;
use quorate_proto::DESCRIPTORS;
use quorate_proto::v1::admin_service_server::AdminServiceServer;
use quorate_proto::v1::cluster_service_server::ClusterServiceServer;
use quorate_proto::v1::diagnostic_service_server::DiagnosticServiceServer;
use quorate_proto::v1::ingest_service_server::IngestServiceServer;
use quorate_proto::v1::query_service_server::QueryServiceServer;
use quorate_proto::v1::renewal_service_server::RenewalServiceServer;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tower::Layer;

/// Why a port is not served.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The authority cannot be used.
    #[error(transparent)]
    Authority(CaError),
    /// The aggregator's certificate names nobody.
    #[error("server certificate is not ours")]
    Name(#[source] quorate_common::tls::PeerError),
    /// A certificate, ours or one that vouches for it, is over.
    #[error("certificate {subject} expired at {at}")]
    Expired {
        /// Whose.
        subject: String,
        /// When.
        at: WallTime,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("`http.certificate` and `http.key` are needed both, or neither")]
    Half,
    /// The hosts to advertise cannot be read.
    #[error("failed to read `{}`", .0.display())]
    Hosts(PathBuf, #[source] std::io::Error),
    /// The port is taken, or not ours to take.
    #[error("failed to listen on {0}")]
    Bind(SocketAddr, #[source] std::io::Error),
    /// The system gave no random bytes.
    #[error(transparent)]
    Randomness(quorate_common::secret::NoRandomness),
    /// Reflection could not be set up.
    #[error("failed to set up reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Ports that are bound and not yet served.
pub struct Doors {
    /// Where agents and people are told to find us.
    pub advertised: Advertised,
    grpc: (TcpListener, SocketAddr),
    enrol: (TcpListener, SocketAddr),
    http: (TcpListener, SocketAddr),
    names: Vec<String>,
    certificate: Certificate,
}

/// Where agents and people are told to find us, each `host:port`.
pub struct Advertised {
    /// The hosts that `init` was given.
    hosts: Vec<String>,
    /// Of gRPC, and of enrolment.
    ports: (u16, u16),
    grpc: watch::Sender<Arc<[String]>>,
    enrol: watch::Sender<Arc<[String]>>,
}

impl Advertised {
    fn new(hosts: Vec<String>, ports: (u16, u16)) -> Advertised {
        let nowhere = || watch::Sender::new(Arc::default());
        Advertised { hosts, ports, grpc: nowhere(), enrol: nowhere() }
    }

    /// As configured; what is not: the hosts that `init` was given.
    pub fn set(&self, config: &Advertise) {
        let advertise = |given: &[String], port: u16| match given {
            [] => self.hosts.iter().map(|host| with_port(host, port)).collect(),
            given => given.into(),
        };
        self.grpc.send_replace(advertise(&config.grpc, self.ports.0));
        self.enrol.send_replace(advertise(&config.enrol, self.ports.1));
    }

    /// What stands in tokens, now and later.
    pub fn enrol(&self) -> watch::Receiver<Arc<[String]>> {
        self.enrol.subscribe()
    }
}

/// What is served.
pub struct Services {
    /// Agents' sessions.
    pub ingest: Ingest,
    /// State of clusters and nodes.
    pub clusters: Clusters,
    /// Samples.
    pub queries: Queries,
    /// Who belongs.
    pub admin: Admin,
    /// The limits in force.
    pub limits: Current,
    /// Who is told whom we send away.
    pub refusals: Refusals,
    /// The configuration in force.
    pub configuration: watch::Receiver<Configuration>,
    /// Who is logged in to the web.
    pub sessions: Sessions,
    /// The registry.
    pub registry: Registry,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What the ready file says.
#[derive(Debug, serde::Serialize)]
pub struct Ready {
    /// Address of the gRPC port.
    pub grpc: SocketAddr,
    /// Address of the enrolment port.
    pub enrol: SocketAddr,
    /// Address of the HTTP port.
    pub http: SocketAddr,
    /// Process number.
    pub pid: u32,
}

impl Doors {
    /// Loads certificates and binds all ports.
    pub async fn open(config: &Config, paths: &StatePaths, now: WallTime) -> Result<Doors, DoorError> {
        let certificate = Certificate::load(paths, config, now)?;
        let grpc = bind(config.listen.grpc).await?;
        let enrol = bind(config.listen.enrol).await?;
        let http = bind(config.listen.http).await?;
        let hosts = std::fs::read_to_string(&paths.hosts)
            .map_err(|error| DoorError::Hosts(paths.hosts.clone(), error))?;
        let hosts: Vec<String> = hosts.lines().map(str::to_owned).collect();
        let names = config.http.hosts.iter().chain(&hosts).cloned().collect();
        let advertised = Advertised::new(hosts, (grpc.1.port(), enrol.1.port()));
        advertised.set(&config.advertise);
        Ok(Doors { advertised, grpc, enrol, http, names, certificate })
    }

    /// The authority that is in force, now and later.
    pub fn authority(&self) -> watch::Receiver<Arc<Authority>> {
        self.certificate.authority()
    }

    /// The name of this aggregator, from its certificate.
    pub fn name(&self) -> Arc<str> {
        self.certificate.name.clone()
    }

    /// The addresses that were bound.
    pub fn ready(&self) -> Ready {
        Ready { grpc: self.grpc.1, enrol: self.enrol.1, http: self.http.1, pid: std::process::id() }
    }

    /// Serves all ports until asked to stop. Gives what can change meanwhile: the certificate that they show, and
    /// where they are said to be.
    pub fn serve(
        self,
        services: Services,
        shutdown: &Shutdown,
    ) -> Result<(Certificate, Advertised), DoorError> {
        let under = |listener: Listener| listener.under(services.limits.clone(), services.refusals.clone());
        let limits = services.limits.borrow().door;
        let grpc = under(Listener::new("grpc", self.grpc.0, self.certificate.grpc(), limits));
        let enrol = under(Listener::new("enrol", self.enrol.0, self.certificate.enrol(), limits));
        let (registry, clock) = (services.registry.clone(), services.clock.clone());
        let sightings = keeper::start(registry.clone(), shutdown);
        let refused = refusal::Refusals::start(registry.clone(), clock.clone(), shutdown);
        let gate =
            Gate { roster: registry.roster(), sightings, clock: clock.clone(), refusals: refused.clone() };
        shutdown.spawn("refusals", services.refusals.clone().tell(shutdown.clone()));
        shutdown.spawn("enforce", enforce(grpc.connections(), gate.clone(), shutdown.clone()));
        let validities = self.certificate.validities();
        shutdown.spawn("certificates", certificate::warn(validities, clock.clone(), shutdown.clone()));
        let web = http_door::Served::new(services.refusals.clone());
        let served = Door {
            name: "http",
            address: self.http.1,
            counters: web.counters.clone(),
            connections: web.connections.clone(),
        };
        let diagnostics = Diagnostics {
            name: self.certificate.name.clone(),
            started: services.clock.now().wall,
            configuration: services.configuration.clone(),
            certificates: self.certificate.validities(),
            doors: vec![door("grpc", self.grpc.1, &grpc), door("enrol", self.enrol.1, &enrol), served],
            limits: services.limits.clone(),
            refusals: services.refusals.clone(),
            snapshots: services.clusters.snapshots.clone(),
            store: services.admin.backups.store.clone(),
            // It tells by how much that clock is away.
            clock: services.clusters.clock.clone(),
        };
        let port = http_door::Port { tcp: self.http.0, address: self.http.1, tls: self.certificate.http() };
        http(port, &self.names, (&services, &diagnostics), &web, shutdown);
        let issuer = Issuer {
            authority: self.certificate.authority(),
            aggregators: self.advertised.grpc.subscribe(),
            enrolment: self.advertised.enrol.subscribe(),
        };
        let enrolment = enrolment(&services, issuer.clone(), refused)?;
        let own = (Arc::new(Renewal { registry, issuer, clock }), diagnostics);
        let stop = || shutdown.clone();
        shutdown.spawn("enrol", serve(enrol.start(shutdown), enrolment, stop()));
        shutdown.spawn("grpc", serve(grpc.start(shutdown), api(services, gate, own)?, stop()));
        Ok((self.certificate, self.advertised))
    }
}

fn door(name: &'static str, address: SocketAddr, listener: &Listener) -> Door {
    Door { name, address, counters: listener.counters(), connections: listener.connections() }
}

/// Opens the HTTP door.
fn http(
    port: http_door::Port,
    names: &[String],
    (services, diagnostics): (&Services, &Diagnostics),
    served: &http_door::Served,
    shutdown: &Shutdown,
) {
    let gate = http_door::Gate {
        registry: services.registry.clone(),
        sessions: services.sessions.clone(),
        hosts: Hosts::new(names.iter().map(String::as_str)),
        limits: services.limits.clone(),
        refusals: services.refusals.clone(),
        clock: services.clock.clone(),
    };
    http_door::serve(port, web::router(services, diagnostics, shutdown), gate, served, shutdown);
}

fn guard(limits: CallLimits, calls: &Calls) -> GuardLayer {
    GuardLayer { limits, calls: calls.clone() }
}

/// Everything behind the enrolment port, for some limits.
fn enrolment(
    services: &Services,
    issuer: Issuer,
    refused: refusal::Refusals,
) -> Result<impl Fn(&Limits) -> Guard<Routes> + use<>, DoorError> {
    let enrolment = Enrolment::new(services.registry.clone(), issuer, (services.clock.clone(), refused));
    let enrolment = Arc::new(enrolment.map_err(DoorError::Randomness)?.under(services.limits.clone()));
    let calls = Calls::default();
    Ok(move |limits: &Limits| {
        let routes = Routes::new(Enrolment::server(enrolment.clone())).prepare();
        guard(limits.call, &calls).layer(routes)
    })
}

/// Everything behind the mTLS port, for some limits; the layer in front of it asks the registry on every call.
fn api(
    services: Services,
    gate: Gate,
    (renewal, diagnostics): (Arc<Renewal>, Diagnostics),
) -> Result<impl Fn(&Limits) -> Auth<Guard<Routes>>, DoorError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let shutdown = services.ingest.shutdown.clone();
    shutdown.spawn("health", report(health, shutdown.clone()));
    let new = reflection().build_v1().map_err(DoorError::Reflection)?;
    let old = reflection().build_v1alpha().map_err(DoorError::Reflection)?;
    let calls = Calls::default();
    Ok(move |limits: &Limits| {
        let (small, large) = (limits.call.request_bytes_max as usize, limits.agent.message_bytes_max);
        let Services { ingest, clusters, queries, admin, .. } = &services;
        let routes = Routes::new(IngestServiceServer::new(ingest.clone()).max_decoding_message_size(large))
            .add_service(RenewalServiceServer::from_arc(renewal.clone()).max_decoding_message_size(small))
            .add_service(ClusterServiceServer::new(clusters.clone()).max_decoding_message_size(small))
            .add_service(QueryServiceServer::new(queries.clone()).max_decoding_message_size(small))
            .add_service(AdminServiceServer::new(admin.clone()).max_decoding_message_size(small))
            .add_service(DiagnosticServiceServer::new(diagnostics.clone()).max_decoding_message_size(small))
            .add_service(health_service.clone().max_decoding_message_size(small))
            .add_service(new.clone().max_decoding_message_size(small))
            .add_service(old.clone().max_decoding_message_size(small));
        AuthLayer::new(gate.clone()).layer(guard(limits.call, &calls).layer(routes.prepare()))
    })
}

/// Describes what anybody may call on this port, reflection itself included: the same in both versions, so that
/// a tool may ask one and use the other.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .include_reflection_service(false)
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET);
    let served = METHODS.iter().filter(|(_, roles)| !roles.is_empty());
    let services: BTreeSet<&str> = served.filter_map(|(path, _)| path.split('/').nth(1)).collect();
    services.into_iter().fold(builder, tonic_reflection::server::Builder::with_service_name)
}

/// Says SERVING while the program runs, and NOT_SERVING while it stops.
async fn report(health: tonic_health::server::HealthReporter, shutdown: Shutdown) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    let services = [
        "quorate.v1.IngestService",
        "quorate.v1.RenewalService",
        "quorate.v1.ClusterService",
        "quorate.v1.QueryService",
        "quorate.v1.AdminService",
        "quorate.v1.DiagnosticService",
        "",
    ];
    for service in services {
        health.set_service_status(service, Serving).await;
    }
    shutdown.asked().await;
    for service in services {
        health.set_service_status(service, NotServing).await;
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), DoorError> {
    let listener = TcpListener::bind(address).await.map_err(|error| DoorError::Bind(address, error))?;
    let bound = listener.local_addr().map_err(|error| DoorError::Bind(address, error))?;
    Ok((listener, bound))
}

fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
