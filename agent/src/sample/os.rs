//! The distribution: `/etc/os-release`, or `/usr/lib/os-release`.

use super::error::SampleError;
use super::labelled::Labelled;
use super::reader::File;
use super::{Sampler, Sink};
use quorate_common::catalog::{OS_INFO, OS_VERSION};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::collections::BTreeMap;
use std::path::Path;

/// Labels, which are the file's keys in small letters.
const LABELS: [&str; 12] = [
    "build_id",
    "id",
    "id_like",
    "image_id",
    "image_version",
    "name",
    "pretty_name",
    "variant",
    "variant_id",
    "version",
    "version_codename",
    "version_id",
];

/// Reads one of two files.
pub(super) struct Os {
    files: [File; 2],
    interval_ms: u32,
    said: Labelled,
}

impl Os {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Os {
        let files = ["etc/os-release", "usr/lib/os-release"].map(|path| File::new(root, path));
        Os { files, interval_ms, said: Labelled::default() }
    }
}

impl Sampler for Os {
    fn name(&self) -> &'static str {
        "os"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        let [etc, usr] = &mut self.files;
        let found = match etc.read_if_any()? {
            Some((_, bytes)) => Some(read(bytes)),
            None => usr.read_if_any()?.map(|(_, bytes)| read(bytes)),
        };
        let said = found.unwrap_or_default();
        let pick = |names: &[&'static str]| {
            Labels::new(names.iter().filter_map(|name| Some((*name, said.get(*name)?.as_str()))))
        };
        let (all, some) = (pick(&LABELS)?, pick(&["id", "id_like", "name"])?);
        if !all.is_empty() {
            self.said.set((&OS_INFO, &all), 1, out)?;
        }
        if let Some(version) = said.get("version_id").and_then(|text| decimal(text)) {
            self.said.set((&OS_VERSION, &some), OS_VERSION.form.cell(version), out)?;
        }
        self.said.finish(out);
        Ok(())
    }
}

/// `KEY="value"` by line, as a shell reads it. What is no such line is left out: people edit this file.
fn read(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    pairs.map(|(key, value)| (key.to_ascii_lowercase(), unquote(value))).collect()
}

fn unquote(value: &str) -> String {
    let quoted = ['"', '\''].into_iter().find_map(|mark| value.strip_prefix(mark)?.strip_suffix(mark));
    let (mut plain, mut escaped) = (String::new(), false);
    for c in quoted.unwrap_or(value).chars() {
        escaped = c == '\\' && !escaped;
        if !escaped {
            plain.push(c);
        }
    }
    plain
}

/// The beginning of a version that is a decimal number: 22.04 of `22.04.3`.
fn decimal(version: &str) -> Option<f64> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(version);
    let end = version[whole..].strip_prefix('.').map_or(whole, |rest| whole + 1 + digits(rest));
    version[..end].parse().ok().filter(|_| whole > 0)
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn the_distribution_names_itself() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        let mut os = Os::new(tree.root(), 60_000);
        let mut check = |path: &str, text: &str, expect: &str| {
            tree.write(path, text);
            assert_eq!(sample(&mut os, &mut board).unwrap(), expect);
        };
        check("usr/lib/os-release", "ID=arch\n", "node_os_info{id=\"arch\"} 1\n");
        check(
            "etc/os-release",
            "# x\nNAME=\"Red \\\"Hat\\\"\"\nID='rhel'\nVERSION_ID=\"8.10\"\nHOME_URL=y\ngarbage\n",
            "node_os_info{id=\"rhel\",name=\"Red \\\"Hat\\\"\",version_id=\"8.10\"} 1\n\
             node_os_version{id=\"rhel\",name=\"Red \\\"Hat\\\"\"} 8.1\n",
        );
        check("etc/os-release", "\u{1}\n", "");
    }

    #[test]
    fn versions() {
        for (text, expect) in [
            ("12", Some(12.0)),
            ("22.04.3", Some(22.04)),
            ("9-stream", Some(9.0)),
            ("", None),
            ("x1", None),
            (".5", None),
        ] {
            assert_eq!(decimal(text), expect, "{text}");
        }
    }
}
