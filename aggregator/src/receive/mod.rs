//! Receive: agents' sessions, from the stream to the store.

pub mod admit;
pub mod service;
pub mod session;
