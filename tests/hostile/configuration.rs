//! Rows 62, 64 and 78: configurations, keys and certificates that are wrong, and signals at the wrong time.

use crate::forge::{Leaf, Stolen};
use crate::raw::{Raw, from};
use crate::siege::Siege;
use crate::wire::head;
use quorate_proto::v1;
use quorate_proto::v1::create_token_request::Subject;
use quorate_tests::cluster::Cluster;
use quorate_tests::process::Process;
use quorate_tests::programs;
use rcgen::ExtendedKeyUsagePurpose;
use rustix::process::Signal;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// What `check-config` says of a file, and its exit code.
async fn check_config(dir: &Path, config: &Path) -> (Option<i32>, String) {
    let args = [OsStr::new("check-config"), "--config".as_ref(), config.as_ref()];
    let ended = Process::run(dir, "check", &programs!().aggregator, &args).await;
    (ended.code, ended.stderr.replace(&format!("{}/", dir.display()), ""))
}

/// An empty file is a configuration that changes nothing. TOML has no anchors that could grow.
#[tokio::test]
async fn row_62_files_that_are_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    let cases: [(&[u8], &str); 9] = [
        (
            b"[limits.door]\nconnections = 5",
            "a.toml:2:1: unknown key `connections` in [limits.door], did you mean `connections_max`?",
        ),
        (
            b"[limits.door]\nconnections_max = \"many\"",
            "a.toml:2:19: `limits.door.connections_max`: invalid type: string \"many\", expected u32",
        ),
        (
            b"[limits.door]\nconnections_max = -1",
            "a.toml:2:19: `limits.door.connections_max`: invalid value: integer `-1`, expected u32",
        ),
        (
            b"\n[limits]\ndoor = { connections_max = 0 }",
            "a.toml:3:28: `limits.door.connections_max` is 0, expected 1 to 10000000",
        ),
        (
            b"[limits.agent]\nmessage_bytes_max = 1",
            "a.toml:2:21: `limits.agent.message_bytes_max` is 1, expected 1024 to 67108864",
        ),
        (b"[log]\nlevel = \"info\"\nlevel = \"warn\"", "a.toml:3:1: duplicate key"),
        (b"[[[", "a.toml:1:"),
        (b"\x7fELF\x02\x01\xff\xfe", "a.toml: failed to read: stream did not contain valid UTF-8"),
        (&[b'#'; 10 << 20], "a.toml: larger than 1048576 bytes"),
    ];
    for (text, expect) in cases {
        std::fs::write(&file, text).unwrap();
        let (code, told) = check_config(dir.path(), &file).await;
        assert_eq!(code, Some(78), "{told}");
        assert!(told.starts_with(&format!("quorate-aggregator: {expect}")), "{told}\nexpected {expect}");
    }
    let (code, told) = check_config(dir.path(), &dir.path().join("absent.toml")).await;
    assert_eq!(
        (code, told.contains("absent.toml: failed to read: No such file")),
        (Some(78), true),
        "{told}"
    );
    std::fs::write(&file, b"").unwrap();
    assert_eq!(check_config(dir.path(), &file).await, (Some(0), String::new()));
}

/// A configuration holds no secret and may be read by all; whoever may write it says what the program does.
#[tokio::test]
async fn row_64_files_that_others_may_write_or_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    std::fs::write(&file, b"").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
    let expect = "quorate-aggregator: a.toml: has mode 0664, expected 0644 or less: others may write it\n";
    assert_eq!(check_config(dir.path(), &file).await, (Some(78), expect.to_owned()));

    let cluster = Cluster::start(programs!()).await;
    let state = cluster.dir().join("aggregator");
    let key = state.join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let last = reloaded(&cluster, 0).await;
    assert!(!last.ok && last.text.contains("server.key` has mode 0640, expected 0600"), "{last:?}");
    // And it does not start with it.
    cluster.aggregator.signal(Signal::TERM);
    let (mut aggregator, dir) = cluster.into_parts();
    aggregator.ended().await;
    let args = [OsStr::new("run"), "--dir".as_ref(), state.as_ref()];
    let ended = Process::run(dir.path(), "second", &programs!().aggregator, &args).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("server.key` has mode 0640, expected 0600"), "{}", ended.stderr);
}

/// That a key has to be its certificate's is seen in `tests/reload`; that an authority that has expired is refused,
/// in the unit tests of `app/certificate.rs`, which can say what time it is.
#[tokio::test]
async fn row_64_a_certificate_that_expires_soon() {
    let siege = Siege::begin(0, &[]).await;
    let stolen = Stolen::of(&siege);
    let cluster = &siege.cluster;
    let leaf = Leaf {
        not_after: 3 * 86_400,
        purpose: ExtendedKeyUsagePurpose::ServerAuth,
        ..Leaf::of("spiffe://quorate/aggregator/aggregator")
    };
    let (chain, key) = stolen.sign_pem(&leaf);
    std::fs::write(cluster.dir().join("aggregator/server.crt"), chain).unwrap();
    std::fs::write(cluster.dir().join("aggregator/server.key"), key).unwrap();
    let last = reloaded(cluster, 0).await;
    assert!(last.ok, "{last:?}");
    siege.until_logged("certificate expires in less than 7 days").await;
    let shown = cluster.status().await.certificates;
    assert_eq!(shown[0].subject, "spiffe://quorate/aggregator/aggregator");
}

