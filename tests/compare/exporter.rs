//! The same names, labels and values as Debian's node_exporter, on this host and now.
//!
//! node_exporter is asked before and after our round: a counter must lie between its two answers, and a gauge
//! that it says twice alike must be ours too. Where we differ on purpose, the flags and lists below say why.

use quorate_tests::process::Process;
use quorate_tests::programs;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

const PROGRAM: &str = "/usr/bin/prometheus-node-exporter";
/// The collectors that we have too, and flags that take away differences that are meant.
const FLAGS: [&str; 30] = [
    "--collector.disable-defaults",
    "--collector.conntrack",
    "--collector.cpu",
    "--collector.cpufreq",
    "--collector.diskstats",
    "--collector.dmi",
    "--collector.entropy",
    "--collector.filefd",
    "--collector.filesystem",
    "--collector.hwmon",
    "--collector.loadavg",
    "--collector.meminfo",
    "--collector.netclass",
    "--collector.netdev",
    "--collector.netstat",
    "--collector.os",
    "--collector.pressure",
    "--collector.sockstat",
    "--collector.softnet",
    "--collector.stat",
    "--collector.time",
    "--collector.uname",
    "--collector.vmstat",
    "--web.disable-exporter-metrics",
    "--log.level=error",
    "--web.max-requests=0",
    // Debian leaves out `lo`; node_exporter itself and we do not.
    "--collector.netdev.device-exclude=^$",
    // A speed of -1 is none: node_exporter says that it will leave it out from its version 2 on.
    "--collector.netclass.ignore-invalid-speed",
    // Debian leaves out /mnt, /media and /run, where people mount what fills up.
    "--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials|sys|var/lib/docker|var/lib/containers/storage)($|/)",
    "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|\
     efivarfs|erofs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|ramfs|rpc_pipefs|securityfs|\
     selinuxfs|squashfs|sysfs|tracefs)$",
];
/// What node_exporter has and we have not, by the beginning of the name, and why.
const LEFT_OUT: [(&str, &str); 16] = [
    ("node_exporter_build_info", "is about node_exporter"),
    ("promhttp_", "is about node_exporter"),
    ("node_network_receive_nohandler", "is not in /proc/net/dev: node_exporter asks by netlink"),
    ("node_scrape_", "is about the collectors, which have names and times of their own"),
    ("node_nf_conntrack_stat_", "a file of each processor for numbers that no dashboard shows"),
    ("node_network_address_assign_type", "each file costs a lock of the network; nobody asks for it"),
    ("node_network_carrier_up_changes", "as above; the sum of both is there"),
    ("node_network_carrier_down_changes", "as above; the sum of both is there"),
    ("node_network_device_id", "as above"),
    ("node_network_dormant", "as above"),
    ("node_network_flags", "as above"),
    ("node_network_iface_link", "as above"),
    ("node_network_name_assign_type", "as above"),
    ("node_network_net_dev_group", "as above"),
    ("node_time_clocksource_", "does not change while a host runs"),
    ("node_time_zone_offset", "does not matter to anything that is stored in UTC"),
];
/// Gauges that move from one moment to the next: only their size is compared.
const MOVING: [&str; 12] = [
    "node_memory_",
    "node_load",
    "node_procs_",
    "node_sockstat_",
    "node_filefd_allocated",
    "node_filesystem_",
    "node_disk_io_now",
    "node_entropy_available_bits",
    "node_netstat_Tcp_CurrEstab",
    "node_nf_conntrack_entries",
    "node_time_seconds",
    "node_cpu_scaling_frequency_hertz",
];
/// Digits that our cells do not hold, and the second that the boot time may move by.
const ROUNDING: f64 = 0.02;

/// Values by series, series as `name{labels}`.
type Samples = BTreeMap<String, f64>;

