//! Crates know one another in one direction only, share the lints, and name exact dependencies.
//!
//! ```text
//!   common ← proto ← { agent, aggregator, client } ← tests        (← means "is used by")
//! ```

use crate::tree::{Tree, judge};
use toml::{Table, Value};

/// Each crate and those of ours that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("common", &[]),
    ("proto", &["quorate-common"]),
    ("agent", &["quorate-common", "quorate-proto"]),
    ("aggregator", &["quorate-common", "quorate-proto"]),
    ("client", &["quorate-common", "quorate-proto"]),
    ("tests", &["quorate-common", "quorate-proto", "quorate-agent", "quorate-aggregator", "quorate"]),
];

const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

fn problems(tree: &Tree) -> Vec<String> {
    let manifests = tree.0.iter().filter(|(path, _)| path.ends_with("/Cargo.toml"));
    manifests.flat_map(|(path, text)| in_manifest(path, text)).collect()
}

fn in_manifest(path: &str, text: &str) -> Vec<String> {
    let Ok(manifest) = text.parse::<Table>() else { return vec![format!("{path}: no TOML")] };
    let folder = path.trim_end_matches("/Cargo.toml");
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{path}: a crate without a place in tests/tidy/crates.rs")];
    };
    let mut problems = Vec::new();
    let linted =
        manifest.get("lints").and_then(|lints| lints.get("workspace")) == Some(&Value::Boolean(true));
    if !linted {
        problems.push(format!("{path}: lacks `[lints] workspace = true`"));
    }
    for (name, value) in SECTIONS.iter().filter_map(|section| manifest.get(*section)?.as_table()).flatten() {
        if name.starts_with("quorate") && !allowed.contains(&name.as_str()) {
            problems.push(format!("{path}: may not use {name}"));
        }
        if value.get("workspace") != Some(&Value::Boolean(true)) {
            problems.push(format!("{path}: {name} is not declared in the workspace"));
        }
    }
    problems
}

#[test]
fn ours() {
    judge(problems(&Tree::ours()));
}

#[test]
fn planted() {
    let check = |path: &str, text: &str, expect: &[&str]| {
        assert_eq!(problems(&Tree::planted(&[(path, text)])), expect);
    };
    let lints = "[lints]\nworkspace = true\n";
    check("common/Cargo.toml", lints, &[]);
    check("common/Cargo.toml", "", &["common/Cargo.toml: lacks `[lints] workspace = true`"]);
    let proto = format!("{lints}[dev-dependencies]\nquorate-proto.workspace = true");
    check("common/Cargo.toml", &proto, &["common/Cargo.toml: may not use quorate-proto"]);
    let sibling = format!("{lints}[build-dependencies]\nquorate-aggregator.workspace = true");
    check("agent/Cargo.toml", &sibling, &["agent/Cargo.toml: may not use quorate-aggregator"]);
    let exact = format!("{lints}[dependencies]\nserde = '1'");
    check("proto/Cargo.toml", &exact, &["proto/Cargo.toml: serde is not declared in the workspace"]);
    check("extra/Cargo.toml", lints, &["extra/Cargo.toml: a crate without a place in tests/tidy/crates.rs"]);
}
