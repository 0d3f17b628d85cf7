//! PromQL with the semantics of Prometheus 3: ranges and look-back are left-open, names are dropped at the end.
//!
//! A query is evaluated series by series, all steps at once: every part of the expression yields a matrix of
//! series by steps. It knows of storage only what [`Source`] says, reads no clock, and takes no more than its
//! [`Budget`]. In a matrix there are only marks of native histograms, which are kept beside it.
//!
//! ```text
//! text ─ parse ─► Query ─ Evaluator ─► Value ─ names dropped ─► Answer
//!                            │  ▲
//!                     Source ◄──┘ samples ─ window ─► range functions
//! ```

mod aggregate;
mod binary;
pub mod budget;
mod call;
pub mod cell;
mod error;
mod evaluate;
mod grid;
mod histogram;
pub mod labels;
mod matrix;
pub mod native;
mod note;
mod number;
mod parse;
mod range;
mod select;
mod source;
mod span;
mod statistic;
mod window;

pub use budget::{Budget, Limits, Overrun, Stop};
pub use error::Error;
pub use evaluate::{Answer, Data, Options, evaluate};
pub use grid::{Grid, STEPS_MAX};
pub use labels::LabelSet;
pub use matrix::Series;
pub use native::{Histograms, NativeHistogram};
pub use note::Notes;
pub use number::text_of;
pub use parse::Query;
pub use source::{Sample, Selection, Source, SourceError, SourceSeries};
