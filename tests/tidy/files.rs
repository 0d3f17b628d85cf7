//! Files are small, say what they are for, and are named for what they hold.

use crate::source::shipped;
use crate::tree::{Tree, judge};

/// Most lines before the unit tests.
const LINES_MAX: usize = 400;
/// Most lines in all, and the limit of what is named in [`LONG`].
const LINES_HARD: usize = 700;
/// Files that may be longer than [`LINES_MAX`], each with its reason.
const LONG: &[(&str, &str)] = &[];
/// Names that say nothing.
const EMPTY: &[&str] = &["util", "utils", "helper", "helpers", "manager", "misc", "stuff"];

fn problems(tree: &Tree) -> Vec<String> {
    tree.sources("").flat_map(|(path, text)| in_file(tree, path, text)).collect()
}

fn in_file(tree: &Tree, path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let (lines, all) = (shipped(text).lines().count(), text.lines().count());
    let only_tests = tree.is_test(path) && !path.starts_with("tests/");
    let excused = only_tests || LONG.iter().any(|(long, _)| *long == path);
    if lines > LINES_MAX && !excused {
        problems.push(format!("{path}: {lines} lines without tests, limit {LINES_MAX}"));
    }
    if lines > LINES_HARD || all > 2 * LINES_HARD {
        problems.push(format!("{path}: {all} lines, limit {LINES_HARD} and as many of tests"));
    }
    if !text.starts_with("//!") && !path.ends_with("/tests.rs") {
        problems.push(format!("{path}: does not begin with `//!` and what it is for"));
    }
    // Planted text in this file spells the attribute; a real one begins its line.
    if text.lines().any(|line| line.trim_start().starts_with("#[ignore")) {
        problems.push(format!(
            "{path}: ignores a test; print `SKIPPED <name>: <reason>` and list it in tests/skips"
        ));
    }
    let named = |part: &str| EMPTY.contains(&part.trim_end_matches(".rs"));
    if path.split('/').any(named) && !tree.is_test(path) {
        problems.push(format!("{path}: a name that says nothing"));
    }
    problems
}

#[test]
fn ours() {
    judge(problems(&Tree::ours()));
}

#[test]
fn every_exception_is_needed() {
    let tree = Tree::ours();
    let needed = |path: &str| tree.0.get(path).is_some_and(|text| shipped(text).lines().count() > LINES_MAX);
    judge(
        LONG.iter().filter(|(path, _)| !needed(path)).map(|(path, _)| format!("{path}: not long")).collect(),
    );
}

#[test]
fn planted() {
    let check = |path: &str, text: &str, expect: &str| {
        let found = problems(&Tree::planted(&[(path, text)])).join("; ");
        assert_eq!(found.is_empty(), expect.is_empty(), "{found}");
        assert!(found.contains(expect), "{found}");
    };
    let long = |lines: usize| format!("//! x\n{}", "a\n".repeat(lines - 1));
    check("agent/src/a.rs", &long(400), "");
    check("agent/src/a.rs", &long(401), "401 lines without tests, limit 400");
    check("agent/src/a.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}", long(400), "a\n".repeat(300)), "");
    check("agent/src/a/tests.rs", &long(500), "");
    check("agent/src/a/tests.rs", &long(701), "701 lines, limit 700");
    check("agent/src/a.rs", "use x;", "does not begin with `//!`");
    check("agent/src/a.rs", "//! x\n    #[ignore]", "ignores a test");
    check("agent/src/util.rs", "//! x", "says nothing");
    check("agent/src/helper/mod.rs", "//! x", "says nothing");
}
