//! Each method by each caller on both ports: about eight hundred calls, each with the one answer that is right.

use crate::call::{Outcome, Way, call};
use crate::callers::{Caller, Standing, all};
use crate::rows::{ENROLMENT, ROWS, Row, UNKNOWN};
use quorate_aggregator::identity::keeper;
use quorate_aggregator::identity::registry::Registry;
use quorate_aggregator::serve::auth::{AuthLayer, Gate};
use quorate_aggregator::serve::listen::{Limits, Listener};
use quorate_aggregator::serve::refusal::Refusals;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::identity::Role;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{self, Credential, client_config, load_certificates, peer_identity};
use quorate_proto::v1::{self, ListAuditRequest, RevokeNodeRequest};
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Kinds of refusals that the aggregator tells at once; the rest it counts.
const TOLD_MAX: usize = 32;
/// How often it looks for connections of those whom it does not know.
const LOOK_EVERY: Duration = Duration::from_secs(10);

fn way(address: &str, caller: &Caller, number: usize) -> Way {
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number + 1).unwrap());
    Way { address: address.parse().unwrap(), from, tls: caller.tls.clone() }
}

/// What is right on the gRPC port; `None` where no connection comes about.
fn expected(standing: &Standing, path: &str, row: Option<&Row>) -> Option<String> {
    Some(match (standing, row) {
        (Standing::Stranger(_), _) => return None,
        (Standing::Nobody(text), _) => text.clone(),
        (Standing::Role(_), None) => format!("Unimplemented no method `{path}`"),
        (Standing::Role(role), Some(row)) if row.roles.contains(role) => row.answer.to_owned(),
        (Standing::Role(role), Some(_)) => format!("PermissionDenied role {role} may not call {path}"),
    })
}

fn paths() -> impl Iterator<Item = (&'static str, Option<&'static Row>)> {
    let rows = ROWS.iter().map(|row| (row.path, Some(row)));
    rows.chain(UNKNOWN.iter().map(|path| (*path, None)))
}

