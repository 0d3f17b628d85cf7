//! `--once`: one round of all collectors as text, for people, scripts and node_exporter's textfile readers.
//!
//! It needs no aggregator, no certificate and no state. Groups of processes are all series here, and count
//! what their processes used in their whole life: there is no earlier round to take a difference to.

use crate::sample::{Collection, Config, ConfigError, Due, NewSeries, Round, Setup, collectors};
use quorate_common::catalog;
use quorate_common::clock::Clock;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// How the round is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text exposition format 0.0.4.
    Prometheus,
    /// One JSON object: time, failed collectors, series.
    Json,
}

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum OnceError {
    /// The configuration is wrong.
    #[error("failed to accept the configuration of sampling")]
    Config(#[from] ConfigError),
    /// A thread could not be started.
    #[error("failed to start a sampling thread")]
    Thread(#[source] std::io::Error),
    /// The output broke off.
    #[error("failed to write the samples")]
    Write(#[from] std::io::Error),
}

/// Samples everything once and writes it. `root` is `/` but for tests.
///
/// # Errors
///
/// The configuration is wrong or the output broke off. A collector that failed is no error: it stands in the
/// output as `node_scrape_collector_success 0`.
pub fn once(
    config: &Config,
    root: &Path,
    clock: Arc<dyn Clock>,
    format: Format,
    out: &mut impl Write,
) -> Result<(), OnceError> {
    config.check()?;
    let mut config = config.clone();
    (config.process.enter_life_ms, config.process.whole_life) = (0, true);
    let at = clock.now();
    let setup = Setup {
        collectors: collectors(&config, root),
        interval_ms: config.interval_ms,
        deadline_ms: config.deadline_ms,
        clock,
    };
    let round = Collection::new(setup).map_err(OnceError::Thread)?.round(at, config.interval_ms, Due::All);
    match format {
        Format::Prometheus => write_prometheus(&round, out),
        Format::Json => write_json(&round, out),
    }
    .map_err(OnceError::Write)
}

fn write_prometheus(round: &Round, out: &mut impl Write) -> std::io::Result<()> {
    // All lines of a metric must stand together, whichever group said them.
    let mut by_name: BTreeMap<&str, Vec<&NewSeries>> = BTreeMap::new();
    for new in &round.registered {
        by_name.entry(&new.spec.metric.name).or_default().push(new);
    }
    for (name, series) in by_name {
        if let Some(def) = catalog::find(name) {
            writeln!(out, "# HELP {name} {}", def.help.replace('\\', "\\\\").replace('\n', "\\n"))?;
            writeln!(out, "# TYPE {name} {}", def.kind)?;
        }
        for new in series {
            writeln!(out, "{name}{} {}", new.spec.labels, value(round, new))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Output<'a> {
    timestamp: String,
    failed_collectors: Vec<&'a str>,
    series: Vec<Sample<'a>>,
}

#[derive(Serialize)]
struct Sample<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    value: f64,
}

fn write_json(round: &Round, out: &mut impl Write) -> std::io::Result<()> {
    let failed = round.groups.iter().filter(|group| !round.sampled.contains(&group.group));
    let sample = |new| sample(round, new);
    let output = Output {
        timestamp: round.at.wall.to_string(),
        failed_collectors: failed.map(|group| group.collector.as_str()).collect(),
        series: round.registered.iter().map(sample).collect(),
    };
    serde_json::to_writer(&mut *out, &output)?;
    out.write_all(b"\n")
}

fn sample<'a>(round: &Round, new: &'a NewSeries) -> Sample<'a> {
    let labels = new.spec.labels.iter().collect();
    Sample { name: &new.spec.metric.name, labels, value: value(round, new) }
}

fn value(round: &Round, new: &NewSeries) -> f64 {
    new.spec.metric.form.value(round.cells.get(new.slot as usize).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::clock::SystemClock;
    use quorate_common::model::label::check_metric_name;
    use std::collections::BTreeSet;

    fn run(root: &Path, format: Format) -> String {
        let mut out = Vec::new();
        once(&Config::default(), root, Arc::new(SystemClock), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Reads `name="value",…}` and returns the rest behind the bracket.
    fn labels(mut text: &str) -> (BTreeMap<String, String>, &str) {
        let mut found = BTreeMap::new();
        loop {
            let (name, rest) = text.split_once("=\"").expect("a label");
            check_metric_name(name).unwrap();
            let (mut value, mut chars, mut end) = (String::new(), rest.char_indices(), None);
            while let Some((at, c)) = chars.next() {
                match c {
                    '"' => end = Some(at),
                    '\\' => match chars.next().unwrap().1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("escape {c}"),
                    },
                    c => value.push(c),
                }
                if end.is_some() {
                    break;
                }
            }
            assert_eq!(found.insert(name.to_owned(), value), None, "{name} twice");
            text = &rest[end.expect("a closing quote") + 1..];
            match text.split_at(1) {
                ("}", rest) => return (found, rest),
                (",", rest) => text = rest,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The format, strictly: help and type once before all lines of a metric, no series twice.
    fn check(text: &str) -> BTreeMap<String, f64> {
        let (mut series, mut closed, mut current) = (BTreeMap::new(), BTreeSet::new(), String::new());
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                current = help.split_once(' ').expect("help").0.to_owned();
                check_metric_name(&current).unwrap();
                assert!(closed.insert(current.clone()), "{current} stands twice");
                let kind =
                    lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {current} "))).unwrap();
                assert!(["counter", "gauge"].contains(&kind));
                continue;
            }
            let rest = line.strip_prefix(&current).unwrap_or_else(|| panic!("{line} below {current}"));
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => labels(rest),
                None => (BTreeMap::new(), rest),
            };
            let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
            assert_eq!(series.insert(format!("{current}{labels:?}"), value), None, "{line} twice");
        }
        assert!(text.ends_with('\n'));
        series
    }

    #[test]
    fn this_host_in_prometheus_text() {
        let series = check(&run(Path::new("/"), Format::Prometheus));
        for name in [
            "node_cpu_seconds_total",
            "node_memory_MemTotal_bytes",
            "node_memory_MemAvailable_bytes",
            "node_load1",
            "node_boot_time_seconds",
            "node_time_seconds",
            "node_uname_info",
            "node_network_receive_bytes_total",
            "namedprocess_namegroup_cpu_seconds_total",
            "node_scrape_collector_success",
        ] {
            assert!(series.keys().any(|key| key.starts_with(&format!("{name}{{"))), "{name}");
        }
        let cpu =
            |(key, value): (&String, &f64)| key.starts_with("namedprocess_namegroup_cpu").then_some(*value);
        assert!(series.iter().filter_map(cpu).sum::<f64>() > 0.0);
        assert!(series.values().all(|value| value.is_finite()));
        let undeclared = |key: &&String| catalog::find(key.split('{').next().unwrap()).is_none();
        assert_eq!(series.keys().find(undeclared), None);
    }

    #[test]
    fn an_empty_host_says_what_failed() {
        let dir = tempfile::tempdir().unwrap();
        let series = check(&run(dir.path(), Format::Prometheus));
        assert_eq!(series[r#"node_scrape_collector_success{"collector": "cpu"}"#], 0.0);
        assert_eq!(series[r#"node_scrape_collector_success{"collector": "time"}"#], 1.0);
        let json: serde_json::Value = serde_json::from_str(&run(dir.path(), Format::Json)).unwrap();
        let expect = serde_json::json!(["cpu", "memory", "load", "network", "process", "filesystem"]);
        assert_eq!(json["failed_collectors"], expect);
        assert!(json["series"].as_array().unwrap().iter().any(|one| one["name"] == "node_time_seconds"));
    }

    #[test]
    fn labels_are_escaped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/net")).unwrap();
        let text = format!("Inter-|\n face |\n a\"\\b: {}\n", "1 ".repeat(16));
        std::fs::write(dir.path().join("proc/net/dev"), text).unwrap();
        let series = check(&run(dir.path(), Format::Prometheus));
        assert_eq!(series[r#"node_network_receive_bytes_total{"device": "a\"\\b"}"#], 1.0);
    }
}