/// Sends SIGHUP and waits for another outcome than the one at `before` (seconds).
async fn reloaded(cluster: &Cluster, before: i64) -> v1::Reload {
    cluster.aggregator.signal(Signal::HUP);
    let found = tokio::time::timeout(PATIENCE, async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let last = cluster.status().await.configuration.unwrap().last_reload;
            if let Some(last) = last.filter(|last| stamp(last) > before) {
                return last;
            }
        }
    });
    found.await.expect("a reload")
}

fn stamp(reload: &v1::Reload) -> i64 {
    let at = reload.at.unwrap();
    at.seconds * 1_000_000 + i64::from(at.nanos) / 1000
}

async fn limit(cluster: &Cluster, key: &str) -> u64 {
    let limits = cluster.status().await.limits;
    limits.into_iter().find(|limit| limit.key == key).unwrap().value
}

#[tokio::test]
async fn row_62_a_reload_is_taken_whole_or_not_at_all() {
    let config = "[limits.door]\nconnections_max = 100\n";
    let cluster = Cluster::configured(programs!(), &[], Some(config)).await;
    let status = cluster.status().await.configuration.unwrap();
    assert_eq!((status.revision, status.last_reload, status.files.len()), (1, None, 1));

    // One key is good and one is not: neither is taken.
    cluster.configure("[limits.door]\nconnections_max = 200\n[limits.agent]\nframe_bytes_max = 1\n");
    let last = reloaded(&cluster, 0).await;
    let expect = "aggregator.toml:4:19: `limits.agent.frame_bytes_max` is 1, expected 1024 to 67108864";
    assert!(!last.ok && last.text.contains(expect), "{last:?}");
    assert!(cluster.aggregator.log().contains("failed to reload, the old stays"));
    assert_eq!(limit(&cluster, "limits.door.connections_max").await, 100);
    assert_eq!(cluster.status().await.configuration.unwrap().revision, 1);

    cluster.configure(
        "[limits.door]\nconnections_max = 200\n[limits.call]\nrequest_bytes_max = 1024\n\
         [advertise]\nenrol = [\"elsewhere.example:7\"]\n[evaluate]\nquorum_need = { default = 5 }\n\
         [log]\nlevel = \"debug\"\nformat = \"text\"\n",
    );
    let last = reloaded(&cluster, stamp(&last)).await;
    assert!(last.ok, "{last:?}");
    let status = cluster.status().await.configuration.unwrap();
    assert_eq!((status.revision, &status.needs_restart[..]), (2, &["log.format, log.colour".to_owned()][..]));
    assert_eq!(limit(&cluster, "limits.door.connections_max").await, 200);
    // It holds: for tokens, for the judge, and for calls on connections that come from now on.
    let node = v1::NodeDeclaration { name: "n1".into(), ..v1::NodeDeclaration::default() };
    let token = quorate_common::token::Token::parse(&cluster.token(Subject::Node(node)).await.token).unwrap();
    assert_eq!(token.addresses, ["elsewhere.example:7"]);
    let config = crate::forge::client(&cluster.admin());
    let mut raw = Raw::open(from(62), &cluster.doors.grpc, &config).await.unwrap();
    let path = "/quorate.v1.ClusterService/GetHealth";
    raw.send(&[crate::wire::call(1, path, &[]), crate::wire::last(1, &head(0, 1025))].concat())
        .await
        .unwrap();
    let (code, text) = raw.answer(1).await.status();
    assert!(code == 11 && text.ends_with("the limit is: 1024 bytes"), "{code} {text}");
    let doubt = "cluster `default` has 0 votes, fewer than the configured need of 5";
    assert!(cluster.aggregator.log().contains(doubt));
    assert!(cluster.aggregator.log().contains("needs a restart"));
}

#[tokio::test]
async fn row_78_signals_while_it_reloads() {
    let pair = |value: u32| {
        format!("[limits.door]\nconnections_max = {value}\n[limits.enrol]\naddresses_max = {value}\n")
    };
    let cluster = Cluster::configured(programs!(), &[], Some(&pair(1000))).await;
    for round in 0..100_u32 {
        match round % 3 {
            0 => cluster.configure(&pair(1000 + round)),
            1 => cluster.configure("[limits.door]\nconnections_max = 7\nnonsense = 1\n"),
            _ => cluster.configure("connections_max = \"\u{0}"),
        }
        cluster.aggregator.signal(Signal::HUP);
        cluster.aggregator.signal(Signal::PIPE);
        if round % 10 == 0 {
            let (door, enrol) = pair_in_force(&cluster).await;
            assert!(door == enrol && (1000..1100).contains(&door), "{door} {enrol}");
        }
    }
    cluster.configure(&pair(4242));
    let mut before = 0;
    // Signals that came while it was reloading are one: the last one of all is taken in the end.
    while pair_in_force(&cluster).await != (4242, 4242) {
        before = stamp(&reloaded(&cluster, before).await);
    }
    let status = cluster.status().await.configuration.unwrap();
    assert!(status.last_reload.unwrap().ok && status.revision <= 36, "{}", status.revision);
    cluster.aggregator.stop().await;
}

async fn pair_in_force(cluster: &Cluster) -> (u64, u64) {
    let limits = cluster.status().await.limits;
    let of = |key: &str| limits.iter().find(|limit| limit.key == key).unwrap().value;
    (of("limits.door.connections_max"), of("limits.enrol.addresses_max"))
}