#[tokio::test]
async fn every_method_by_every_caller() {
    let cluster = Cluster::start(programs!()).await;
    let callers = all(&cluster).await;
    let (mut wrong, mut calls, mut closed) = (Vec::new(), 0_u32, 0);
    let begin = SystemClock.now().boot;
    for (number, caller) in callers.iter().enumerate() {
        let way = way(&cluster.doors.grpc, caller, number);
        if let Standing::Stranger(alert) = caller.standing {
            assert_eq!(way.alert().await, alert, "{}", caller.name);
        }
        let shared = match caller.standing {
            Standing::Role(_) => Some(way.open().await.unwrap()),
            _ => None,
        };
        for (path, row) in paths() {
            let outcome = match &shared {
                Some(channel) => call(channel, path).await,
                None => way.call(path).await,
            };
            calls += 1;
            let expect = expected(&caller.standing, path, row);
            match (outcome, expect) {
                (Outcome::Answered(got), Some(expect)) if got == expect => {}
                (Outcome::Closed, None) => {}
                // Whoever is nobody may also lose the connection before the answer, see below.
                (Outcome::Closed, Some(_)) if matches!(caller.standing, Standing::Nobody(_)) => closed += 1,
                (got, expect) => wrong.push(format!("{} {path}: {got:?}, expected {expect:?}", caller.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(calls as usize, callers.len() * (ROWS.len() + UNKNOWN.len()));
    let looks = 1 + SystemClock.now().boot.since(begin).as_secs() / LOOK_EVERY.as_secs();
    assert!(closed <= looks, "{closed} connections were lost by {looks} looks of the aggregator");
    let lines = until_told(&cluster).await;
    assert_eq!(lines.len(), TOLD_MAX, "a flood of refusals is a bounded number of lines");
    let first = lines.last().unwrap();
    let told = (first.actor.as_str(), first.subject.as_str(), first.detail.as_str());
    assert_eq!(told, ("n1", "/quorate.v1.ClusterService/GetHealth", "role agent"));
}

/// The lines of refusals, once all that are told at once are written.
async fn until_told(cluster: &Cluster) -> Vec<v1::AuditLine> {
    let look = async {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        loop {
            every.tick().await;
            let refused =
                ListAuditRequest { action: "refused".into(), page_size: 1000, ..Default::default() };
            let lines = cluster.admin_service().list_audit(refused).await.unwrap().into_inner().lines;
            if lines.len() >= TOLD_MAX {
                return lines;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), look).await.expect("the lines")
}

#[tokio::test]
async fn on_the_enrolment_port_there_is_enrolment_only() {
    let cluster = Cluster::start(programs!()).await;
    for (number, caller) in all(&cluster).await.iter().enumerate() {
        let channel = way(&cluster.doors.enrol, caller, number).open().await.unwrap();
        for (path, _) in paths() {
            let served = ENROLMENT.iter().find(|(served, _)| *served == path);
            let expect = served.map_or("Unimplemented ", |(_, answer)| answer);
            let expect = Outcome::Answered(expect.to_owned());
            assert_eq!(call(&channel, path).await, expect, "{} {path}", caller.name);
        }
    }
}

#[tokio::test]
async fn a_revocation_ends_what_is_open() {
    let cluster = Cluster::start(programs!()).await;
    let callers = all(&cluster).await;
    let agent = callers.iter().find(|caller| caller.name == "n1").unwrap();
    let way = way(&cluster.doors.grpc, agent, 0);
    let (first, session) = (way.open().await.unwrap(), "/quorate.v1.IngestService/Session");
    let answer = Outcome::Answered(ROWS[0].answer.to_owned());
    assert_eq!(call(&first, session).await, answer);
    cluster
        .admin_service()
        .revoke_node(RevokeNodeRequest { name: "n1".into(), reason: String::new() })
        .await
        .unwrap();
    // The row is looked at on every call, and the connection is closed besides: whichever comes first.
    match call(&first, session).await {
        Outcome::Closed => {}
        Outcome::Answered(text) => assert!(text.starts_with("Unauthenticated node n1 revoked at "), "{text}"),
    }
}

/// The same without the part that closes connections: what remains is the look at the row on every call.
#[tokio::test]
async fn the_row_is_looked_at_on_every_call() {
    let cluster = Cluster::start(programs!()).await;
    let files = cluster.person("vera", v1::Role::Viewer).await;
    let (dir, state) = (tempfile::tempdir().unwrap(), cluster.dir().join("aggregator"));
    let registry = Registry::open(&dir.path().join("registry.db"), "quorate").await.unwrap();
    let vera = Credential::load(&files.cert, &files.key).unwrap();
    let key = peer_identity(&vera.chain).unwrap().spki_sha256;
    let put = async |role| {
        let now = SystemClock.now().wall;
        registry.put_user(("test", "put"), ("vera", role), &key, now).await.unwrap();
    };
    put(Role::Viewer).await;

    let own = Credential::load(&state.join("server.crt"), &state.join("server.key")).unwrap();
    let roots = load_certificates(&files.ca).unwrap();
    let (_config, config) = watch::channel(Arc::new(tls::server_config(own, &roots).unwrap()));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (shutdown, clock): (_, Arc<dyn Clock>) = (Shutdown::new(), Arc::new(SystemClock));
    let incoming = Listener::new("grpc", tcp, config, Limits::default()).start(&shutdown);
    let refusals = Refusals::start(registry.clone(), clock.clone(), &shutdown);
    let (_, health) = tonic_health::server::health_reporter();
    let sightings = keeper::start(registry.clone(), &shutdown);
    let gate = Gate { roster: registry.roster(), sightings, clock, refusals };
    let mut server = tonic::transport::Server::builder().layer(AuthLayer::new(gate));
    let served = server.add_service(health).serve_with_incoming(incoming);
    let task = tokio::spawn(served);

    let tls = Arc::new(client_config(&roots, Some(vera)).unwrap());
    let channel = Way { address, from: Ipv4Addr::LOCALHOST, tls }.open().await.unwrap();
    let path = "/grpc.health.v1.Health/Check";
    let check = async |expect: String| {
        assert_eq!(call(&channel, path).await, Outcome::Answered(expect), "all on one connection");
    };
    check("Ok".to_owned()).await;
    let now = SystemClock.now().wall;
    registry.revoke_user("test", "vera", "", now).await.unwrap();
    check(format!("Unauthenticated viewer vera revoked at {now}")).await;
    put(Role::Viewer).await;
    check("Ok".to_owned()).await;
    put(Role::Operator).await;
    check("Unauthenticated viewer vera is not enrolled".to_owned()).await;
    task.abort();
    shutdown.ask();
}

#[test]
fn the_table_says_something_of_each_role() {
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    ROWS.iter().flat_map(|row| row.roles).for_each(|role| *served.entry(role).or_default() += 1);
    let expect = [("admin", 24), ("agent", 4), ("operator", 17), ("viewer", 15)];
    assert_eq!(served, expect.into(), "count again after a change of the table");
}
