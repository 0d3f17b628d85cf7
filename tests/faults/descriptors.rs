//! An aggregator that may open 64 files and has 65 agents: who is in stays in, the rest is turned away at once, and
//! all are in once there is room.

use quorate_proto::v1::Role;
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::swarm::mix::Mix;
use quorate_tests::swarm::{Callers, Identity, Plan, Profile, Swarm};
use quorate_tests::{Programs, programs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const FILES: usize = 64;
/// Whoever comes first fits, and both together do not.
const FIRST: usize = 35;
const SECOND: usize = 30;

/// The aggregator's program with few files.
fn narrow(programs: Programs, dir: &Path) -> Programs {
    let path = dir.join("aggregator-with-few-files");
    let program = programs.aggregator.display();
    let text = format!("#!/bin/sh\nexec prlimit --nofile={FILES}:{FILES} {program} \"$@\"\n");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    Programs { aggregator: path, ..programs }
}

fn swarm(cluster: &Cluster, identities: Vec<Identity>) -> Swarm {
    let profile = Profile::new(3, Mix::Quiet, 10);
    let ramp = Duration::from_millis(500);
    let plan = Plan { address: cluster.doors.grpc.clone(), profile, callers: Callers::Apart, ramp };
    Swarm::start(&plan, identities)
}

/// Until a caller is refused: some files come free now and then, by those who try in vain.
async fn turned_away(door: &str) {
    let refused = async {
        loop {
            let began = now();
            let mut caller = TcpStream::connect(door).await.unwrap();
            let patience = Duration::from_secs(2);
            // Whoever is accepted and says nothing is not closed before the deadline of the handshake.
            let read = tokio::time::timeout(patience, caller.read(&mut [0])).await;
            if matches!(read, Ok(Ok(0) | Err(_))) {
                return now().since(began);
            }
        }
    };
    let after = tokio::time::timeout(UP_MAX, refused).await.expect("somebody is turned away");
    assert!(after < Duration::from_secs(1), "{after:?}");
}

#[tokio::test]
async fn an_aggregator_out_of_files_sheds_and_is_whole_again() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(narrow(programs!(), dir.path())).await;
    let mut identities = cluster.enrol_observers((0..FIRST + SECOND).map(|at| format!("node-{at}"))).await;
    let second = swarm(&cluster, identities.split_off(FIRST));
    assert!(second.until_all_live(UP_MAX).await, "{}", second.counts());
    let first = swarm(&cluster, identities);
    // As many as there are files for; the others do not get in.
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let said = async {
        while !cluster.aggregator.log().contains("failed to accept connections") {
            look.tick().await;
        }
    };
    tokio::time::timeout(UP_MAX, said).await.expect("it says what it lacks");
    assert!(second.live() + first.live() < FILES, "{} and {}", second.live(), first.live());
    // Nobody is left to wait: a connection is made by the kernel, and closed by the aggregator.
    turned_away(&cluster.doors.grpc).await;
    let status = cluster.status().await;
    assert!(status.refused.get("descriptors").copied() > Some(0), "{:?}", status.refused);
    // Whoever is in is served, and so are people.
    let acked = second.counts().acks;
    assert_eq!(cluster.list().await.len(), FIRST + SECOND);
    assert_eq!((second.live(), second.counts().lost), (SECOND, 0), "{}", second.counts());
    let more = async {
        while second.counts().acks < acked + SECOND as u64 {
            look.tick().await;
        }
    };
    tokio::time::timeout(UP_MAX, more).await.expect("streams that are open go on");

    // Enough files are free once these have gone.
    second.stop().await;
    assert!(first.until_all_live(UP_MAX).await, "{} of {FIRST}: {}", first.live(), first.counts());
    let late = cluster.person("late", Role::Viewer).await;
    late.open(&cluster.doors.grpc).await.expect("a newcomer gets in");
}
