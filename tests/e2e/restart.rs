//! Starting and starting again: what was known is known, and what is wrong is said.

use quorate_proto::v1::{Liveness, MemberRole};
use quorate_tests::cluster::{Cluster, UP_MAX, now};
use quorate_tests::figure::figure;
use quorate_tests::process::{Ended, Process};
use quorate_tests::programs;
use std::ffi::OsStr;
use std::path::Path;

#[tokio::test]
async fn a_restarted_aggregator_knows_its_members_and_agents_come_back() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    cluster.enrol("n3", MemberRole::Observer, "rack-a").await;
    // It cannot be heard before we look.
    agents[1].freeze();
    let begin = now();
    let cluster = cluster.restart_aggregator().await;
    cluster.until("all three are listed", UP_MAX, |record| record.nodes.len() == 3).await;
    let record = cluster.recorder.record();
    let first = |node: &str| record.changes.iter().find(|change| change.node == node).unwrap().liveness;
    assert_eq!((first("n2"), first("n3")), (Some(Liveness::Unknown), Some(Liveness::Unknown)));
    assert_eq!(
        (record.nodes["n3"].zone.as_str(), record.nodes["n3"].role()),
        ("rack-a", MemberRole::Observer)
    );
    agents[1].thaw();
    cluster.until_all("are up", &["n1", "n2"], Liveness::Up, UP_MAX).await;
    figure("restart.up_again_ms", now().since(begin).as_millis());
    cluster.recorder.record().assert_never(Liveness::Down, &["n1", "n2"], begin);
    for node in ["n1", "n2"] {
        let delivery = crate::delivery::settled(&cluster, node).await;
        assert_eq!(delivery.dropped_by_cause, Default::default(), "{node}: {delivery:?}");
    }
}

#[tokio::test]
async fn a_killed_aggregator_is_missed_by_nobody_once_it_is_back() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2", "n3"]).await;
    let begin = now();
    cluster.aggregator.kill();
    let cluster = cluster.revive_aggregator().await;
    cluster.until_all("are up", &["n1", "n2", "n3"], Liveness::Up, UP_MAX).await;
    figure("restart.up_again_after_kill_ms", now().since(begin).as_millis());
    cluster.recorder.record().assert_never(Liveness::Down, &["n1", "n2", "n3"], begin);
    for node in ["n1", "n2", "n3"] {
        let delivery = crate::delivery::settled(&cluster, node).await;
        assert_eq!(delivery.dropped_by_cause, Default::default(), "{node}: {delivery:?}");
    }
}

#[tokio::test]
async fn init_overwrites_nothing() {
    let cluster = Cluster::start(programs!()).await;
    let state = cluster.dir().join("aggregator");
    let key = std::fs::read(state.join("admin/admin.key")).unwrap();
    let words = ["init", "--address", "127.0.0.1", "--dir"].map(OsStr::new);
    let args = [&words[..], &[state.as_os_str()]].concat();
    let ended = Process::run(cluster.dir(), "again", &programs!().aggregator, &args).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("holds an authority already"), "{}", ended.stderr);
    assert_eq!(std::fs::read(state.join("admin/admin.key")).unwrap(), key);
    assert_eq!(cluster.list().await.len(), 0, "it goes on as if nothing had happened");
}

#[tokio::test]
async fn without_anybody_to_hold_their_input_programs_stop() {
    let (cluster, mut agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    agents.remove(0).release().await;
    let Cluster { aggregator, .. } = cluster;
    aggregator.release().await;
}

#[tokio::test]
async fn wrong_configuration_is_told_with_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("nonsense = 1\n", ":1:1: "),
        ("[log]\nlevel = \"loud\"\n", ":2:9: "),
        ("[sample]\ninterval_ms = \n", ":2:"),
        ("state_dir = 5\n", ":1:13: "),
    ];
    let programs = programs!();
    for (text, place) in cases {
        let file = dir.path().join("wrong.toml");
        std::fs::write(&file, text).unwrap();
        for program in [&programs.agent, &programs.aggregator] {
            for command in ["run", "check-config"] {
                let args = [OsStr::new(command), "--config".as_ref(), file.as_ref()];
                let ended = Process::run(dir.path(), "wrong", program, &args).await;
                assert_eq!(ended.code, Some(78), "{text:?}: {ended:?}");
                let at = format!("wrong.toml{}", if text.contains("sample") { ":" } else { place });
                assert!(ended.stderr.contains(&at), "{text:?}: {}", ended.stderr);
            }
        }
    }
}

#[tokio::test]
async fn programs_without_their_state_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let programs = programs!();
    let state = Path::new("/nonexistent/quorate");
    let args = [OsStr::new("run"), "--dir".as_ref(), state.as_os_str()];
    let check = async |program: &Path, expect: &str| {
        let ended: Ended = Process::run(dir.path(), "stateless", program, &args).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert_eq!(ended.stderr.lines().filter(|line| line.contains(expect)).count(), 1, "{}", ended.stderr);
    };
    check(&programs.agent, "this node is not enrolled: there is no `/nonexistent/quorate/agent.key`").await;
    let empty = "`/nonexistent/quorate` holds no authority: run `quorate-aggregator init` first";
    check(&programs.aggregator, empty).await;
}

#[tokio::test]
async fn a_state_directory_has_one_process() {
    let (cluster, agents) = Cluster::with_voters(programs!(), &["n1"]).await;
    let own = cluster.dir().join("agents/n1");
    let again = cluster.run_agent("second", &["run".as_ref(), "--dir".as_ref(), own.as_os_str()]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    let expect = format!("is in use by process {}", agents[0].pid);
    assert!(again.stderr.contains(&expect), "{expect}: {}", again.stderr);
    let state = cluster.dir().join("aggregator");
    let args = ["run".as_ref(), "--dir".as_ref(), state.as_os_str(), "--listen-grpc=127.0.0.1:0".as_ref()];
    let again: Ended = Process::run(cluster.dir(), "second", &programs!().aggregator, &args).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("is in use by process"), "{}", again.stderr);
}
