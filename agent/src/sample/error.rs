//! Why a collector has nothing to say this round.

use quorate_common::model::label::LabelError;
use std::path::{Path, PathBuf};

/// A failed round of one collector.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A file of the kernel could not be opened or read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is longer than any sane kernel makes it.
    #[error("failed to read `{}`: more than {bytes_max} bytes", path.display())]
    Long {
        /// Which file.
        path: PathBuf,
        /// The limit.
        bytes_max: usize,
    },
    /// A file does not say what it should.
    #[error("failed to parse `{}` line {line}: {what}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What was expected, and what stood there.
        what: String,
    },
    /// A name in a file is no label.
    #[error("failed to name a series")]
    Label(#[from] LabelError),
    /// It took too long, or its last call has not returned yet.
    #[error("timeout after {deadline_ms} ms")]
    Timeout {
        /// How long it was given.
        deadline_ms: u32,
    },
    /// Its thread has ended.
    #[error("the collector's thread has ended")]
    Gone,
}

impl SampleError {
    /// A failure to read `path`.
    pub(super) fn read(path: &Path, source: impl Into<std::io::Error>) -> SampleError {
        SampleError::Read { path: path.to_owned(), source: source.into() }
    }
}
