//! The wire of Quorate: everything about bytes between programs, and nothing else.
//!
//! [`v1`] holds the generated messages, services and clients. [`convert`] turns messages into values of
//! the model and back, and names the field that is wrong; [`codec`] writes and reads the bytes. [`connect`] dials the channel that they travel on;
//! [`enrol`] gets the [`identity`] that is shown there and [`renew`] the next one; [`probe`] walks the way for a
//! doctor.

pub mod codec;
pub mod connect;
pub mod convert;
pub mod enrol;
pub mod identity;
pub mod probe;
pub mod renew;
pub mod status;

/// Messages, servers and clients generated from `quorate/v1/*.proto`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::too_many_lines,
    clippy::let_underscore_must_use,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("quorate.v1");
}

/// The compiled descriptors of `quorate.v1`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
