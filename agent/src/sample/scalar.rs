//! Collectors of series without labels: each is some files of the kernel and a way to read each of them.
//!
//! Holds what many subjects share: names are looked up once, values are held back until all files are
//! understood, and a file that this kernel does not have is said once and is no failure.

use super::error::SampleError;
use super::keyed::Keyed;
use super::reader::File;
use super::text::{Lines, cell};
use super::{Sampler, Sink, Slot};
use quorate_common::catalog::MetricDef;
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::Path;

/// Reads one file: finds what stands in it and gives it to the fields.
pub(super) type Parse = fn(Lines<'_>, &mut Fields<'_>) -> Result<(), SampleError>;

/// A collector of series without labels.
pub(super) struct Scalars {
    name: &'static str,
    interval_ms: u32,
    sources: Vec<Source>,
    parsed: Vec<(Slot, i64)>,
}

struct Source {
    file: File,
    parse: Parse,
    fields: Keyed<Option<Slot>>,
}

/// Where the values of one file go.
pub(super) struct Fields<'a> {
    fields: &'a mut Keyed<Option<Slot>>,
    parsed: &'a mut Vec<(Slot, i64)>,
    out: &'a mut Sink,
}

impl Scalars {
    /// Reads `files` below `root`, every `interval_ms`.
    pub fn new(name: &'static str, root: &Path, interval_ms: u32, files: &[(&str, Parse)]) -> Scalars {
        let source = |(path, parse): &(&str, Parse)| Source {
            file: File::new(root, path),
            parse: *parse,
            fields: Keyed::default(),
        };
        Scalars { name, interval_ms, sources: files.iter().map(source).collect(), parsed: Vec::new() }
    }
}

impl Sampler for Scalars {
    fn name(&self) -> &'static str {
        self.name
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        self.parsed.clear();
        for Source { file, parse, fields } in &mut self.sources {
            if let Some((path, bytes)) = file.read_if_any()? {
                parse(Lines::new(path, bytes), &mut Fields { fields, parsed: &mut self.parsed, out })?;
            }
        }
        self.parsed.iter().for_each(|(slot, cell)| out.set(*slot, *cell));
        for source in &mut self.sources {
            source.fields.finish(|slot| slot.into_iter().for_each(|slot| out.retire(slot)));
        }
        Ok(())
    }
}

impl Fields<'_> {
    /// The series of a field, unless nobody wants it; `find` is asked at the first mention of `key` only.
    pub fn slot<F>(&mut self, key: &[u8], find: F) -> Result<Option<Slot>, SampleError>
    where
        F: FnOnce() -> Option<&'static MetricDef>,
    {
        let out = &mut *self.out;
        let make = || Ok(find().map(|def| out.slot(def, Labels::default())));
        self.fields.entry(key, make).copied()
    }

    /// The value of a series, to be set when all is understood.
    pub fn push(&mut self, slot: Slot, cell: i64) {
        self.parsed.push((slot, cell));
    }

    /// A field that is always wanted.
    pub fn set(&mut self, def: &'static MetricDef, cell: i64) -> Result<(), SampleError> {
        if let Some(slot) = self.slot(def.name.as_bytes(), || Some(def))? {
            self.push(slot, cell);
        }
        Ok(())
    }
}

/// A file that is one number.
pub(super) fn one(
    mut lines: Lines<'_>,
    fields: &mut Fields<'_>,
    def: &'static MetricDef,
) -> Result<(), SampleError> {
    let mut line = lines.next().ok_or_else(|| lines.error("no line"))?;
    fields.set(def, cell(line.number(def.name)?))
}

/// For tests of the subjects: what a collector says of some files, or its failure.
#[cfg(test)]
pub(super) fn say(make: fn(&Path, u32) -> Scalars, files: &[(&str, &str)]) -> String {
    use super::golden::{Board, Tree, sample};
    let tree = Tree::empty();
    files.iter().for_each(|(path, text)| tree.write(path, text));
    let said = sample(&mut make(tree.root(), 1000), &mut Board::default());
    said.unwrap_or_else(|error| error.replace(&tree.display(), ""))
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};

    #[test]
    fn a_file_that_goes_takes_its_series_along() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        let mut filefd = super::super::filefd::new(tree.root(), 1000);
        assert_eq!(sample(&mut filefd, &mut board).unwrap(), "");
        tree.write("proc/sys/fs/file-nr", "1\t0\t9\n");
        let both = "node_filefd_allocated 1\nnode_filefd_maximum 9\n";
        assert_eq!(sample(&mut filefd, &mut board).unwrap(), both);
        std::fs::remove_file(tree.root().join("proc/sys/fs/file-nr")).unwrap();
        let mut again = super::super::filefd::new(tree.root(), 1000);
        assert_eq!(sample(&mut again, &mut Board::default()).unwrap(), "");
    }
}
