//! The doors on real sockets: who gets in, who does not, and what they are told.

use super::*;
use crate::identity::ca::Authority;
use crate::identity::init::{Initialised, Options as InitOptions, init};
use crate::identity::keeper;
use crate::identity::registry::{Declaration, NewToken, Registry, Subject};
use crate::serve::auth::Gate;
use crate::serve::auth::{AuthLayer, enforce};
use crate::serve::enrol::Enrolment;
use crate::serve::issue::Issuer;
use crate::serve::refusal::Refusals;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::identity::Role;
use quorate_common::model::node::MemberRole;
use quorate_common::model::time::WallTime;
use quorate_common::secret::Secret;
use quorate_common::tls::{self, Credential};
use quorate_proto::connect::{Options, channel};
use quorate_proto::v1::EnrolRequest;
use quorate_proto::v1::enrolment_service_client::EnrolmentServiceClient;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// An aggregator with both its gRPC doors and nothing behind them but enrolment and health.
struct World {
    dir: tempfile::TempDir,
    made: Initialised,
    registry: Registry,
    authority: Arc<Authority>,
    shutdown: Shutdown,
    /// mTLS: address and what was counted.
    door: Door,
    enrolment: Door,
}

struct Door {
    address: SocketAddr,
    counters: Arc<Counters>,
    connections: Arc<Connections>,
}

impl Door {
    fn refused(&self, reason: &str) -> u64 {
        self.counters.refusals().counted(reason.parse().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.ask();
    }
}

fn now() -> WallTime {
    SystemClock.now().wall
}

async fn listen(config: ServerConfig, limits: Limits) -> (Listener, Door) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    // The sender may go: the last value stays.
    let (_, tls) = watch::channel(Arc::new(config));
    let listener = Listener::new("test", tcp, tls, limits);
    let (counters, connections) = (listener.counters(), listener.connections());
    (listener, Door { address, counters, connections })
}

