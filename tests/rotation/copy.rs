//! A key in two places.

use super::{LEAF, borrowed, cluster, enrol, identity, names, start, until_generation};
use quorate_proto::v1;
use quorate_proto::v1::Liveness;
use quorate_proto::v1::create_token_request::Subject;
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use std::path::Path;
use std::time::Duration;

/// From the first sign of a copy until both are refused.
const FROZEN_MAX: Duration = Duration::from_secs(40);

#[tokio::test]
async fn a_copied_key_freezes_both() {
    let cluster = cluster().await;
    let both = names("n", 2);
    enrol(&cluster, &both).await;
    let (real, copy) = (cluster.agent_dir("n00"), cluster.agent_dir("copy"));
    duplicate(&real, &copy);
    let agents = [start(&cluster, "n00"), start(&cluster, "n01")];
    cluster.until_all("up", &borrowed(&both), Liveness::Up, UP_MAX).await;
    until_generation(&cluster, &both, 3, 3 * LEAF).await;

    let since = now();
    let thief = start(&cluster, "copy");
    let reason = |record: &quorate_tests::watch::Record| {
        record.nodes["n00"].reasons.iter().any(|why| why.starts_with("frozen at "))
    };
    cluster.until("n00 frozen", FROZEN_MAX, reason).await;
    cluster.until_became("n00", Liveness::Down, since, FROZEN_MAX).await;
    assert!(identity(&cluster, "n00").await.frozen.is_some());
    let other = identity(&cluster, "n01").await;
    assert_eq!(other.frozen, None, "nobody else is touched");
    for agent in [&agents[0], &thief] {
        let said = async {
            let mut look = tokio::time::interval(super::LOOK_EVERY);
            while !agent.log().contains("frozen") {
                look.tick().await;
            }
        };
        tokio::time::timeout(FROZEN_MAX, said).await.unwrap_or_else(|_| panic!("{}", agent.log()));
    }
    drop(thief);

    // The way back: the operator lets the real one in with another key.
    let [real_agent, _other] = agents;
    real_agent.stop().await;
    let node = v1::NodeDeclaration { name: "n00".into(), replace: true, ..v1::NodeDeclaration::default() };
    let token = cluster.token(Subject::Node(node)).await.token;
    enroll(&cluster, &token, &real).await;
    let since = now();
    let _again = start(&cluster, "n00");
    cluster.until_became("n00", Liveness::Up, since, UP_MAX).await;
}

async fn enroll(cluster: &Cluster, token: &str, dir: &Path) {
    let args = ["enroll", "--token", token, "--dir"].map(std::ffi::OsStr::new);
    let ended = cluster.run_agent("enroll-again", &[&args, &[dir.as_os_str()][..]].concat()).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

pub(super) fn duplicate(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
