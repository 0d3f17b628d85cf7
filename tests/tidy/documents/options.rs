//! The options of a program: their defaults from the values, their meaning from the comments in the source.

use crate::tree::Tree;
use toml::{Table, Value};

/// A program and where its configuration is declared.
pub struct Program {
    /// As its file is called, without `.toml`.
    pub name: &'static str,
    /// Its defaults, as TOML has them.
    pub defaults: fn() -> Table,
    /// The file of each struct, by the type as a field names it; the first is the whole.
    structs: &'static [(&'static str, &'static str)],
}

/// One option, or a section of them.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// The keys to it, joined by dots.
    pub path: String,
    /// Its comment, a paragraph a line.
    pub help: String,
    /// What it is.
    pub content: Content,
}

/// What an item is.
#[derive(Debug, PartialEq)]
pub enum Content {
    /// An option: its default and its Rust type.
    Leaf(Value, String),
    /// A section, options first.
    Section(Vec<Item>),
}

/// The programs that read their configuration with `common::config::load`.
pub const PROGRAMS: &[Program] = &[
    Program {
        name: "agent",
        defaults: || table(&quorate_agent::config::Config::default()),
        structs: &[
            ("Config", "agent/src/config.rs"),
            ("sample::Config", "agent/src/sample/config.rs"),
            ("ProcessConfig", "agent/src/sample/config.rs"),
            ("spool::Config", "agent/src/spool.rs"),
            ("recorder::Config", "agent/src/recorder/config.rs"),
            ("sample::BudgetConfig", "agent/src/sample/budget.rs"),
            ("telemetry::Config", "common/src/telemetry.rs"),
        ],
    },
    Program {
        name: "aggregator",
        defaults: || table(&quorate_aggregator::config::Config::default()),
        structs: &[
            ("Config", "aggregator/src/config.rs"),
            ("Listen", "aggregator/src/config.rs"),
            ("Advertise", "aggregator/src/config.rs"),
            ("identity::Config", "aggregator/src/identity/config.rs"),
            ("Limits", "aggregator/src/limit/mod.rs"),
            ("DoorLimits", "aggregator/src/limit/mod.rs"),
            ("RejoinLimits", "aggregator/src/limit/mod.rs"),
            ("Http2Limits", "aggregator/src/limit/mod.rs"),
            ("CallLimits", "aggregator/src/limit/mod.rs"),
            ("AgentLimits", "aggregator/src/limit/mod.rs"),
            ("EnrolLimits", "aggregator/src/limit/mod.rs"),
            ("HttpLimits", "aggregator/src/limit/mod.rs"),
            ("QueryLimits", "aggregator/src/limit/mod.rs"),
            ("http::Config", "aggregator/src/serve/http/config.rs"),
            ("evaluate::Config", "aggregator/src/evaluate/config.rs"),
            ("history::Config", "aggregator/src/store/embedded/config.rs"),
            ("telemetry::Config", "common/src/telemetry.rs"),
        ],
    },
];

impl Program {
    /// Everything that can be set, as declared, options before sections.
    pub fn items(&self, tree: &Tree) -> Vec<Item> {
        self.below(tree, "", self.structs[0].0, &(self.defaults)())
    }

    fn below(&self, tree: &Tree, prefix: &str, kind: &str, defaults: &Table) -> Vec<Item> {
        let fields = fields(self.source(tree, kind), kind.rsplit("::").next().unwrap_or(kind));
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        let unknown = defaults.keys().find(|key| !names.contains(&key.as_str()));
        assert_eq!(unknown, None, "`{kind}` of {} has an option that its source does not show", self.name);
        let mut items: Vec<Item> = fields
            .into_iter()
            .map(|Field { name, kind, help }| {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                let value = defaults.get(&name).unwrap_or_else(|| panic!("`{path}` has no default"));
                let content = match value {
                    Value::Table(table) if self.structs.iter().any(|(known, _)| *known == kind) => {
                        Content::Section(self.below(tree, &path, &kind, table))
                    }
                    value => Content::Leaf(value.clone(), kind),
                };
                Item { path, help, content }
            })
            .collect();
        items.sort_by_key(|item| matches!(item.content, Content::Section(_)));
        items
    }

    fn source<'a>(&self, tree: &'a Tree, kind: &str) -> &'a str {
        let (_, file) = self.structs.iter().find(|(known, _)| *known == kind).expect("the type is known");
        tree.0.get(*file).unwrap_or_else(|| panic!("{file} is not there"))
    }
}

fn table(config: &impl serde::Serialize) -> Table {
    Table::try_from(config).expect("a configuration is a table")
}

/// A field of a struct, as its source shows it.
#[derive(Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type as written.
    pub kind: String,
    /// Its comment in one line, links taken out.
    pub help: String,
}

/// The public fields of a struct that are read from a configuration.
pub fn fields(source: &str, name: &str) -> Vec<Field> {
    let begin = format!("pub struct {name} {{\n");
    let at = source.find(&begin).unwrap_or_else(|| panic!("no `pub struct {name}`"));
    let (mut fields, mut help, mut skipped) = (Vec::new(), Vec::new(), false);
    for line in source[at + begin.len()..].lines().take_while(|line| *line != "}").map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            help.push(text.trim());
        } else if line.starts_with("#[serde(skip") {
            skipped = true;
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            let help = std::mem::take(&mut help).join(" ").replace("[`", "`").replace("`]", "`");
            if !std::mem::take(&mut skipped) {
                let kind = kind.trim_end_matches(',').to_owned();
                fields.push(Field { name: name.to_owned(), kind, help });
            }
        }
    }
    fields
}

#[test]
fn fields_are_read() {
    let source = "/// x\npub struct A {\n    /// One\n    /// and [`two`].\n    pub a: u32,\n    \
                  /// Hidden.\n    #[serde(skip)]\n    pub b: u8,\n    /// C.\n    pub c: Vec<String>,\n}\n\
                  pub struct B {\n    pub d: u8,\n}\n";
    let field = |name: &str, kind: &str, help: &str| Field {
        name: name.into(),
        kind: kind.into(),
        help: help.into(),
    };
    let expect = [field("a", "u32", "One and `two`."), field("c", "Vec<String>", "C.")];
    assert_eq!(fields(source, "A"), expect);
    assert_eq!(fields(source, "B"), [field("d", "u8", "")]);
}
