//! Inside the agent's sandbox figures are those outside: systemd's mounts are made by hand, as far as they go.
//!
//! Only what changes what can be seen is made: read-only file systems, a `/tmp` of its own, read-only kernel
//! files. System call filters and capabilities refuse; they do not change a figure.

use std::collections::BTreeMap;
use std::process::Command;

/// `ProtectSystem=strict`, `ProtectHome=read-only`, `ProtectKernelTunables`, `ProtectControlGroups`, `PrivateTmp`.
const SANDBOX: &str = "set -e
mount --make-rprivate /
mount --bind / /
mount -o remount,bind,ro /
for place in /proc/sys /sys/fs/cgroup /home; do
  if [ -d $place ]; then mount --bind $place $place; mount -o remount,bind,ro $place; fi
done
mount --bind \"$1\" /tmp
shift
exec \"$@\"";

/// What is the same a moment later. Everything else is compared by name and labels.
const STEADY: &[&str] = &[
    "node_memory_MemTotal_bytes",
    "node_memory_SwapTotal_bytes",
    "node_boot_time_seconds",
    "node_uname_info",
    "node_filesystem_size_bytes",
    "node_filesystem_readonly",
    "node_filesystem_files",
    "node_network_up",
];

/// Figures by name and labels, without those of process groups: the test's own processes come and go.
fn figures(command: &mut Command) -> Option<BTreeMap<String, String>> {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if !done.status.success() {
        assert!(said.contains("unshare") || said.contains("mount"), "{said}");
        return None;
    }
    let text = String::from_utf8(done.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("namedprocess_"));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    Some(pairs.map(|(series, value)| (series.to_owned(), value.to_owned())).collect())
}

#[test]
fn figures_are_those_outside() {
    let agent = env!("CARGO_BIN_EXE_agent");
    let once = ["run", "--once"];
    let outside = figures(Command::new(agent).args(once)).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    // The build may lie below /tmp, which the sandbox hides: the program goes along.
    std::fs::copy(agent, tmp.path().join("agent")).unwrap();
    let mut sandboxed = Command::new("unshare");
    sandboxed.args(["--mount", "sh", "-c", SANDBOX, "sh"]).arg(tmp.path()).arg("/tmp/agent").args(once);
    let Some(inside) = figures(&mut sandboxed) else {
        println!("SKIPPED agent-sandbox: no mount namespaces for us here");
        return;
    };
    let names = |all: &BTreeMap<String, String>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&inside), names(&outside));
    let mut compared = 0;
    for (series, value) in &outside {
        if STEADY.iter().any(|name| series.split('{').next() == Some(name)) {
            assert_eq!(inside.get(series), Some(value), "{series}");
            compared += 1;
        }
    }
    assert!(compared >= 5, "only {compared} of {} figures are steady", outside.len());
    assert!(outside.keys().any(|series| series.starts_with("node_filesystem_readonly")), "{outside:?}");
}
