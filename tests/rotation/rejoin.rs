//! Away for longer than a certificate lives; and an aggregator that is killed while keys change.

use super::copy::duplicate;
use super::{LEAF, borrowed, cluster, enrol, identity, names, start, until_generation};
use quorate_common::clock::{Clock, SystemClock};
use quorate_common::rng::{Rng, SystemRng};
use quorate_common::tls::{Credential, client_config, load_certificates};
use quorate_proto::identity::IdentityPaths;
use quorate_proto::renew::renew;
use quorate_proto::v1::Liveness;
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::figure::figure;
use quorate_tests::process::Process;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_whole_fleet_comes_back_after_its_certificates_expired() {
    let cluster = cluster().await;
    let fleet = names("f", 30);
    enrol(&cluster, &fleet).await;
    // The last certificate was issued just now: after its life all are expired.
    tokio::time::sleep(LEAF + Duration::from_secs(2)).await;
    say_that_they_expired(&cluster, &fleet[0]).await;
    let since = now();
    let agents: Vec<Process> = fleet.iter().map(|name| start(&cluster, name)).collect();
    cluster.until_all("up", &borrowed(&fleet), Liveness::Up, UP_MAX).await;
    figure("rotation.fleet_rejoined_ms", now().since(since).as_millis());
    for (name, agent) in fleet.iter().zip(&agents) {
        assert!(identity(&cluster, name).await.generation >= 2, "{name}");
        let log = agent.log();
        let renewed = log.lines().find(|line| line.contains("certificate renewed"));
        assert!(renewed.is_some_and(|line| line.contains(r#""rejoining":true"#)), "{log}");
    }
    drop(agents);
}

/// Whoever shows an expired certificate is told so by TLS, and understands it: its own clock may be wrong.
async fn say_that_they_expired(cluster: &Cluster, name: &str) {
    let dir = cluster.dir().join("expired");
    duplicate(&cluster.agent_dir(name), &dir);
    let paths = IdentityPaths::below(&dir, "agent", "aggregators");
    let own = Credential::load(&paths.chain, &paths.key).unwrap();
    let config = client_config(&load_certificates(&paths.roots).unwrap(), Some(own)).unwrap();
    let now = SystemClock.now().wall;
    let renewed = renew(&cluster.doors.grpc, Arc::new(config), (&paths, name), now).await;
    let error = renewed.err().unwrap();
    assert!(error.says_expired(), "{error:?}");
}

#[tokio::test]
async fn an_aggregator_that_is_killed_forgets_no_key() {
    let mut cluster = cluster().await;
    let nodes = names("n", 6);
    enrol(&cluster, &nodes).await;
    let _agents: Vec<Process> = nodes.iter().map(|name| start(&cluster, name)).collect();
    for _ in 0..6 {
        cluster.until_all("up", &borrowed(&nodes), Liveness::Up, UP_MAX).await;
        let wait = SystemRng.jitter(Duration::from_secs(1), Duration::from_secs(6));
        tokio::time::sleep(wait).await;
        cluster.aggregator.kill();
        cluster = cluster.revive_aggregator().await;
    }
    cluster.until_all("up", &borrowed(&nodes), Liveness::Up, UP_MAX).await;
    until_generation(&cluster, &nodes, 4, 3 * LEAF).await;
    for name in &nodes {
        assert_eq!(identity(&cluster, name).await.frozen, None, "{name}");
    }
}
