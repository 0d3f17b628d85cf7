//! The units: what they must say, what they must never say, and what systemd's own judge says of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAMS: [&str; 2] = ["quorate-agent", "quorate-aggregator"];

/// What both units say.
const BOTH: &str = "\
    Type=notify NotifyAccess=main WatchdogSec=30 Restart=on-failure RestartSec=2 StartLimitIntervalSec=0 \
    RestartPreventExitStatus=78 UMask=0077 ConfigurationDirectory=quorate \
    NoNewPrivileges=yes ProtectSystem=strict PrivateTmp=yes ProtectKernelTunables=yes ProtectKernelModules=yes \
    ProtectKernelLogs=yes ProtectControlGroups=yes ProtectClock=yes ProtectHostname=yes LockPersonality=yes \
    RestrictSUIDSGID=yes RestrictRealtime=yes RestrictNamespaces=yes MemoryDenyWriteExecute=yes \
    SystemCallArchitectures=native SystemCallFilter=@system-service RemoveIPC=yes KeyringMode=private \
    CapabilityBoundingSet= AmbientCapabilities= Nice=5 OOMScoreAdjust=-500";
/// What both units set, each to a value of its own.
const LIMITS: &str = "MemoryHigh MemoryMax CPUWeight IOSchedulingClass TasksMax LimitNOFILE TimeoutStopSec";
/// What hides from the agent what it is there to measure.
const HIDES: &str = "ProtectProc ProcSubset PrivateMounts PrivateDevices PrivateNetwork PrivateUsers RootDirectory RootImage \
    InaccessiblePaths TemporaryFileSystem PrivatePIDs PrivateIPC DynamicUser";

pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

/// The lines of a unit that set something.
fn settings(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(deploy().join("systemd").join(name)).unwrap();
    let set = text.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    set.map(str::to_owned).collect()
}

#[test]
fn units_say_what_they_must() {
    for program in PROGRAMS {
        let set = settings(&format!("{program}.service"));
        for expect in BOTH.split_whitespace() {
            assert!(set.contains(expect), "{program}: lacks {expect}");
        }
        for name in LIMITS.split_whitespace() {
            assert!(set.iter().any(|line| line.starts_with(&format!("{name}="))), "{program}: lacks {name}=");
        }
        let short = program.strip_prefix("quorate-").unwrap();
        for expect in [
            format!("ExecStart=/usr/bin/{program} run --config /etc/quorate/{short}.toml"),
            "ExecReload=/bin/kill -HUP $MAINPID".to_owned(),
            format!("User={program}"),
            format!("StateDirectory={program}"),
            format!("CacheDirectory={program}"),
            format!("RuntimeDirectory={program}"),
        ] {
            assert!(set.contains(&expect), "{program}: lacks {expect}");
        }
    }
}

#[test]
fn nothing_hides_from_the_agent_what_it_measures() {
    let files = ["quorate-agent.service", "notify-reload.conf", "ptrace.conf", "lxc.conf"];
    let set: BTreeSet<String> = files.iter().flat_map(|name| settings(name)).collect();
    for name in HIDES.split_whitespace() {
        assert!(!set.iter().any(|line| line.starts_with(&format!("{name}="))), "{name}= hides something");
    }
    assert!(set.contains("ProtectHome=read-only"), "anything stricter hides mounts below /home");
    assert!(set.contains("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK"));
    assert!(set.contains("CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"), "in ptrace.conf");
    let all = "/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/stat /proc/swaps /proc/uptime";
    let bound = format!("BindReadOnlyPaths=-{}", all.replace(' ', " -"));
    assert!(set.contains(&bound), "in lxc.conf");
}

#[test]
fn the_aggregator_sees_nothing_but_the_network() {
    let set = settings("quorate-aggregator.service");
    for expect in [
        "ProtectProc=invisible",
        "ProcSubset=pid",
        "PrivateMounts=yes",
        "PrivateDevices=yes",
        "PrivateUsers=yes",
        "ProtectHome=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    ] {
        assert!(set.contains(expect), "lacks {expect}");
    }
    assert!(!set.iter().any(|line| line.starts_with("PrivateNetwork=")));
}

fn analyze(args: &[&str], path: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(args).arg(path).env("SYSTEMD_COLORS", "0");
    command.output().expect("systemd-analyze is there: .ci/run installs it")
}

fn systemd_version() -> u32 {
    let said = analyze(&["--version"], Path::new("--no-pager")).stdout;
    let text = String::from_utf8(said).unwrap();
    text.split_whitespace().nth(1).unwrap().split(['~', '-', '.']).next().unwrap().parse().unwrap()
}

/// systemd's own judgement of a unit with drop-ins; the programs need not be installed for it.
fn verify(program: &str, drop_ins: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let unit = format!("{program}.service");
    let text = fs::read_to_string(deploy().join("systemd").join(&unit)).unwrap();
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_agent"));
    let text =
        text.replace(&format!("ExecStart=/usr/bin/{program}"), &format!("ExecStart={}", ours.display()));
    fs::write(dir.path().join(&unit), text).unwrap();
    let below = dir.path().join(format!("{unit}.d"));
    fs::create_dir(&below).unwrap();
    for name in drop_ins {
        fs::copy(deploy().join("systemd").join(name), below.join(name)).unwrap();
    }
    let judged = analyze(&["verify", "--man=no", "--recursive-errors=no"], &dir.path().join(&unit));
    let said = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success() && said.is_empty(), "{program}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn systemd_understands_every_line() {
    verify("quorate-agent", &[]);
    verify("quorate-agent", &["ptrace.conf", "lxc.conf"]);
    verify("quorate-aggregator", &[]);
}

#[test]
fn later_systemd_understands_the_drop_in_for_it() {
    let version = systemd_version();
    assert!(version >= 252, "systemd {version} is below the floor");
    if version < 254 {
        println!("SKIPPED systemd-notify-reload: systemd {version} here, the drop-in is for 254 and later");
        return;
    }
    verify("quorate-agent", &["notify-reload.conf"]);
    verify("quorate-aggregator", &["notify-reload.conf"]);
}

#[test]
fn exposure_is_low() {
    for (program, tenths_max) in [("quorate-agent", 30), ("quorate-aggregator", 20)] {
        let unit = deploy().join("systemd").join(format!("{program}.service"));
        let judged = analyze(
            &["security", "--offline=true", "--no-pager", &format!("--threshold={tenths_max}")],
            &unit,
        );
        let said = String::from_utf8_lossy(&judged.stdout).into_owned();
        let overall = said.lines().find(|line| line.contains("Overall exposure level")).expect("a verdict");
        let words: Vec<&str> = overall.split_whitespace().collect();
        let at = words.iter().position(|word| word.ends_with(".service:")).unwrap();
        let exposure: f64 = words[at + 1].parse().unwrap();
        quorate_tests::figure::figure(&format!("{program}-exposure"), exposure);
        assert!(exposure * 10.0 <= f64::from(tenths_max), "{overall}");
        assert!(judged.status.success(), "{overall}");
    }
}
