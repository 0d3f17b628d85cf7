//! The files of the repository in memory; or a few planted ones.

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
