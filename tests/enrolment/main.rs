//! A node gets in: the agent's own enrolment against the aggregator's own door, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

use quorate_agent::enrol::{EnrolError, Enrolled, IdentityPaths, enrol};
use quorate_aggregator::identity::ca::Authority;
use quorate_aggregator::identity::init::{Initialised, Options, init};
use quorate_aggregator::identity::registry::{Declaration, Registry, Subject};
use quorate_aggregator::identity::roster::Seen;
use quorate_aggregator::serve::enrol::Enrolment;
use quorate_aggregator::serve::issue::Issuer;
use quorate_aggregator::serve::listen::{Limits, Listener};
use quorate_aggregator::serve::refusal::Refusals;
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::error::chain;
use quorate_common::model::node::MemberRole;
use quorate_common::shutdown::Shutdown;
use quorate_common::tls::{self, Credential, peer_identity};
use quorate_common::token::Token;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

struct Aggregator {
    _dir: TempDir,
    made: Initialised,
    registry: Registry,
    address: String,
    shutdown: Shutdown,
}

impl Drop for Aggregator {
    fn drop(&mut self) {
        self.shutdown.ask();
    }
}

impl Aggregator {
    async fn start() -> Aggregator {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            dir: dir.path().join("state"),
            name: "agg".into(),
            hosts: vec!["127.0.0.1".into()],
            trust_domain: "quorate".into(),
        };
        let made = init(&options, SystemClock.now().wall).await.unwrap();
        let registry = Registry::open(&made.paths.registry, "quorate").await.unwrap();
        let authority = Arc::new(Authority::load(&made.paths.authority).unwrap());
        let own = Credential::load(&made.paths.server_chain, &made.paths.server_key).unwrap();
        let roots = tls::load_certificates(&made.paths.admin_roots).unwrap();
        let (_, config) = watch::channel(Arc::new(tls::enrolment_config(own, &roots).unwrap()));
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap().to_string();
        let shutdown = Shutdown::new();
        let incoming = Listener::new("enrolment", tcp, config, Limits::default()).start(&shutdown);
        let issuer = Issuer {
            authority: watch::channel(authority).1,
            aggregators: watch::channel(["127.0.0.1:7443".to_owned(), "agg.example:7443".to_owned()].into())
                .1,
            enrolment: watch::channel([address.clone()].into()).1,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let refusals = Refusals::start(registry.clone(), clock.clone(), &shutdown);
        let service = Enrolment::new(registry.clone(), issuer, (clock, refusals)).unwrap();
        let server = tonic::transport::Server::builder().add_service(service.into_server());
        let stop = shutdown.clone();
        tokio::spawn(async move { server.serve_with_incoming_shutdown(incoming, stop.asked()).await });
        Aggregator { _dir: dir, made, registry, address, shutdown }
    }

    async fn token(&self, name: &str, replace: bool) -> Token {
        let role = MemberRole::Voter;
        let declared = Declaration { cluster: "default".into(), role, zone: None, weight: 1, replace };
        let subject = Subject::Node(name.into(), declared);
        let life = Some(Duration::from_secs(60));
        let made = self.registry.create_token("test", &subject, life, SystemClock.now().wall).await;
        // The first address answers nobody: the agent has to go on to the next.
        let addresses = vec!["127.0.0.1:1".to_owned(), self.address.clone()];
        made.unwrap().into_token(&subject, self.made.root_spki_sha256, addresses)
    }

    fn accepts(&self, enrolled: &Enrolled) -> bool {
        let own = Credential::load(&enrolled.paths.chain, &enrolled.paths.key).unwrap();
        let roster = self.registry.roster().borrow().clone();
        let now = SystemClock.now().wall;
        roster.authorize(&peer_identity(&own.chain).unwrap(), Seen { opened: now, now }).is_ok()
    }
}

async fn run(token: &Token, dir: &Path) -> Result<Enrolled, EnrolError> {
    enrol(&token.format().unwrap(), dir, &SystemClock).await
}

#[tokio::test]
async fn a_node_enrols_and_can_be_cut_off_at_any_point() {
    let aggregator = Aggregator::start().await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("agent");
    let token = aggregator.token("n1", false).await;
    let enrolled = run(&token, &state).await.unwrap();
    assert_eq!((enrolled.name.as_str(), enrolled.aggregators.len()), ("n1", 2));
    assert!(aggregator.accepts(&enrolled));
    let own = Credential::load(&enrolled.paths.chain, &enrolled.paths.key).unwrap();
    let roots = tls::load_certificates(&enrolled.paths.roots).unwrap();
    tls::client_config(&roots, Some(own)).expect("key, chain and roots fit one another");
    let listed = std::fs::read_to_string(&enrolled.paths.aggregators).unwrap();
    assert_eq!(listed, "127.0.0.1:7443\nagg.example:7443\n");

    // Cut off after the server had answered and before the last step.
    let IdentityPaths { key, pending_key, chain, .. } = &enrolled.paths;
    std::fs::rename(key, pending_key).unwrap();
    std::fs::remove_file(chain).unwrap();
    let again = run(&token, &state).await.unwrap();
    assert!(aggregator.accepts(&again));
    assert!(!pending_key.try_exists().unwrap());
}

#[tokio::test]
async fn a_used_token_lets_no_other_key_in() {
    let aggregator = Aggregator::start().await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let token = aggregator.token("n1", false).await;
    let (a, b) = tokio::join!(run(&token, first.path()), run(&token, second.path()));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1, "exactly one wins");
    let error = a.err().or(b.err()).unwrap();
    assert!(chain(&error).ends_with("was refused: token was not accepted"), "{}", chain(&error));
}

#[tokio::test]
async fn replacing_needs_a_token_that_says_so() {
    let aggregator = Aggregator::start().await;
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let early = aggregator.token("n1", false).await;
    let before = run(&aggregator.token("n1", false).await, old.path()).await.unwrap();
    let error = run(&early, new.path()).await.unwrap_err();
    assert!(error.to_string().contains("use --replace"), "{error}");
    let after = run(&aggregator.token("n1", true).await, new.path()).await.unwrap();
    assert!(aggregator.accepts(&after) && !aggregator.accepts(&before));
}

#[tokio::test]
async fn the_secret_is_not_told_to_a_server_without_the_root() {
    let (real, other) = (Aggregator::start().await, Aggregator::start().await);
    let dir = tempfile::tempdir().unwrap();
    let mut token = real.token("n1", false).await;
    token.addresses = vec![other.address.clone()];
    let error = run(&token, dir.path()).await.unwrap_err();
    assert!(chain(&error).contains("UnknownIssuer"), "{}", chain(&error));
    token.addresses = vec![real.address.clone()];
    let enrolled = run(&token, dir.path()).await.expect("the token is as good as new");
    assert!(real.accepts(&enrolled));
}
