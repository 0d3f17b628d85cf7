//! A backup of a running aggregator is enough to go on from somewhere else: same identities, same tokens, same history.

use crate::membership::until;
use quorate_proto::v1::create_token_request::Subject;
use quorate_proto::v1::{Liveness, NodeDeclaration, QueryRecentRequest};
use quorate_tests::cluster::{Cluster, UP_MAX};
use quorate_tests::process::Process;
use quorate_tests::programs;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Stamps of a series of a node that are stored now, in nanoseconds since the Unix epoch.
async fn stamps(cluster: &Cluster, node: &str) -> BTreeSet<i64> {
    let selector = format!("node_load1{{node=\"{node}\"}}");
    let request = QueryRecentRequest { selector, seconds: 300, limit: 1 };
    let answer = cluster.query_service().query_recent(request).await.unwrap().into_inner();
    let samples = answer.series.into_iter().flat_map(|series| series.samples);
    samples
        .filter_map(|sample| sample.timestamp)
        .map(|at| at.seconds * 1_000_000_000 + i64::from(at.nanos))
        .collect()
}

async fn restore(cluster: &Cluster, words: &[&str]) -> (Option<i32>, String) {
    let ended = cluster.run_aggregator(&[&["restore"], words].concat()).await;
    (ended.code, ended.stderr)
}

fn node(name: &str) -> Subject {
    Subject::Node(NodeDeclaration { name: name.into(), ..NodeDeclaration::default() })
}

async fn enrol(cluster: &Cluster, name: &str, token: &str) -> Option<i32> {
    let dir = cluster.agent_dir(name);
    let words = ["enroll", "--token", token, "--dir"].map(OsStr::new);
    cluster.run_agent(&format!("enroll-{name}"), &[&words[..], &[dir.as_os_str()]].concat()).await.code
}

#[tokio::test]
async fn a_restored_aggregator_goes_on_where_its_backup_was_taken() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let early = cluster.token(node("n3")).await.token;
    let kept = until("some history", PATIENCE, async || {
        Some(stamps(&cluster, "n1").await).filter(|stamps| stamps.len() >= 5)
    })
    .await;
    let archive = cluster.dir().join("backup.tar");
    let archive = archive.to_str().unwrap();
    let taken = cluster.run_client(&["backup", archive, "-o", "json"]).await;
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    let taken: serde_json::Value = serde_json::from_str(&taken.stdout).unwrap();
    assert!(taken["files"].as_u64() > Some(8) && taken["has_keys"] == true, "{taken}");
    let verified = cluster.run_client(&["backup", "--verify", archive]).await;
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);

    // What comes after it is not in it.
    let late = cluster.token(node("n4")).await.token;
    let last = *kept.last().unwrap();
    let newer = async || {
        Some(stamps(&cluster, "n1").await).filter(|stamps| *stamps.last().unwrap() > last + 3_000_000_000)
    };
    until("more history", PATIENCE, newer).await;

    let (code, said) = restore(&cluster, &[archive]).await;
    let running = format!("is in use by process {}", cluster.aggregator.pid);
    assert!(code == Some(1) && said.contains(&running), "{said}");
    assert_eq!(restore(&cluster, &["--check", archive]).await.0, Some(0));

    let state = cluster.dir().join("aggregator");
    let cluster = elsewhere(cluster, &state, archive).await;
    cluster.until_all("come back", &["n1", "n2"], Liveness::Up, UP_MAX).await;
    let restored = stamps(&cluster, "n1").await;
    let missing: Vec<_> = kept.difference(&restored).collect();
    assert!(missing.is_empty(), "{missing:?} of {kept:?}");
    assert_eq!(enrol(&cluster, "n3", &early).await, Some(0), "a token of before is good");
    assert_ne!(enrol(&cluster, "n4", &late).await, Some(0), "one of after is not known");
    let audit = cluster.run_client(&["audit", "-o", "csv"]).await.stdout;
    assert!(
        audit.contains("backup,aggregator,with keys") && audit.contains("local,restore,aggregator"),
        "{audit}"
    );
    let delivery = crate::delivery::settled(&cluster, "n1").await;
    assert!(delivery.stored > 0, "{delivery:?}");
}

/// Stops the aggregator, loses its state, restores it and starts again.
async fn elsewhere(mut cluster: Cluster, state: &Path, archive: &str) -> Cluster {
    cluster.aggregator.signal(rustix::process::Signal::TERM);
    cluster.aggregator.ended().await;
    let lost = state.with_extension("lost");
    std::fs::rename(state, &lost).unwrap();
    let (code, said) = restore(&cluster, &[archive]).await;
    assert_eq!(code, Some(0), "{said}");
    // The admin brings the credential that no backup has.
    std::fs::rename(lost.join("admin"), state.join("admin")).unwrap();
    let (code, said) = restore(&cluster, &[archive]).await;
    assert!(code == Some(1) && said.contains("is not empty"), "{said}");
    cluster.revive_aggregator().await
}

#[tokio::test]
async fn a_damaged_backup_is_refused_by_both_programs() {
    let cluster = Cluster::start(programs!()).await;
    let path = cluster.dir().join("backup.tar");
    let archive = path.to_str().unwrap();
    let taken = cluster.run_client(&["backup", archive]).await;
    assert_eq!(taken.code, Some(0), "{}", taken.stderr);
    assert!(taken.stdout.contains("keep it sealed"), "{}", taken.stdout);
    let again = cluster.run_client(&["backup", archive]).await;
    assert!(again.code == Some(1) && again.stderr.contains("never overwritten"), "{}", again.stderr);
    let mut content = std::fs::read(&path).unwrap();
    let at = content.windows(13).position(|window| window == b"SQLite format").unwrap();
    content[at + 100] ^= 1;
    std::fs::write(&path, content).unwrap();
    let other = cluster.dir().join("other");
    let words = ["restore".as_ref(), path.as_os_str(), "--dir".as_ref(), other.as_os_str()];
    let refused = Process::run(cluster.dir(), "restore", &programs!().aggregator, &words).await;
    let verified = cluster.run_client(&["backup", "--verify", archive]).await;
    for ended in [refused, verified] {
        let named = ended.stderr.contains("the archive is damaged in `registry.db`");
        assert!(ended.code == Some(1) && named, "{}", ended.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(&other).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "nothing is left of it");
}
