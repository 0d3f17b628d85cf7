//! SIGHUP on a real aggregator: what changed on disk holds from then on, and what is broken changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

use quorate_aggregator::identity::ca::Authority;
use quorate_aggregator::identity::init::{Initialised, Options, init, recover};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::model::time::WallTime;
use quorate_common::tls::{self, Credential, peer_identity};
use quorate_proto::connect::{self, channel};
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::{GetHealthRequest, ListAuditRequest};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::ServerName;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio_rustls::TlsConnector;
use tonic::Code;
use tonic::transport::Channel;

/// Nothing here takes a second; a machine under load may need many.
const PATIENCE: Duration = Duration::from_secs(30);

const CONFIG: &str = "aggregator.toml";

struct Aggregator {
    dir: tempfile::TempDir,
    made: Initialised,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// Lines that were read and that nobody asked for yet.
    early: Vec<String>,
    address: String,
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
        let made = init(&options, now()).await.unwrap();
        std::fs::write(dir.path().join(CONFIG), "[limits.door]\nconnections_max = 100\n").unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_aggregator"))
            .args([
                "run",
                "--listen-grpc",
                "127.0.0.1:0",
                "--listen-enrol",
                "127.0.0.1:0",
                "--listen-http",
                "127.0.0.1:0",
            ])
            .args(["--log-format", "json", "--stop-on-stdin-eof", "--dir"])
            .arg(&options.dir)
            .arg("--config")
            .arg(dir.path().join(CONFIG))
            .env("QUORATE_EVALUATE__QUORUM_NEED", "{ default = 2 }")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut aggregator = Aggregator { dir, made, child, log, early: Vec::new(), address: String::new() };
        let listens = aggregator.line_with("aggregator listens").await;
        aggregator.address = listens["grpc"].as_str().unwrap().to_owned();
        aggregator
    }

    /// The first line of the log that contains `part` and was not given before.
    async fn line_with(&mut self, part: &str) -> serde_json::Value {
        if let Some(at) = self.early.iter().position(|line| line.contains(part)) {
            return serde_json::from_str(&self.early.remove(at)).unwrap();
        }
        let find = async {
            loop {
                let line = self.log.next_line().await.unwrap().expect("the aggregator ended");
                if line.contains(part) {
                    return serde_json::from_str(&line).unwrap();
                }
                self.early.push(line);
            }
        };
        tokio::time::timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("no line with `{part}`"))
    }

    fn hang_up(&self) {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    /// Reloads with this configuration, and gives what the audit log says of it then.
    async fn reload_with(&mut self, text: &str) -> String {
        std::fs::write(self.dir.path().join(CONFIG), text).unwrap();
        self.hang_up();
        let line = self.line_with(r#""action":"reload""#).await;
        assert_eq!(line["event"], "audit");
        let request = ListAuditRequest { action: "reload".into(), page_size: 1, ..Default::default() };
        let mut service = AdminServiceClient::new(self.channel(self.admin()).await);
        let newest = service.list_audit(request).await.unwrap().into_inner().lines.remove(0);
        assert_eq!((newest.actor.as_str(), newest.subject.as_str()), ("local", "configuration"));
        assert_eq!(line["detail"], newest.detail);
        newest.detail
    }

    async fn channel(&self, own: Credential) -> Channel {
        let roots = tls::load_certificates(&self.made.paths.admin_roots).unwrap();
        let config = Arc::new(tls::client_config(&roots, Some(own)).unwrap());
        channel(&self.address, config, connect::Options::CALL).await.unwrap()
    }

    /// How a call ends that shows this credential.
    async fn call(&self, own: Credential) -> Result<(), Code> {
        let call =
            ClusterServiceClient::new(self.channel(own).await).get_health(GetHealthRequest::default()).await;
        call.map(drop).map_err(|status| status.code())
    }

    fn admin(&self) -> Credential {
        Credential::load(&self.made.paths.admin_chain, &self.made.paths.admin_key).unwrap()
    }

    /// The public key of whoever answers on the port.
    async fn shown(&self) -> [u8; 32] {
        let roots = tls::load_certificates(&self.made.paths.admin_roots).unwrap();
        let config = Arc::new(tls::client_config(&roots, Some(self.admin())).unwrap());
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        peer_identity(tls.get_ref().1.peer_certificates().unwrap()).unwrap().spki_sha256
    }
}

fn now() -> WallTime {
    SystemClock.now().wall
}

#[tokio::test]
async fn a_recovered_admin_is_let_in_and_the_lost_one_is_not() {
    let mut aggregator = Aggregator::start().await;
    let lost = aggregator.admin();
    assert_eq!(aggregator.call(lost.clone()).await, Ok(()));
    recover(&aggregator.dir.path().join("state"), now()).await.unwrap();
    assert_eq!(aggregator.call(lost.clone()).await, Ok(()), "nothing was reloaded yet");
    assert_eq!(aggregator.call(aggregator.admin()).await, Err(Code::Unauthenticated));
    aggregator.hang_up();
    let line = aggregator.line_with("reloaded").await;
    assert_eq!(line["what"], "registry");
    assert_eq!(aggregator.call(aggregator.admin()).await, Ok(()));
    assert!(aggregator.call(lost).await.is_err());
}

#[tokio::test]
async fn another_server_certificate_is_shown_and_a_broken_one_is_not() {
    let mut aggregator = Aggregator::start().await;
    let first = aggregator.shown().await;
    let paths = aggregator.made.paths.clone();
    let authority = Authority::load(&paths.authority).unwrap();
    let other = authority.issue_server("agg", &["127.0.0.1".to_owned()], now()).unwrap();
    assert_ne!(other.spki_sha256, first);

    // Another chain over the same key, as when somebody copied one file of two.
    std::fs::write(&paths.server_chain, &other.chain_pem).unwrap();
    aggregator.hang_up();
    let line = aggregator.line_with("failed to reload").await;
    assert_eq!((line["level"].as_str(), line["what"].as_str()), (Some("error"), Some("certificate")));
    assert_eq!(aggregator.shown().await, first);

    // The key's file was made by `init` and keeps its mode.
    std::fs::write(&paths.server_key, other.key_pem.as_bytes()).unwrap();
    aggregator.hang_up();
    let line = aggregator.line_with("\"certificate\"").await;
    assert_eq!((line["event"].as_str(), line["level"].as_str()), (Some("reloaded"), Some("info")));
    assert_eq!(aggregator.shown().await, other.spki_sha256);
    assert_eq!(aggregator.call(aggregator.admin()).await, Ok(()));
}

#[tokio::test]
async fn the_audit_log_says_what_a_reload_changed() {
    let mut aggregator = Aggregator::start().await;
    let before = "[limits.door]\nconnections_max = 100\n";
    assert_eq!(aggregator.reload_with(before).await, "nothing changed");
    let after = "[limits.door]\nconnections_max = 7\n[limits.rejoin]\nattempts_max = 3\n";
    let expect = "limits.door.connections_max: 100 → 7, limits.rejoin.attempts_max: 10 → 3";
    assert_eq!(aggregator.reload_with(after).await, expect);
    let told = aggregator.reload_with("[limits.door]\nconnections_max = 0\n").await;
    assert!(told.starts_with("refused, the old stays: configuration: "), "{told}");
    assert!(told.contains("`limits.door.connections_max` is 0"), "{told}");
    let told = aggregator.reload_with(&format!("{after}[identity]\nperson_leaf_s = 86400\n")).await;
    assert_eq!(told, "needs a restart: identity");
    let paths = aggregator.made.paths.clone();
    let authority = Authority::load(&paths.authority).unwrap();
    let other = authority.issue_server("agg", &["127.0.0.1".to_owned()], now()).unwrap();
    std::fs::write(&paths.server_chain, &other.chain_pem).unwrap();
    std::fs::write(&paths.server_key, other.key_pem.as_bytes()).unwrap();
    assert_eq!(aggregator.reload_with(after).await, "another certificate");
}

#[tokio::test]
async fn doubtful_votes_are_told_at_start() {
    let mut aggregator = Aggregator::start().await;
    let line = aggregator.line_with("votes").await;
    assert_eq!(line["level"], "warn");
    assert_eq!(line["event"], "cluster `default` has 0 votes, fewer than the configured need of 2");
}
