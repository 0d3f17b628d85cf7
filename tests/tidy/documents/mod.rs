//! Documents that are written from the code, so that nothing is said twice: `make documents`.
//!
//! ```text
//!   common/src/catalog.rs ─────────────────────→ docs/metrics.md
//!   Default + `///` of every Config struct ──┬─→ docs/config.md
//!                                            └─→ deploy/config/*.toml
//! ```

mod config;
mod metrics;
mod options;

use crate::tree::{Tree, judge, root};
use quorate_common::config::Environment;

/// Set, it has the documents written instead of compared.
const SWITCH: &str = "QUORATE_WRITE_DOCUMENTS";

/// Every document: its path from the root, and what should be in it.
fn documents(tree: &Tree) -> Vec<(String, String)> {
    let mut all = vec![
        ("docs/metrics.md".to_owned(), metrics::document(tree)),
        ("docs/config.md".to_owned(), config::document(tree)),
    ];
    all.extend(options::PROGRAMS.iter().map(|program| {
        (format!("deploy/config/{}.toml", program.name), config::shipped_file(tree, program))
    }));
    all
}

#[test]
fn they_say_what_the_code_says() {
    let tree = Tree::ours();
    let written = documents(&tree);
    if Environment::capture().get(SWITCH).is_some() {
        for (path, text) in &written {
            std::fs::write(root().join(path), text).expect("the tree can be written");
        }
        return;
    }
    let differs = |path: &String, text: &String| tree.0.get(path) != Some(text);
    let stale = written.iter().filter(|(path, text)| differs(path, text));
    judge(stale.map(|(path, _)| format!("{path}: differs from the code, run `make documents`")).collect());
}

#[test]
fn shipped_files_load_and_change_nothing() {
    fn check<T>(name: &str)
    where
        T: serde::de::DeserializeOwned + serde::Serialize + Default,
    {
        let path = root().join("deploy/config").join(format!("{name}.toml"));
        let loaded = quorate_common::config::load::<T>(name, Some(&path), &Environment::default());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}")).value;
        let text = |value: &T| toml::to_string(value).expect("a configuration is TOML");
        assert_eq!(text(&loaded), text(&T::default()), "{name}");
    }
    check::<quorate_agent::config::Config>("agent");
    check::<quorate_aggregator::config::Config>("aggregator");
}
