//! The two ports: gRPC with mutual TLS for everybody who is known, and enrolment for those who are not yet.

use super::reload::Certificate;
use crate::config::Config;
use crate::identity::ca::{Authority, CaError};
use crate::identity::init::StatePaths;
use crate::identity::keeper;
use crate::identity::registry::Registry;
use crate::receive::service::Ingest;
use crate::serve::admin::Admin;
use crate::serve::auth::{AuthLayer, Gate, METHODS, enforce};
use crate::serve::cluster::Clusters;
use crate::serve::enrol::Enrolment;
use crate::serve::issue::Issuer;
use crate::serve::listen::{Limits, Listener};
use crate::serve::query::Queries;
use crate::serve::refusal::Refusals;
use crate::serve::renew::Renewal;
use quorate_common::clock::Clock;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::TlsError;
use quorate_proto::DESCRIPTORS;
use quorate_proto::v1::admin_service_server::AdminServiceServer;
use quorate_proto::v1::cluster_service_server::ClusterServiceServer;
use quorate_proto::v1::ingest_service_server::IngestServiceServer;
use quorate_proto::v1::query_service_server::QueryServiceServer;
use quorate_proto::v1::renewal_service_server::RenewalServiceServer;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::Router;

/// Messages of people and tools are small.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Calls at once on one connection.
const STREAMS_MAX: u32 = 100;
/// Flow control: what one stream, and one connection, may send before it is read.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Bytes of headers in one request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Pings on a quiet connection, and how long for an answer: frees dead sockets, judges nobody.
const PING_EVERY: Duration = Duration::from_secs(10);

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
    /// What stands in tokens, `host:port`.
    pub enrolment_addresses: Arc<[String]>,
    grpc_addresses: Arc<[String]>,
    limits: Limits,
    grpc: (TcpListener, SocketAddr),
    enrol: (TcpListener, SocketAddr),
    certificate: Certificate,
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
    /// Process number.
    pub pid: u32,
}

impl Doors {
    /// Loads certificates and binds both ports.
    pub async fn open(config: &Config, paths: &StatePaths) -> Result<Doors, DoorError> {
        let certificate = Certificate::load(paths, config.identity)?;
        let grpc = bind(config.listen.grpc).await?;
        let enrol = bind(config.listen.enrol).await?;
        let hosts = std::fs::read_to_string(&paths.hosts)
            .map_err(|error| DoorError::Hosts(paths.hosts.clone(), error))?;
        let advertise = |given: &[String], port: u16| match given {
            [] => hosts.lines().map(|host| with_port(host, port)).collect(),
            given => given.to_vec(),
        };
        Ok(Doors {
            enrolment_addresses: advertise(&config.advertise.enrol, enrol.1.port()).into(),
            grpc_addresses: advertise(&config.advertise.grpc, grpc.1.port()).into(),
            limits: config.listen.limits,
            grpc,
            enrol,
            certificate,
        })
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
        Ready { grpc: self.grpc.1, enrol: self.enrol.1, pid: std::process::id() }
    }

    /// Serves both ports until asked to stop. Gives the certificate that they show, for reloading.
    pub fn serve(self, services: Services, shutdown: &Shutdown) -> Result<Certificate, DoorError> {
        let grpc = Listener::new("grpc", self.grpc.0, self.certificate.grpc(), self.limits);
        let enrol = Listener::new("enrol", self.enrol.0, self.certificate.enrol(), self.limits);
        let (registry, clock) = (services.registry.clone(), services.clock.clone());
        let sightings = keeper::start(registry.clone(), shutdown);
        let refusals = Refusals::start(registry.clone(), clock.clone(), shutdown);
        let gate =
            Gate { roster: registry.roster(), sightings, clock: clock.clone(), refusals: refusals.clone() };
        shutdown.spawn("enforce", enforce(grpc.connections(), gate.clone(), shutdown.clone()));
        let issuer = Issuer {
            authority: self.certificate.authority(),
            aggregators: self.grpc_addresses,
            enrolment: self.enrolment_addresses,
        };
        let enrolment = Enrolment::new(registry.clone(), issuer.clone(), (clock.clone(), refusals));
        let enrolment = enrolment.map_err(DoorError::Randomness)?;
        run("enrol", server().add_service(enrolment.into_server()), enrol, shutdown);
        run("grpc", api(services, gate, Renewal { registry, issuer, clock })?, grpc, shutdown);
        Ok(self.certificate)
    }
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_EVERY))
}

/// Everything behind the mTLS port; the layer in front of it asks the registry on every call.
fn api(
    services: Services,
    gate: Gate,
    renewal: Renewal,
) -> Result<Router<tower::layer::util::Stack<AuthLayer, tower::layer::util::Identity>>, DoorError> {
    let limits = services.ingest.limits;
    let (health, health_service) = tonic_health::server::health_reporter();
    let shutdown = services.ingest.shutdown.clone();
    shutdown.spawn("health", report(health, shutdown.clone()));
    Ok(server()
        .layer(AuthLayer::new(gate))
        .add_service(
            IngestServiceServer::new(services.ingest).max_decoding_message_size(limits.message_bytes_max),
        )
        .add_service(RenewalServiceServer::new(renewal).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(
            ClusterServiceServer::new(services.clusters).max_decoding_message_size(REQUEST_BYTES_MAX),
        )
        .add_service(QueryServiceServer::new(services.queries).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(AdminServiceServer::new(services.admin).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(health_service)
        .add_service(reflection().build_v1().map_err(DoorError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(DoorError::Reflection)?))
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

fn run<L>(name: &'static str, router: Router<L>, listener: Listener, shutdown: &Shutdown)
where
    L: tower::Layer<tonic::service::Routes> + Clone + Send + 'static,
    L::Service: tower::Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>
        + Clone
        + Send
        + 'static,
    <L::Service as tower::Service<http::Request<tonic::body::Body>>>::Future: Send,
    <L::Service as tower::Service<http::Request<tonic::body::Body>>>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    let incoming = listener.start(shutdown);
    let stop = shutdown.clone();
    // Dropped, not awaited, when the program stops: open streams are ended by their own tasks, and a graceful
    // end of HTTP/2 would wait for ever for a client that does not close.
    shutdown.spawn(name, async move {
        tokio::select! {
            served = router.serve_with_incoming(incoming) => {
                if let Err(error) = served {
                    tracing::error!(class = "failure", error = quorate_common::error::chain(&error), "port failed");
                    stop.ask();
                }
            }
            () = after(&stop) => {}
        }
    });
}

/// A moment after stopping was asked for, so that streams can say why they end.
async fn after(stop: &Shutdown) {
    stop.asked().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), DoorError> {
    let listener = TcpListener::bind(address).await.map_err(|error| DoorError::Bind(address, error))?;
    let bound = listener.local_addr().map_err(|error| DoorError::Bind(address, error))?;
    Ok((listener, bound))
}

fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
