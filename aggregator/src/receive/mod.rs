//! Receive: agents' sessions, from the stream to the store.

pub mod backfill;
pub mod intake;
pub mod service;
pub mod session;
