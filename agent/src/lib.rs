//! The agent of Quorate: samples one host once a second and streams what it sees to the aggregator.
//!
//! ```text
//!   sample → encode → spool → session → send ══ mTLS gRPC ══→ aggregator
//! ```
//!
//! It judges nothing, runs no programs, and listens on no port.

pub mod encode;
pub mod sample;
pub mod session;
pub mod spool;
#[cfg(test)]
mod testing;
