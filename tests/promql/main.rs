//! PromQL against the cases of Prometheus: scripts that load samples, ask, and state the answers.
//!
//! One test a file. What needs native histograms is skipped, case by case, and counted; cases that are known to
//! fail are listed in `known.rs`, a list that may only get shorter. `make promqltest` prints the sum.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]
#![allow(clippy::print_stdout, reason = "a test says what it has skipped")]

mod compare;
mod known;
mod language;
mod memory;
mod series;

use compare::Verdict;
use language::{Case, Command};
use memory::Memory;
use std::path::{Path, PathBuf};

/// The files that are judged.
const FILES: &[&str] = &[
    "aggregators",
    "at_modifier",
    "collision",
    "functions",
    "histograms",
    "literals",
    "name_label_dropping",
    "operators",
    "range_queries",
    "selectors",
    "staleness",
    "subquery",
    "trig_functions",
];

/// How the cases of some files ended.
#[derive(Default)]
struct Tally {
    passed: usize,
    skipped: usize,
    /// Line and reason.
    failed: Vec<(usize, String)>,
}

/// Where the cases are: beside the checkout, or where the environment says.
#[allow(clippy::disallowed_methods, reason = "the one variable by which other cases are named")]
fn directory() -> Option<PathBuf> {
    let given = std::env::var_os("QUORATE_TEST_PROMQL").map(PathBuf::from);
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|path| path.join("shared/promqltest"));
    let places = above.chain([PathBuf::from("/work/shared/promqltest")]);
    given.into_iter().chain(places).find(|path| path.is_dir())
}

fn run(text: &str) -> Tally {
    let (mut memory, mut tally) = (Memory::default(), Tally::default());
    for command in language::parse(text) {
        match command {
            Command::Clear => memory.clear(),
            Command::Load { step_ms, lines, has_custom_buckets } => {
                lines.iter().for_each(|line| memory.load(line, step_ms));
                memory.note_custom_buckets(&lines, has_custom_buckets);
            }
            Command::Eval(case) => match judge(&case, &memory) {
                Verdict::Passed => tally.passed += 1,
                Verdict::Skipped => tally.skipped += 1,
                Verdict::Failed(why) => tally.failed.push((case.line, format!("{}: {why}", case.query))),
            },
        }
    }
    tally
}

/// A case may be skipped if its answer is a native histogram that would have to be computed, or if it asks for
/// classic histograms in their native form.
fn judge(case: &Case, memory: &Memory) -> Verdict {
    if memory.has_only_custom_buckets(&case.query) {
        return Verdict::Skipped;
    }
    match compare::judge(case, memory) {
        Verdict::Failed(_) if case.expects_histogram() => Verdict::Skipped,
        verdict => verdict,
    }
}

fn check(file: &str) {
    let Some(directory) = directory() else {
        println!("SKIPPED promqltest: the cases of Prometheus lie outside of the checkout");
        return;
    };
    let text = std::fs::read(directory.join(format!("{file}.test"))).unwrap();
    let tally = run(&String::from_utf8_lossy(&text));
    let failed: Vec<usize> = tally.failed.iter().map(|(line, _)| *line).collect();
    println!(
        "promqltest {file}: {} passed, {} failed, {} skipped",
        tally.passed,
        failed.len(),
        tally.skipped
    );
    tally.failed.iter().for_each(|(line, why)| println!("{file}.test:{line}: {why}"));
    let known: Vec<usize> =
        known::FAILING.iter().filter(|(own, _, _)| *own == file).map(|(_, line, _)| *line).collect();
    assert_eq!(failed, known, "what fails is not what is listed");
    assert!(tally.passed > 0);
}

macro_rules! files {
    ($($name:ident)*) => { $(#[test] fn $name() { check(stringify!($name)); })* };
}

files! {
    aggregators at_modifier collision functions histograms literals name_label_dropping operators range_queries
    selectors staleness subquery trig_functions
}

#[test]
fn all_files_together() {
    let Some(directory) = directory() else {
        println!("SKIPPED promqltest: the cases of Prometheus lie outside of the checkout");
        return;
    };
    let mut sum = Tally::default();
    for file in FILES {
        let text = std::fs::read(directory.join(format!("{file}.test"))).unwrap();
        let tally = run(&String::from_utf8_lossy(&text));
        sum.passed += tally.passed;
        sum.skipped += tally.skipped;
        sum.failed.extend(tally.failed);
    }
    println!("promqltest: {} passed, {} failed, {} skipped", sum.passed, sum.failed.len(), sum.skipped);
    assert_eq!(sum.failed.len(), known::FAILING.len());
}
