//! Why a query has no result.

use super::budget::Overrun;
use super::source::SourceError;

/// Why a query has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no query.
    #[error("{0}")]
    Parse(String),
    /// A function or form that is not evaluated here.
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The data do not fit the query; in the words of Prometheus.
    #[error("{0}")]
    Evaluate(String),
    /// It wants too much.
    #[error(transparent)]
    Overrun(#[from] Overrun),
    /// The store failed.
    #[error("failed to read series")]
    Source(#[source] SourceError),
}

impl Error {
    /// An error of the data.
    pub fn data<T>(text: impl Into<String>) -> Result<T, Error> {
        Err(Error::Evaluate(text.into()))
    }
}