async fn start(limits: Limits) -> World {
    let dir = tempfile::tempdir().unwrap();
    let options = InitOptions {
        dir: dir.path().join("state"),
        name: "agg".into(),
        hosts: vec!["127.0.0.1".into()],
        trust_domain: "quorate".into(),
    };
    let made = init(&options, now()).await.unwrap();
    let authority = Arc::new(Authority::load(&made.paths.authority).unwrap());
    let registry = Registry::open(&made.paths.registry, "quorate").await.unwrap();
    let own = Credential::load(&made.paths.server_chain, &made.paths.server_key).unwrap();
    let roots = tls::load_certificates(&made.paths.admin_roots).unwrap();
    let shutdown = Shutdown::new();

    let (listener, enrolment) = listen(tls::enrolment_config(own.clone(), &roots).unwrap(), limits).await;
    let issuer = Issuer {
        authority: watch::channel(authority.clone()).1,
        aggregators: watch::channel(["127.0.0.1:7443".to_owned()].into()).1,
        enrolment: watch::channel(["127.0.0.1:7442".to_owned()].into()).1,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let refusals = Refusals::start(registry.clone(), clock.clone(), &shutdown);
    let service = Enrolment::new(registry.clone(), issuer, (clock.clone(), refusals.clone())).unwrap();
    let (incoming, stop) = (listener.start(&shutdown), shutdown.clone());
    let server = tonic::transport::Server::builder().add_service(service.into_server());
    tokio::spawn(async move { server.serve_with_incoming_shutdown(incoming, stop.asked()).await });

    let (listener, door) = listen(tls::server_config(own, &roots).unwrap(), limits).await;
    let (incoming, stop) = (listener.start(&shutdown), shutdown.clone());
    let (_, health) = tonic_health::server::health_reporter();
    let sightings = keeper::start(registry.clone(), &shutdown);
    let gate = Gate { roster: registry.roster(), sightings, clock, refusals };
    let layer = AuthLayer::new(gate.clone());
    let server = tonic::transport::Server::builder().layer(layer).add_service(health);
    tokio::spawn(async move { server.serve_with_incoming_shutdown(incoming, stop.asked()).await });
    let enforcer = enforce(door.connections.clone(), gate, shutdown.clone());
    tokio::spawn(enforcer);
    World { dir, made, registry, authority, shutdown, door, enrolment }
}

impl World {
    async fn token(&self, name: &str) -> NewToken {
        let declared = Declaration {
            cluster: "default".into(),
            role: MemberRole::Voter,
            zone: None,
            weight: 1,
            replace: false,
        };
        let subject = Subject::Node(name.into(), declared);
        self.registry.create_token("test", &subject, None, now()).await.unwrap()
    }

    /// Enrols over the enrolment port, and gives what the mTLS port wants to see.
    async fn enrol(&self, token: &NewToken, key: &KeyPair) -> Result<Credential, Status> {
        let pinned = tls::pinned_config(self.made.root_spki_sha256).unwrap();
        let address = self.enrolment.address.to_string();
        let channel = channel(&address, Arc::new(pinned), Options::CALL).await.unwrap();
        let request = EnrolRequest {
            token_id: token.id.clone(),
            token_secret: token.secret.expose().to_vec(),
            csr: CertificateParams::default().serialize_request(key).unwrap().der().to_vec(),
        };
        let answer = EnrolmentServiceClient::new(channel).enrol(request).await?.into_inner().issued.unwrap();
        let chain = tls::certificates_from_pem(answer.certificate_chain_pem.as_bytes(), "answer").unwrap();
        let key = key.serialize_der().try_into().unwrap();
        assert_eq!(answer.aggregators, ["127.0.0.1:7443"]);
        Ok(Credential { chain, key })
    }

    fn client(&self, own: Option<Credential>) -> Arc<ClientConfig> {
        let roots = tls::load_certificates(&self.made.paths.admin_roots).unwrap();
        Arc::new(tls::client_config(&roots, own).unwrap())
    }

    async fn health(
        &self,
        config: Arc<ClientConfig>,
    ) -> Result<HealthClient<tonic::transport::Channel>, String> {
        let channel = channel(&self.door.address.to_string(), config, Options::AGENT).await;
        channel.map(HealthClient::new).map_err(|error| quorate_common::error::chain(&error))
    }

    /// The health check as this client: `ok`, or code and text of the refusal.
    async fn check(&self, config: Arc<ClientConfig>) -> String {
        let mut client = match self.health(config).await {
            Ok(client) => client,
            Err(error) => return error,
        };
        match client.check(HealthCheckRequest::default()).await {
            Ok(_) => "ok".to_owned(),
            Err(status) => format!("{:?} {}", status.code(), status.message()),
        }
    }
}

fn admin(world: &World) -> Credential {
    Credential::load(&world.made.paths.admin_chain, &world.made.paths.admin_key).unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen within 5 s");
}

#[tokio::test]
async fn an_enrolled_node_gets_in_and_may_do_only_its_own() {
    let world = start(Limits::default()).await;
    let key = KeyPair::generate().unwrap();
    let token = world.token("n1").await;
    let credential = world.enrol(&token, &key).await.unwrap();
    let again = world.enrol(&token, &key).await.unwrap();
    assert_ne!(credential.chain[0], again.chain[0], "repeating gives another leaf for the same key");
    let refused = "PermissionDenied role agent may not call /grpc.health.v1.Health/Check";
    assert_eq!(world.check(world.client(Some(credential))).await, refused);
    assert_eq!(world.check(world.client(Some(again))).await, refused);
    assert_eq!(world.check(world.client(Some(admin(&world)))).await, "ok");
    assert_eq!(world.registry.roster().borrow().members().len(), 1);
    let address = world.door.address.to_string();
    let channel = channel(&address, world.client(Some(admin(&world))), Options::CALL);
    let mut elsewhere = EnrolmentServiceClient::new(channel.await.unwrap());
    let status = elsewhere.enrol(EnrolRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "enrolment is not served on the mTLS port");
}

#[tokio::test]
async fn every_bad_token_is_refused_with_one_text() {
    let world = start(Limits::default()).await;
    let key = KeyPair::generate().unwrap();
    let good = world.token("n1").await;
    let with = |id: &str, secret: &[u8]| NewToken {
        id: id.into(),
        secret: Secret::new(secret.to_vec()),
        expires: good.expires,
    };
    let old = world.token("n2").await;
    world.registry.revoke_token("test", &old.id, now()).await.unwrap();
    world.enrol(&good, &key).await.unwrap();
    let other = KeyPair::generate().unwrap();
    let bad =
        [&with("00", good.secret.expose()), &with(&good.id, &[0; 32]), &with(&good.id, b""), &old, &good];
    for token in bad {
        let status = world.enrol(token, &other).await.err().unwrap();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "token was not accepted"));
    }
    let fresh = world.token("n3").await;
    let status = world.enrol(&fresh, &other).await.err().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "the sixth try within a minute");
    assert_eq!(world.registry.roster().borrow().members().len(), 1);
}

