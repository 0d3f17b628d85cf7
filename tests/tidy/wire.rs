//! Generated types stay at the edges: everything else speaks the model's words.

use crate::source::{code, names_after, shipped};
use crate::tree::{Tree, judge};

/// Files and folders that may name a generated type.
const EDGES: &[&str] = &[
    "proto/",
    "agent/src/send.rs",
    "agent/src/answer.rs",
    "agent/src/backfill.rs",
    "agent/src/send/",
    "agent/src/enrol.rs",
    "agent/src/enrol/",
    "aggregator/src/receive/service.rs",
    "aggregator/src/serve/",
    "aggregator/src/app/doors.rs",
    "client/",
];

fn problems(tree: &Tree) -> Vec<String> {
    let inner = |path: &str| !tree.is_test(path) && !EDGES.iter().any(|edge| path.starts_with(edge));
    let names = |text: &str| {
        let code = code(shipped(text));
        names_after(&code, "quorate_proto::").iter().any(|name| matches!(*name, "v1" | "*"))
    };
    let wrong = tree.sources("").filter(|(path, text)| inner(path) && names(text));
    wrong.map(|(path, _)| format!("{path}: names a type of quorate_proto::v1")).collect()
}

#[test]
fn ours() {
    judge(problems(&Tree::ours()));
}

#[test]
fn planted() {
    let check = |path: &str, text: &str, wrong: bool| {
        assert_eq!(!problems(&Tree::planted(&[(path, text)])).is_empty(), wrong, "{path} {text}");
    };
    check("agent/src/spool.rs", "use quorate_proto::v1::Frame;", true);
    check("agent/src/spool.rs", "use quorate_proto::{convert, v1};", true);
    check("aggregator/src/receive/session.rs", "fn f(x: quorate_proto::v1::Ack) {}", true);
    check("aggregator/src/store/mod.rs", "use quorate_proto::*;", true);
    check("agent/src/spool.rs", "use quorate_proto::convert;", false);
    check("agent/src/send.rs", "use quorate_proto::v1::Frame;", false);
    check("aggregator/src/receive/service.rs", "use quorate_proto::v1::Frame;", false);
    check("client/src/command/nodes.rs", "use quorate_proto::v1::Node;", false);
}
