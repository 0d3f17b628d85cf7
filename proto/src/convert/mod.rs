//! Messages to values of the model and back, written once, next to the schema.
//!
//! Towards the model a conversion can fail, and then names the field. Towards the wire it cannot.

mod backfill;
mod cluster;
mod head;
mod node;
mod process;
mod register;
mod session;
mod stream;

pub use register::RegisterLimits;
pub use stream::{SessionReader, SessionWriter};

use prost_types::Timestamp;
use quorate_common::model::time::WallTime;

/// What is wrong with a message, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field that must be set is not.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field holds something that it may not hold.
    #[error("field `{field}`: {reason}")]
    Invalid {
        /// The field, with the path that leads to it.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConvertError {
    /// A field that holds something wrong.
    pub fn invalid(field: &'static str, reason: impl ToString) -> ConvertError {
        ConvertError::Invalid { field, reason: reason.to_string() }
    }
}

/// A stamp as protobuf has it.
pub fn timestamp(time: WallTime) -> Timestamp {
    let (seconds, nanos) = (time.0.div_euclid(1_000_000_000), time.0.rem_euclid(1_000_000_000));
    Timestamp { seconds, nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// A stamp from protobuf; saturates at the ends of what 64 bits of nanoseconds can hold.
pub fn wall_time(stamp: &Timestamp) -> WallTime {
    WallTime(stamp.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(stamp.nanos)))
}

/// Pairs the members of an enum on the wire with the words of the model.
///
/// Numbers that the wire enum does not know, and `UNSPECIFIED`, have no word and are refused.
macro_rules! pair {
    ($wire:ident, $model:path, $field:literal, { $($variant:ident),+ $(,)? }) => {
        impl From<$model> for $crate::v1::$wire {
            fn from(word: $model) -> Self {
                match word { $(<$model>::$variant => $crate::v1::$wire::$variant),+ }
            }
        }

        impl TryFrom<$crate::v1::$wire> for $model {
            type Error = $crate::convert::ConvertError;

            fn try_from(word: $crate::v1::$wire) -> Result<Self, Self::Error> {
                match word {
                    $($crate::v1::$wire::$variant => Ok(<$model>::$variant),)+
                    $crate::v1::$wire::Unspecified => Err($crate::convert::ConvertError::Missing($field)),
                }
            }
        }
    };
}
pub(crate) use pair;

/// Reads an enum field: its number, then its word.
pub(crate) fn word<W, M>(number: i32, field: &'static str) -> Result<M, ConvertError>
where
    W: TryFrom<i32>,
    M: TryFrom<W, Error = ConvertError>,
{
    let wire =
        W::try_from(number).map_err(|_| ConvertError::invalid(field, format!("unknown number {number}")))?;
    M::try_from(wire).map_err(|_| ConvertError::Missing(field))
}
