//! The files of the repository in memory; or a few planted ones.

use crate::source::test_modules;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Text files by their path from the root.
#[derive(Debug, Default)]
pub struct Tree(pub BTreeMap<String, String>);

/// Never ours, or not source.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "dist", "__pycache__"];
const ENDINGS: &[&str] = &["rs", "toml", "proto", "md", "lock"];

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root").to_owned()
}

impl Tree {
    /// Our own files.
    pub fn ours() -> Tree {
        let mut tree = Tree::default();
        tree.read(&root(), "");
        assert!(tree.0.contains_key("Cargo.toml"), "no tree at {}", root().display());
        tree
    }

    /// A few files that are not on any disk.
    pub fn planted(files: &[(&str, &str)]) -> Tree {
        Tree(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect())
    }

    /// Rust sources below a folder.
    pub fn sources<'a>(&'a self, below: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let inside = move |path: &str| path.starts_with(below) && path.ends_with(".rs");
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str())).filter(move |(path, _)| inside(path))
    }

    /// Whether a file is compiled for tests only.
    pub fn is_test(&self, path: &str) -> bool {
        if path.starts_with("tests/") || path.ends_with("/tests.rs") {
            return true;
        }
        self.sources("").any(|(parent, text)| {
            let (directory, file) = parent.rsplit_once('/').unwrap_or(("", parent));
            let below = match file {
                "mod.rs" | "lib.rs" | "main.rs" => directory,
                _ => parent.trim_end_matches(".rs"),
            };
            let inside = path.strip_prefix(below).and_then(|rest| rest.strip_prefix('/'));
            let covers = |inside: &str, name: &str| {
                let rest = inside.strip_prefix(name);
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            inside.is_some_and(|inside| test_modules(text).any(|name| covers(inside, name)))
        })
    }

    fn read(&mut self, directory: &Path, prefix: &str) {
        for entry in std::fs::read_dir(directory).expect("the tree can be read") {
            let entry = entry.expect("the tree can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("the tree can be read");
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                self.read(&entry.path(), &format!("{prefix}{name}/"));
            } else if kind.is_file() && ENDINGS.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
                let text = std::fs::read_to_string(entry.path()).expect("sources are UTF-8");
                self.0.insert(format!("{prefix}{name}"), text);
            }
        }
    }
}

/// Fails with all that is wrong, one thing a line.
pub fn judge(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn files_for_tests_only_are_known() {
    let declared = "//! x\n#[cfg(test)]\nmod fake;\nmod real;\n#[cfg(test)]\nmod drawn;";
    let tree = Tree::planted(&[("agent/src/send/mod.rs", declared), ("agent/src/spool.rs", declared)]);
    for (path, expect) in [
        ("agent/src/send/fake.rs", true),
        ("agent/src/send/real.rs", false),
        ("agent/src/send/drawn/deep.rs", true),
        ("agent/src/spool/fake.rs", true),
        ("agent/src/fake.rs", false),
        ("agent/src/encode/tests.rs", true),
        ("tests/harness/lib.rs", true),
    ] {
        assert_eq!(tree.is_test(path), expect, "{path}");
    }
}
