//! Real programs tell a real socket: ready, how they do, that they go on, that they reload, that they stop.

use crate::supervisor::{Message, Supervisor, with_agent};
use quorate_common::clock::monotonic_us;
use quorate_proto::v1::{Liveness, MemberRole};
use quorate_tests::Programs;
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::programs;
use rustix::process::Signal;
use std::time::Duration;

/// A quarter of it lies between two datagrams.
const WATCHDOG: Duration = Duration::from_secs(2);

/// RELOADING comes with its time in the same datagram, or systemd 253 and later waits for it; then READY.
async fn check_reload(supervisor: &Supervisor, hang_up: impl FnOnce()) {
    let before = monotonic_us();
    hang_up();
    let reloading = supervisor.next_with("RELOADING").await;
    let at: u64 = reloading["MONOTONIC_USEC"].parse().unwrap();
    assert!((before..=monotonic_us()).contains(&at), "{before} {at}");
    assert_eq!(reloading["RELOADING"], "1");
    assert_eq!(supervisor.next_with("READY").await["READY"], "1");
}

/// Pings keep coming, and each stands beside a status.
async fn check_pings(supervisor: &Supervisor) {
    for _ in 0..4 {
        let ping = supervisor.next_with("WATCHDOG").await;
        assert_eq!(ping["WATCHDOG"], "1");
        assert!(!ping["STATUS"].is_empty());
    }
}

fn is_first(message: &Message) {
    assert_eq!(message.get("READY").map(String::as_str), Some("1"), "{message:?}");
    assert!(message.contains_key("STATUS"), "{message:?}");
}

#[tokio::test]
async fn the_agent_tells_from_begin_to_end() {
    let supervisor = Supervisor::new();
    let config = supervisor.dir().join("agent.toml");
    std::fs::write(&config, "[log]\nlevel = \"warn\"\n").unwrap();
    let flags = format!("--config '{}'", config.display());
    let service = supervisor.supervise(&programs!().agent, WATCHDOG, &flags);
    let cluster = Cluster::start(with_agent(programs!(), service)).await;
    cluster.enrol("a", MemberRole::Voter, "").await;
    let agent = cluster.start_agent("a");
    is_first(&supervisor.next().await);
    supervisor
        .until_status("of use", |status| {
            let Some(rest) = status.strip_prefix("connected to 127.0.0.1:") else { return false };
            let parts: Vec<&str> = rest.split(", ").collect();
            let [_, series, spool] = parts[..] else { return false };
            let series = series.strip_suffix(" series").and_then(|count| count.parse().ok());
            let spool = spool.strip_prefix("spool ").and_then(|count| count.parse().ok());
            series.is_some_and(|count: u32| count > 50) && spool.is_some_and(|count: u32| count < 20)
        })
        .await;
    check_pings(&supervisor).await;

    std::fs::write(&config, "[log]\nlevel = \"info\"\n[sample]\ninterval_ms = 2000\n").unwrap();
    check_reload(&supervisor, || agent.signal(Signal::HUP)).await;
    let log = agent.log();
    assert!(!log.contains("agent started"), "told at info, which it began without: {log}");
    let (reloaded, restart) = (log.find("\"reloaded\""), log.find("\"changed\":\"sample\""));
    assert!(reloaded.is_some() && restart.is_some(), "{log}");

    std::fs::write(&config, "[sample]\nintervall_ms = 1\n").unwrap();
    check_reload(&supervisor, || agent.signal(Signal::HUP)).await;
    let log = agent.log();
    assert!(log.contains("failed to reload") && log.contains("intervall_ms"), "{log}");
    check_pings(&supervisor).await;

    agent.signal(Signal::TERM);
    assert_eq!(supervisor.next_with("STOPPING").await["STOPPING"], "1");
    let mut agent = agent;
    assert!(agent.ended().await.success());
}

#[tokio::test]
async fn the_agent_is_ready_and_alive_without_an_aggregator() {
    let supervisor = Supervisor::new();
    let service = supervisor.supervise(&programs!().agent, WATCHDOG, "");
    let mut cluster = Cluster::start(with_agent(programs!(), service)).await;
    cluster.enrol("a", MemberRole::Voter, "").await;
    cluster.aggregator.kill();
    cluster.aggregator.ended().await;
    let agent = cluster.start_agent("a");
    is_first(&supervisor.next().await);
    supervisor
        .until_status("a spool that fills", |status| {
            let waiting = status.rsplit(' ').next().and_then(|count| count.parse::<u32>().ok());
            status.starts_with("not connected, ") && waiting.is_some_and(|count| count >= 3)
        })
        .await;
    check_pings(&supervisor).await;
    agent.stop().await;
    supervisor.next_with("STOPPING").await;
}

#[tokio::test]
async fn a_frozen_agent_feeds_no_watchdog() {
    let supervisor = Supervisor::new();
    let service = supervisor.supervise(&programs!().agent, WATCHDOG, "");
    let cluster = Cluster::start(with_agent(programs!(), service)).await;
    cluster.enrol("a", MemberRole::Voter, "").await;
    let agent = cluster.start_agent("a");
    check_pings(&supervisor).await;
    agent.freeze();
    // What was on its way; then silence, for longer than systemd would wait.
    while tokio::time::timeout(WATCHDOG * 2, supervisor.next()).await.is_ok() {}
    agent.thaw();
    check_pings(&supervisor).await;
}

#[tokio::test]
async fn the_aggregator_tells_from_begin_to_end() {
    let supervisor = Supervisor::new();
    let aggregator = supervisor.supervise(&programs!().aggregator, WATCHDOG, "");
    let cluster = Cluster::start(Programs { aggregator, ..programs!() }).await;
    is_first(&supervisor.next().await);
    tokio::net::TcpStream::connect(&cluster.doors.grpc).await.unwrap();
    supervisor.until_status("that of no nodes", |status| status == "no nodes are declared").await;
    cluster.enrol("a", MemberRole::Voter, "").await;
    let agent = cluster.start_agent("a");
    cluster.until_all("up", &["a"], Liveness::Up, UP_MAX).await;
    supervisor.until_status("of use", |status| status == "1/1 nodes up, quorum available").await;
    check_pings(&supervisor).await;
    check_reload(&supervisor, || cluster.aggregator.signal(Signal::HUP)).await;
    agent.stop().await;
    supervisor.until_status("that of a loss", |status| status == "0/1 nodes up, quorum lost").await;
    cluster.aggregator.signal(Signal::TERM);
    assert_eq!(supervisor.next_with("STOPPING").await["STOPPING"], "1");
}
