//! The same in Python, with Google's own gRPC: the API needs nothing of ours.

use quorate_tests::cluster::Cluster;
use quorate_tests::process::{Ended, Process};
use quorate_tests::programs;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The interpreter that `.ci/run` prepares.
#[allow(clippy::disallowed_methods, reason = "the one variable by which the test runner tells it")]
fn python() -> Option<PathBuf> {
    std::env::var_os("QUORATE_TEST_PYTHON").map(PathBuf::from)
}

async fn reflect(cluster: &Cluster, python: &Path, own: bool) -> Ended {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/reflect.py");
    let files = cluster.admin();
    let mut args = vec![script.as_os_str(), cluster.doors.grpc.as_ref(), files.ca.as_os_str()];
    if own {
        args.extend([files.cert.as_os_str(), files.key.as_os_str()]);
    }
    Process::run(cluster.dir(), "python", python, &args.into_iter().map(OsStr::new).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn python_reads_the_state_by_reflection_alone() {
    let Some(python) = python() else {
        println!("SKIPPED python_reads_the_state_by_reflection_alone: QUORATE_TEST_PYTHON is not set");
        return;
    };
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2", "n3"]).await;
    let ended = reflect(&cluster, &python, true).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let services = told["services"].as_array().unwrap();
    assert!(services.contains(&"quorate.v1.ClusterService".into()), "{services:?}");
    let health = &told["health"]["clusters"][0];
    assert_eq!((&health["cluster"], &health["total_nodes"]), (&"default".into(), &3.into()), "{health}");
    let nodes = told["nodes"]["nodes"].as_array().unwrap();
    for (node, name) in nodes.iter().zip(["n1", "n2", "n3"]) {
        assert_eq!((&node["name"], &node["liveness"]), (&name.into(), &"LIVENESS_UP".into()), "{node}");
    }
    assert_eq!(nodes.len(), 3);

    let stranger = reflect(&cluster, &python, false).await;
    assert_eq!((stranger.code, stranger.stdout.as_str()), (Some(3), ""), "{stranger:?}");
    assert!(
        stranger.stderr.contains("UNAVAILABLE") || stranger.stderr.contains("UNAUTHENTICATED"),
        "{stranger:?}"
    );
}
