//! `agent --once`: samples without an aggregator, a certificate or any state.

use quorate_tests::process::Process;
use quorate_tests::programs;
use std::collections::HashSet;
use std::ffi::OsStr;

async fn once(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let ended = Process::run(dir.path(), "once", &programs!().agent, &args).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    ended.stdout
}

#[tokio::test]
async fn text_is_what_prometheus_reads() {
    let text = once(&["--once"]).await;
    let mut series = HashSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
        assert!(series.insert(name.to_owned()), "twice: {name}");
    }
    for name in
        ["node_load1", "node_memory_MemTotal_bytes", "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}"]
    {
        assert!(series.contains(name), "{name}\n{text}");
    }
    let described = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert!(described > 10 && text.contains("# TYPE node_load1 gauge"), "{text}");
}

#[tokio::test]
async fn json_is_one_document() {
    let text = once(&["--once", "--format", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let series = json["series"].as_array().unwrap();
    assert!(series.len() > 50, "{} series", series.len());
    assert!(text.contains("node_load1"));
}
