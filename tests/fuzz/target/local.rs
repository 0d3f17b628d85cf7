//! What people and the service manager write: selectors, configuration, labels, quantities, statuses.

use super::{Target, directory, ended, texts, way};
use quorate::config::{ConfigError as ClientError, Partial};
use quorate_aggregator::query::selector::{Selector, labels_of};
use quorate_common::config::{ConfigError, Environment, load};
use quorate_common::model::label::{Labels, check_metric_name};
use quorate_common::model::node::{Member, MemberRole, NodeId};
use quorate_common::model::series::{CellForm, Metric, MetricKind, SeriesSpec};
use quorate_common::notify::{Notifier, State};
use quorate_common::quantity::{Period, Size};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;

pub fn targets() -> Vec<Target> {
    vec![
        Target { name: "selector", run: selector, seeds: selector_seeds, words: SELECTOR },
        Target { name: "agent_config", run: agent_config, seeds: || config_seeds("agent"), words: TOML },
        Target {
            name: "aggregator_config",
            run: aggregator_config,
            seeds: || config_seeds("aggregator"),
            words: TOML,
        },
        Target { name: "client_config", run: client_config, seeds: client_seeds, words: CLIENT },
        Target {
            name: "labels",
            run: labels,
            seeds: label_seeds,
            words: &[b"__name__", b"=", b"\n", b"\"", b"\\", b"\xc3\xa9"],
        },
        Target {
            name: "quantity",
            run: quantity,
            seeds: quantity_seeds,
            words: &[b"ms", b"s", b"m", b"h", b"d", b"KiB", b"GiB", b"B"],
        },
        Target {
            name: "notify",
            run: notify,
            seeds: notify_seeds,
            words: &[b"\n", b"READY=1", b"\r", b"\xe2\x80\xa8", b"\0"],
        },
    ]
}

const SELECTOR: &[&[u8]] = &[
    b"{",
    b"}",
    b"(",
    b")",
    b"[5m]",
    b"=~",
    b"!~",
    b"!=",
    b"=",
    b"\"",
    b"'",
    b"`",
    b",",
    b" or ",
    b" offset 5m",
    b" @ 0",
    b" @ start()",
    b"rate(",
    b"sum by (a) (",
    b"__name__",
    b"(a+)+$",
    b".*",
    b"\\x",
    b"\\u0000",
    b"#",
    b"NaN",
    b"Inf",
    b"1e999",
    b"-",
    b" and ",
    b" bool ",
    b" group_left() ",
    b"node_load1",
];

fn selector(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let parsed = Selector::parse(&text);
    if let Ok(selector) = &parsed {
        let member = Member {
            id: NodeId(1),
            name: "n1".parse().unwrap(),
            cluster: "default".into(),
            role: MemberRole::Voter,
            zone: Some("rack-a".into()),
            weight: 1,
            maintenance: None,
            barred: None,
        };
        let metric = Metric { name: "node_load1".into(), kind: MetricKind::Gauge, form: CellForm::Float };
        let spec = SeriesSpec { metric, labels: Labels::new([("cpu", "0"), ("job", "x")]).unwrap() };
        let matched = selector.matches_node(&member) && selector.matches_series(&member, &spec);
        assert_eq!(labels_of(&member, &spec)[0].0, "__name__");
        return u64::from(matched);
    }
    ended(&parsed, |_| 0)
}

fn selector_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "node_load1",
        r#"node_load1{node="n1",cpu!~"1.*"}"#,
        r#"{__name__=~"node_.*",zone!="x",job='quorate'}"#,
        r#"{__name__="node_load1" or cpu="0"}"#,
        "rate(node_cpu_seconds_total{mode=\"idle\"}[5m] offset 1h)",
        "sum by (node) (a + on (b) group_left (c) d) > bool 5",
        "x[5m:1m] @ 1700000000",
    ])
}

const TOML: &[&[u8]] = &[
    b"[",
    b"]",
    b"[[",
    b"=",
    b"\"\"\"",
    b"'''",
    b"{",
    b"}",
    b".",
    b",",
    b"#",
    b"true",
    b"false",
    b"nan",
    b"-inf",
    b"1979-05-27T07:32:00Z",
    b"[sample]\n",
    b"[log]\n",
    b"[listen]\n",
    b"interval_ms = ",
    b"level = \"info\"\n",
    b"\\u0000",
    b"\xff",
    b"\"a\".b = ",
];

/// A file of its own for each program: targets run one after the other.
static DIRECTORY: LazyLock<TempDir> = LazyLock::new(directory);

fn written(program: &str, input: &[u8]) -> std::path::PathBuf {
    let file = DIRECTORY.path().join(format!("{program}.toml"));
    std::fs::write(&file, input).unwrap();
    file
}

/// Every mistake has its place, and there is at least one.
fn judged(file: &Path, error: &ConfigError) -> u64 {
    let text = error.to_string();
    assert!(!error.problems.is_empty() && text.contains(&file.display().to_string()), "{text}");
    error.problems.iter().map(|problem| way(&problem.message)).fold(0, |ways, way| ways.rotate_left(3) ^ way)
}

fn agent_config(input: &[u8]) -> u64 {
    let file = written("agent", input);
    match load::<quorate_agent::config::Config>("agent", Some(&file), &Environment::default()) {
        Ok(loaded) => ended(&loaded.value.sample.check(), |()| 1),
        Err(error) => judged(&file, &error),
    }
}

