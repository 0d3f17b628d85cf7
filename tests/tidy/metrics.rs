//! A metric is named in one place: `common/src/catalog.rs`.

use crate::source::{code, literals, shipped};
use crate::tree::{Tree, judge};
use std::collections::BTreeSet;

const CATALOG: &str = "common/src/catalog.rs";
/// How metrics of hosts, process groups, containers and of our own begin.
const BEGINNINGS: &[&str] = &["node_", "namedprocess_", "container_", "quorate_"];
/// How metrics end, so that a word such as `node_name` is none.
const ENDINGS: &[&str] =
    &["_total", "_bytes", "_seconds", "_ratio", "_percent", "_celsius", "_info", "_count"];

fn problems(tree: &Tree) -> Vec<String> {
    let catalog = tree.0.get(CATALOG).map(|text| code(shipped(text))).unwrap_or_default();
    let declared: BTreeSet<&str> = literals(&catalog).filter(|name| has_beginning(name)).collect();
    let elsewhere = tree.sources("").filter(|(path, _)| *path != CATALOG && !tree.is_test(path));
    let mut problems = Vec::new();
    for (path, text) in elsewhere {
        let code = code(shipped(text));
        let metrics = literals(&code).filter(|name| declared.contains(name) || is_metric(name));
        problems.extend(metrics.map(|name| format!("{path}: names metric `{name}`, which {CATALOG} does")));
    }
    problems
}

fn is_metric(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    plain && has_beginning(text) && ENDINGS.iter().any(|ending| text.ends_with(ending))
}

fn has_beginning(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

#[test]
fn ours() {
    judge(problems(&Tree::ours()));
}

#[test]
fn planted() {
    let catalog = (CATALOG, "//! x\nconst LOAD: &str = \"node_load1\";");
    let check = |text: &str, wrong: bool| {
        let tree = Tree::planted(&[catalog, ("agent/src/sample/load.rs", text)]);
        assert_eq!(!problems(&tree).is_empty(), wrong, "{text}");
    };
    check("f(\"node_load1\")", true);
    check("f(\"node_cpu_seconds_total\")", true);
    check("f(\"quorate_samples_dropped_total\")", true);
    check("f(catalog::LOAD)", false);
    check("f(\"node_name\"); // \"node_load1\"", false);
    check("a\n#[cfg(test)]\nmod tests { f(\"node_load1\") }", false);
}
