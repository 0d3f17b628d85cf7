//! Volumes: chunk files by what they hold, and their names.
//!
//! ```text
//!   chunks-<window>-<start>-<class>-<order>-<salt>.qj1          samples of a window and class
//!   index-<as above, to the order>-<bytes>-<salt>.qj1           where each chunk of it is
//! ```
//!
//! Orders count up over all volumes: whatever has a higher one was made later.

use super::window::Span;
use quorate_common::journal::parse_name;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::WallTime;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Beginnings of the names of files.
const CHUNKS: &str = "chunks";
const INDEX: &str = "index";

/// What a volume holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Contents {
    /// Samples of all series of one class in one window.
    Raw(Span, SeriesClass),
}

/// A chunk file.
#[derive(Debug)]
pub struct Volume {
    /// What it holds.
    pub contents: Contents,
    /// Its place among all volumes.
    pub order: u64,
    /// How long the file is.
    pub bytes: u64,
    /// How long its index is.
    pub index_bytes: u64,
    /// The salt of its checks.
    pub salt: u64,
    /// Its index, if it has one.
    pub index: Option<PathBuf>,
    /// Where it lies.
    pub path: PathBuf,
}

impl Contents {
    /// The window of its samples.
    pub fn span(self) -> Option<Span> {
        match self {
            Contents::Raw(span, _) => Some(span),
        }
    }

    /// Its first moment.
    pub fn start(self) -> WallTime {
        match self {
            Contents::Raw(span, _) => span.start(),
        }
    }

    /// The first moment after it.
    pub fn end(self) -> WallTime {
        match self {
            Contents::Raw(span, _) => span.end(),
        }
    }

    /// Whether any moment from `from` to `to` lies in it.
    pub fn touches(self, from: WallTime, to: WallTime) -> bool {
        self.start() <= to && self.end() > from
    }

    fn stem(self, what: &str) -> String {
        match self {
            Contents::Raw(span, class) => format!("{}-{class}", span.stem(what)),
        }
    }

    /// The name of a chunk file, without its salt.
    pub fn chunks_stem(self, order: u64) -> String {
        format!("{}-{order}", self.stem(CHUNKS))
    }

    /// The name of an index, without its salt.
    pub fn index_stem(self, order: u64, bytes: u64) -> String {
        format!("{}-{order}-{bytes}", self.stem(INDEX))
    }

    /// What [`Contents::stem`] wrote, and what stands behind it.
    fn parse<'a>(stem: &'a str, what: &str) -> Option<(Contents, &'a str)> {
        let (span, rest) = Span::parse(stem, what)?;
        let (class, rest) = rest.split_once('-')?;
        Some((Contents::Raw(span, class.parse().ok()?), rest))
    }
}

/// What the name of a chunk file says: what it holds, its order, and the salt of its checks.
pub fn parse_chunks(name: &OsStr) -> Option<(Contents, u64, u64)> {
    let (stem, salt) = parse_name(name)?;
    let (contents, order) = Contents::parse(stem, CHUNKS)?;
    Some((contents, order.parse().ok()?, salt))
}

/// What the name of an index says: contents and order of its chunk file, and how long that is.
pub fn parse_index(name: &OsStr) -> Option<(Contents, u64, u64)> {
    let (stem, _) = parse_name(name)?;
    let (contents, rest) = Contents::parse(stem, INDEX)?;
    let (order, bytes) = rest.split_once('-')?;
    Some((contents, order.parse().ok()?, bytes.parse().ok()?))
}

/// The name of a file, as others name it.
pub fn name_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

impl Volume {
    /// Bytes on the disk.
    pub fn size(&self) -> u64 {
        self.bytes.saturating_add(self.index_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_common::model::series::Window;

    #[test]
    fn names_are_read_back() {
        let span = Span::of(Window::Medium, WallTime(-1));
        for class in SeriesClass::ALL {
            let contents = Contents::Raw(span, *class);
            let name = format!("{}-00000000000000ff.qj1", contents.chunks_stem(7));
            assert_eq!(parse_chunks(name.as_ref()), Some((contents, 7, 255)), "{name}");
            let name = format!("{}-00000000000000ff.qj1", contents.index_stem(7, 99));
            assert_eq!(parse_index(name.as_ref()), Some((contents, 7, 99)), "{name}");
            assert_eq!(parse_chunks(name.as_ref()), None);
            assert!(contents.touches(WallTime(-1), WallTime(-1)));
            assert!(!contents.touches(contents.end(), WallTime(i64::MAX)));
        }
        for name in ["chunks-short-300-7-00000000000000ff.qj1", "chunks-short-300-system-7.qj1"] {
            assert_eq!(parse_chunks(name.as_ref()), None, "{name}");
        }
    }
}