#[tokio::test]
async fn a_bad_request_names_its_field_and_costs_no_token() {
    let world = start(Limits::default()).await;
    let pinned = Arc::new(tls::pinned_config(world.made.root_spki_sha256).unwrap());
    let channel = channel(&world.enrolment.address.to_string(), pinned, Options::CALL).await.unwrap();
    let mut client = EnrolmentServiceClient::new(channel);
    let token = world.token("n1").await;
    for (csr, expect) in
        [(vec![0; 9000], "csr is larger"), (vec![1, 2, 3], "csr is not"), (vec![], "csr is not")]
    {
        let request =
            EnrolRequest { token_id: token.id.clone(), token_secret: token.secret.expose().to_vec(), csr };
        let status = client.enrol(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(expect), "{}", status.message());
    }
    world.enrol(&token, &KeyPair::generate().unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_server_must_show_the_pinned_root_and_the_right_name() {
    let world = start(Limits::default()).await;
    let check = async |hash: [u8; 32], host: &str, expect: &str| {
        let address = format!("{host}:{}", world.enrolment.address.port());
        let pinned = Arc::new(tls::pinned_config(hash).unwrap());
        let error = channel(&address, pinned, Options::CALL).await.unwrap_err();
        let text = quorate_common::error::chain(&error);
        assert!(text.contains(expect), "{text}");
    };
    check([7; 32], "127.0.0.1", "UnknownIssuer").await;
    check(world.made.root_spki_sha256, "localhost", "not valid for name").await;
    // The leaf's own hash is no root's.
    let own = Credential::load(&world.made.paths.server_chain, &world.made.paths.server_key).unwrap();
    check(tls::spki_sha256(&own.chain[0]).unwrap(), "127.0.0.1", "UnknownIssuer").await;
}

#[tokio::test]
async fn certificates_that_are_missing_or_foreign_do_not_get_in() {
    let world = start(Limits::default()).await;
    let without = world.check(world.client(None)).await;
    assert_ne!(without, "ok");
    until("a refusal", || world.door.refused("tls") >= 1).await;
    // The same names, vouched for by another authority.
    let foreign = Authority::create(&world.dir.path().join("foreign"), "quorate", now()).unwrap();
    let issued = foreign.issue_client(&foreign.identity(Role::Admin, "admin"), now()).unwrap();
    let seen = world.door.refused("tls");
    assert_ne!(world.check(world.client(Some(credential(&issued)))).await, "ok");
    until("a refusal", || world.door.refused("tls") > seen).await;
    // Ours, but expired long ago.
    let old = WallTime(now().0 - 200 * 86_400 * 1_000_000_000);
    let issued = world.authority.issue_client(&world.authority.identity(Role::Admin, "admin"), old).unwrap();
    let seen = world.door.refused("tls");
    assert_ne!(world.check(world.client(Some(credential(&issued)))).await, "ok");
    until("a refusal", || world.door.refused("tls") > seen).await;
    // Ours and valid, and without a row.
    let issued = world.authority.issue_client(&world.authority.identity(Role::Admin, "eve"), now()).unwrap();
    let denied = world.check(world.client(Some(credential(&issued)))).await;
    assert_eq!(denied, "Unauthenticated admin eve is not enrolled");
}

fn credential(issued: &crate::identity::ca::Issued) -> Credential {
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
    let chain = tls::certificates_from_pem(issued.chain_pem.as_bytes(), "test").unwrap();
    Credential { chain, key: PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap() }
}

#[tokio::test]
async fn revoking_ends_the_open_stream_and_every_later_call() {
    let world = start(Limits::default()).await;
    let config = world.client(Some(admin(&world)));
    let mut client = world.health(config.clone()).await.unwrap();
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().expect("the first state");
    let at = now();
    world.registry.revoke_user("test", "admin", "lost", at).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    assert!(ended.expect("within 5 s").is_err(), "a cut is no end of stream");
    assert_eq!(world.check(config).await, format!("Unauthenticated admin admin revoked at {}", millis(at)));
    until("the connections to close", || world.door.connections.count() == 0).await;
}

fn millis(at: WallTime) -> WallTime {
    WallTime(at.as_millis() * 1_000_000)
}

#[tokio::test]
async fn other_protocols_are_told_from_slow_ones() {
    let limits = Limits { handshake_deadline_ms: 100, preface_deadline_ms: 100, ..Limits::default() };
    let world = start(limits).await;
    let connect = || tokio::net::TcpStream::connect(world.door.address);
    let mut plain = connect().await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    closed(&mut plain).await;
    assert_eq!(world.door.refused("not_tls"), 1);
    let mut silent = connect().await.unwrap();
    closed(&mut silent).await;
    assert_eq!(world.door.refused("handshake_timeout"), 1);
    let mut slow = connect().await.unwrap();
    slow.write_all(&[TLS_HANDSHAKE, 3, 1]).await.unwrap();
    closed(&mut slow).await;
    assert_eq!(world.door.refused("handshake_timeout"), 2);
    drop(connect().await.unwrap());
    until("a hang-up", || world.door.refused("closed") == 1).await;
    // TLS, and then nothing.
    let tls = tokio_rustls::TlsConnector::from(world.client(Some(admin(&world))));
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let mut mute = tls.connect(name, connect().await.unwrap()).await.unwrap();
    mute.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), mute.read_to_end(&mut bytes)).await;
    assert!(end.is_ok(), "closed at the deadline");
    until("the preface to be missed", || world.door.refused("preface_timeout") == 1).await;
    until("all to be closed", || world.door.connections.count() == 0).await;
}