fn aggregator_config(input: &[u8]) -> u64 {
    let file = written("aggregator", input);
    match load::<quorate_aggregator::config::Config>("aggregator", Some(&file), &Environment::default()) {
        Ok(loaded) => ended(&loaded.value.check(), |()| 1),
        Err(error) => judged(&file, &error),
    }
}

fn config_seeds(program: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shipped = std::fs::read(root.join(format!("deploy/config/{program}.toml"))).unwrap();
    // As shipped, everything is a comment or a default; without the signs it is read.
    let shipped_text = String::from_utf8(shipped.clone()).unwrap();
    let plain: Vec<&str> = shipped_text.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let odd = "[sample]\nintervals_ms = { cpu = 100, memory = 10000 }\n[log]\nlevel = \"debug\"\n";
    vec![shipped, plain.join("\n").into_bytes(), odd.as_bytes().to_vec()]
}

const CLIENT: &[&[u8]] = &[
    b"address = ",
    b"timeout = ",
    b"ca = ",
    b"\"",
    b"[",
    b"]",
    b":",
    b"::1",
    b":7443",
    b"65536",
    b"ms",
    b"#",
];

fn client_config(input: &[u8]) -> u64 {
    let file = written("client", input);
    match Partial::load(&file) {
        Ok(read) => {
            let address = read.address.as_ref().map(|address| {
                assert!(address.port != 0 && !address.host.is_empty(), "{address:?}");
                assert_eq!(address.to_string().parse().as_ref(), Ok(address), "one spelling");
                address.host.len().ilog2()
            });
            let beside =
                [&read.ca, &read.cert, &read.key].map(|file| file.as_ref().map(|file| file.is_absolute()));
            assert!(
                beside.iter().all(|is_absolute| *is_absolute != Some(false)),
                "beside the file: {read:?}"
            );
            u64::from(address.unwrap_or(0)) << 1 | u64::from(read.timeout.is_some())
        }
        Err(ClientError::File(error)) => judged(&file, &error),
        Err(error) => panic!("a file is judged without its credential: {error}"),
    }
}

fn client_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "address = \"aggregator.example:7443\"\nca = \"ca.crt\"\ncert = \"client.crt\"\nkey = \"/k/client.key\"\n",
        "address = \"[::1]:9\"\ntimeout = \"10s\"\n",
        "address = \"a:b\"\ntimeout = 10\nport = 1\n",
    ])
}

/// Lines of `name=value`, and the first line is a metric.
fn labels(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.split('\n');
    let metric = check_metric_name(lines.next().unwrap_or_default());
    let made = Labels::new(lines.filter_map(|line| line.split_once('=')));
    if let Ok(labels) = &made {
        assert!(!labels.to_string().contains('\n'), "one line: {labels}");
        let again = Labels::new(labels.iter()).expect("what was accepted is accepted again");
        assert_eq!(&again, labels);
        assert!(labels.iter().all(|(name, value)| labels.get(name) == Some(value)));
    }
    ended(&metric, |()| 1) ^ ended(&made, |labels| labels.iter().len())
}

fn label_seeds() -> Vec<Vec<u8>> {
    texts(&["node_load1\ncpu=0\nmode=idle", "a:b\nx=\"quoted\\\"\ny=\u{1b}[2J", "1a\n__name__=x\na=1\na=2"])
}

fn quantity(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let (period, size) = (text.parse::<Period>(), text.parse::<Size>());
    if let Ok(period) = &period {
        assert_eq!(period.to_string().parse::<Period>().as_ref(), Ok(period), "{text} is read as {period}");
    }
    if let Ok(size) = &size {
        assert_eq!(size.to_string().parse::<Size>().as_ref(), Ok(size), "{text} is read as {size}");
    }
    ended(&period, |_| 1) ^ ended(&size, |_| 2).rotate_left(7)
}

fn quantity_seeds() -> Vec<Vec<u8>> {
    texts(&["250ms", "15s", "5m", "1h30m", "7d", "512B", "40MiB", "1GiB", "0s", "18446744073709551615ms"])
}

/// The socket of a service manager.
static MANAGER: LazyLock<(TempDir, UnixDatagram)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    (directory, socket)
});

/// A status with anything in it is one line and one state; a name of a socket with anything in it is refused or
/// not, and no more. (The names of sockets are tried only as far as they are paths below our directory.)
fn notify(input: &[u8]) -> u64 {
    let (directory, socket) = &*MANAGER;
    let text = String::from_utf8_lossy(input);
    let path = directory.path().join("notify").display().to_string();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", &*text), ("WATCHDOG_PID", &*text)];
    let notifier = Notifier::from_environment(&variables.into_iter().collect()).unwrap();
    notifier.tell(&[State::Status(&text), State::Watchdog]);
    let mut datagram = [0; 8192];
    let length = socket.recv(&mut datagram).unwrap();
    let told = std::str::from_utf8(&datagram[..length]).expect("text");
    let lines: Vec<&str> = told.split_terminator('\n').collect();
    assert!(lines.len() == 2 && lines[0].starts_with("STATUS=") && lines[1] == "WATCHDOG=1", "{told:?}");
    let named = [("NOTIFY_SOCKET", format!("@{text}"))];
    let named = Notifier::from_environment(&named.into_iter().collect());
    ended(&named.map(drop), |()| 1) ^ u64::from(lines[0].len().ilog2())
}

fn notify_seeds() -> Vec<Vec<u8>> {
    texts(&["3/3 nodes up, quorum available", "30000000", "a\nREADY=1\n", "quorate"])
}
