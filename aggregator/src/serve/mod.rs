//! Serve: the public API, over gRPC with mutual TLS.
//!
//! Every answer comes from a published snapshot, from the store, or from an owner task; nothing is decided
//! here.

mod access;
pub mod admin;
mod audit;
pub mod auth;
pub mod backup;
pub mod cluster;
pub mod diagnostic;
pub mod enrol;
mod gap;
pub mod guard;
pub mod http;
pub mod issue;
pub mod listen;
mod message;
pub mod query;
pub mod range;
pub mod refusal;
pub mod renew;
mod watch;
