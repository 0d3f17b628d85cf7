//! Inside a program a module imports only what lies before it in the flow.
//!
//! ```text
//!   agent        sample, check, scrape, logs → encode → spool → session → send
//!   aggregator   receive → store ← query ← evaluate ← alert ← notify,  serve reads all but receive
//! ```
//!
//! Data flows along the arrows of the agent; imports of the aggregator follow its arrows. `app`, `cli`,
//! `config` and `lib` put the program together and may see everything; nothing sees them.

use crate::source::{code, names_after, shipped};
use crate::tree::{Tree, judge};

/// A module and the modules beside it that it may import.
type Layer = (&'static str, &'static [&'static str]);

const AGENT: &[Layer] = &[
    ("enrol", &[]),
    ("identity", &["enrol"]),
    ("renew", &["enrol", "identity"]),
    ("skew", &["identity"]),
    ("epoch", &[]),
    ("sample", &[]),
    ("check", &[]),
    ("scrape", &[]),
    ("logs", &[]),
    ("encode", &["sample", "check", "scrape", "logs"]),
    ("spool", &["encode"]),
    ("session", &["encode", "spool"]),
    ("recorder", &["sample"]),
    ("answer", &["sample", "recorder"]),
    ("send", &["identity", "skew", "encode", "spool", "session", "answer"]),
    ("backfill", &["spool", "session", "send"]),
    ("once", &["sample"]),
    ("doctor", &["config", "enrol", "sample"]),
];

const AGGREGATOR: &[Layer] = &[
    ("identity", &[]),
    ("peer", &["identity"]),
    ("limit", &["peer"]),
    ("store", &[]),
    ("agents", &["store"]),
    ("receive", &["peer", "limit", "store", "identity", "agents"]),
    ("query", &["store"]),
    ("evaluate", &["store", "query"]),
    ("judge", &["store", "identity", "evaluate"]),
    ("alert", &["store", "query", "evaluate"]),
    ("notify", &["store", "query", "evaluate", "alert"]),
    ("serve", &["peer", "limit", "store", "identity", "agents", "query", "evaluate", "alert", "notify"]),
];

/// Put the program together.
const WHOLE: &[&str] = &["app", "cli", "config", "lib", "main"];

fn problems(tree: &Tree) -> Vec<String> {
    let shipped = |below| tree.sources(below).filter(|(path, _)| !tree.is_test(path));
    let agent = shipped("agent/src/").flat_map(|(path, text)| in_file(path, text, AGENT));
    let aggregator = shipped("aggregator/src/").flat_map(|(path, text)| in_file(path, text, AGGREGATOR));
    agent.chain(aggregator).collect()
}

fn in_file(path: &str, text: &str, layers: &[Layer]) -> Vec<String> {
    let inner = path.split_once("/src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
    let parts: Vec<&str> = inner.trim_end_matches("/mod").split('/').collect();
    let module = parts[0];
    if WHOLE.contains(&module) {
        return Vec::new();
    }
    let Some((_, allowed)) = layers.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{path}: module `{module}` without a place in tests/tidy/modules.rs")];
    };
    let text = code(shipped(text));
    let mut imports = names_after(&text, "crate::");
    imports.extend(names_after(&text, &"super::".repeat(parts.len())));
    imports.sort_unstable();
    imports.dedup();
    let known = |name: &&str| layers.iter().any(|(layer, _)| layer == name) || WHOLE.contains(name);
    let wrong = imports.into_iter().filter(known).filter(|name| *name != module && !allowed.contains(name));
    wrong.map(|name| format!("{path}: `{module}` may not import `{name}`")).collect()
}

#[test]
fn ours() {
    judge(problems(&Tree::ours()));
}

#[test]
fn planted() {
    let check = |path: &str, text: &str, expect: &[&str]| {
        let found = problems(&Tree::planted(&[(path, text)]));
        let expect: Vec<String> = expect.iter().map(|problem| format!("{path}: {problem}")).collect();
        assert_eq!(found, expect, "{text}");
    };
    check("agent/src/send.rs", "use crate::spool::Spool;", &[]);
    check("agent/src/app.rs", "use crate::{send, sample};", &[]);
    check("agent/src/sample/cpu.rs", "use super::Sampler;", &[]);
    check("agent/src/spool.rs", "use crate::send::X;", &["`spool` may not import `send`"]);
    check("agent/src/spool.rs", "use super::send::X;", &["`spool` may not import `send`"]);
    check("agent/src/sample/cpu.rs", "use super::super::encode;", &["`sample` may not import `encode`"]);
    check("agent/src/sample/mod.rs", "use super::logs::X;", &["`sample` may not import `logs`"]);
    check("agent/src/encode.rs", "fn f(c: crate::config::C) {}", &["`encode` may not import `config`"]);
    check("aggregator/src/store/mod.rs", "use crate::query;", &["`store` may not import `query`"]);
    check(
        "aggregator/src/query/eval.rs",
        "use crate::{evaluate::X, store};",
        &["`query` may not import `evaluate`"],
    );
    check("aggregator/src/alert/book.rs", "use crate::receive::X;", &["`alert` may not import `receive`"]);
    check("aggregator/src/serve/grpc.rs", "use crate::receive::X;", &["`serve` may not import `receive`"]);
    check("aggregator/src/receive/session.rs", "use crate::{identity, store};", &[]);
    let tests = "#[cfg(test)]\nmod tests { use crate::send; }";
    check("agent/src/spool.rs", tests, &[]);
    check("agent/src/misc.rs", "", &["module `misc` without a place in tests/tidy/modules.rs"]);
}
