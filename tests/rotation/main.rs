//! Keys follow one another: fifty agents through many renewals and a new root, some of them killed again and
//! again; a copied key; nodes that were away for too long; an aggregator that is killed.
//!
//! Certificates live 20 s here instead of 24 h, so that one is renewed every 7 s or so.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod copy;
mod rejoin;
mod roll;

use quorate_proto::v1;
use quorate_proto::v1::MemberRole;
use quorate_tests::cluster::Cluster;
use quorate_tests::process::Process;
use quorate_tests::programs;
use std::time::Duration;

/// Life of a node's certificate.
const LEAF_S: &str = "20";
const LEAF: Duration = Duration::from_secs(20);
/// What the agents of these tests look at: as little as possible, for there are many of them.
const LITTLE: [(&str, &str); 1] = [(
    "QUORATE_SAMPLE__DISABLED",
    r#"["process", "filesystem", "diskstats", "netstat", "vmstat", "hwmon", "netclass", "cpufreq", "pressure"]"#,
)];
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A cluster whose nodes renew all the time.
async fn cluster() -> Cluster {
    Cluster::start_with(programs!(), &[("QUORATE_IDENTITY__NODE_LEAF_S", LEAF_S)]).await
}

async fn enrol(cluster: &Cluster, names: &[String]) {
    for name in names {
        cluster.enrol(name, MemberRole::Voter, "").await;
    }
}

fn start(cluster: &Cluster, name: &str) -> Process {
    cluster.start_agent_with(name, &LITTLE)
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number:02}")).collect()
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

async fn identity(cluster: &Cluster, name: &str) -> v1::NodeIdentity {
    cluster.node(name).await.identity.unwrap()
}

/// Waits until every node has used a key of at least this generation.
async fn until_generation(cluster: &Cluster, names: &[String], least: u64, limit: Duration) {
    let reached = async {
        let mut look = tokio::time::interval(LOOK_EVERY);
        for name in names {
            while identity(cluster, name).await.generation < least {
                look.tick().await;
            }
        }
    };
    let in_time = tokio::time::timeout(limit, reached).await;
    in_time.unwrap_or_else(|_| panic!("generation {least} not reached within {limit:?}"));
}
