//! `docs/config.md`, and the files that are shipped.

use super::options::{Content, Item, PROGRAMS, Program, fields};
use crate::tree::Tree;
use quorate_common::config::ALIASES;
use quorate_common::telemetry::{Colour, Format, Level};
use std::fmt::Write;

/// Width of the comments in shipped files.
const WIDTH: usize = 96;

const HEAD: &str = "# Configuration

Written by `make documents` from the code; change it there.

Agent and aggregator read TOML: one file or a directory by `--config PATH`, whose `*.toml` merge in the order of their \
names (tables merge, everything else is replaced). Without `--config` the defaults stand. The environment wins over files, \
flags win over both. Unknown keys are refused: `check-config` of each program tells every mistake, and a wrong \
configuration ends a program with exit code 78. Complete files with these defaults are in `deploy/config`.

Numbers carry their unit in the name; lists and tables in a variable are written as in TOML.
";

/// The whole document.
pub fn document(tree: &Tree) -> String {
    let mut text = HEAD.to_owned();
    for program in PROGRAMS {
        write!(text, "\n## {}.toml\n", program.name).expect("a text takes all");
        let (options, sections) = split(program.items(tree));
        options_table(&mut text, &options);
        sections.into_iter().for_each(|section| section_below(&mut text, section));
    }
    client(&mut text, tree);
    aliases(&mut text);
    text
}

/// A file with every option at its default.
pub fn shipped_file(tree: &Tree, program: &Program) -> String {
    let mut text = format!(
        "# Configuration of quorate-{0}: every option, at its default.\n\
         # Written by `make documents`; see docs/config.md. Use it with `quorate-{0} --config FILE`.\n",
        program.name
    );
    lines(&mut text, program.items(tree));
    text
}

fn lines(text: &mut String, items: Vec<Item>) {
    for Item { path, help, content } in items {
        text.push('\n');
        comment(text, &help);
        match content {
            Content::Leaf(value, _) => {
                let key = path.rsplit('.').next().unwrap_or(&path);
                writeln!(text, "{key} = {value}").expect("a text takes all");
            }
            Content::Section(items) => {
                writeln!(text, "[{path}]").expect("a text takes all");
                lines(text, items);
            }
        }
    }
}

fn comment(text: &mut String, help: &str) {
    let mut line = "#".to_owned();
    for word in help.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&(line + "\n"));
            line = "#".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&(line + "\n"));
}

fn split(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    items.into_iter().partition(|item| matches!(item.content, Content::Leaf(..)))
}

fn section_below(text: &mut String, section: Item) {
    let Content::Section(items) = section.content else { return };
    write!(text, "\n### [{}]\n\n{}\n", section.path, section.help).expect("a text takes all");
    let (options, sections) = split(items);
    options_table(text, &options);
    sections.into_iter().for_each(|section| section_below(text, section));
}

fn options_table(text: &mut String, options: &[Item]) {
    text.push_str("\n| Key | Default | Unit | Meaning | Variable |\n|---|---|---|---|---|\n");
    for Item { path, help, content } in options {
        let Content::Leaf(value, kind) = content else { continue };
        let key = path.rsplit('.').next().unwrap_or(path);
        let (unit, variable) = (unit(key, kind), variable(path));
        writeln!(text, "| `{key}` | `{value}` | {unit} | {help} | `{variable}` |").expect("a text takes all");
    }
}

/// What a value is counted in, or what it is.
fn unit(key: &str, kind: &str) -> String {
    let words = |all: Vec<&str>| all.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let named = [("_per_s", "per second"), ("_ms", "milliseconds"), ("_bytes", "bytes"), ("_s", "seconds")];
    let unit = named.iter().find(|(part, _)| format!("{key}_").contains(&format!("{part}_")));
    match (unit, kind) {
        (Some((_, unit)), _) => (*unit).to_owned(),
        (None, "u32" | "usize") => "count".to_owned(),
        (None, "PathBuf") => "path".to_owned(),
        (None, "Period") => "duration".to_owned(),
        (None, "Size") => "size".to_owned(),
        (None, "Share") => "share of one processor".to_owned(),
        (None, "SocketAddr") => "IP address:port".to_owned(),
        (None, "Vec<String>") => "list of texts".to_owned(),
        (None, "BTreeMap<String, NonZeroU32>") => "table of votes by cluster".to_owned(),
        (None, "Level") => words(Level::ALL.iter().map(|word| word.as_str()).collect()),
        (None, "Format") => words(Format::ALL.iter().map(|word| word.as_str()).collect()),
        (None, "Colour") => words(Colour::ALL.iter().map(|word| word.as_str()).collect()),
        (None, other) => panic!("`{key}` is `{other}`: what is it called for people?"),
    }
}

fn variable(path: &str) -> String {
    let joined = path.to_uppercase().replace('.', "__");
    if path.contains('.') { format!("QUORATE_{joined}") } else { format!("QUORATE__{joined}") }
}

/// The client's file has the names of its flags; what they mean stands in both places of the code.
fn client(text: &mut String, tree: &Tree) {
    text.push_str(
        "\n## client.toml\n\nOf the command line `quorate`: `~/.config/quorate/client.toml`, or `--config FILE`. \
         Every value is a text; paths may be relative to the file. Flags win over variables, variables over the \
         file. `quorate check-config FILE` tells every mistake.\n\n\
         | Key and flag | Default | Meaning | Variable |\n|---|---|---|---|\n",
    );
    let command = quorate::words();
    for field in fields(&tree.0["client/src/config.rs"], "Target") {
        let flag = command.get_arguments().find(|flag| flag.get_id().as_str() == field.name);
        let flag = flag.unwrap_or_else(|| panic!("`{}` has no flag", field.name));
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let (help, default) = help.split_once(" [default: ").unwrap_or((&help, ""));
        let default = if default.is_empty() { "none" } else { default.trim_end_matches(']') };
        let variable = flag.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        writeln!(text, "| `{}` | `{default}` | {help}. | `{variable}` |", field.name)
            .expect("a text takes all");
    }
}

fn aliases(text: &mut String) {
    text.push_str(
        "\n## Names of other systems\n\nWeaker than a `QUORATE_` variable, stronger than a file. \
         What a text becomes is told in `docs/operations.md`.\n\n\
         | Variable | Programs | Key |\n|---|---|---|\n",
    );
    for alias in ALIASES {
        writeln!(text, "| `{}` | {} | `{}` |", alias.name, alias.programs.join(", "), alias.key)
            .expect("a text takes all");
    }
}

#[test]
fn variables_are_as_they_are_read() {
    let environment = [(variable("state_dir"), "/x"), (variable("sample.process.top"), "7")];
    let loaded = quorate_common::config::load("agent", None, &environment.into_iter().collect());
    let config: quorate_agent::config::Config = loaded.unwrap_or_else(|error| panic!("{error}")).value;
    assert_eq!((config.state_dir.to_str(), config.sample.process.top), (Some("/x"), 7));
}