#[tokio::test]
async fn the_same_as_node_exporter() {
    if !Path::new(PROGRAM).try_exists().unwrap() {
        println!("SKIPPED the_same_as_node_exporter: {PROGRAM} is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = format!("--web.listen-address={address}");
    let args: Vec<&OsStr> = FLAGS.iter().copied().chain([listen.as_str()]).map(OsStr::new).collect();
    let exporter = Process::start(dir.path(), "exporter", Path::new(PROGRAM), &args);
    let before = ready(address).await;
    let ended = Process::run(dir.path(), "once", &programs!().agent, &["--once".as_ref()]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let (ours, after) = (parse(&ended.stdout), get(address).unwrap());
    drop(exporter);
    let problems = differences(&ours, [&before, &after]);
    assert!(before.len() > 300 && problems.is_empty(), "{}", problems.join("\n"));
}

fn differences(ours: &Samples, theirs: [&Samples; 2]) -> Vec<String> {
    let name = |series: &str| series.split('{').next().unwrap().to_owned();
    let is_left_out = |series: &str| LEFT_OUT.iter().any(|(start, _)| series.starts_with(start));
    let names: BTreeSet<String> = theirs[0].keys().map(|series| name(series)).collect();
    let mut problems = Vec::new();
    for (series, first) in theirs[0].iter().filter(|(series, _)| !is_left_out(series)) {
        // What goes and comes while we look proves nothing.
        let Some(second) = theirs[1].get(series) else { continue };
        match ours.get(series) {
            None => problems.push(format!("missing: {series} {first}")),
            Some(value) if !is_like(series, *value, [*first, *second]) => {
                problems.push(format!("{series} is {value}, there {first} and then {second}"));
            }
            Some(_) => {}
        }
    }
    let known = |series: &str| theirs.iter().any(|samples| samples.contains_key(series));
    let shared = ours.iter().filter(|(series, _)| names.contains(&name(series)) && !is_left_out(series));
    let more = shared.filter(|(series, _)| !known(series));
    problems.extend(more.map(|(series, value)| format!("not there: {series} {value}")));
    problems
}

fn is_like(series: &str, value: f64, [first, second]: [f64; 2]) -> bool {
    let (low, high) = (first.min(second), first.max(second));
    if MOVING.iter().any(|start| series.starts_with(start)) {
        // Other tests and builds run on this host: memory comes and goes by hundreds of megabytes.
        let slack = if series.contains("_bytes") { 1e9 } else { 100.0 };
        return value >= low / 2.0 - slack && value <= high * 2.0 + slack;
    }
    value >= low - ROUNDING && value <= high + ROUNDING
}

async fn ready(address: SocketAddr) -> Samples {
    for _ in 0..1000 {
        if let Ok(samples) = get(address) {
            return samples;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no answer from {address}");
}

fn get(address: SocketAddr) -> std::io::Result<Samples> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    Ok(parse(body))
}

fn parse(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (without_empty(series), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// A label with an empty value is the same as none.
fn without_empty(series: &str) -> String {
    let mut series = series.to_owned();
    while let Some(at) = series.find("=\"\"") {
        let start = series[..at].rfind(['{', ',']).unwrap();
        let is_first = series.as_bytes()[start] == b'{';
        let comma = usize::from(is_first && series[at + 3..].starts_with(','));
        series.replace_range(start + usize::from(is_first)..at + 3 + comma, "");
    }
    series.replace("{}", "")
}

#[test]
fn differences_are_found() {
    let samples = |text: &str| parse(text);
    let first = samples("a_total 5\nb{x=\"1\"} 2\nnode_load1 1\nnode_scrape_x 1\n");
    let second = samples("a_total 7\nb{x=\"1\"} 2\nnode_load1 3\nnode_scrape_x 1\n");
    let check = |ours: &str, count: usize| {
        let found = differences(&samples(ours), [&first, &second]);
        assert_eq!(found.len(), count, "{found:?}");
    };
    check("a_total 6\nb{x=\"1\"} 2\nnode_load1 2\nown 1\n", 0);
    check("a_total 8\nb{x=\"1\"} 2\nnode_load1 2\n", 1);
    check("a_total 6\nb{x=\"2\"} 2\nnode_load1 2\n", 2);
    check("a_total 6\nb{x=\"1\"} 3\nnode_load1 2\n", 1);
    assert_eq!(without_empty("a{b=\"\",c=\"d\",e=\"\"}"), "a{c=\"d\"}");
    assert_eq!(without_empty("a{b=\"\"}"), "a");
}
