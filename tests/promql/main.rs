//! PromQL against the cases of Prometheus: scripts that load samples, ask, and state the answers.
//!
//! One test a file, and none of their cases is skipped. `make promqltest` prints the sum.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]
#![allow(clippy::print_stdout, reason = "a test says what it has skipped")]

mod compare;
mod language;
mod memory;
mod native;
mod series;

use compare::Verdict;
use language::Command;
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
                if has_custom_buckets {
                    memory.convert(&lines, step_ms);
                }
            }
            Command::Eval(case) => match compare::judge(&case, &memory) {
                Verdict::Passed => tally.passed += 1,
                Verdict::Failed(why) => tally.failed.push((case.line, format!("{}: {why}", case.query))),
            },
        }
    }
    tally
}

fn check(file: &str) {
    let Some(directory) = directory() else {
        println!("SKIPPED promqltest: the cases of Prometheus lie outside of the checkout");
        return;
    };
    let text = std::fs::read(directory.join(format!("{file}.test"))).unwrap();
    let tally = run(&String::from_utf8_lossy(&text));
    println!("promqltest {file}: {} passed, {} failed", tally.passed, tally.failed.len());
    tally.failed.iter().for_each(|(line, why)| println!("{file}.test:{line}: {why}"));
    assert!(tally.failed.is_empty(), "some cases fail");
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
        sum.failed.extend(tally.failed);
    }
    // Of the files that are judged no case is left out.
    println!("promqltest: {} passed, {} failed, 0 skipped", sum.passed, sum.failed.len());
    assert!(sum.failed.is_empty());
}
