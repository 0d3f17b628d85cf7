//! `docs/metrics.md`: the catalog as a table, with the collector that each metric comes from.

use crate::source::{code, literals, shipped};
use crate::tree::Tree;
use quorate_common::catalog::{CATALOG, MetricDef};
use quorate_common::model::series::{MetricKind, SeriesClass};
use std::fmt::Write;

const HEAD: &str = "# Metrics

Written by `make documents` from `common/src/catalog.rs`; change it there. Labels `node`, `instance`, `cluster` and `zone` \
are put on when series are read. What the collector column leaves open \
is said by the agent of itself, and, where the class is `other`, by the aggregator of itself and its fleet at `/metrics`.

| Name | Kind | Unit | Class | Collector | Meaning |
|---|---|---|---|---|---|
";

/// The whole document.
pub fn document(tree: &Tree) -> String {
    let collectors = collectors(tree);
    let mut text = HEAD.to_owned();
    for def in CATALOG {
        let kind = match def.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        let class = match def.class {
            SeriesClass::System => "system",
            SeriesClass::Process => "process",
            SeriesClass::Other => "other",
        };
        let collector = collectors.iter().find(|collector| collector.reads(tree, def));
        let collector = collector.map(|collector| collector.name.as_str()).unwrap_or_default();
        let MetricDef { name, unit, help, .. } = def;
        writeln!(text, "| `{name}` | {kind} | {unit} | {class} | {collector} | {help} |")
            .expect("a text takes all");
    }
    text
}

/// A collector, and the code that belongs to it.
struct Collector {
    name: String,
    code: String,
}

/// What Linux agents run; each begins with the type that says its name.
fn collectors(tree: &Tree) -> Vec<Collector> {
    const NAMED: &str = "fn name(&self) -> &'static str {";
    let mut all = Vec::new();
    let files = tree.sources("agent/src/sample/").filter(|(path, _)| !path.ends_with("/host.rs"));
    for (_, text) in files {
        let code = code(shipped(text));
        let named: Vec<usize> = code.match_indices(NAMED).map(|(at, _)| at).collect();
        // What stands before the first type belongs to it too: the lists of what it reads.
        let begins =
            |at: usize| if at == 0 { 0 } else { code[..named[at]].rfind("pub struct ").unwrap_or(0) };
        for at in 0..named.len() {
            let end = if at + 1 < named.len() { begins(at + 1) } else { code.len() };
            let name = literals(&code[named[at]..]).next().map(str::to_owned);
            all.extend(name.map(|name| Collector { name, code: code[begins(at)..end].to_owned() }));
        }
    }
    all
}

impl Collector {
    /// Whether it names the metric, or looks its own metrics up by name and this is one of them.
    fn reads(&self, tree: &Tree, def: &MetricDef) -> bool {
        let id = constant(&tree.0["common/src/catalog.rs"], def.name).unwrap_or(def.name);
        let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let body = self.code.lines().filter(|line| !line.starts_with("use "));
        let names = body.flat_map(|line| line.split(|c| !inside(c))).any(|word| word == id);
        let looks_up = self.code.contains("catalog::find(");
        names || looks_up && def.name.starts_with(&format!("node_{}_", self.name))
    }
}

/// The constant that declares a metric.
fn constant<'a>(catalog: &'a str, name: &str) -> Option<&'a str> {
    let quoted = format!("\"{name}\"");
    let line = catalog.lines().find(|line| line.contains(&quoted));
    line?.trim().split(' ').next()
}

#[test]
fn collectors_are_found() {
    let sample = |name: &str| format!("pub struct X;\nfn name(&self) -> &'static str {{\n\"{name}\"\n}}\n");
    let two = format!("{}f(&LOAD1);\n{}f(&UNAME_INFO);", sample("load"), sample("uname"));
    let memory = format!("{}catalog::find(x)", sample("memory"));
    let catalog = "LOAD1 = \"node_load1\"\nUNAME_INFO = \"node_uname_info\"";
    let tree = Tree::planted(&[
        ("common/src/catalog.rs", catalog),
        ("agent/src/sample/a.rs", &two),
        ("agent/src/sample/b.rs", &memory),
    ]);
    let text = document(&tree);
    let check = |name: &str, collector: &str| {
        let line = text.lines().find(|line| line.contains(&format!("`{name}`"))).expect("it is there");
        assert_eq!(line.split('|').nth(5).map(str::trim), Some(collector), "{line}");
    };
    check("node_load1", "load");
    check("node_uname_info", "uname");
    check("node_memory_MemFree_bytes", "memory");
    check("node_forks_total", "");
}
