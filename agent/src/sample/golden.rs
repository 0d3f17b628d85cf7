//! For tests: small trees of `/proc`, captured or invented, and what a collector says of them as text.

use super::round::{Book, SlotMap};
use super::{Config, NewSeries, Sampler, Sink};
use quorate_common::model::time::{BootTime, Now, WallTime};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When all of it happens.
pub(super) const AT: Now =
    Now { boot: BootTime(1_000_000_000_000), wall: WallTime(1_795_203_000_125_000_000) };

/// A root directory that is gone after the test.
pub(super) struct Tree(tempfile::TempDir);

impl Tree {
    /// With an empty `proc`.
    pub fn empty() -> Tree {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        Tree(dir)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// The root as it stands in error messages.
    pub fn display(&self) -> String {
        self.root().display().to_string()
    }

    /// Writes into the file there is, so that kept descriptors see it.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A sink together with the book that numbers its series.
#[derive(Default)]
pub(super) struct Board {
    pub sink: Sink,
    book: Book,
    map: SlotMap,
    live: BTreeMap<u32, NewSeries>,
}

/// One round at [`AT`] as lines `series value`, sorted; or the failure and its causes.
pub(super) fn sample(sampler: &mut dyn Sampler, board: &mut Board) -> Result<String, String> {
    sampler.sample(AT, &mut board.sink).map_err(|error| quorate_common::error::chain(&error))?;
    Ok(show(board))
}

/// The living series.
pub(super) fn show(board: &mut Board) -> String {
    board.book.absorb(0, &mut board.sink, &mut board.map);
    let round = board.book.close(AT, 1000, Arc::new([]));
    board.live.extend(round.registered.into_iter().map(|new| (new.slot, new)));
    round.retired.iter().for_each(|slot| assert!(board.live.remove(slot).is_some()));
    let line = |new: &NewSeries| {
        let metric = &new.spec.metric;
        let value = metric.form.value(round.cells[new.slot as usize]);
        format!("{}{} {value}\n", metric.name, new.spec.labels)
    };
    let mut lines: Vec<String> = board.live.values().map(line).collect();
    lines.sort();
    lines.concat()
}

fn testdata(tree: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sample/testdata").join(tree)
}

/// What all collectors that read below the root say of a tree, against the text that was approved.
fn check(tree: &str) {
    let root = testdata(tree);
    let mut text = String::new();
    for mut sampler in super::collectors(&Config::default(), &root) {
        // These two ask the kernel and not the tree; what says nothing of a tree is not mentioned.
        if !["uname", "filesystem"].contains(&sampler.name()) {
            let said = sample(&mut *sampler, &mut Board::default());
            let said = said.unwrap_or_else(|error| error.replace(&root.display().to_string(), "") + "\n");
            text += &format!("# {}\n{said}", sampler.name());
        }
    }
    let expect = std::fs::read_to_string(root.join("expect.txt")).unwrap();
    assert_eq!(text, expect, "the tree {tree} now says\n{text}");
}

#[test]
fn a_captured_host() {
    check("host");
}

#[test]
fn an_old_kernel_with_few_fields() {
    check("old");
}

#[test]
fn many_processors() {
    check("cores");
}

#[test]
fn a_machine_with_sensors_and_many_disks() {
    check("metal");
}

#[test]
fn a_container_that_sees_little() {
    check("container");
}

#[test]
fn odd_names() {
    check("odd");
}

#[test]
fn odd_values_and_garbage() {
    check("garbage");
}
