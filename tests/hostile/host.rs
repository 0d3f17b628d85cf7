//! Row 80: a host whose kernel says less than usual, and processes that end while they are looked at. What is not
//! there is absent, never zero. (That a reason is told once for each boot is seen in the agent's own tests.)

use quorate_agent::once::{Format, once};
use quorate_agent::sample::Config;
use quorate_common::clock::SystemClock;
use std::sync::Arc;

/// What one round says of a host with these files.
fn round(files: &[(&str, &str)]) -> String {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut out = Vec::new();
    once(&Config::default(), root.path(), Arc::new(SystemClock), Format::Prometheus, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn value<'a>(text: &'a str, series: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[test]
fn row_80_a_kernel_that_says_little() {
    let stat = |pid: u32, name: &str| {
        format!(
            "{pid} ({name}) S 0 1 1 0 -1 4194560 10 0 1 0 5 3 0 0 20 0 1 0 50 4096000 100 18446744073709551615 \
                 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        )
    };
    let (whole, odd) = (stat(1, "whole"), stat(7, "a) S 9 (b"));
    let text = round(&[
        ("proc/loadavg", "0.5 0.25 0.125 1/2 3\n"),
        ("proc/stat", "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\nbtime 1700000000\n"),
        // No swap at all, as in a container.
        ("proc/meminfo", "MemTotal:        1024 kB\nMemFree:          512 kB\n"),
        // A process without `io`, which only its owner may read.
        ("proc/1/stat", &whole),
        // Its name looks like the fields that follow.
        ("proc/7/stat", &odd),
        // One that ended: its directory is there, its files are not, or are empty by now.
        ("proc/2/comm", "gone\n"),
        ("proc/3/stat", ""),
        ("proc/4/stat", "4 (cut"),
    ]);
    assert_eq!(value(&text, "node_load1"), Some("0.5"));
    assert_eq!(value(&text, "node_memory_MemTotal_bytes"), Some("1048576"));
    for group in ["whole", "a) S 9 (b"] {
        let series = format!("namedprocess_namegroup_num_procs{{groupname=\"{group}\"}}");
        assert_eq!(value(&text, &series), Some("1"), "{text}");
    }
    for absent in [
        "node_memory_Swap",
        "node_memory_Cached",
        "node_pressure",
        "node_hwmon",
        "node_network",
        "node_disk",
        "node_filesystem",
        "node_dmi",
        "node_cpu_scaling",
        "namedprocess_namegroup_read_bytes_total{groupname=\"whole\"}",
        "namedprocess_namegroup_num_procs{groupname=\"gone\"}",
    ] {
        let found = text.lines().find(|line| line.starts_with(absent));
        assert_eq!(found, None, "{absent} is not known here");
    }
    // A collector without its only source has failed; one whose source is a matter of the kernel has nothing to say.
    let success = |collector: &str| {
        value(&text, &format!("node_scrape_collector_success{{collector=\"{collector}\"}}"))
    };
    assert_eq!((success("network"), success("pressure"), success("cpu")), (Some("0"), Some("1"), Some("1")));
}
