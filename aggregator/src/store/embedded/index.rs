//! Index: the list of all chunks of a file, and what the file covers.
//!
//! ```text
//!   cover    covered log files │ chunk files that cover them together
//!   index    cover │ (node, where, length, first, last, numbers) …
//! ```
//!
//! The index is an abridgement: it can be made anew from the chunks.

use super::chunk::{put_id, take_id};
use super::record::write::{put_bytes, put_numbers};
use super::record::{Reader, RecordError};
use crate::store::SeriesId;
use quorate_common::cell::varint::{put, zigzag};
use quorate_common::model::node::NodeId;
use quorate_common::model::time::WallTime;
use std::collections::{HashMap, HashSet};

/// Less than this are few.
const FEW: usize = 16;

/// What was sealed together: log files count as covered when all the chunk files are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cover {
    /// Names of log files.
    pub logs: Vec<String>,
    /// Names of the chunk files that have their frames, one for each class.
    pub files: Vec<String>,
}

impl Cover {
    /// Whether a process ended between the first of its files and the last. No log file is deleted before all chunk
    /// files are there: while every log file is, all that the chunk files have can be sealed again.
    pub fn is_half(&self, files: &HashSet<String>, logs: &HashSet<String>) -> bool {
        let has_all = |names: &[String], all: &HashSet<String>| names.iter().all(|name| all.contains(name));
        !self.logs.is_empty() && has_all(&self.logs, logs) && !has_all(&self.files, files)
    }
}

/// What an index says of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub node: NodeId,
    /// Where its record begins.
    pub at: u64,
    /// How long its record is.
    pub bytes: u64,
    /// Its oldest row.
    pub first: WallTime,
    /// Its newest row.
    pub last: WallTime,
    /// Its series.
    pub series: Vec<SeriesId>,
}

impl Entry {
    /// Whether any of some series is in it. Few are looked for one by one, for that is quicker.
    pub fn has_any(&self, wanted: &HashMap<SeriesId, usize>) -> bool {
        if wanted.len() < FEW {
            wanted.keys().any(|id| self.series.contains(id))
        } else {
            self.series.iter().any(|id| wanted.contains_key(id))
        }
    }
}

/// The bytes of an index.
pub fn write_index(cover: &Cover, entries: &[Entry]) -> Vec<u8> {
    let mut out = write_cover(cover);
    put(&mut out, entries.len() as u64);
    for Entry { node, at, bytes, first, last, series } in entries {
        let numbers = [zigzag(node.0), *at, *bytes, zigzag(first.0), zigzag(last.0), series.len() as u64];
        put_numbers(&mut out, numbers);
        let mut before = 0;
        series.iter().for_each(|id| put_id(&mut out, &mut before, *id));
    }
    out
}

/// What [`write_index`] wrote.
///
/// # Errors
/// [`RecordError`].
pub fn read_index(payload: &[u8]) -> Result<(Cover, Vec<Entry>), RecordError> {
    let mut reader = Reader(payload);
    let cover = take_cover(&mut reader)?;
    let count = reader.count()?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (node, at, bytes) = (reader.node()?, reader.number()?, reader.number()?);
        let (first, last, length) = (reader.time()?, reader.time()?, reader.count()?);
        let mut before = 0;
        let series = (0..length).map(|_| take_id(&mut reader, &mut before)).collect::<Result<_, _>>()?;
        entries.push(Entry { node, at, bytes, first, last, series });
    }
    if reader.0.is_empty() { Ok((cover, entries)) } else { Err(RecordError::Long) }
}

/// The bytes of a cover.
pub fn write_cover(cover: &Cover) -> Vec<u8> {
    let mut out = Vec::new();
    for names in [&cover.logs, &cover.files] {
        put(&mut out, names.len() as u64);
        names.iter().for_each(|name| put_bytes(&mut out, name.as_bytes()));
    }
    out
}

/// What [`write_cover`] wrote.
///
/// # Errors
/// [`RecordError`].
pub fn read_cover(payload: &[u8]) -> Result<Cover, RecordError> {
    take_cover(&mut Reader(payload))
}

fn take_cover(reader: &mut Reader<'_>) -> Result<Cover, RecordError> {
    let mut names = || {
        let count = reader.count()?;
        (0..count).map(|_| reader.text().map(str::to_owned)).collect::<Result<Vec<_>, RecordError>>()
    };
    Ok(Cover { logs: names()?, files: names()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::rng::{Rng, SeededRng};

    #[test]
    fn an_index_survives_and_damage_is_an_error_or_another() {
        let series = vec![SeriesId(9), SeriesId(0), SeriesId(u32::MAX)];
        let (first, last) = (WallTime(1), WallTime(i64::MAX));
        let entry = Entry { node: NodeId(-5), at: 7, bytes: u64::MAX, first, last, series };
        let cover = Cover { logs: vec!["log-1".to_owned()], files: vec!["a".to_owned(), "b".to_owned()] };
        let told = (cover, vec![entry.clone(), entry]);
        let bytes = write_index(&told.0, &told.1);
        assert_eq!(read_index(&bytes).unwrap(), told);
        assert_eq!(read_cover(&write_cover(&told.0)).unwrap(), told.0);
        (0..bytes.len()).for_each(|length| assert!(read_index(&bytes[..length]).is_err(), "{length}"));
        let mut rng = SeededRng::new(1);
        let mut refused = 0;
        for _ in 0..5_000 {
            let mut damaged = bytes.clone();
            damaged[rng.below(bytes.len() as u64) as usize] ^= 1 << rng.below(8);
            refused += usize::from(read_index(&damaged).is_err());
        }
        assert!(refused > 500, "{refused}");
    }

    #[test]
    fn half_of_what_was_sealed_goes_only_while_its_logs_are_there() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cover = Cover { logs: names(&["l", "m"]), files: names(&["a", "b"]) };
        for (files, logs, expect) in [
            (&["a"][..], &["l", "m"][..], true),
            (&["a", "b"], &["l", "m"], false),
            (&["a"], &["m"], false),
            (&["a"], &[], false),
        ] {
            let [files, logs] = [files, logs].map(|all| names(all).into_iter().collect());
            assert_eq!(cover.is_half(&files, &logs), expect, "{files:?} {logs:?}");
        }
        let unlogged = Cover { logs: Vec::new(), ..cover };
        assert!(!unlogged.is_half(&HashSet::new(), &HashSet::new()), "nothing else has it");
    }
}