async fn closed(stream: &mut tokio::net::TcpStream) {
    let mut bytes = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut bytes)).await;
    // A reset is a close too.
    assert!(end.is_ok(), "the server did not close");
}

#[tokio::test]
async fn one_address_without_certificates_does_not_keep_others_out() {
    let limits = Limits {
        unproven_per_address_max: 2,
        admission_wait_ms: 50,
        handshake_deadline_ms: 60_000,
        ..Limits::default()
    };
    let world = start(limits).await;
    let connect = || tokio::net::TcpStream::connect(world.door.address);
    let (_first, second) = (connect().await.unwrap(), connect().await.unwrap());
    until("both to be accepted", || world.door.counters.accepted() == 2).await;
    let mut third = connect().await.unwrap();
    closed(&mut third).await;
    assert_eq!(world.door.refused("address"), 1);
    drop(second);
    until("the hang-up to be seen", || world.door.refused("closed") == 1).await;
    // A place is free, and given back as soon as a certificate is proven: ten connections pass through it.
    let config = world.client(Some(admin(&world)));
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut client = world.health(config.clone()).await.unwrap();
        client.check(HealthCheckRequest::default()).await.unwrap();
        open.push(client);
    }
    assert_eq!(world.door.connections.count(), 10);
}

#[tokio::test]
async fn a_new_certificate_holds_for_the_next_connection_and_the_house_can_be_full() {
    let world = start(Limits::default()).await;
    let roots = tls::load_certificates(&world.made.paths.admin_roots).unwrap();
    let configure = |name: &str| {
        let issued = world.authority.issue_server(name, &["127.0.0.1".to_owned()], now()).unwrap();
        Arc::new(tls::enrolment_config(credential(&issued), &roots).unwrap())
    };
    let (config, receiver) = watch::channel(configure("first"));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = Listener::new("test", tcp, receiver, Limits { connections_max: 2, ..Limits::default() });
    let counters = listener.counters();
    let _incoming = listener.start(&world.shutdown);
    let connector = tokio_rustls::TlsConnector::from(world.client(None));
    let greet = async || {
        let server = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(server, tcp).await?;
        let peer = peer_identity(stream.get_ref().1.peer_certificates().unwrap()).unwrap();
        std::io::Result::Ok((stream, peer.identity.name.to_string()))
    };
    let (_first, name) = greet().await.unwrap();
    assert_eq!(name, "first");
    config.send_replace(configure("second"));
    let (_second, name) = greet().await.unwrap();
    assert_eq!(name, "second");
    assert!(greet().await.is_err(), "the house is full");
    let refused = counters.refusals().counted(Reason::Connections);
    assert_eq!((refused, counters.opened(), counters.accepted()), (1, 2, 3));
}
