use super::*;
use crate::quantity::Size;
use serde::Deserialize;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sketch {
    name: String,
    sample: Sample,
    log: Log,
    checks: Vec<Check>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    interval: Period,
    interval_ms: u32,
    memory: Size,
    enabled: bool,
    labels: Vec<String>,
}

impl Default for Sample {
    fn default() -> Sample {
        let (interval, memory) = (Period::from_secs(1), Size::from_bytes(0));
        Sample { interval, interval_ms: 1000, memory, enabled: true, labels: Vec::new() }
    }
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    level: String,
    format: String,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Check {
    url: String,
    timeout: Period,
}

const NOTHING: [(&str, &str); 0] = [];

/// Loads files written in order of their names, and variables; gives the value or the problems.
fn load_sketch(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Loaded<Sketch>, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let environment = variables.iter().copied().collect();
    let prefix = format!("{}/", directory.path().display());
    load("agent", Some(directory.path()), &environment)
        .map_err(|error| error.to_string().lines().map(|line| line.replace(&prefix, "")).collect())
}

#[test]
fn without_anything_the_defaults_stand() {
    let loaded: Loaded<Sketch> = load("agent", None, &NOTHING.into_iter().collect()).unwrap();
    assert_eq!(loaded, Loaded { value: Sketch::default(), files: vec![], variables: vec![] });
}

#[test]
fn later_files_win_key_by_key() {
    let files = [
        ("20-b.toml", "sample.memory = '2MiB'\nsample.labels = ['b']"),
        ("10-a.toml", "name = 'a'\n[sample]\ninterval = '5s'\nmemory = '1MiB'\nlabels = ['x', 'y']"),
        ("notes.txt", "not = read ="),
    ];
    let loaded = load_sketch(&files, &[]).unwrap();
    assert_eq!(loaded.value.name, "a");
    assert_eq!(loaded.value.sample.interval, Period::from_secs(5));
    assert_eq!(loaded.value.sample.memory, Size::from_bytes(2 << 20));
    assert_eq!(loaded.value.sample.labels, ["b"]);
    assert_eq!(loaded.files.len(), 2);
}

#[test]
fn the_environment_wins_over_files() {
    let variables = [
        ("METRICS_COLLECTION_INTERVAL", "30"),
        ("LOG_LEVEL", "WARNING"),
        ("STRUCTURED_LOGGING", "true"),
        ("DEBUG", "express:*"),
        ("QUORATE_SAMPLE__MEMORY", "3MiB"),
        ("QUORATE_SAMPLE__ENABLED", "false"),
        ("QUORATE_SAMPLE__LABELS", "['p', 'q']"),
        ("QUORATE_LOG__FORMAT", "123"),
        ("QUORATE_CONFIG", "/not/an/override"),
        ("QUORATE__NAME", "a"),
    ];
    let loaded =
        load_sketch(&[("a.toml", "sample.interval = '5s'\nsample.enabled = true")], &variables).unwrap();
    assert_eq!(
        loaded.value.sample,
        Sample {
            interval: Period::from_secs(5),
            interval_ms: 30_000,
            memory: Size::from_bytes(3 << 20),
            enabled: false,
            labels: vec!["p".into(), "q".into()],
        }
    );
    assert_eq!(loaded.value.log, Log { level: "warn".into(), format: "123".into() });
    assert_eq!(loaded.value.name, "a");
    let heeded: Vec<&str> = loaded.variables.iter().map(|(name, _)| name.as_str()).collect();
    assert!(heeded.contains(&"QUORATE_LOG__FORMAT") && !heeded.contains(&"QUORATE_CONFIG"), "{heeded:?}");
}

#[test]
fn known_names_count_for_their_programs_only() {
    let environment: Environment = [("METRICS_COLLECTION_INTERVAL", "30")].into_iter().collect();
    let loaded: Loaded<Sketch> = load("aggregator", None, &environment).unwrap();
    assert_eq!(loaded.value.sample.interval_ms, 1000);
}

#[test]
fn intervals_of_others_are_seconds() {
    for (text, ms) in [
        ("30", "30000"),
        ("0", "0"),
        ("1m", "60000"),
        ("soon", "soon"),
        ("99999999999999999999", "99999999999999999999"),
    ] {
        assert_eq!(seconds_as_millis(text).as_deref(), Some(ms));
    }
}

#[test]
fn problems_say_where_and_what() {
    let check = |text: &str, variables: &[(&str, &str)], expect: &[&str]| {
        assert_eq!(load_sketch(&[("agent.toml", text)], variables).unwrap_err(), expect, "{text}");
    };
    let long = "é = 1".to_owned();
    check(
        "[sample]\n  intervall = '5s'",
        &[],
        &["agent.toml:2:3: unknown key `intervall` in [sample], did you mean `interval`?"],
    );
    check("nmae = 'x'", &[], &["agent.toml:1:1: unknown key `nmae`, did you mean `name`?"]);
    check(
        "[zebra]\na = 1",
        &[],
        &["agent.toml:1:2: unknown key `zebra`, expected one of name, sample, log, checks"],
    );
    check(
        "sample.interval = '5mn'",
        &[],
        &["agent.toml:1:19: `sample.interval`: `5mn` is not a duration such as 250ms, 15s, 5m, 1h30m or 7d"],
    );
    check(
        "[sample]\nenabled = 'yes'\nmemory = 5",
        &[],
        &[
            "agent.toml:2:11: `sample.enabled`: invalid type: string \"yes\", expected a boolean",
            "agent.toml:3:10: `sample.memory`: invalid type: integer `5`, expected a string",
        ],
    );
    check(
        "[[checks]]\nurl = 'a'\n[[checks]]\nurl = 'b'\ntimeou = '1s'",
        &[],
        &["agent.toml:5:1: unknown key `timeou` in [checks], did you mean `timeout`?"],
    );
    check(
        "",
        &[("QUORATE_SAMPLE__INTERVALL", "5s"), ("METRICS_COLLECTION_INTERVAL", "soon")],
        &[
            "METRICS_COLLECTION_INTERVAL: `sample.interval_ms`: invalid type: string \"soon\", expected u32",
            "QUORATE_SAMPLE__INTERVALL: unknown key `intervall` in [sample], did you mean `interval`?",
        ],
    );
    assert_eq!(load_sketch(&[("agent.toml", &long)], &[]).unwrap_err().len(), 1);
}

#[test]
fn all_files_and_variables_are_judged_at_once() {
    let files = [("1.toml", "a = 1\nb = 2"), ("2.toml", "name = "), ("3.toml", "c = 3")];
    let problems = load_sketch(&files, &[("QUORATE_LOG__LEVEL", "[1]"), ("QUORATE_X__Y", "1")]).unwrap_err();
    let places: Vec<&str> = problems.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["1.toml:1:1", "1.toml:2:1", "2.toml:1:8", "3.toml:1:1", "QUORATE_X__Y"]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let nothing = NOTHING.into_iter().collect();
    let missing = Path::new("/nonexistent/agent.toml");
    let error = load::<Sketch>("agent", Some(missing), &nothing).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/agent.toml: failed to read: No such file"), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large.toml");
    std::fs::write(&large, " ".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1)).unwrap();
    let error = load::<Sketch>("agent", Some(&large), &nothing).unwrap_err().to_string();
    assert!(error.ends_with("large.toml: larger than 1048576 bytes"), "{error}");
    std::fs::write(&large, "{".repeat(BRACES_MAX + 1)).unwrap();
    let error = load::<Sketch>("agent", Some(&large), &nothing).unwrap_err().to_string();
    assert!(error.ends_with("large.toml: more than 4000 braces: write tables as sections"), "{error}");
    // Each string is broken and hides the brace that would close its table: the parser goes one deeper.
    let deep = "[log]\na = { b = 0, cel = \"de }\n".repeat(BRACES_MAX);
    std::fs::write(&large, deep).unwrap();
    let error = load::<Sketch>("agent", Some(&large), &nothing).unwrap_err();
    assert_eq!(error.problems.len(), 50, "as many as are told: {error}");
}

#[test]
fn every_alias_is_told_once_per_program() {
    for (at, alias) in ALIASES.iter().enumerate() {
        assert!(ALIASES[at + 1..].iter().all(|other| other.name != alias.name), "{}", alias.name);
        assert!(!alias.programs.is_empty() && alias.key.contains('.'), "{}", alias.name);
    }
}
